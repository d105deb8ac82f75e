"""Labeled trials of earlier searches on other rows with the same columns, which later searches choose by."""

import hashlib
import json
from collections.abc import Mapping

from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tsad.data.dataset import DataSet
from tsad.errors import TsadError
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag

FIRST_ROWS = 100
"""Number of training rows by which a series is recognized."""


def columns_fingerprint(data: DataSet) -> str:
    """Returns a hash of the names of the features, in their order."""
    return hashlib.sha256(json.dumps(data.train.features).encode()).hexdigest()[:16]


def series_fingerprint(data: DataSet) -> str:
    """Returns a hash of the first training rows: a file that has grown, or whose labels were corrected, is the same series."""
    return hashlib.sha256(data.train.values[:FIRST_ROWS].tobytes()).hexdigest()[:16]


def sibling_metrics(
    store: Store, data: DataSet, metric: str, experiment: str | None = None
) -> dict[str, dict[str, float]]:
    """Returns a metric of each anchor by its name, of each labeled search on other rows with the same columns.

    Of several searches on the same rows, the newest counts.

    Args:
        store: Tracking store of the searches.
        data: Rows of the search that is to choose.
        metric: Name of a metric of labeled test rows.
        experiment: Name of the MLflow experiment to look in; None for the one that searches log to.

    Raises:
        TsadError: if there is no such experiment.
    """
    runs = store.search(
        store.experiment() if experiment is None else _named(store, experiment),
        f"tags.`{Tag.COLUMNS}` = '{columns_fingerprint(data)}' and tags.`{Tag.STATE}` = 'finished' and "
        f"tags.`{Tag.ROWS}` != '{series_fingerprint(data)}'",
    )
    newest: dict[str, str] = {}
    metrics: dict[str, dict[str, float]] = {}
    for run in runs:  # oldest first
        values: Mapping[str, float] = run.data.metrics
        tags = run.data.tags
        if metric in values and tags.get(Tag.ANCHOR):
            search = tags[MLFLOW_PARENT_RUN_ID]
            newest[tags[Tag.ROWS]] = search
            metrics.setdefault(search, {})[tags[Tag.ANCHOR]] = values[metric]
    return {search: metrics[search] for search in newest.values()}


def _named(store: Store, name: str) -> str:
    experiment = store.client.get_experiment_by_name(name)
    if experiment is None:
        raise TsadError(
            f"search.memory must be auto, none or the name of an MLflow experiment, but there is no {name!r}"
        )
    return str(experiment.experiment_id)
