"""Templates for new rows: one experiment, or a small search."""

from collections.abc import Mapping
from typing import Any

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.split import split
from tsad.default_detector import default_detector, within
from tsad.errors import DataError, TsadError
from tsad.lengths import filled, lengths, reach
from tsad.spec import parse, put
from tsad.tuning.quickstart import LEAST_ROWS, quickstart_space
from tsad.windows import cut

_WINDOWS = 20_000
"""Number of training windows that an epoch takes a second or two for."""
_TRIALS = 12


def experiment_on(values: Mapping[str, Any], data: DataSet) -> dict[str, Any] | None:
    """Returns the values of the default detector on the data; None if there are too few rows.

    Members whose score looks at more rows than a part of the data has are left out.
    """
    whole = filled({**default_detector(), **values}, lengths(data))
    for rows in sorted({reach(member) for member in whole["members"]}, reverse=True):
        template = within(whole, rows)
        if template is None:
            return None
        template["split"] = {**template["split"], "gap": rows}
        try:
            parts = split(data, parse(ExperimentConfig, template, "experiment").split, rows)
            for part in (parts.fit, parts.validation, parts.test):
                cut(part, rows)
        except (TsadError, ValueError):
            continue
        return template
    return None


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
