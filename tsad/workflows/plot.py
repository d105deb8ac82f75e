"""Pictures of scored files of any size, and of the losses of a training."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tsad.data.io.cells import numbers
from tsad.data.io.containers.kinds import beside
from tsad.data.io.containers.location import location
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.row_chunks import check_columns
from tsad.data.io.table_files import Chunk, TableFile, open_table
from tsad.data.io.writers import atomic_write
from tsad.detector.detector import Detector
from tsad.detector.score_table import score_table
from tsad.errors import DataError, shown
from tsad.evaluation.plots import draw_losses
from tsad.evaluation.plots.detections import Detections
from tsad.evaluation.plots.style import BUCKETS
from tsad.workflows.context import open_context
from tsad.workflows.events import OnEvent, ignore
from tsad.workflows.file_rows import open_rows, read_chunks
from tsad.workflows.file_scores import scored_chunks
from tsad.workflows.score import TOP

SHOWN = 5
"""Features that are drawn, unless they are named."""

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Window:
    """Rows `first` to `last`, both included; None is the last of all."""

    first: int = 0
    last: int | None = None

    @classmethod
    def parse(cls, text: str | None) -> "Window":
        """Returns the rows that FIRST:LAST means, where either may be left out; raises `DataError` if it means none."""
        match = re.fullmatch(r"(\d*):(\d*)", text if text is not None else ":")
        window = cls(int(match[1] or 0), int(match[2]) if match[2] else None) if match else None
        if window is None or (window.last is not None and window.last < window.first):
            raise DataError(
                f"--rows must be FIRST:LAST with FIRST at most LAST, but got {text!r}; write 500:900, or 500:"
            )
        return window

    def of(self, first: int, count: int) -> range:
        """Returns which of `count` rows are inside, counted from the first of them, whose number is `first`."""
        return range(max(0, self.first - first), count if self.last is None else min(count, self.last + 1 - first))


@dataclass(frozen=True)
class PlotResult:
    """Result of a plot. `str()` is what the command line prints.

    Attributes:
        output: PNG file.
        text: What the picture shows, in a few words.
    """

    output: Path
    text: str

    def __str__(self) -> str:
        return f"{self.text}\nfile: {self.output}"


def plot(
    data: str | Path,
    *,
    output: str | Path | None = None,
    model: str | Path | None = None,
    features: Sequence[str] | None = None,
    rows: str | None = None,
    on_event: OnEvent = ignore,
) -> PlotResult:
    """Draws features, score and flagged events of a file of any size as PNG.

    Args:
        data: File as `tsad.score` writes it; with a model, any file that has its features.
        output: PNG file; by default the path of the file with the ending `.png`.
        model: Detector that scores the rows first.
        features: Names of the columns to draw; by default the few that explain most of the flags.
        rows: Rows to draw as FIRST:LAST, both included; either may be left out.
        on_event: Callback for progress.

    Raises:
        DataError: if the file lacks a column, or has no such rows, or the picture cannot be written.
        DetectorError: if there is no such model.
    """
    path = location(data)
    target = beside(path, ".png") if output is None else Path(output)
    _check_picture(target)
    window = Window.parse(rows)
    names = None if features is None else tuple(dict.fromkeys(features))
    picture = _collect(path, model, names, window, on_event)
    if picture is None or picture.rows is None:
        raise DataError(f"{path}: has no rows{'' if rows is None else f' {rows}'}, so there is nothing to draw")
    shades, count = picture.shades, picture.rows[1] - picture.rows[0]
    text = f"{shades.flagged:,} of {count:,} rows flagged, in {shades.events:,} events"
    figure = picture.draw(names or picture.involved(SHOWN), f"{path.name}: {text}")
    with atomic_write(target) as (temporary_path,):
        figure.savefig(temporary_path, format="png")
    return PlotResult(target, text)


def plot_history(history: str | Path, *, output: str | Path | None = None) -> PlotResult:
    """Draws the losses of a training over its epochs as PNG.

    Args:
        history: File `history.json` of a run.
        output: PNG file; by default the path of the file with the ending `.png`.

    Raises:
        DataError: if the file holds no losses, or the picture cannot be written.
    """
    path = Path(history)
    target = path.with_suffix(".png") if output is None else Path(output)
    _check_picture(target)
    try:
        epochs = json.loads(path.read_text(encoding="utf-8"))
        curves = [{name: float(value) for name, value in losses.items() if name != "epoch"} for losses in epochs]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: must be the history.json of a run, but {error}") from None
    if not curves or not all(curves):
        raise DataError(f"{path}: holds no losses; models that are fitted in one step have none")
    with atomic_write(target) as (temporary_path,):
        draw_losses(curves, path.name).savefig(temporary_path, format="png")
    return PlotResult(target, f"losses of {len(curves)} epochs")


def _check_picture(target: Path) -> None:
    if target.suffix != ".png":
        raise DataError(f"{target}: a picture must be a .png file; rename it")


def _collect(
    path: Path, model: str | Path | None, names: Sequence[str] | None, window: Window, on_event: OnEvent
) -> Detections | None:
    """Returns what is to be drawn of a file; None if it has no rows."""
    if model is None:
        table = open_table(path)
        scored_table = _read_scores(table, on_event)
    else:
        folder = open_context().detector_folder(model)
        table, read_options = open_rows(path, folder, {}, on_event)
        scored_table = _compute_scores(table, Detector.load(folder), read_options, on_event)
    check_columns(table, names or ())
    picture, features = None, list[str]()
    for chunk, first, scored in scored_table:
        if chunk is not None and picture is None:
            features = _numbered(table, chunk, names, scored)
            picture = Detections(features, _rows_a_pixel(table, chunk, window))
        if picture is not None and chunk is not None and features and (part := window.of(chunk.first_row, len(chunk))):
            cells = chunk.columns(features).iloc[part.start : part.stop]
            values = np.stack([numbers(cells[name])[0] for name in features], axis=1)
            picture.take_values(chunk.first_row + part.start, values)
        if picture is not None and (part := window.of(first, len(scored))):
            picture.take_scores(first + part.start, scored.iloc[part.start : part.stop])
        if window.last is not None and window.last < first + len(scored):
            break
    return picture


ScoredTable = Iterator[tuple[Chunk | None, int, pd.DataFrame]]
"""Chunks, and what is known then: the first row, and from there `score`, `flag`, ..., as `Detections` takes them."""


def _read_scores(table: TableFile, on_event: OnEvent) -> ScoredTable:
    """Yields the scores that a table has; raises `DataError` if it has none, or flags that are none."""
    prefix = "tsad_" if {"tsad_score", "tsad_flag"} <= set(table.names) else ""
    if not {f"{prefix}score", f"{prefix}flag"} <= set(table.names):
        raise DataError(
            f"{table.path}: must have the columns 'score' and 'flag'; score it with tsad score, or give --model"
        )
    shares = [name for name in table.names if re.fullmatch(rf"{prefix}share_\d+", name)]
    pairs = [(feature, share) for share in shares if (feature := share.replace("share", "feature")) in table.names]
    for chunk in read_chunks(table, _ROWS_AT_ONCE, on_event):
        cells = chunk.columns([f"{prefix}score", *(name for pair in pairs for name in pair)])
        cells.columns = cells.columns.str.removeprefix(prefix)
        scores, text = numbers(cells["score"])
        flags = pd.Series(chunk.texts(f"{prefix}flag")).str.lower()
        for name, wrong in (("score", text), ("flag", ~flags.isin(["true", "false", "1", "0"]).to_numpy())):
            if wrong.any():
                index = int(wrong.argmax())
                raise DataError(
                    f"{table.path}: column {name!r} must be as tsad score writes it, but row {chunk.first_row + index} has "
                    f"{shown(chunk.texts(f'{prefix}{name}')[index])}; score the rows again, or give --model"
                )
        yield chunk, chunk.first_row, cells.assign(score=scores, flag=flags.isin(["true", "1"]).to_numpy())


def _compute_scores(table: TableFile, detector: Detector, read_options: ReadOptions, on_event: OnEvent) -> ScoredTable:
    """Yields the scores that a detector gives."""
    features = detector.scorer.features
    for chunk, rows in scored_chunks(detector, table, read_options, _ROWS_AT_ONCE, on_event):
        scored = score_table(rows.scores, rows.flags, rows.by_feature, features, TOP).assign(threshold=rows.thresholds)
        yield chunk, int(rows.rows[0]) if len(rows.rows) else 0, scored


def _numbered(table: TableFile, chunk: Chunk, names: Sequence[str] | None, scored: pd.DataFrame) -> list[str]:
    """Returns the columns that may be drawn: the named ones, or all of numbers but the scores."""
    candidates = names or [name for name in table.names if name not in scored.columns]
    cells = chunk.columns(candidates) if candidates else pd.DataFrame()
    numeric = [name for name in candidates if pd.api.types.is_numeric_dtype(cells[name])]
    if names is not None and len(numeric) < len(names):
        wrong = next(name for name in names if name not in numeric)
        raise DataError(f"{table.path}: column {wrong!r} must hold numbers to be drawn, but holds others; leave it out")
    return numeric


def _rows_a_pixel(table: TableFile, chunk: Chunk, window: Window) -> int:
    """Returns how many rows share a pixel, if the rest of the file is like its first chunk."""
    inside = len(window.of(0, round(table.size / chunk.size * len(chunk))))
    return 1 if inside <= 2 * BUCKETS else -(-inside // BUCKETS)
