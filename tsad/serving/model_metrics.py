"""Measures of a model in service: its threshold, the scores of late, and the drift of each source of rows."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tsad.serving.live_model import LiveModel
from tsad.serving.model_detectors import OneDetector
from tsad.serving.monitoring import RecentRows
from tsad.serving.recent_rows import RecentRowsByDetector
from tsad.serving.served_model import described

QUANTILES = (0.5, 0.9, 0.99, 0.999)
_SECONDS = 15.0
"""For which measures are given again: who scrapes often compares no rows again."""


class ModelMetrics:
    """Measures the model in service when somebody asks; of a fleet all entities together whose rows are in memory.

    Args:
        name: Name of the model.
        live: The model in service.
    """

    def __init__(self, name: str, live: LiveModel) -> None:
        self._name = name
        self._live = live
        self._lock = threading.Lock()
        self._measures: list[Metric] = []
        self._of: RecentRowsByDetector | None = None
        self._until = 0.0

    def collect(self) -> Iterable[Metric]:
        """Returns the measures of now, those of recent rows of at most fifteen seconds ago."""
        yield from self._of_version()
        recents = self._live.current.recents
        with self._lock:
            if time.monotonic() >= self._until or recents is not self._of:
                self._measures, self._of = list(_of_rows(self._name, recents.loaded())), recents
                self._until = time.monotonic() + _SECONDS
            yield from self._measures

    def _of_version(self) -> Iterator[Metric]:
        live, labels = self._live, [self._name]
        is_away = live.failure is not None or live.registry.failure is not None
        if isinstance(live.detectors, OneDetector):
            threshold = described(live.detectors.threshold)["value"]
            yield _gauge(
                "tsad_threshold", "Threshold that the first row of a request is compared with.", labels, threshold
            )
        swaps = CounterMetricFamily("tsad_model_swaps", "Versions put into service since the start.", labels=["model"])
        swaps.add_metric(labels, live.swaps)
        yield swaps
        refused = live.refused is not None
        yield _gauge("tsad_model_refused", "1 if the version at the alias failed its check.", labels, refused)
        yield _gauge(
            "tsad_registry_up", "1 if the tracking server answered when it was asked last.", labels, not is_away
        )


def collect_all(measures: Sequence[ModelMetrics]) -> Iterable[Metric]:
    """Returns the measures of all models, each family once."""
    merged: dict[str, Metric] = {}
    for family in (family for model in measures for family in model.collect()):
        whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type, family.unit))
        whole.samples = [*whole.samples, *family.samples]
    return merged.values()


class _Measures:
    """Measures of the recent rows of a model by source, over the detectors that have rows of the source."""

    def __init__(self, model: str) -> None:
        self._model = model
        self.families = {
            name: GaugeMetricFamily(f"tsad_{name}", meaning, labels=["model", *labels])
            for name, (meaning, labels) in _FAMILIES.items()
        }

    def add(self, name: str, value: float, *labels: str) -> None:
        """Adds a value with labels beside that of the model."""
        self.families[name].add_metric([self._model, *labels], float(value))

    def add_source(self, source: str, scores: NDArray[np.float64], comparisons: Sequence[dict[str, Any]]) -> None:
        """Adds the measures of a source: its scores, and how the rows of each detector compare with its training rows."""
        for quantile in QUANTILES if len(scores) else ():
            self.add("recent_score", float(np.quantile(scores, quantile)), source, str(quantile))
        self.add("recent_rows", sum(comparison["rows"] for comparison in comparisons), source)
        rated = [
            (comparison["alert_rate"], comparison["rows"])
            for comparison in comparisons
            if comparison["alert_rate"] is not None
        ]
        if rated:
            rates, weights = zip(*rated, strict=True)
            self.add("alert_ratio", float(np.average(rates, weights=weights)), source)
        drifted = sum(comparison["state"] == "drifted" for comparison in comparisons)
        self.add("drifted", drifted > 0, source)
        self.add("drifted_detectors", drifted, source)
        features = (feature for comparison in comparisons for feature in comparison["features"])
        self.add("drifted_features", sum(feature["state"] == "drifted" for feature in features), source)
        distances: dict[str, float] = {}
        for part, value in (pair for comparison in comparisons for pair in _distances(comparison)):
            distances[part] = max(value, distances.get(part, value))
        for part, value in distances.items():
            self.add("drift_distance_ratio", value, source, part)


_FAMILIES = {
    "recent_score": ("Quantiles of the recent scores.", ("source", "quantile")),
    "recent_rows": ("Recent rows that are compared.", ("source",)),
    "alert_ratio": ("Share of the recent scores that were flagged.", ("source",)),
    "expected_alert_ratio": ("Share of the validation rows that were flagged.", ()),
    "drift_distance_ratio": ("Distance to the training rows, 0 to 1: scores, largest feature.", ("source", "of")),
    "drifted_features": ("Features whose rows have drifted.", ("source",)),
    "drifted": ("1 if rows or scores have drifted.", ("source",)),
    "drifted_detectors": ("Detectors of the model whose rows or scores have drifted.", ("source",)),
}


def _of_rows(model: str, recents: Sequence[RecentRows]) -> Iterator[Metric]:
    measures, scores, comparisons = _Measures(model), dict[str, list[Any]](), dict[str, list[dict[str, Any]]]()
    for recent in recents:
        for source, buffer in recent.scores().items():
            scores.setdefault(source, []).append(buffer)
            comparisons.setdefault(source, []).append(recent.compare(source))
    for source, buffers in scores.items():
        measures.add_source(source, np.concatenate(buffers), comparisons[source])
    expected = [
        comparison["expected_alert_rate"]
        for comparison in (own for listed in comparisons.values() for own in listed)
        if comparison["expected_alert_rate"] is not None
    ]
    if expected:
        measures.add("expected_alert_ratio", float(np.mean(expected)))
    yield from measures.families.values()


def _distances(comparison: dict[str, Any]) -> Iterator[tuple[str, float]]:
    if comparison["scores"] is not None:
        yield "scores", comparison["scores"]["distance"]
    if comparison["features"]:
        yield "features", max(feature["distance"] for feature in comparison["features"])


def _gauge(name: str, meaning: str, labels: list[str], value: float) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=["model"])
    family.add_metric(labels, float(value))
    return family
