"""Tell in figures how a provider does (metrics.proto); the host shows them among its own at ``/metrics``."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate, product

from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.gen.extension.v1 import metrics_pb2 as pb
from gestalt_sdk.gen.extension.v1 import metrics_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import reporting_faults

CAPABILITY = "provider.metrics"
SERVICE = "gestalt.extension.v1.ProviderMetrics"


class MetricKind(IntEnum):
    """Say what the values of a family are; numbers as in metrics.proto."""

    COUNTER = 1
    GAUGE = 2
    HISTOGRAM = 3


@dataclass(frozen=True, slots=True)
class MetricSample:
    """Hold one value.

    Attributes:
        value: Of a histogram the sum of all observations.
        buckets: Of a histogram: upper bound and number of observations up to it, the last bound infinite.
    """

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    buckets: Sequence[tuple[float, int]] = ()


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """Hold the samples of one name.

    It begins with the provider's kind, as in ``workflow_queue_runs``; the host adds ``_total`` to that of a counter.
    """

    name: str
    help: str
    kind: MetricKind
    samples: Sequence[MetricSample]


class Counter:
    """Count, by the values of labels; there is a count of every combination from the beginning on."""

    def __init__(self, name: str, help: str, **labels: Sequence[str]) -> None:
        """Take the labels, each with the values that it can have."""
        self._name = name
        self._help = help
        self._labels = tuple(labels)
        self._counts: dict[tuple[str, ...], float] = dict.fromkeys(product(*labels.values()), 0.0)

    def add(self, *values: str, count: float = 1) -> None:
        """Add to the count of these label values, in the order of the labels."""
        self._counts[values] += count

    def family(self) -> MetricFamily:
        """Return the counts as they are now."""
        samples = [
            MetricSample(count, dict(zip(self._labels, values, strict=True))) for values, count in self._counts.items()
        ]
        return MetricFamily(self._name, self._help, MetricKind.COUNTER, samples)


class Histogram:
    """Count observations by size."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        """Take the upper bounds of the buckets, ascending; one without a bound follows them."""
        self._name = name
        self._help = help
        self._bounds = (*bounds, math.inf)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Add an observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self) -> MetricFamily:
        """Return the counts as they are now."""
        buckets = list(zip(self._bounds, accumulate(self._counts), strict=True))
        return MetricFamily(self._name, self._help, MetricKind.HISTOGRAM, [MetricSample(self._sum, {}, buckets)])


def gauge(name: str, help: str, value: float) -> MetricFamily:
    """Return a family with one value as it is now."""
    return MetricFamily(name, help, MetricKind.GAUGE, [MetricSample(value)])


class MetricsServicer(metrics_pb2_grpc.ProviderMetricsServicer):
    """Answer the host that asks for a provider's figures."""

    def __init__(self, read: Callable[[], Awaitable[Sequence[MetricFamily]]]) -> None:
        self._read = read

    async def ReadMetrics(self, request: Empty, context: ServerContext) -> pb.ReadMetricsResponse:
        """Return all of them; INTERNAL, and a line in the log, when they cannot be read."""
        async with reporting_faults(context, {}):
            return pb.ReadMetricsResponse(families=map(_to_message, await self._read()))


def _to_message(family: MetricFamily) -> pb.MetricFamily:
    samples = [
        pb.MetricSample(
            labels=sample.labels,
            value=sample.value,
            buckets=[pb.MetricBucket(upper_bound=bound, count=count) for bound, count in sample.buckets],
        )
        for sample in family.samples
    ]
    return pb.MetricFamily(name=family.name, help=family.help, kind=f"METRIC_KIND_{family.kind.name}", samples=samples)
