"""`tsad score`: a table in, the same table with scores and flags out."""

from pathlib import Path

import click

from tsad.commands.place import open_place, read_settings
from tsad.data.csv import read_table
from tsad.detector import Detector
from tsad.errors import DataError
from tsad.serving.registry import load_detector
from tsad.spec import parse
from tsad.tables import flag_table
from tsad.thresholds.threshold import GivenThreshold


def score(model: str, path: Path, output: Path | None, level: float | None) -> None:
    """Writes the rows of a CSV or Parquet file with the columns `score` (empty where there is none) and `flag`."""
    if Path(model).is_dir():
        read_settings()
    else:
        open_place()
    detector = load_detector(model)
    if level is not None:
        detector = Detector(detector.scorer, parse(GivenThreshold, {"level": level}, "--threshold"))
    target = output or path.with_name(f"{path.stem}.scored{path.suffix}")
    if target.suffix not in {".csv", ".parquet"}:
        raise DataError(f"{target}: a table must be a .csv or .parquet file; rename it")
    table = read_table(path)
    taken = {"score", "flag"} & set(table.columns)
    if taken:
        raise DataError(
            f"{path}: has a column {sorted(taken)[0]!r} already; rename it, so that the new one has a place"
        )
    scored = table.join(flag_table(detector, table, str(path)).astype({"score": float}))
    if target.suffix == ".csv":
        scored.to_csv(target, index=False)
    else:
        scored.to_parquet(target, index=False)
    levels = detector.threshold.levels(scored["score"].to_numpy())
    ends = sorted({f"{levels.min():.6g}", f"{levels.max():.6g}"}, key=float)
    click.echo(
        f"{int(scored['flag'].sum())} of {len(scored)} rows flagged (threshold {' to '.join(ends)}, "
        f"{detector.threshold.method}); {int(scored['score'].isna().sum())} rows have no score"
    )
    click.echo(f"file: {target}")
