"""What a provider tells of itself in figures: taken as far as it keeps to the rules of metrics.proto."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from prometheus_client import CollectorRegistry, generate_latest

from gestalt_host.daemon.reports.metrics import ToldMetrics
from gestalt_host.supervisor import metrics_client
from gestalt_host.supervisor.metrics_client import read_metrics
from gestalt_sdk.bases.metrics import Counter, Histogram, MetricFamily, MetricKind, MetricSample, MetricsServicer, gauge
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.gen.extension.v1 import metrics_pb2 as pb
from gestalt_sdk.gen.extension.v1.metrics_pb2_grpc import (
    ProviderMetricsServicer,
    add_ProviderMetricsServicer_to_server,
)
from gestalt_sdk.transport.channels import ServerContext, open_channel
from gestalt_sdk.transport.environment import Address

Serve = Callable[[ProviderMetricsServicer], Awaitable[grpc.aio.Channel]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves figures on a socket of their own; returns a channel to it."""
    server = grpc.aio.server()
    address = f"unix:{tmp_path}/plugin.sock"
    channel = open_channel(Address(address))

    async def begin(servicer: ProviderMetricsServicer) -> grpc.aio.Channel:
        add_ProviderMetricsServicer_to_server(servicer, server)
        server.add_insecure_port(address)
        await server.start()
        return channel

    yield begin
    await channel.close()
    await server.stop(0)


def telling(*families: MetricFamily) -> MetricsServicer:
    async def read() -> Sequence[MetricFamily]:
        return families

    return MetricsServicer(read)


class Foreign(ProviderMetricsServicer):
    """Answers whatever it is given, within the rules or not."""

    def __init__(self, *families: pb.MetricFamily) -> None:
        self._families = families

    async def ReadMetrics(self, request: Empty, context: ServerContext) -> pb.ReadMetricsResponse:
        return pb.ReadMetricsResponse(families=self._families)


def family(name: str = "workflow_x", kind: str = "GAUGE", *samples: pb.MetricSample) -> pb.MetricFamily:
    return pb.MetricFamily(name=name, help="x", kind=f"METRIC_KIND_{kind}", samples=samples or [pb.MetricSample()])


def buckets(*items: tuple[float, int]) -> list[pb.MetricBucket]:
    return [pb.MetricBucket(upper_bound=bound, count=count) for bound, count in items]


class Process:
    """A provider's process, as far as its figures go."""

    capabilities = frozenset({"provider.metrics"})
    kind = ProviderKind.WORKFLOW

    def __init__(self, name: str, channel: grpc.aio.Channel) -> None:
        self.name = name
        self._channel = channel

    async def read_metrics(self) -> Sequence[MetricFamily] | None:
        found = await read_metrics(self._channel, "workflow")
        return None if found is None else found[0]


async def test_what_the_sdk_tells_is_shown_in_the_text_format(serve: Serve) -> None:
    counted, sizes = (
        Counter("workflow_things", "Things.", colour=["red", "blue"]),
        Histogram("workflow_s", "S.", (1, 2)),
    )
    counted.add("red", count=3)
    for size in (0.5, 2, 7):
        sizes.observe(size)
    channel = await serve(telling(counted.family(), sizes.family(), gauge("workflow_now", "Now.", 4)))
    told = ToldMetrics(lambda: [Process("a", channel), Process("b", channel)])  # type: ignore[list-item]
    registry = CollectorRegistry()
    registry.register(told)
    await told.read()
    lines = generate_latest(registry).decode().splitlines()
    for name in ("a", "b"):
        assert f'gestalt_workflow_things_total{{colour="red",provider="{name}"}} 3.0' in lines
        assert f'gestalt_workflow_things_total{{colour="blue",provider="{name}"}} 0.0' in lines
        assert f'gestalt_workflow_now{{provider="{name}"}} 4.0' in lines
        buckets = [line.rsplit(" ", 1)[1] for line in lines if "_s_bucket" in line and f'provider="{name}"' in line]
        assert buckets == ["1.0", "2.0", "3.0"]
        assert f'gestalt_workflow_s_count{{provider="{name}"}} 3.0' in lines
        assert f'gestalt_workflow_s_sum{{provider="{name}"}} 9.5' in lines
        assert f'gestalt_provider_metrics_answered{{kind="workflow",provider="{name}"}} 1.0' in lines
    assert lines.count("# TYPE gestalt_workflow_things_total counter") == 1


@pytest.mark.parametrize(
    "broken",
    [
        family("gestalt_http_requests"),
        family("indexeddb_x"),
        family("workflow_" + "x" * 100),
        family("workflow_x\n# HELP"),
        family("workflow_x", "UNSPECIFIED"),
        family("workflow_x", "HISTOGRAM"),
        family("workflow_x", "GAUGE", pb.MetricSample(buckets=[pb.MetricBucket()])),
        family("workflow_x", "GAUGE", pb.MetricSample(labels={"provider": "other"})),
        family("workflow_x", "GAUGE", pb.MetricSample(labels={"a b": "c"})),
        family("workflow_x", "GAUGE", pb.MetricSample(labels={"a": "c" * 101})),
        family("workflow_x", "GAUGE", pb.MetricSample(labels={f"l{number}": "" for number in range(11)})),
        family("workflow_good", "COUNTER"),
        family("workflow_x", "HISTOGRAM", pb.MetricSample(buckets=[pb.MetricBucket(upper_bound=1, count=1)])),
        family("workflow_x", "HISTOGRAM", pb.MetricSample(buckets=buckets((2, 1), (1, 2), (math.inf, 3)))),
        family("workflow_x", "HISTOGRAM", pb.MetricSample(buckets=buckets((1, 2), (math.inf, 1)))),
    ],
    ids=lambda broken: f"{broken.name[:24]!r} {broken.samples[0]!s:.24}",
)
async def test_what_breaks_the_rules_is_left_out_and_counted(serve: Serve, broken: pb.MetricFamily) -> None:
    found = await read_metrics(await serve(Foreign(family("workflow_good"), broken)), "workflow")
    assert found == ([MetricFamily("workflow_good", "x", MetricKind.GAUGE, [MetricSample(0.0, {}, [])])], 1)


async def test_a_series_is_taken_once(serve: Serve) -> None:
    samples = [pb.MetricSample(labels={"a": "x", "b": "y"}, value=value) for value in (1, 2)]
    found = await read_metrics(await serve(Foreign(family("workflow_x", "GAUGE", *samples))), "workflow")
    expected = MetricFamily("workflow_x", "x", MetricKind.GAUGE, [MetricSample(1.0, {"a": "x", "b": "y"}, [])])
    assert found == ([expected], 1)


async def test_no_more_is_taken_than_the_limits_allow(serve: Serve) -> None:
    samples = [pb.MetricSample(labels={"n": str(number)}) for number in range(metrics_client.SAMPLES - 1)]
    many = [family("workflow_many", "GAUGE", *samples), *(family(f"workflow_{number}") for number in range(200))]
    found = await read_metrics(await serve(Foreign(*many)), "workflow")
    assert found is not None
    families, left_out = found
    assert sum(len(item.samples) for item in families) == metrics_client.SAMPLES
    assert left_out == 199


async def test_one_that_does_not_answer_is_told_as_such(serve: Serve) -> None:
    class Silent(ProviderMetricsServicer):
        async def ReadMetrics(self, request: Empty, context: ServerContext) -> pb.ReadMetricsResponse:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too slow")
            raise AssertionError("unreachable")

    told = ToldMetrics(lambda: [Process("a", channel)])  # type: ignore[list-item]
    channel = await serve(Silent())
    await told.read()
    registry = CollectorRegistry()
    registry.register(told)
    shown = generate_latest(registry).decode()
    assert 'gestalt_provider_metrics_answered{kind="workflow",provider="a"} 0.0' in shown
    assert "gestalt_workflow_" not in shown
