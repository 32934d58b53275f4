"""Events over HTTP, end to end, with the load generator on the same cores: how many a second, and how soon."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import orjson
import uvloop

from benchmarks.echo import calls_per_second
from benchmarks.load import Connection
from benchmarks.processes import CpuMeter, processes
from benchmarks.workflow import report
from benchmarks.workflow.databases import (
    RUNS,
    Databases,
    event_body,
    event_run_id,
    publish_over_http,
    rate,
    read_all,
    wait_ended,
    with_database,
)
from benchmarks.workflow.sizes import Sizes
from benchmarks.workflow.stored import Measured, beside_history
from benchmarks.workflow.system import WORKERS, System
from gestalt_sdk.indexeddb import IndexedDB

CLIENTS = 8
OPEN_CONNECTIONS = 64
WARM = 200
EVENTS_PATH = "/api/v1/workflow/events"


def published(databases: Databases, sizes: Sizes) -> None:
    """Runs a second while their events are published."""
    trigger = databases.samples().trigger_id

    def measure(history: int) -> Measured:
        with databases.made(history) as system:
            return _published_once(system, trigger, sizes)

    what = f"published over HTTP, {sizes.published:,} events, {CLIENTS} clients"
    beside_history(what, "[600]", sizes, measure, sizes.published)


def _published_once(system: System, trigger: str, sizes: Sizes) -> Measured:
    events = [f"event{number}" for number in range(sizes.published)]
    echo = calls_per_second(sizes.echo_s)
    host = system.gestaltd()
    host.start()
    try:
        publish_over_http(host, [f"warm{number}" for number in range(WARM)], CLIENTS)
        wait_ended(host, event_run_id(trigger, f"warm{WARM - 1}"))
        meter = CpuMeter(processes(host))
        publish_over_http(host, events, CLIENTS)
        for event in events[-2 * WORKERS :]:
            wait_ended(host, event_run_id(trigger, event))
        spent = meter.spent()
    finally:
        host.stop()

    async def measured(db: IndexedDB) -> float:
        return await rate(db, [event_run_id(trigger, event) for event in events])

    return with_database(system, measured), echo, spent


def accept(databases: Databases, sizes: Sizes) -> None:
    """From the moment at which a request should be sent to the call of the plugin, under an open load."""
    trigger = databases.samples().trigger_id
    with databases.made(sizes.history) as system:
        echo = calls_per_second(sizes.echo_s)
        host = system.gestaltd()
        host.start()
        try:
            publish_over_http(host, [f"warm{number}" for number in range(WARM)], CLIENTS)
            wait_ended(host, event_run_id(trigger, f"warm{WARM - 1}"))
            meter = CpuMeter(processes(host))
            sent = uvloop.run(_open_load(host.port, sizes))
            for event in list(sent)[-WORKERS:]:
                wait_ended(host, event_run_id(trigger, event))
            spent = meter.spent()
        finally:
            host.stop()

        async def called(db: IndexedDB) -> dict[str, float]:
            runs = await read_all(db, RUNS, [event_run_id(trigger, event) for event in sent])
            bodies = {str(run["id"]): orjson.loads(str(run["result_body"])) for run in runs}
            return {id: datetime.fromisoformat(body["at"]).timestamp() for id, body in bodies.items()}

        at = with_database(system, called)
    calls = {event: at[event_run_id(trigger, event)] for event in sent}
    report.spread(
        f"published → plugin called, {sizes.accept_per_s} events/s, history {sizes.history:,}, "
        f"echo {echo:,.0f} calls/s, from the moment the request was due [p99 50]",
        [calls[event] - due for event, (due, _) in sent.items()],
    )
    report.spread("    from the answer to the publisher", [calls[e] - answered for e, (_, answered) in sent.items()])
    report.cpu(spent, len(sent))


async def _open_load(port: int, sizes: Sizes) -> dict[str, tuple[float, float]]:
    """Publish at a fixed pace, whatever the answers do; when each request was due and when it was answered."""
    sent: dict[str, tuple[float, float]] = {}
    free: asyncio.Queue[Connection] = asyncio.Queue()

    async def publish(event: str, due: float) -> None:
        connection = await free.get()
        status, _ = await connection.request("POST", EVENTS_PATH, event_body(event))
        free.put_nowait(connection)
        if status >= 300:
            raise SystemExit(f"publish was refused with {status}")
        sent[event] = (due, time.time())

    connections = [Connection("127.0.0.1", port) for _ in range(OPEN_CONNECTIONS)]
    for connection in connections:
        free.put_nowait(await connection.__aenter__())
    try:
        async with asyncio.TaskGroup() as publishing:
            begin = time.time() + 0.1
            for number in range(int(sizes.accept_per_s * sizes.window_s)):
                due = begin + number / sizes.accept_per_s
                await asyncio.sleep(due - time.time())
                publishing.create_task(publish(f"paced{number}", due))
    finally:
        for connection in connections:
            await connection.__aexit__(None, None, None)
    return sent
