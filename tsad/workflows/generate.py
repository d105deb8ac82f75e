"""`tsad generate`: synthetic series with labeled anomalies, as CSV."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from tsad.data.dataset import DataSet
from tsad.data.sets.synthetic import AnomalyTypesSpec, FiveFeaturesSpec, SingleAnomalySpec
from tsad.errors import DataError
from tsad.series import Series
from tsad.spec import parse

GENERATORS: Mapping[str, type[SingleAnomalySpec] | type[FiveFeaturesSpec] | type[AnomalyTypesSpec]] = {
    "sensors": SingleAnomalySpec,
    "five": FiveFeaturesSpec,
    "anomaly_types": AnomalyTypesSpec,
}
_FIELDS = {
    "num_samples": "rows",
    "num_features": "features",
    "anomaly_start": "start",
    "anomaly_length": "length",
    "anomaly_magnitude": "magnitude",
    "anomaly_ratio": "ratio",
}


def generate(generator: str, options: Mapping[str, Any], output: Path, labels: Path | None, train: Path | None) -> None:
    """Writes the rows with anomalies, their labels, and on demand the clean rows that come before them.

    Args:
        generator: A name of `GENERATORS`.
        options: Those of the command line that were given, by name with underscores.
        output: CSV of one column a feature.
        labels: CSV of the columns `label` (0 or 1) and `anomaly_type` (empty where that is 0), row by row; beside `output`, ending
            in .labels.csv, if not given.
        train: CSV of as many clean rows; none if not given.

    Raises:
        UsageError: if an option is of another generator.
        DataError: if a file is not called .csv.
        SpecError: if a value is out of range.
    """
    kind = GENERATORS[generator]
    values = {_FIELDS.get(name, name): value for name, value in options.items()}
    foreign = [name for name in options if _FIELDS.get(name, name) not in kind.model_fields]
    if foreign:
        raise click.UsageError(f"--{foreign[0].replace('_', '-')} is no option of the generator {generator}")
    target = labels or output.with_name(f"{output.stem}.labels.csv")
    for path in (output, target, *([train] if train else [])):
        if path.suffix != ".csv":
            raise DataError(f"{path}: what is generated is written as .csv; rename it")
    data = parse(kind, {"kind": f"synthetic_{generator}", **values}, generator).load(Path())
    _write(_table(data.test), output)
    _write(_marks(data), target)
    if train is not None:
        _write(_table(data.train), train)
    anomalous = int(np.sum(np.asarray(data.test.labels)))
    click.echo(
        f"{len(data.test)} rows of {len(data.test.features)} features, {anomalous} anomalous in {len(data.typed_events)} events"
    )


def _table(series: Series) -> pd.DataFrame:
    return pd.DataFrame(series.values, columns=list(series.features))


def _marks(data: DataSet) -> pd.DataFrame:
    anomaly_types = np.full(len(data.test), "", dtype=object)
    for start, stop, name in data.typed_events:
        anomaly_types[start:stop] = name
    return pd.DataFrame({"label": np.asarray(data.test.labels, int), "anomaly_type": anomaly_types})


def _write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)
    click.echo(f"file: {path}")
