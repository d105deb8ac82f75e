"""Metrics for Prometheus: requests, rows, alarms, the model in service, drift of its rows, jobs, and the process."""

import time
from collections.abc import Callable, Iterable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tsad.serving.models_in_service import MODEL

TEXT = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
_STREAMS = {
    "tsad_open_streams": "Streams that are open.",
    "tsad_silent_streams": "Streams that get no rows.",
    "tsad_damaged_streams": "Streams whose state cannot be read.",
}


class ServiceMetrics:
    """The measures of one application; two applications in one process do not share them."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "tsad_requests", "Requests answered.", ["model", "endpoint", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "tsad_request_duration_seconds",
            "From request to answer.",
            ["model", "endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.sizes = Histogram(
            "tsad_scored_request_rows",
            "Rows of a request with scores.",
            ["model", "endpoint"],
            buckets=_ROWS,
            registry=registry,
        )
        self.rows = Counter("tsad_rows_scored", "Rows that got a score.", ["model", "endpoint"], registry=registry)
        self.flags = Counter("tsad_rows_flagged", "Rows that were flagged.", ["model", "endpoint"], registry=registry)
        self.alarms = Counter(
            "tsad_alarms", "Stretches of flagged rows that began.", ["model", "endpoint", "source"], registry=registry
        )
        self.silences = Counter(
            "tsad_stream_silences",
            "Streams that got no rows for as long as their policy allows.",
            ["model"],
            registry=registry,
        )
        self.model = Gauge(
            "tsad_model_info", "The models in service.", ["model", "name", "version", "kind"], registry=registry
        )
        self._of_models = {
            name: Gauge(name, meaning, ["model"], registry=registry) for name, meaning in _STREAMS.items()
        }
        self.jobs = Counter("tsad_jobs_ended", "Jobs that have ended.", ["kind", "state"], registry=registry)
        ProcessCollector(registry=registry)

    def measure(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Adds a measure that is read when somebody asks."""
        Gauge(name, meaning, registry=self.registry).set_function(read)

    def measure_model(self, model: str, name: str, read: Callable[[], float]) -> None:
        """Adds a measure of the streams of a model that is read when somebody asks."""
        self._of_models[name].labels(model).set_function(read)

    def collect(self, read: Callable[[], Iterable[Metric]]) -> None:
        """Adds measures that are made when somebody asks."""
        self.registry.register(_Collected(read))

    def scored(self, model: str, endpoint: str, rows: int, flagged: int, alarms: int, source: str) -> None:
        """Counts rows that got a score, those of them that were flagged, and the alarms that began with them.

        Args:
            model: Name of the model that scored them.
            endpoint: Path of the route, without the name of the model.
            rows: Rows with a score.
            flagged: Rows among them that were flagged.
            alarms: Stretches of flagged rows that began.
            source: Source of the rows.
        """
        self.rows.labels(model, endpoint).inc(rows)
        self.flags.labels(model, endpoint).inc(flagged)
        self.sizes.labels(model, endpoint).observe(rows)
        self.alarms.labels(model, endpoint, source).inc(alarms)

    def text(self) -> bytes:
        """Returns all measures as Prometheus reads them."""
        return generate_latest(self.registry)


class _Collected(Collector):
    """Measures that are made when somebody asks."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Returns nothing: names are not looked for in advance."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Returns the measures of now."""
        return self._read()


class MetricsMiddleware:
    """An ASGI application around another that counts its answers, errors of whatever stands between included."""

    def __init__(self, app: ASGIApp, counts: ServiceMetrics) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; passes on whatever is no request of HTTP."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 499

        async def counted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            # the path of the route, so that nobody can make endless names by asking for them
            endpoint = getattr(scope.get("route"), "path", "other")
            model, method = scope.get(MODEL, ""), _METHODS.get(scope["method"], "other")
            self._counts.requests.labels(model, endpoint, method, str(status)).inc()
            self._counts.seconds.labels(model, endpoint).observe(time.perf_counter() - start)


_METHODS = {name: name for name in ("GET", "HEAD", "POST", "DELETE", "OPTIONS")}
