"""Metrics of the daemon for `/metrics`, read when they are asked for: provider processes, lines not written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gestalt_host.supervisor import ProviderProcess

LABELS = ("provider", "kind")


class ProviderMetrics(Collector):
    """Up or down, how often started again, what it says of itself, and how much of its output was dropped."""

    def __init__(self, processes: Callable[[], Iterable[ProviderProcess]]) -> None:
        self._processes = processes

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("gestalt_provider_up", "1 while the provider is ready, else 0.", labels=LABELS)
        restarts = CounterMetricFamily(
            "gestalt_provider_restarts", "Starts after the first one since the host was started.", labels=LABELS
        )
        lines = CounterMetricFamily(
            "gestalt_provider_output_dropped_lines", "Lines of its output that are not in the log.", labels=LABELS
        )
        size = CounterMetricFamily(
            "gestalt_provider_output_dropped_bytes",
            "Bytes of its output that are not in the log, the ends of lines that were cut included.",
            labels=LABELS,
        )
        notices = GaugeMetricFamily(
            "gestalt_provider_notice",
            "How much is not as it should be although the provider is ready, by what; absent where nothing is.",
            labels=(*LABELS, "notice"),
        )
        for process in self._processes():
            labels = (process.name, process.kind.value)
            up.add_metric(labels, float(process.is_ready))
            restarts.add_metric(labels, process.restarts)
            lines.add_metric(labels, process.output.dropped_lines)
            size.add_metric(labels, process.output.dropped_bytes)
            for notice in {notice.name: notice for notice in process.notices}.values():
                notices.add_metric((*labels, notice.name), notice.value)
        return (up, restarts, lines, size, notices)


class LineMetrics(Collector):
    """How many lines could not be written, by where they were to go."""

    def __init__(self, dropped: Callable[[], Mapping[str, int]]) -> None:
        self._dropped = dropped

    def collect(self) -> Iterable[Metric]:
        lines = CounterMetricFamily(
            "gestalt_log_lines_dropped",
            "Lines of the host that could not be written: output log is stderr, console is stdout.",
            labels=("output",),
        )
        for output, count in self._dropped().items():
            lines.add_metric((output,), count)
        return (lines,)
