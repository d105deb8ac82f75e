"""Templates for new rows: one experiment, or a small search."""

from collections.abc import Mapping
from typing import Any

from tsad.data.dataset import DataSet
from tsad.default_detector import default_detector, fitting
from tsad.errors import DataError
from tsad.spec import put
from tsad.tuning.quickstart import LEAST_ROWS, quickstart_space

_WINDOWS = 20_000
"""Number of training windows that an epoch takes a second or two for."""
_TRIALS = 12


def experiment_on(values: Mapping[str, Any], data: DataSet) -> dict[str, Any] | None:
    """Returns the values of the default detector on the data, with the members that fit its rows; None if none does."""
    return fitting({**default_detector(), **values}, data)


def search_on(values: Mapping[str, Any], data: DataSet) -> dict[str, Any]:
    """Returns the values of a search space file; raises `DataError` if there are too few rows to compare detectors on."""
    if len(data.train) < LEAST_ROWS:
        raise DataError(
            f"a search needs at least {LEAST_ROWS} rows to learn from, but there are {len(data.train)}; give more, lower "
            f"data.test_ratio, or train one experiment"
        )
    return put(quickstart_space(values["data"], _TRIALS), {"window.stride": _stride(data)})


def _stride(data: DataSet) -> int:
    return max(1, len(data.train) // _WINDOWS)
