"""`tsad plot`: a scored table of any size in, its picture out."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from tsad.data.io.cells import numbers
from tsad.data.io.read_options import ReadOptions
from tsad.data.io.table_files import Chunk, TableFile, open_table
from tsad.data.io.writers import atomic_write
from tsad.detector.detector import Detector
from tsad.detector.score_table import score_table
from tsad.errors import DataError, shown
from tsad.evaluation.plots.detections import Detections
from tsad.evaluation.plots.style import BUCKETS
from tsad.workflows.context import read_settings
from tsad.workflows.file_rows import check_columns, find_folder, opened, watched
from tsad.workflows.score import TOP, judged

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
        found = re.fullmatch(r"(\d*):(\d*)", text if text is not None else ":")
        window = cls(int(found[1] or 0), int(found[2]) if found[2] else None) if found else None
        if window is None or (window.last is not None and window.last < window.first):
            raise DataError(
                f"--rows must be FIRST:LAST with FIRST at most LAST, but got {text!r}; write 500:900, or 500:"
            )
        return window

    def of(self, first: int, count: int) -> range:
        """Returns which of `count` rows are inside, counted from the first of them, whose number is `first`."""
        return range(max(0, self.first - first), count if self.last is None else min(count, self.last + 1 - first))


def plot(path: Path, output: Path | None, model: str | None, features: str | None, rows: str | None) -> None:
    """Draws features, score and flagged stretches.

    Args:
        path: A table as `tsad score` writes it; with a model, any that has its features.
        output: PNG; default: `path` with the ending `.png`.
        model: Detector that scores the rows first.
        features: Names of columns, separated by commas; default: those `SHOWN` that explain most of the flags.
        rows: FIRST:LAST, see `Window`.
    """
    target = output or path.with_suffix(".png")
    if target.suffix != ".png":
        raise DataError(f"{target}: a picture must be a .png file; rename it")
    window = Window.parse(rows)
    names = None if features is None else tuple(dict.fromkeys(name.strip() for name in features.split(",")))
    picture = _gathered(path, model, names, window)
    if picture is None or picture.rows is None:
        raise DataError(f"{path}: has no rows{'' if rows is None else f' {rows}'}, so there is nothing to draw")
    shades, drawn = picture.shades, picture.rows[1] - picture.rows[0]
    counts = f"{shades.flagged:,} of {drawn:,} rows flagged, in {shades.events:,} stretches"
    figure = picture.draw(names or picture.involved(SHOWN), f"{path.name}: {counts}")
    with atomic_write(target) as (temporary_path,):
        figure.savefig(temporary_path, format="png")
    click.echo(counts)
    click.echo(f"file: {target}")


def _gathered(path: Path, model: str | None, names: Sequence[str] | None, window: Window) -> Detections | None:
    """Returns what is to be drawn of a file; None if it has no rows."""
    if model is None:
        table = open_table(path)
        found = _scored(table)
    else:
        folder = find_folder(model)
        table, read_options = opened(path, folder, {})
        found = _judged(table, Detector.load(folder), read_options)
    check_columns(table, names or ())
    picture, features = None, list[str]()
    for chunk, first, scored in found:
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


Found = Iterator[tuple[Chunk | None, int, pd.DataFrame]]
"""Chunks, and what is known then: the first row, and from there `score`, `flag`, ..., as `Detections` takes them."""


def _scored(table: TableFile) -> Found:
    """Yields the scores that a table has; raises `DataError` if it has none, or flags that are none."""
    read_settings()
    if not {"score", "flag"} <= set(table.names):
        raise DataError(
            f"{table.path}: must have the columns 'score' and 'flag'; score it with tsad score, or give --model"
        )
    shares = [name for name in table.names if re.fullmatch(r"share_\d+", name)]
    pairs = [(feature, share) for share in shares if (feature := share.replace("share", "feature")) in table.names]
    for chunk in watched(table, _ROWS_AT_ONCE):
        cells = chunk.columns(["score", *(name for pair in pairs for name in pair)])
        scores, text = numbers(cells["score"])
        flags = pd.Series(chunk.texts("flag")).str.lower()
        for name, wrong in (("score", text), ("flag", ~flags.isin(["true", "false", "1", "0"]).to_numpy())):
            if wrong.any():
                place = int(wrong.argmax())
                raise DataError(
                    f"{table.path}: column {name!r} must be as tsad score writes it, but row {chunk.first_row + place} has "
                    f"{shown(chunk.texts(name)[place])}; score the rows again, or give --model"
                )
        yield chunk, chunk.first_row, cells.assign(score=scores, flag=flags.isin(["true", "1"]).to_numpy())


def _judged(table: TableFile, detector: Detector, read_options: ReadOptions) -> Found:
    """Yields the scores that a detector gives."""
    features = detector.scorer.features
    for chunk, found in judged(detector, table, read_options, _ROWS_AT_ONCE):
        scored = score_table(found.scores, found.flags, found.by_feature, features, TOP).assign(
            threshold=found.thresholds
        )
        yield chunk, int(found.rows[0]) if len(found.rows) else 0, scored


def _numbered(table: TableFile, chunk: Chunk, names: Sequence[str] | None, scored: pd.DataFrame) -> list[str]:
    """Returns the columns that may be drawn: the named ones, or all of numbers but the scores."""
    asked = names or [name for name in table.names if name not in scored.columns]
    cells = chunk.columns(asked) if asked else pd.DataFrame()
    kept = [name for name in asked if pd.api.types.is_numeric_dtype(cells[name])]
    if names is not None and len(kept) < len(names):
        wrong = next(name for name in names if name not in kept)
        raise DataError(f"{table.path}: column {wrong!r} must hold numbers to be drawn, but holds others; leave it out")
    return kept


def _rows_a_pixel(table: TableFile, chunk: Chunk, window: Window) -> int:
    """Returns how many rows share a pixel, if the rest of the file is like its first chunk."""
    inside = len(window.of(0, round(table.size / chunk.size * len(chunk))))
    return 1 if inside <= 2 * BUCKETS else -(-inside // BUCKETS)
