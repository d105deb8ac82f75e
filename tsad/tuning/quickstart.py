"""The quickstart space: a small search that reads no label and suits data with any number of features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsad.spec import put, read_yaml

LEAST_ROWS = 500
"""Smallest number of training rows; with fewer, the injected anomalies do not fit into the validation rows."""


def quickstart_space(data: Mapping[str, Any], trials: int) -> dict[str, Any]:
    """Returns the values of a search space file for the section `data` of an experiment, with a number of trials."""
    return put(read_yaml(Path(__file__).with_suffix(".yaml")), {"data": data, "search.trials": trials})
