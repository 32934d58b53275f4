"""Routes outside ``/api/v1``: health, readiness, metrics (http-api.md 3)."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gestalt_host.http.call import PLAIN_TEXT, Answer, Call, json_answer, readiness_answer
from gestalt_host.http.shapes.rendering import error_document

METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
METRICS_DISABLED = "Prometheus metrics are unavailable because telemetry metrics are disabled."

NOT_FOUND = Answer(404, b"404 page not found\n", PLAIN_TEXT)
GET_ONLY = Answer(405, error_document("accepted are GET and HEAD"), headers=((b"allow", b"GET, HEAD"),))


async def answer(call: Call, path: str) -> tuple[str, Answer]:
    """Answer a request outside the API, with the path it counts under."""
    if path == "/metrics":
        return path, await _metrics(call)
    if path not in ("/health", "/ready"):
        return "other", NOT_FOUND
    if call.method not in ("GET", "HEAD"):
        return path, GET_ONLY
    if path == "/health":
        return path, json_answer({"status": "ok"})
    return path, _ready(call)


def _ready(call: Call) -> Answer:
    """Answer whether the host is ready, and what does not work."""
    return readiness_answer(call.services.readiness(), call.services.shortcomings())


async def _metrics(call: Call) -> Answer:
    await call.services.authenticate(call.headers)
    registry = call.services.metrics
    if registry is None:
        return Answer(503, METRICS_DISABLED.encode(), PLAIN_TEXT)
    await call.services.read_metrics()
    return Answer(200, await asyncio.to_thread(generate_latest, registry), METRICS_CONTENT_TYPE)


class HttpMetrics:
    """Counts requests by route pattern, so that ids never become label values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route")
        self._requests = Counter(
            "gestalt_http_requests", "HTTP requests answered.", (*labels, "status"), registry=registry
        )
        self._duration = Histogram(
            "gestalt_http_request_duration_seconds", "Time from request to answer.", labels, registry=registry
        )

        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, duration_s: float) -> None:
        series = self._series.get((method, route, status))
        if series is None:
            series = self._open(method if method in _COUNTED_METHODS else "other", route, status)
            # A client may send any method: only the counted ones get a series of their own.
            if method in _COUNTED_METHODS:
                self._series[method, route, status] = series
        series[0].inc()
        series[1].observe(duration_s)

    def _open(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, str(status)), self._duration.labels(method, route)


_COUNTED_METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
