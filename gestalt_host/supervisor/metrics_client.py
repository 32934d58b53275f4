"""The figures that a provider tells of itself (metrics.proto), as far as they keep to the rules."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import pairwise

import grpc
from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.bases.metrics import MetricFamily, MetricKind, MetricSample
from gestalt_sdk.gen.extension.v1 import metrics_pb2 as pb
from gestalt_sdk.gen.extension.v1 import metrics_pb2_grpc

TIMEOUT_S = 2.0
FAMILIES, SAMPLES, LABELS, BUCKETS = 100, 1000, 10, 100
NAME, HELP, LABEL_VALUE = 100, 1000, 100
"""Characters."""
TAKEN_LABELS = frozenset({"provider", "kind", "le"})
_NAME = re.compile(r"[a-z][a-z0-9_]*")


async def read_metrics(channel: grpc.aio.Channel, kind: str) -> tuple[list[MetricFamily], int] | None:
    """Ask a provider of that kind for its figures.

    Returns:
        The families that keep to the rules, and how many samples were left out because they, or theirs, do not; None
        when it does not answer.
    """
    stub = metrics_pb2_grpc.ProviderMetricsStub(channel)
    try:
        response = await stub.ReadMetrics(Empty(), timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError:
        return None
    found: dict[str, MetricFamily] = {}
    left, left_out = SAMPLES, 0
    for message in response.families:
        samples = _distinct(_sample(sample) for sample in message.samples if _is_fit(sample, message.kind))[:left]
        if message.name in found or len(found) == FAMILIES or not _is_named(message, kind):
            samples = []
        left_out += len(message.samples) - len(samples)
        if samples:
            left -= len(samples)
            found[message.name] = MetricFamily(message.name, message.help[:HELP], MetricKind(message.kind), samples)
    return list(found.values()), left_out


def _is_named(family: pb.MetricFamily, kind: str) -> bool:
    name = family.name
    return len(name) <= NAME and bool(_NAME.fullmatch(name)) and name.startswith(f"{kind}_")


def _is_fit(sample: pb.MetricSample, kind: int) -> bool:
    if kind not in (MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM) or len(sample.labels) > LABELS:
        return False
    if (kind == MetricKind.HISTOGRAM) != bool(sample.buckets) or len(sample.buckets) > BUCKETS:
        return False
    bounds, counts = [item.upper_bound for item in sample.buckets], [item.count for item in sample.buckets]
    ascending = all(low < high for low, high in pairwise(bounds)) and counts == sorted(counts)
    if bounds and not (ascending and bounds[-1] == math.inf):
        return False
    return all(
        len(name) <= NAME and _NAME.fullmatch(name) and name not in TAKEN_LABELS and len(value) <= LABEL_VALUE
        for name, value in sample.labels.items()
    )


def _distinct(samples: Iterable[MetricSample]) -> list[MetricSample]:
    """Return the first sample of each set of labels: a second one would be the same series with another value."""
    found: dict[frozenset[tuple[str, str]], MetricSample] = {}
    for sample in samples:
        found.setdefault(frozenset(sample.labels.items()), sample)
    return list(found.values())


def _sample(sample: pb.MetricSample) -> MetricSample:
    buckets = [(bucket.upper_bound, bucket.count) for bucket in sample.buckets]
    return MetricSample(sample.value, dict(sample.labels), buckets)
