"""The small search that suits rows that nobody has seen: it reads no label, and takes any number of features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsad.spec import put, read_yaml

LEAST_ROWS = 500
"""Below them the validation rows have no room for the injected anomalies that the trials are judged by."""


def space_on(data: Mapping[str, Any], trials: int) -> dict[str, Any]:
    """Returns the values of a search space file on data of an experiment, with that many candidates to try."""
    return put(read_yaml(Path(__file__).with_suffix(".yaml")), {"data": data, "search.trials": trials})
