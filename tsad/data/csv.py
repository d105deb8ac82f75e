"""Anybody's CSV or Parquet file."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from tsad.data.dataset import DataSet
from tsad.errors import DataError, shown
from tsad.series import Series
from tsad.spec import Spec


class CsvSpec(Spec):
    """One file cut in time into training and test rows, or one file for each.

    Attributes:
        path: CSV (with a header) or Parquet file, relative to the working folder.
        test_path: File of the test rows; without one, the last `test_ratio` of `path` is the test.
        test_ratio: Share of the rows of `path` that become the test if there is no `test_path`.
        features: Columns to use; all others than `time` and `label` if not given.
        time: Column of timestamps, ascending.
        label: Column of 0 (normal) and 1 (anomalous).
        missing: What to do with empty cells: `error`, or `ffill` (the last value above).
    """

    kind: Literal["csv"]
    path: Path
    test_path: Path | None = None
    test_ratio: float = Field(0.5, gt=0, lt=1)
    features: tuple[str, ...] | None = Field(None, min_length=1)
    time: str | None = None
    label: str | None = None
    missing: Literal["error", "ffill"] = "error"

    def load(self, folder: Path) -> DataSet:
        """Returns the rows of the file or files; raises `DataError` naming file, column, row and the way out."""
        rows = self._series(self.path)
        if self.test_path is not None:
            train, test = rows, self._series(self.test_path)
            if test.features != train.features:
                raise DataError(f"{self.test_path}: must have the features {train.features}, but has {test.features}")
        else:
            edge = len(rows) - round(len(rows) * self.test_ratio)
            train, test = rows.part(0, edge), rows.part(edge, len(rows))
        return DataSet(
            name=self.path.stem,
            source=str(self.path),
            train=train,
            test=test,
            step_seconds=_step_seconds(train, test),
            missing=self.missing,
        )

    def _series(self, path: Path) -> Series:
        table = read_table(path)
        special = [column for column in (self.time, self.label) if column is not None]
        if self.features is not None and set(special) & set(self.features):
            raise DataError(
                f"{path}: time and label must not be features, but {special} and {list(self.features)} share one"
            )
        features = self.features or tuple(str(column) for column in table.columns if column not in special)
        if not features:
            raise DataError(f"{path}: must have a column beside time and label, but has none")
        absent = [column for column in (*features, *special) if column not in table.columns]
        if absent:
            raise DataError(f"{path}: has no column {absent[0]!r}; it has {[str(column) for column in table.columns]}")
        return Series(
            values=to_values(table, features, str(path), self.missing),
            features=features,
            labels=None if self.label is None else _labels(table[self.label], path),
            times=None if self.time is None else _times(table[self.time], path),
        )


def read_table(path: Path) -> pd.DataFrame:
    """Returns the columns of a `.csv` or `.parquet` file; raises `DataError` if it cannot be read as one."""
    if not path.is_file():
        raise DataError(f"{path}: cannot be read (No such file); give the path of a .csv or .parquet file")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".csv":
            return pd.read_csv(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: is not a {path.suffix[1:]} table ({' '.join(str(error).split())})") from None
    raise DataError(f"{path}: a table must be a .csv or .parquet file; rename or convert it")


def to_values(table: pd.DataFrame, features: Sequence[str], source: str, missing: str = "error") -> NDArray[np.float32]:
    """Returns the (T, F) float32 values of the named columns, in that order.

    Raises:
        DataError: if a column is absent, or a cell is text, empty (unless `missing` fills it) or infinite.
    """
    columns = []
    for name in features:
        if name not in table.columns:
            raise DataError(f"{source}: column {name!r} is missing; it has {[str(column) for column in table.columns]}")
        timed = pd.api.types.is_datetime64_any_dtype(table[name])  # which pandas would turn into nanoseconds
        column = pd.to_numeric(table[name].astype(str) if timed else table[name], errors="coerce")
        text = column.isna() & table[name].notna()
        if text.any():
            row = int(text.to_numpy().argmax())
            raise DataError(
                f"{source}: column {name!r} must hold numbers, but has {int(text.sum())} other cells, first at row {row} "
                f"({shown(table[name].iloc[row])}); correct them or leave the column out of the features"
            )
        if missing == "ffill":
            column = column.ffill()
        values = column.to_numpy(np.float64)
        fill = "give them a value" if missing == "ffill" else "fill them (data.missing=ffill in an experiment)"
        empty, infinite = np.isnan(values), np.abs(values) > np.finfo(np.float32).max
        for bad, what, cure in (
            (empty, "empty", f"{fill} or drop their rows"),
            (infinite, "infinite", "replace them or drop their rows"),
        ):
            if bad.any():
                raise DataError(
                    f"{source}: column {name!r} has {int(bad.sum())} {what} cells, first at row {int(bad.argmax())}; {cure}"
                )
        columns.append(values.astype(np.float32))
    return np.stack(columns, axis=1) if columns else np.empty((len(table), 0), np.float32)


def _labels(column: pd.Series, path: Path) -> NDArray[np.bool_]:
    wrong = ~column.isin([0, 1, False, True]).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{path}: label column {column.name!r} must hold 0 or 1, but has {int(wrong.sum())} other cells, first at row "
            f"{row} ({shown(column.iloc[row])})"
        )
    return column.to_numpy().astype(bool)


def _times(column: pd.Series, path: Path) -> NDArray[np.datetime64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pandas says which parser it takes; wrong cells are named below
        times = pd.to_datetime(column, errors="coerce", utc=True)
    wrong = times.isna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{path}: time column {column.name!r} must hold timestamps, but row {row} has {shown(column.iloc[row])}"
        )
    if not times.is_monotonic_increasing:
        row = int((times.diff() < pd.Timedelta(0)).to_numpy().argmax())
        raise DataError(
            f"{path}: time column {column.name!r} must ascend, but row {row} is before the row above; sort the file"
        )
    return times.dt.tz_localize(None).to_numpy()


def _step_seconds(*parts: Series) -> float | None:
    """Returns the median time between rows, None without times or if a difference departs from it by more than 1 %."""
    steps = [np.diff(part.times) / np.timedelta64(1, "s") for part in parts if part.times is not None]
    seconds = np.concatenate(steps) if steps else np.empty(0)
    if not len(seconds):
        return None
    step = float(np.median(seconds))
    return step if step > 0 and (np.abs(seconds - step) <= 0.01 * step).all() else None
