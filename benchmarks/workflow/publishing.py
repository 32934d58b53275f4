"""Publishes a second through the provider's socket, with many triggers of which 0, 1 or 10 match."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import count
from math import inf

import uvloop

from benchmarks.echo import calls_per_second
from benchmarks.workflow import report
from benchmarks.workflow.databases import TRIGGERS, Databases, Samples, put_all
from benchmarks.workflow.sizes import Sizes
from benchmarks.workflow.system import WITHIN_S, Alone, System
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import Record

IN_FLIGHT = 32
WARM = 1_000
"""Events that are published before those that are measured."""
MATCHES = {0: "2,000", 1: "1,000", 10: "300"}
"""Triggers that match, and the goal in publishes a second."""
CROWD = "crowd"
EventOf = Callable[[int], tuple[str, str]]
"""Type and source of the event with that number."""


def publish(databases: Databases, sizes: Sizes) -> None:
    """Triggers of as many types, and as many triggers of one type that differ in their source."""
    samples = databases.samples()
    for started in (False, True):
        for matching, goal in MATCHES.items():
            event = _type(f"matched-{matching}")
            _measured(databases, sizes, samples, f"{matching} match [{goal}]", started, event)
    _measured(
        databases,
        sizes,
        samples,
        "1 matches, another of the types each time",
        False,
        _type_in_turn(sizes),
        sizes.triggers,
    )
    _measured(databases, sizes, samples, "1 matches of all those of its type", False, _source_in_turn(sizes))


def _measured(
    databases: Databases,
    sizes: Sizes,
    samples: Samples,
    what: str,
    started: bool,
    event: EventOf,
    warm: int = WARM,
) -> None:
    with databases.made(sizes.history) as system:
        echo = calls_per_second(sizes.echo_s)
        per_s, spent, published = uvloop.run(_publish(system, samples, sizes, started, event, warm))
    way = "while runs are dispatched" if started else "nothing dispatched"
    report.rate(f"publish, {sizes.triggers:,} triggers, {what}, {IN_FLIGHT} in flight, {way}", per_s, echo, "events/s")
    report.cpu(spent, published)


async def _publish(
    system: System, samples: Samples, sizes: Sizes, started: bool, event: EventOf, warm: int
) -> tuple[float, dict[str, float], int]:
    async with system.alone() as alone:
        await put_all(alone.db, TRIGGERS, _triggers(samples.trigger, sizes.triggers))
        if started:
            await alone.workflow.process.start()
        numbers = count()
        await _closed_loop(alone, event, numbers, WITHIN_S, warm)
        meter, begin = alone.meter(), time.perf_counter()
        published = await _closed_loop(alone, event, numbers, sizes.window_s / 6)
        return published / (time.perf_counter() - begin), meter.spent(), published


async def _closed_loop(alone: Alone, event: EventOf, numbers: Iterator[int], seconds: float, most: float = inf) -> int:
    """Each of the clients sends its next event when the last was accepted; how many were accepted, at most ``most``."""
    end = time.perf_counter() + seconds
    rpc = alone.workflow.rpc
    accepted = 0

    async def client() -> None:
        nonlocal accepted
        while time.perf_counter() < end and accepted < most:
            number = next(numbers)
            type, source = event(number)
            made = pb.WorkflowEvent(id=f"e{number}", type=type, source=source)
            await rpc.PublishEvent(pb.PublishWorkflowProviderEventRequest(event=made), timeout=60)
            accepted += 1

    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    return accepted


def _triggers(record: Record, total: int) -> Iterator[Record]:
    """``total`` triggers of types of their own, those that match, and as many of one type for as many sources."""
    for number in range(total):
        yield {**record, "id": f"own-{number}", "match_type": f"type-{number}"}
        yield {**record, "id": f"{CROWD}-{number}", "match_type": CROWD, "match_source": f"source-{number}"}
    for matching in MATCHES:
        for number in range(matching):
            yield {**record, "id": f"{matching}-{number}", "match_type": f"matched-{matching}"}


def _type(name: str) -> EventOf:
    return lambda _: (name, "s")


def _type_in_turn(sizes: Sizes) -> EventOf:
    return lambda number: (f"type-{number % sizes.triggers}", "s")


def _source_in_turn(sizes: Sizes) -> EventOf:
    return lambda number: (CROWD, f"source-{number % sizes.triggers}")
