"""Generation of synthetic series with labeled anomalies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from tsad.data.dataset import DataSet
from tsad.data.sets.synthetic import AnomalyTypesSpec, FiveFeaturesSpec, SingleAnomalySpec
from tsad.errors import DataError, SpecError, UsageError
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


@dataclass(frozen=True)
class GenerateResult:
    """Result of a generation. `str()` is what the command line prints.

    Attributes:
        rows: Number of rows.
        features: Number of features.
        anomalous: Number of anomalous rows.
        events: Number of events.
        files: Files that were written: rows, labels, and the clean rows if they were asked for.
    """

    rows: int
    features: int
    anomalous: int
    events: int
    files: tuple[Path, ...]

    def __str__(self) -> str:
        files = "".join(f"file: {path}\n" for path in self.files)
        return (
            f"{files}{self.rows} rows of {self.features} features, {self.anomalous} anomalous in {self.events} events"
        )


def generate_dataset(
    generator: str = "sensors",
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    output: str | Path = "synthetic.csv",
    labels: str | Path | None = None,
    train: str | Path | None = None,
) -> GenerateResult:
    """Writes a synthetic series with labeled anomalies as CSV; folders are made if absent.

    Args:
        generator: Name of a generator in `GENERATORS`.
        options: Options of the generator by name, such as `{"num_samples": 1000, "seed": 1}`.
        output: CSV file of the rows, a column a feature.
        labels: CSV file of the columns `label` (0 or 1) and `anomaly_type` (empty where the label is 0); by default the
            output with the ending `.labels.csv`.
        train: CSV file of as many clean rows that come before; None writes none.

    Raises:
        UsageError: if an option is unknown to the generator.
        SpecError: if there is no such generator, or the value of an option is out of range.
        DataError: if a file does not end in .csv, or cannot be written.
    """
    if generator not in GENERATORS:
        raise SpecError(f"a generator is one of {', '.join(GENERATORS)}, but got {generator!r}; name one of them")
    spec = GENERATORS[generator]
    unknown = [name for name in options if _FIELDS.get(name, name) not in spec.model_fields]
    if unknown:
        raise UsageError(f"--{unknown[0].replace('_', '-')} is no option of the generator {generator}")
    values = {_FIELDS.get(name, name): value for name, value in options.items()}
    target = Path(output)
    label_target = target.with_name(f"{target.stem}.labels.csv") if labels is None else Path(labels)
    paths = (target, label_target, *([] if train is None else [Path(train)]))
    for path in paths:
        if path.suffix != ".csv":
            raise DataError(f"{path}: what is generated is written as .csv; rename it")
    data = parse(spec, {"kind": f"synthetic_{generator}", **values}, generator).load(Path())
    for path, table in zip(paths, (_table(data.test), _labels(data), _table(data.train)), strict=False):
        _write(table, path)
    anomalous = int(np.sum(np.asarray(data.test.labels)))
    return GenerateResult(len(data.test), len(data.test.features), anomalous, len(data.typed_events), paths)


def _table(series: Series) -> pd.DataFrame:
    return pd.DataFrame(series.values, columns=list(series.features))


def _labels(data: DataSet) -> pd.DataFrame:
    anomaly_types = np.full(len(data.test), "", dtype=object)
    for start, stop, name in data.typed_events:
        anomaly_types[start:stop] = name
    return pd.DataFrame({"label": np.asarray(data.test.labels, int), "anomaly_type": anomaly_types})


def _write(table: pd.DataFrame, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another path") from None
