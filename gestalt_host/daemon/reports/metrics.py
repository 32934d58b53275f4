"""Metrics of the daemon for `/metrics`, read when they are asked for: providers, operations, lines not written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gestalt_host.invocation.rest.runner import RestRunner
from gestalt_host.supervisor import ProviderProcess
from gestalt_host.supervisor.reports import STATES, ProviderReport
from gestalt_sdk.bases.metrics import CAPABILITY as METRICS
from gestalt_sdk.bases.metrics import MetricFamily, MetricKind
from gestalt_sdk.bases.provider import ProviderKind

LABELS = ("provider", "kind")
_KINDS = {
    "plugin": ProviderKind.INTEGRATION,
    "workflow": ProviderKind.WORKFLOW,
    "indexeddb": ProviderKind.INDEXEDDB,
}
_CALLABLE = ("ready", "unhealthy")


class ProviderMetrics(Collector):
    """Its state, how often started again, what it says of itself, and how much of its output was dropped."""

    def __init__(
        self, processes: Callable[[], Iterable[ProviderProcess]], reports: Callable[[], Iterable[ProviderReport]]
    ) -> None:
        """Take what is told of: processes, and of all configured providers their reports."""
        self._processes = processes
        self._reports = reports

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("gestalt_provider_up", "1 while the provider can be called, else 0.", labels=LABELS)
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
        used = GaugeMetricFamily(
            "gestalt_provider_memory_bytes",
            "Resident memory of the provider's process and what it has started, as of the last two seconds.",
            labels=LABELS,
        )
        limits = GaugeMetricFamily(
            "gestalt_provider_memory_limit_bytes",
            "Limit of memory of each of its processes, where it has one.",
            labels=LABELS,
        )
        exceeded = CounterMetricFamily(
            "gestalt_provider_memory_exceeded", "How often it was ended because it used more memory.", labels=LABELS
        )
        states = GaugeMetricFamily(
            "gestalt_provider_state",
            "1 for the state that the provider is in, 0 for the others.",
            labels=(*LABELS, "state"),
        )
        for report in self._reports():
            labels = (report.name, _KINDS[report.kind].value)
            for state in STATES:
                states.add_metric((*labels, state), float(state == report.state))
            if report.state != "unused":
                up.add_metric(labels, float(report.state in _CALLABLE))
                restarts.add_metric(labels, report.restarts)
        # A store without scopes has several processes, and no series may be there twice.
        processes: dict[tuple[str, str], list[ProviderProcess]] = {}
        for process in self._processes():
            processes.setdefault((process.name, process.kind.value), []).append(process)
        for labels, group in processes.items():
            lines.add_metric(labels, sum(process.output.dropped_lines for process in group))
            size.add_metric(labels, sum(process.output.dropped_bytes for process in group))
            for notice in {notice.name: notice for process in group for notice in process.notices}.values():
                notices.add_metric((*labels, notice.name), notice.value)
            known = [memory for process in group if (memory := process.report().memory_bytes) is not None]
            if known:
                used.add_metric(labels, sum(known))
            if (limit := group[0].spec.limits.memory_bytes) is not None:
                limits.add_metric(labels, limit)
                exceeded.add_metric(labels, sum(process.memory_exceeded for process in group))
        return (up, states, restarts, lines, size, notices, used, limits, exceeded)


class RestMetrics(Collector):
    """How operations of plugins without a process ended: the host itself sends their requests."""

    def __init__(self, runners: Callable[[], Iterable[RestRunner]]) -> None:
        self._runners = runners

    def collect(self) -> Iterable[Metric]:
        ended = CounterMetricFamily(
            "gestalt_rest_operations",
            "Operations of a plugin without code, by how they ended.",
            labels=("provider", "outcome"),
        )
        for runner in self._runners():
            for outcome, count in runner.outcomes.items():
                ended.add_metric((runner.name, outcome), count)
        return (ended,)


class ToldMetrics(Collector):
    """Show what providers tell of themselves (metrics.proto); ``read`` asks them, ``collect`` shows what they said."""

    def __init__(self, processes: Callable[[], Iterable[ProviderProcess]]) -> None:
        self._processes = processes
        self._told: list[tuple[ProviderProcess, Sequence[MetricFamily] | None]] = []

    async def read(self) -> None:
        """Ask all providers at once; who does not answer within its time is left out, and counted as such."""
        processes = [process for process in self._processes() if METRICS in process.capabilities]
        told = await asyncio.gather(*(process.read_metrics() for process in processes))
        self._told = list(zip(processes, told, strict=True))

    def collect(self) -> Iterable[Metric]:
        answered = GaugeMetricFamily(
            "gestalt_provider_metrics_answered",
            "1 where the provider told its own metrics for this answer, 0 where it could not.",
            labels=LABELS,
        )
        families: dict[str, Metric] = {}
        for process, told in self._told:
            answered.add_metric((process.name, process.kind.value), float(told is not None))
            for family in told or ():
                name, kind = f"gestalt_{family.name}", family.kind.name.lower()
                metric = families.setdefault(name, Metric(name, family.help, kind))
                if metric.type == kind:
                    _add(metric, family, process.name)
        return (answered, *families.values())


def _add(metric: Metric, family: MetricFamily, provider: str) -> None:
    for sample in family.samples:
        labels = {"provider": provider, **sample.labels}
        if family.kind is MetricKind.COUNTER:
            metric.add_sample(f"{metric.name}_total", labels, sample.value)
        elif family.kind is MetricKind.GAUGE:
            metric.add_sample(metric.name, labels, sample.value)
        else:
            for bound, count in sample.buckets:
                metric.add_sample(f"{metric.name}_bucket", {**labels, "le": floatToGoString(bound)}, count)
            metric.add_sample(f"{metric.name}_count", labels, sample.buckets[-1][1])
            metric.add_sample(f"{metric.name}_sum", labels, sample.value)


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
