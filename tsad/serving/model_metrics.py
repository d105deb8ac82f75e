"""Measures of the model in service: its threshold, the scores of late, and the drift of each source of rows."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tsad.serving.live_model import LiveModel
from tsad.serving.monitoring import RecentRows
from tsad.serving.served_model import described

QUANTILES = (0.5, 0.9, 0.99, 0.999)
_SECONDS = 15.0
"""For which measures are given again: who scrapes often compares no rows again."""


class ModelMetrics:
    """Measures the model in service when somebody asks.

    Args:
        live: The model in service.
    """

    def __init__(self, live: LiveModel) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._measures: list[Metric] = []
        self._of: RecentRows | None = None
        self._until = 0.0

    def collect(self) -> Iterable[Metric]:
        """Returns the measures of now, those of recent rows of at most fifteen seconds ago."""
        yield from _of_version(self._live)
        recent = self._live.current.recent
        with self._lock:
            if time.monotonic() >= self._until or recent is not self._of:
                self._measures, self._of = list(_of_rows(recent)), recent
                self._until = time.monotonic() + _SECONDS
            yield from self._measures


def _of_version(live: LiveModel) -> Iterator[Metric]:
    threshold = described(live.detector.threshold)["value"]
    yield _gauge("tsad_threshold", "Threshold that the first row of a request is compared with.", threshold)
    yield CounterMetricFamily("tsad_model_swaps", "Versions put into service since the start.", value=live.swaps)
    yield _gauge("tsad_model_refused", "1 if the version at the alias failed its check.", live.refused is not None)
    is_away = live.failure is not None or live.registry.failure is not None
    yield _gauge("tsad_registry_up", "1 if the tracking server answered when it was asked last.", not is_away)


def _of_rows(recent: RecentRows) -> Iterator[Metric]:
    scores = GaugeMetricFamily("tsad_recent_score", "Quantiles of the recent scores.", labels=["source", "quantile"])
    rows = GaugeMetricFamily("tsad_recent_rows", "Recent rows that are compared.", labels=["source"])
    ratio = GaugeMetricFamily("tsad_alert_ratio", "Share of the recent scores that were flagged.", labels=["source"])
    expected = GaugeMetricFamily("tsad_expected_alert_ratio", "Share of the validation rows that were flagged.")
    distance = GaugeMetricFamily(
        "tsad_drift_distance_ratio",
        "Distance to the training rows, 0 to 1: scores, largest feature.",
        labels=["source", "of"],
    )
    drifted = GaugeMetricFamily("tsad_drifted_features", "Features whose rows have drifted.", labels=["source"])
    state = GaugeMetricFamily("tsad_drifted", "1 if rows or scores have drifted.", labels=["source"])
    for name, buffer in recent.scores().items():
        for quantile in QUANTILES if len(buffer) else ():
            scores.add_metric([name, str(quantile)], float(np.quantile(buffer, quantile)))
        comparison = recent.compare(name)
        rows.add_metric([name], comparison["rows"])
        if comparison["alert_rate"] is not None:
            ratio.add_metric([name], comparison["alert_rate"])
        state.add_metric([name], comparison["state"] == "drifted")
        drifted.add_metric([name], sum(feature["state"] == "drifted" for feature in comparison["features"]))
        for part, value in _distances(comparison):
            distance.add_metric([name, part], value)
        if not expected.samples and comparison["expected_alert_rate"] is not None:
            expected.add_metric([], comparison["expected_alert_rate"])
    yield from (scores, rows, ratio, expected, distance, drifted, state)


def _distances(comparison: dict[str, Any]) -> Iterator[tuple[str, float]]:
    if comparison["scores"] is not None:
        yield "scores", comparison["scores"]["distance"]
    if comparison["features"]:
        yield "features", max(feature["distance"] for feature in comparison["features"])


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=float(value))
