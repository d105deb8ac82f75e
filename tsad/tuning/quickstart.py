"""The quickstart space: a small search that reads no label and suits data with any number of features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsad.spec import put, read_yaml

LEAST_ROWS = 500
"""Smallest number of training rows; with fewer, the injected anomalies do not fit into the validation rows."""


def quickstart_space(data: Mapping[str, Any], trials: int, registered: str | None = None) -> dict[str, Any]:
    """Returns the values of a search space file.

    Args:
        data: Section `data` of an experiment.
        trials: Number of candidates to try.
        registered: Name of the registered model that the winner becomes a version of; None for the usual one.
    """
    values = {"data": data, "search.trials": trials} | ({} if registered is None else {"search.register": registered})
    return put(read_yaml(Path(__file__).with_suffix(".yaml")), values)
