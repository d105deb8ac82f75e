"""`tsad drift`: whether the rows of a file still look like those that a detector learned from."""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import open_table
from tsad.detector.detector import Detector
from tsad.detector.scoring import Scores
from tsad.drift import PROFILE, ColumnDrift, Comparison, Drift, Profile, most_moved
from tsad.errors import DetectorError
from tsad.evaluation.plots.drift import Compared, draw_drift
from tsad.series import Series
from tsad.streaming import ScoredRows, Stream
from tsad.workflows.file_rows import find_folder, rows_of

DRAWN = 9
"""Panels of the picture: the scores, and the features that are furthest beyond what is usual."""
_AT_ONCE = 10_000
"""Rows in memory."""


def drift(model: str, path: Path, output: Path | None, reference: Path | None, *, fail: bool) -> None:
    """Compares a file of any size with what a detector learned from.

    Prints a table; writes `drift.json` and `drift.png` into `output`, if given.

    Args:
        model: URI or folder of the detector.
        path: CSV or Parquet file of the rows.
        output: Folder for the results.
        reference: File of normal rows to compare with instead of the detector's profile.
        fail: Exit with 1 if anything has moved.
    """
    folder = find_folder(model)
    detector, read_options = Detector.load(folder), ReadOptions.load(folder)
    profile = Profile.load(folder) if reference is None else _profile(detector, reference, read_options)
    if profile is None:
        raise DetectorError(
            f"{model}: drift needs {PROFILE} beside the detector, but it has none, since it was saved before there was one; "
            f"train it again, or give --reference FILE of normal rows"
        )
    comparison = compare(detector, profile, path, read_options)
    found = comparison.drift()
    click.echo(show(found))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "drift.json").write_text(found.model_dump_json(indent=1), encoding="utf-8")
        draw(comparison, found, path.name).savefig(output / "drift.png", dpi="figure")
        click.echo(f"\nfiles: {output}")
    if fail and found.state == "moved":
        raise SystemExit(1)


def compare(detector: Detector, profile: Profile, path: Path, read_options: ReadOptions) -> Comparison:
    """Returns the comparison of all rows of a file, taken chunk by chunk."""
    comparison = Comparison(profile)
    for values, scored in judged_rows(detector, path, read_options):
        comparison.take_rows(values)
        comparison.take_scores(scored.scores, scored.flags)
    return comparison


def judged_rows(
    detector: Detector, path: Path, read_options: ReadOptions
) -> Iterator[tuple[NDArray[np.float32], ScoredRows]]:
    """Yields the (n, F) rows of each chunk of a file with the scores that they made final; raises `DataError`."""
    stream = Stream(detector)
    for rows in rows_of(open_table(path, read_options), detector.scorer.features, read_options, _AT_ONCE, timed=False):
        yield rows.values, stream.push(rows.values)


def _profile(detector: Detector, path: Path, read_options: ReadOptions) -> Profile:
    """Returns the profile that normal rows make; they have to fit into memory."""
    chunks = list(judged_rows(detector, path, read_options))
    rows = np.concatenate([values for values, _ in chunks])
    scores, by_feature = (
        np.concatenate([getattr(scored, name) for _, scored in chunks]) for name in ("scores", "by_feature")
    )
    return Profile.of(detector, Series(rows, detector.scorer.features), Scores(scores, by_feature))


def show(found: Drift) -> str:
    """Returns the table, the furthest beyond what is usual first, and the score."""
    lines = [f"{'':<24} {'state':<8} {'distance':>8} {'usual':>6} {'psi':>7} {'mean':>11} {'of reference':>12}"]
    for column in (*([found.scores] if found.scores else []), *most_moved(found.features)):
        usual = "" if column.usual is None else f"{column.usual:.2f}"
        lines.append(
            f"{column.name:<24} {column.state:<8} {column.distance:>8.2f} {usual:>6} {column.stability_index:>7.2f} "
            f"{column.mean:>11.4g} {column.reference_mean:>12.4g}"
        )
    alarms = (
        ""
        if found.alarms is None
        else f"\n{found.alarms:.2%} of scored rows flagged, {found.expected_alarms:.2%} of validation rows."
    )
    return "\n".join(lines) + f"\n\n{found.state}: {found.message}{alarms}"


def draw(comparison: Comparison, found: Drift, name: str) -> Figure:
    """Returns the picture of the scores and of the features that are furthest beyond what is usual."""
    places = {column.name: place for place, column in enumerate(found.features)}
    chosen = most_moved(found.features)[: DRAWN - 1]
    compared = [_compared(comparison, column, places[column.name]) for column in chosen]
    if found.scores is not None:
        compared.insert(0, _compared(comparison, found.scores, None))
    return draw_drift(compared, f"{name} beside what the detector learned from: {found.state}")


def _compared(comparison: Comparison, found: ColumnDrift, place: int | None) -> Compared:
    tally, place = (comparison.scores, 0) if place is None else (comparison.inputs, place)
    column = tally.reference.columns[place]
    usual = "" if found.usual is None else f", usual {found.usual:.2f}"
    return Compared(
        title=f"{found.name}: {found.distance:.2f}{usual}",
        moved=found.state == "moved",
        values=np.array(column.values),
        reference=column.shares,
        found=tally.shares(place),
        ends=(float(tally.lowest[place]), float(tally.highest[place])),
    )
