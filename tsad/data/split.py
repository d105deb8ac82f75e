"""Cuts in time: rows to fit on, rows to validate on, rows that may choose, and rows that are reported."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pydantic import Field, model_validator

from tsad.data.combine import concatenate
from tsad.data.contamination import contaminate
from tsad.data.dataset import DataSet
from tsad.data.io.read_options import ReadOptions
from tsad.errors import DataError
from tsad.series import Series
from tsad.spec import Spec


class SplitSpec(Spec):
    """Cuts of a data set into fit, validation, selection and reported rows.

    Attributes:
        validation: Fraction of the training rows, the last ones, on which thresholds are fitted and training is stopped.
        selection: Fraction of the test rows, the first ones, whose labels may choose among candidates. They are not
            reported. 0 reports all test rows.
        gap: Rows left out at each cut, at least as many as one score depends on, so that no score crosses a cut.
        contamination: Fraction of anomalous rows among the fit rows, below 0.5, taken by their labels from the selection
            rows, which are never reported. It measures how well a detector tolerates anomalies in its training rows on
            test rows that it has not seen, the same ones for every fraction. Needs `selection`.
        exclude_labeled: Whether labeled anomalies among the training rows are left out of the fit rows and the validation rows;
            no window crosses the place where they were.
    """

    validation: float = Field(0.25, gt=0, lt=1)
    selection: float = Field(0.0, ge=0, lt=1)
    gap: int = Field(100, ge=1)
    contamination: float = Field(0.0, ge=0, lt=0.5)
    exclude_labeled: bool = False

    @model_validator(mode="after")
    def _takes_from_selection(self) -> "SplitSpec":
        if self.contamination and not self.selection:
            raise ValueError(
                f"contamination takes rows from the selection part, so that they are not reported, but got "
                f"contamination={self.contamination} and selection=0; set selection, 0.5 for example"
            )
        return self

    @property
    def reads_labels(self) -> bool:
        """Whether labels of the selection rows decide which rows are fit rows."""
        return self.contamination > 0 or self.exclude_labeled


@dataclass(frozen=True, eq=False)
class Parts:
    """A data set after the cuts.

    Attributes:
        fit: Rows that models and scalers are fitted on, (T, F).
        validation: Later training rows, on which thresholds are fitted and training is stopped.
        test: All test rows, so that the window of a reported row may contain the rows before it.
        selection: Rows of `test` whose labels may choose among candidates; None if there are none.
        reported: Rows of `test` that metrics are reported for.
        past: Rows right before the test rows; None unless the test rows follow them at the usual step.
        step_seconds: Seconds from one row to the next; None where they are unknown or vary.
        read_options: How rows of more files like the one of the data set are read; None if it came from no such file.
    """

    fit: Series
    validation: Series
    test: Series
    selection: slice | None
    reported: slice
    past: Series | None = None
    step_seconds: float | None = None
    read_options: ReadOptions | None = None


def split(data: DataSet, spec: SplitSpec, reach: int) -> Parts:
    """Returns the parts of a data set.

    Args:
        data: Data set to cut; each of its entities is cut by itself.
        spec: Where to cut.
        reach: Rows that one score depends on, window and smoothing together.

    Raises:
        DataError: if the gap or a part has fewer rows than that, or rows are to be selected from several entities.

    Example:
        >>> import numpy as np
        >>> rows = Series(np.zeros((100, 1), np.float32), ("load",))
        >>> parts = split(DataSet("zeros", "memory", train=rows, test=rows), SplitSpec(validation=0.25, gap=10), reach=5)
        >>> len(parts.fit), len(parts.validation), parts.reported
        (75, 15, slice(0, 100, None))
    """
    if spec.gap < reach:
        raise DataError(
            f"split.gap must be at least the rows that one score looks at (window and smoothing), but got gap={spec.gap} and "
            f"{reach} rows; set split.gap={reach} or more, or take a shorter window"
        )
    if data.entities and spec.selection:
        raise DataError(
            f"{data.name}: rows that may choose are the first ones of one segment, but got split.selection={spec.selection} "
            f"and {len(data.entities)} segments; set split.selection=0, or take one at a time"
        )
    fit, validation = trained_rows(data, spec)
    selected = round(len(data.test) * spec.selection)
    reported = selected + spec.gap if selected else 0
    needed = {
        "fit": min(len(chunk) for chunk in fit),
        "validation": min(len(chunk) for chunk in validation),
        "reported": len(data.test) - reported,
    } | ({"selection": selected} if selected else {})
    for name, rows in needed.items():
        if rows < reach:
            raise DataError(
                f"{data.name}: the {name} part must hold the {reach} rows of one score, but has {max(rows, 0)} "
                f"(train {len(data.train)}, test {len(data.test)}, gap {spec.gap}); give more rows or change split"
            )
    clean = concatenate(fit)
    if spec.contamination:
        clean = contaminate(clean, data.test.part(0, selected), spec.contamination, reach - 1)
    return Parts(
        fit=clean,
        validation=concatenate(validation),
        test=data.test,
        selection=slice(0, selected) if selected else None,
        reported=slice(reported, len(data.test)),
        past=data.train if data.continuous else None,
        step_seconds=data.step_seconds,
        read_options=data.read_options,
    )


def trained_rows(data: DataSet, spec: SplitSpec) -> tuple[list[Series], list[Series]]:
    """Returns the fit rows and the validation rows of each entity; a part without rows is empty."""
    if spec.exclude_labeled and data.train.labels is None:
        raise DataError(
            f"{data.name}: split.exclude_labeled leaves out labeled anomalies, but the training rows have no labels; name them "
            f"in data.label or data.events, or set split.exclude_labeled=false"
        )
    edges = [*([entity.train for entity in data.entities] or [0]), len(data.train)]
    fit, validation = [], []
    for first, after in pairwise(edges):
        cut = after - round((after - first) * spec.validation)
        fit.append(data.train.part(first, cut))
        validation.append(data.train.part(min(cut + spec.gap, after), after))
    if spec.exclude_labeled:
        return [without_anomalies(part) for part in fit], [without_anomalies(part) for part in validation]
    return fit, validation


def without_anomalies(series: Series) -> Series:
    """Returns the rows that are not labeled as anomalous, with a boundary where anomalous rows were."""
    if series.labels is None or not series.labels.any():
        return series
    normal = np.flatnonzero(~series.labels)
    before = np.concatenate([[0], np.cumsum(~series.labels)])
    boundaries = {int(row) for row in np.flatnonzero(np.diff(normal) > 1) + 1}
    boundaries |= {int(before[row]) for row in series.boundaries}
    return Series(
        values=series.values[normal],
        features=series.features,
        labels=series.labels[normal],
        boundaries=tuple(sorted(row for row in boundaries if 0 < row < len(normal))),
        times=None if series.times is None else series.times[normal],
    )
