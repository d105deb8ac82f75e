"""Cuts in time: rows to fit on, rows to validate on, rows that choose, rows that are reported."""

from dataclasses import dataclass
from itertools import pairwise

from pydantic import Field, model_validator

from tsad.data.contamination import contaminate
from tsad.data.dataset import DataSet
from tsad.data.io.read_options import ReadOptions
from tsad.data.joined import end_to_end
from tsad.errors import DataError
from tsad.series import Series
from tsad.spec import Spec


class SplitSpec(Spec):
    """Where the cuts are.

    Attributes:
        validation: Share of the training rows, the last ones, that fits thresholds and stops training.
        selection: Share of the test rows, the first ones, whose labels may choose among candidates. They are not
            reported. 0 reports all test rows.
        gap: Rows left out at each cut, at least those that one score looks at, so that none looks across.
        contamination: Share of anomalous rows among the fit rows, taken by their labels from the selection rows, which
            are never reported: how a detector bears dirty training rows is then measured on rows that it has not seen,
            the same ones for every share. Needs `selection`.
    """

    validation: float = Field(0.25, gt=0, lt=1)
    selection: float = Field(0.0, ge=0, lt=1)
    gap: int = Field(100, ge=1)
    contamination: float = Field(0.0, ge=0, lt=0.5)

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
        """Whether labels of the selection rows have a hand in the fit rows."""
        return self.contamination > 0


@dataclass(frozen=True, eq=False)
class Parts:
    """A data set after the cuts.

    Attributes:
        fit: Rows that parameters and scalers are fitted on.
        validation: Later rows of the same kind.
        test: All test rows, so that a reported row may have the rows before it in its window.
        selection: Rows of `test` that may choose, or None.
        reported: Rows of `test` that chose nothing.
        past: Rows right before the test rows, where the two are continuous.
        step_seconds: From one row to the next; None where nobody knows.
        read_options: How rows of more such files are read, if they come from one.
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
    """Returns the parts.

    Args:
        data: What to cut.
        spec: Where.
        reach: Rows that one score looks at, window and smoothing together.

    Raises:
        DataError: if the gap is shorter than that, so that a score would look across a cut, or a part is.
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
    fit, validation = _trained(data, spec)
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
    clean = end_to_end(fit)
    if spec.contamination:
        clean = contaminate(clean, data.test.part(0, selected), spec.contamination, reach - 1)
    return Parts(
        fit=clean,
        validation=end_to_end(validation),
        test=data.test,
        selection=slice(0, selected) if selected else None,
        reported=slice(reported, len(data.test)),
        past=data.train if data.continuous else None,
        step_seconds=data.step_seconds,
        read_options=data.read_options,
    )


def _trained(data: DataSet, spec: SplitSpec) -> tuple[list[Series], list[Series]]:
    """Returns the fit rows and the validation rows of each entity; a part for which there are no rows is empty."""
    edges = [*([entity.train for entity in data.entities] or [0]), len(data.train)]
    fit, validation = [], []
    for first, after in pairwise(edges):
        cut = after - round((after - first) * spec.validation)
        fit.append(data.train.part(first, cut))
        validation.append(data.train.part(min(cut + spec.gap, after), after))
    return fit, validation
