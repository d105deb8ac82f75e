"""Inputs of the workflows: configs from files, mappings or objects; rows from files or DataFrames."""

import hashlib
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from tsad.config import ExperimentConfig, with_cut
from tsad.data.dataset import DataSet
from tsad.data.io.containers.kinds import is_table, table_name
from tsad.data.io.containers.location import location
from tsad.data.io.writers import atomic_write
from tsad.default_detector import default_detector, fitting
from tsad.errors import DataError, SpecError
from tsad.lengths import AUTO, PLACEHOLDER, Lengths, filled, has_auto, lengths
from tsad.settings import Settings
from tsad.spec import parse, put, read_yaml

_logger = logging.getLogger(__name__)

ConfigSource = str | Path | Mapping[str, Any] | ExperimentConfig
"""An experiment: path of a YAML file, its plain values, or the parsed config."""

RowSource = str | Path | pd.DataFrame
"""Rows: path or address of a file, path of a folder of Parquet files, or a DataFrame in time order."""

NO_OVERRIDES: Mapping[str, Any] = MappingProxyType({})
"""No overrides, the default of every workflow."""

FRAMES = "frames"
"""Folder below the output folder that holds the DataFrames that were passed to a workflow."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that replace the `data` section of a config.

    Attributes:
        data: Training rows, and test rows too if there are no others; None leaves the config as it is.
        test: Test rows; None takes the last part of `data`.
        label: Name of the column that holds the labels, of the test rows at least; None for unlabeled rows.
        time: Name of the column that holds the times; None for rows without times.
    """

    data: RowSource | None = None
    test: RowSource | None = None
    label: str | None = None
    time: str | None = None

    def section(self, settings: Settings) -> dict[str, Any] | None:
        """Returns the `data` section of the rows, None if there are none.

        DataFrames are written as Parquet files into the output folder, named by their content.

        Raises:
            SpecError: if there are test rows, labels or times without `data`.
            DataError: if a DataFrame cannot be written as Parquet.
        """
        if self.data is None:
            if self.test is not None or self.label is not None or self.time is not None:
                raise SpecError("test, label and time describe the rows of data, but data is missing; pass data too")
            return None
        path, time = _file_of(self.data, settings, self.time)
        section: dict[str, Any] = {"kind": "csv", "path": str(path)}
        if self.test is not None:
            section["test_path"] = str(_file_of(self.test, settings, self.time)[0])
        if self.label is not None:
            section["label"] = self.label
        if time is not None:
            section["time"] = time
        return section


@dataclass(frozen=True, eq=False)
class ExperimentValues:
    """Plain values of an experiment that were checked, with `auto` in place of numbers that follow from the rows.

    Attributes:
        values: Sections by name.
        label: Where the values come from; error messages begin with it.
    """

    values: Mapping[str, Any]
    label: str

    def config(self, size: Lengths = PLACEHOLDER) -> ExperimentConfig:
        """Returns the config with the numbers that suit rows; raises `SpecError` naming each mistake by its path and value."""
        return parse(ExperimentConfig, filled(self.values, size), self.label)

    def on(self, data: DataSet) -> ExperimentConfig:
        """Returns the config with the numbers that suit a data set, and logs them if there are any.

        With `split.gap: auto`, members of an average that the rows are too few for are left out.
        """
        if not has_auto(self.values):
            return self.config()
        size = lengths(data)
        _logger.info("%s: %s", data.name, size)
        if "members" in self.values and self.values.get("split", {}).get("gap") == AUTO:
            suited = fitting(self.values, data)
            return self.config(size) if suited is None else parse(ExperimentConfig, suited, self.label)
        return self.config(size)


def read_values(
    source: ConfigSource, overrides: Mapping[str, Any] = NO_OVERRIDES, section: Mapping[str, Any] | None = None
) -> ExperimentValues:
    """Returns the values of an experiment, checked.

    Args:
        source: Path of a YAML file, its values, or a parsed config; path or address of rows for the default detector on it.
        overrides: Values by path, such as `{"training.epochs": 5}`.
        section: Replaces the `data` section, unless None.

    Raises:
        SpecError: naming each mistake by its path and value.
    """
    label = str(source) if isinstance(source, str | Path) else "experiment"
    values: Mapping[str, Any]
    if isinstance(source, ExperimentConfig):
        values = source.model_dump(mode="json")
    else:
        values = _values_of(location(source)) if isinstance(source, str | Path) else source
    if section is not None:
        values = {**values, "data": dict(section)}
    result = ExperimentValues(with_cut(put(values, overrides)), label)
    result.config()
    return result


def _values_of(path: Path) -> dict[str, Any]:
    """Returns the values of a YAML file, or those of the default detector on a file of rows."""
    if is_table(path):
        return {**default_detector(), "data": {"kind": "csv", "path": str(path)}}
    return read_yaml(path)


def read_experiment(
    source: ConfigSource, overrides: Mapping[str, Any] = NO_OVERRIDES, section: Mapping[str, Any] | None = None
) -> ExperimentConfig:
    """Returns the config of an experiment that leaves no number to the rows; arguments and errors as for `read_values`."""
    return read_values(source, overrides, section).config()


def experiment_name(source: ConfigSource) -> str:
    """Returns a name for the runs of an experiment: the stem of its file, or the kind of its model."""
    if isinstance(source, ExperimentConfig):
        return source.family
    return table_name(location(source)) if isinstance(source, str | Path) else "experiment"


def _file_of(rows: RowSource, settings: Settings, time: str | None) -> tuple[Path, str | None]:
    """Returns the file of the rows, and the name of their column of times."""
    if isinstance(rows, str | Path):
        return location(rows), time
    if not isinstance(rows, pd.DataFrame):
        raise DataError(
            f"rows must be a DataFrame or the path of a file, but got {type(rows).__name__}; convert them first"
        )
    frame = rows
    if isinstance(frame.index, pd.DatetimeIndex):
        name = str(frame.index.name or "time")
        frame, time = frame.rename_axis(index=name).reset_index(), time or name
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    content = io.BytesIO()
    try:
        frame.to_parquet(content, index=False)
    except Exception as error:  # pyarrow raises several kinds
        raise DataError(
            f"a DataFrame must have columns of one type each to be written as Parquet, but {error}; convert them first"
        ) from None
    path = settings.output_dir / FRAMES / f"{hashlib.sha256(content.getbuffer()).hexdigest()[:16]}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with atomic_write(path) as (temporary,):
            temporary.write_bytes(content.getbuffer())
    return path.resolve(), time
