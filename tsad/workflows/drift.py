"""Drift: whether the rows of a file still look like those that a detector was trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tsad.arrays import Values
from tsad.data.io.containers.location import location
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import open_table
from tsad.detector.detector import Detector
from tsad.detector.scoring import Scores
from tsad.drift import PROFILE, ColumnDrift, Comparison, Drift, Profile, most_drifted
from tsad.errors import DetectorError
from tsad.evaluation.plots.drift import Compared, draw_drift
from tsad.series import Series
from tsad.streaming import ScoredRows
from tsad.workflows.context import open_context
from tsad.workflows.events import OnEvent, ignore
from tsad.workflows.file_scores import scored_values

DRAWN = 9
"""Panels of the picture: the scores, and the features that are furthest beyond what is expected."""
_AT_ONCE = 10_000
"""Rows in memory."""


@dataclass(frozen=True, eq=False)
class DriftResult:
    """Result of a drift measurement. `str()` is what the command line prints.

    Attributes:
        drift: Distance of each feature and of the scores from the reference, and the conclusion.
        comparison: Distributions of the rows and of the reference, for plots.
        name: Name of the file.
        output: Folder that holds `drift.json` and `drift.png`; None if none were written.
    """

    drift: Drift
    comparison: Comparison
    name: str
    output: Path | None

    @property
    def figure(self) -> Figure:
        """Distributions of the scores and of the features that drifted most."""
        return draw(self.comparison, self.drift, self.name)

    def __repr__(self) -> str:
        return f"DriftResult(state={self.drift.state!r}, name={self.name!r})"

    def __str__(self) -> str:
        return show(self.drift) + ("" if self.output is None else f"\n\nfiles: {self.output}")


def measure_drift(
    model: str | Path,
    data: str | Path,
    *,
    output: str | Path | None = None,
    reference: str | Path | None = None,
    on_event: OnEvent = ignore,
) -> DriftResult:
    """Compares the rows of a file of any size with the rows that a detector was trained on.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, or the folder of a saved detector.
        data: Path or address of the file of the rows.
        output: Folder for `drift.json` and `drift.png`; None writes none.
        reference: File of normal rows to compare with instead of the training rows; it must fit into memory.
        on_event: Callback for progress.

    Raises:
        DataError: naming file, row and column of the first cell that is not as it should be.
        DetectorError: if there is no such model, or it has no profile and no reference is given.
    """
    folder, path = open_context().detector_folder(model), location(data)
    detector, read_options = Detector.load(folder), ReadOptions.load(folder)
    profile = (
        Profile.load(folder) if reference is None else _profile(detector, location(reference), read_options, on_event)
    )
    if profile is None:
        raise DetectorError(
            f"{model}: drift needs {PROFILE} beside the detector, but it has none, since it was saved before there was one; "
            f"train it again, or give --reference FILE of normal rows"
        )
    comparison = compare(detector, profile, path, read_options, on_event)
    result = DriftResult(comparison.drift(), comparison, path.name, None if output is None else Path(output))
    if result.output is not None:
        result.output.mkdir(parents=True, exist_ok=True)
        (result.output / "drift.json").write_text(result.drift.model_dump_json(indent=1), encoding="utf-8")
        result.figure.savefig(result.output / "drift.png", dpi="figure")
    return result


def compare(
    detector: Detector, profile: Profile, path: Path, read_options: ReadOptions, on_event: OnEvent = ignore
) -> Comparison:
    """Returns the comparison of all rows of a file, which is read chunk by chunk."""
    comparison = Comparison(profile)
    for values, scored in scored_rows(detector, path, read_options, on_event):
        comparison.take_rows(values)
        comparison.take_scores(scored.scores, scored.flags)
    return comparison


def scored_rows(
    detector: Detector, path: Path, read_options: ReadOptions, on_event: OnEvent
) -> Iterator[tuple[Values, ScoredRows]]:
    """Yields the (n, F) rows of each chunk of a file as the detector sees them, with the scores that they made final."""
    yield from scored_values(detector, open_table(path, read_options), read_options, _AT_ONCE, on_event)


def _profile(detector: Detector, path: Path, read_options: ReadOptions, on_event: OnEvent) -> Profile:
    """Returns the profile of normal rows, which have to fit into memory."""
    chunks = list(scored_rows(detector, path, read_options, on_event))
    rows = np.concatenate([values for values, _ in chunks])
    scores, by_feature = (
        np.concatenate([getattr(scored, name) for _, scored in chunks]) for name in ("scores", "by_feature")
    )
    return Profile.of(detector, Series(rows, detector.scorer.features), Scores(scores, by_feature))


def show(drift: Drift) -> str:
    """Returns the table, the furthest beyond what is expected first, and the score."""
    lines = [f"{'':<24} {'state':<8} {'distance':>8} {'expected':>6} {'psi':>7} {'mean':>11} {'of reference':>12}"]
    for column in (*([drift.scores] if drift.scores else []), *most_drifted(drift.features)):
        expected = "" if column.expected is None else f"{column.expected:.2f}"
        lines.append(
            f"{column.name:<24} {column.state:<8} {column.distance:>8.2f} {expected:>6} {column.stability_index:>7.2f} "
            f"{column.mean:>11.4g} {column.reference_mean:>12.4g}"
        )
    alert_rate = (
        ""
        if drift.alert_rate is None
        else f"\n{drift.alert_rate:.2%} of scored rows flagged, {drift.expected_alert_rate:.2%} of validation rows."
    )
    return "\n".join(lines) + f"\n\n{drift.state}: {drift.message}{alert_rate}"


def draw(comparison: Comparison, drift: Drift, name: str) -> Figure:
    """Returns the picture of the scores and of the features that are furthest beyond what is expected."""
    indices = {column.name: index for index, column in enumerate(drift.features)}
    chosen = most_drifted(drift.features)[: DRAWN - 1]
    compared = [_compared(comparison, column, indices[column.name]) for column in chosen]
    if drift.scores is not None:
        compared.insert(0, _compared(comparison, drift.scores, None))
    return draw_drift(compared, f"{name} beside what the detector learned from: {drift.state}")


def _compared(comparison: Comparison, drift: ColumnDrift, index: int | None) -> Compared:
    histogram, index = (comparison.scores, 0) if index is None else (comparison.inputs, index)
    column = histogram.reference.columns[index]
    expected = "" if drift.expected is None else f", expected {drift.expected:.2f}"
    return Compared(
        title=f"{drift.name}: {drift.distance:.2f}{expected}",
        drifted=drift.state == "drifted",
        values=np.array(column.values),
        reference=column.shares,
        observed=histogram.shares(index),
        ends=(float(histogram.lowest[index]), float(histogram.highest[index])),
    )
