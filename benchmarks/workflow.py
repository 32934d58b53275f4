"""Runs a second of the workflow engine, and what holds it: from stored runs, end to end, and published over HTTP.

    make bench        or        .venv/bin/python -m benchmarks.workflow [SECTION ...] [--history N] [--runs N]

Sections: ``engine``: provider and store alone, from stored pending runs, with a host in this process that answers at
once, by stream and by unary calls. ``stored``: the same runs through gestaltd and a plugin. ``published``: events over
HTTP, the load generator on the same cores. Each beside a unary grpc.aio echo measured right before it. ``--history``
sets how many finished runs lie in the store beforehand (10 000; a million takes a few minutes to write).

Stored runs are copies of one run that the provider itself wrote, under ids of their own. A rate is runs divided by the
time from the first recorded start to the last recorded end, read from the store afterwards; any run that did not
succeed ends the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import orjson
import uvloop

from benchmarks.echo import calls_per_second
from benchmarks.load import post_all
from benchmarks.processes import CpuMeter
from gestalt_sdk.channels import SERVER_OPTIONS
from gestalt_sdk.gen.extension.v1 import datastore_pb2 as ext
from gestalt_sdk.gen.extension.v1 import datastore_pb2_grpc as ext_grpc
from gestalt_sdk.gen.extension.v1 import workflow_pb2 as dispatch_pb
from gestalt_sdk.gen.extension.v1 import workflow_pb2_grpc as dispatch_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.indexeddb import Entry, IndexedDB, Record
from gestalt_sdk.streamed import answer_calls
from tests.contract.workflow.rig import STORE, WORKFLOW, CountingStore, ProviderProcess, Workflow
from tests.support.gestaltd import ROOT, Gestaltd, free_port
from tests.support.waiting import eventually

RUNS = 10_000
HISTORY = 10_000
WORKERS = 64
PUBLISHED = 3_000
CLIENTS = 8
BATCH = 1_000
WITHIN_S = 600.0
STORE_NAME = "wf_runs"
PENDING, SUCCEEDED = 1, 3
EVENT_TYPE = "benchmark.happened"
CONFIG = """
apiVersion: gestaltd.config/v5
server:
  public: {{host: 127.0.0.1, port: {port}}}
  encryptionKey: "a key for measurements only"
providers:
  indexeddb:
    store:
      source: {{path: {root}/providers/indexeddb_store/manifest.yaml}}
      config: {{dsn: "sqlite://{folder}/state.db"}}
  workflow:
    local:
      source: {{path: {root}/providers/indexeddb/manifest.yaml}}
      indexeddb: {{provider: store, db: workflow}}
      config: {{workerCount: {workers}}}
plugins:
  bench: {{source: {{path: {root}/tests/rig_plugin/manifest.yaml}}}}
"""


class InstantHost(workflow_pb2_grpc.WorkflowHostServicer, dispatch_grpc.WorkflowDispatchServicer):
    """Answers every invocation at once."""

    def __init__(self) -> None:
        self.invoked = 0

    async def InvokeOperation(self, request: Any, context: Any) -> pb.InvokeWorkflowOperationResponse:
        self.invoked += 1
        return pb.InvokeWorkflowOperationResponse(status=200, body="{}")

    async def Dispatch(self, requests: Any, context: Any) -> None:
        async def invoke(request: Any) -> pb.InvokeWorkflowOperationResponse:
            return await self.InvokeOperation(request, context)

        await answer_calls(requests, context, dispatch_pb.DispatchResults, invoke, _unexpected)


def _unexpected(error: Exception) -> Any:
    raise error


class Bench:
    """A folder with a store of its own, and the processes that are started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @asynccontextmanager
    async def store(self) -> AsyncIterator[tuple[Path, IndexedDB]]:
        """The store process with the database that gestaltd gives its workflow provider."""
        store = ProviderProcess("s", STORE, self.folder, {}, {"dsn": f"sqlite://{self.folder}/state.db"})
        try:
            await store.boot(start=False)
            socket = self.folder / "scope.sock"
            request = ext.OpenScopeRequest(db="workflow", socket_path=str(socket))
            await ext_grpc.IndexedDBScopesStub(store.channel).OpenScope(request)
            async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
                yield socket, IndexedDB.over(channel)
        finally:
            await store.end()

    @asynccontextmanager
    async def provider(self, store: Path, host: Path) -> AsyncIterator[Workflow]:
        """The workflow provider on that store; not started."""
        environ = {"GESTALT_INDEXEDDB_SOCKET": str(store), "GESTALT_WORKFLOW_HOST_SOCKET": str(host)}
        process = ProviderProcess("w", WORKFLOW, self.folder, environ, {"workerCount": WORKERS})
        try:
            await process.boot(start=False)
            yield Workflow(process)
        finally:
            await process.end()

    @asynccontextmanager
    async def host(self, *, stream: bool = True) -> AsyncIterator[tuple[InstantHost, Path]]:
        instant, socket, server = InstantHost(), self.folder / "h.sock", grpc.aio.server(options=SERVER_OPTIONS)
        workflow_pb2_grpc.add_WorkflowHostServicer_to_server(instant, server)
        if stream:
            dispatch_grpc.add_WorkflowDispatchServicer_to_server(instant, server)
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        try:
            yield instant, socket
        finally:
            await server.stop(0)

    def gestaltd(self) -> Gestaltd:
        port = free_port()
        config = self.folder / "gestalt.yaml"
        config.write_text(CONFIG.format(port=port, root=ROOT, folder=self.folder, workers=WORKERS))
        return Gestaltd([config], {}, port, self.folder)


async def copies(db: IndexedDB, record: Record, prefix: str, count: int) -> None:
    """Store the record so often, under ids of their own, a millisecond apart."""
    moments = {name: value for name, value in record.items() if isinstance(value, datetime)}

    async def write(first: int) -> None:
        entries = []
        for number in range(first, min(first + BATCH, count)):
            shift = timedelta(milliseconds=number)
            moved = {name: value + shift for name, value in moments.items()}
            entries.append(Entry(STORE_NAME, "put", {**record, **moved, "id": f"{prefix}{number:07}"}))
        outcomes = await db.apply(entries)
        assert all(outcome.ok for outcome in outcomes)

    for first in range(0, count, BATCH):
        await write(first)


async def rate(db: IndexedDB, chosen: Callable[[str], bool], count: int) -> float:
    """Runs a second of the runs with these ids; ends the benchmark when one did not succeed."""
    begin, end, found, token = None, None, 0, b""
    while True:
        page = await db.store(STORE_NAME).page(limit=1000, token=token)
        for record in page.records:
            if chosen(str(record["id"])):
                if record["status"] != SUCCEEDED:
                    raise SystemExit(
                        f"run {record['id']} has status {record['status']}: {record.get('status_message')}"
                    )
                started, completed = record["started_at"], record["completed_at"]
                assert isinstance(started, datetime) and isinstance(completed, datetime)
                begin = started if begin is None else min(begin, started)
                end = completed if end is None else max(end, completed)
                found += 1
        token = page.next_token
        if not token:
            break
    if found != count or begin is None or end is None:
        raise SystemExit(f"{found} runs found, {count} expected")
    return count / (end - begin).total_seconds()


def report(what: str, runs_per_s: float, echo: float, extra: str = "") -> None:
    print(
        f"{what}: {runs_per_s:,.0f} runs/s ({runs_per_s / echo:.3f} of the echo, {echo:,.0f} calls/s){extra}",
        flush=True,
    )


def report_cpu(spent: dict[str, float], runs: int) -> None:
    parts = ", ".join(f"{name} {seconds / runs * 1e3:.2f}" for name, seconds in spent.items())
    print(f"    CPU ms a run: {parts}; together {sum(spent.values()) / runs * 1e3:.2f}", flush=True)


async def engine(bench: Bench, runs: int, history: int) -> None:
    """Provider and store alone."""
    async with bench.store() as (scope, db):
        async with bench.host() as (_, socket), bench.provider(scope, socket) as workflow:
            made = await workflow.start_run("noop")
            pending = await db.store(STORE_NAME).get(made.id)
            await workflow.process.start()
            await workflow.run_in(made.id)
            await copies(db, await db.store(STORE_NAME).get(made.id), "history", history)
        for stream in (True, False):
            prefix = f"stream-{stream}-"
            await copies(db, pending, prefix, runs)
            echo = await asyncio.to_thread(calls_per_second)
            counting = CountingStore(str(scope))
            async with AsyncExitStack() as stack:
                host, socket = await stack.enter_async_context(bench.host(stream=stream))
                workflow = await stack.enter_async_context(bench.provider(scope, socket))
                await workflow.process.start()
                await _until(partial(_invoked, host, runs))
            way = "streamed dispatch" if stream else "unary dispatch"
            report(
                f"provider and store alone, {way}, {runs:,} stored runs, history {history:,}",
                await rate(db, partial(_named, prefix), runs),
                echo,
            )
            history += runs
        await copies(db, pending, "counted", 1_000)
        async with AsyncExitStack() as stack:
            host, socket = await stack.enter_async_context(bench.host())
            path = bench.folder / "counting.sock"
            await stack.enter_async_context(counting.serving(path))
            workflow = await stack.enter_async_context(bench.provider(path, socket))
            before = counting.count
            await workflow.process.start()
            await _until(partial(_invoked, host, 1_000))
            print(f"store messages a run, {WORKERS} workers: {(counting.count - before) / 1_000:.3f}", flush=True)


def _invoked(host: InstantHost, count: int) -> bool:
    return host.invoked >= count


def _named(prefix: str, id: str) -> bool:
    return id.startswith(prefix)


async def _until(probe: Callable[[], bool]) -> None:
    async def probed() -> bool | None:
        return probe() or None

    await eventually(probed, within_s=WITHIN_S)


def stored(bench: Bench, runs: int, history: int) -> None:
    """End to end from stored runs: provider, store, gestaltd, plugin."""
    host = bench.gestaltd()
    host.start()
    try:
        trigger = _trigger(host)
        _publish(host, ["first"])
        first = _run_id(trigger, "first")
        _ended(host, first)
    finally:
        host.stop()

    async def prepare() -> None:
        async with bench.store() as (_, db):
            done = await db.store(STORE_NAME).get(first)
            await copies(db, done, "history", history)
            async with bench.host() as (_, socket), bench.provider(bench.folder / "scope.sock", socket) as workflow:
                event = pb.WorkflowEvent(id="second", source="bench", type=EVENT_TYPE)
                await workflow.rpc.PublishEvent(pb.PublishWorkflowProviderEventRequest(event=event))
            await copies(db, await db.store(STORE_NAME).get(_run_id(trigger, "second")), "stored", runs)

    async def measured() -> float:
        async with bench.store() as (_, db):
            return await rate(db, partial(_named, "stored"), runs)

    uvloop.run(prepare())
    echo = calls_per_second()
    host = bench.gestaltd()
    host.start()
    meter = CpuMeter(host)
    try:
        for number in range(max(0, runs - 2 * WORKERS), runs):
            _ended(host, f"stored{number:07}")
        spent = meter.spent()
    finally:
        host.stop()
    report(f"end to end, {runs:,} stored runs, {WORKERS} workers, history {history:,}", uvloop.run(measured()), echo)
    report_cpu(spent, runs)


def published(bench: Bench, history: int) -> None:
    """End to end while they are published over HTTP."""
    host = bench.gestaltd()
    host.start()
    try:
        trigger = _trigger(host)
        _publish(host, [f"warm{number}" for number in range(100)])
        _ended(host, _run_id(trigger, "warm99"))
    finally:
        host.stop()

    async def prepare() -> None:
        async with bench.store() as (_, db):
            await copies(db, await db.store(STORE_NAME).get(_run_id(trigger, "warm99")), "history", history)

    uvloop.run(prepare())
    events = [f"event{number}" for number in range(PUBLISHED)]
    ids = {_run_id(trigger, event) for event in events}
    host = bench.gestaltd()
    host.start()
    try:
        _publish(host, [f"hot{number}" for number in range(200)])
        echo = calls_per_second()
        meter, begin = CpuMeter(host), time.perf_counter()
        _publish(host, events)
        accepted = PUBLISHED / (time.perf_counter() - begin)
        for event in events[-2 * WORKERS :]:
            _ended(host, _run_id(trigger, event))
        spent = meter.spent()
    finally:
        host.stop()

    async def measured() -> float:
        async with bench.store() as (_, db):
            return await rate(db, ids.__contains__, PUBLISHED)

    what = f"published over HTTP, {PUBLISHED:,} events, {CLIENTS} clients, history {history:,}"
    report(what, uvloop.run(measured()), echo, f", accepted {accepted:,.0f} events/s")
    report_cpu(spent, PUBLISHED)


def _trigger(host: Gestaltd) -> str:
    target = {"plugin": {"name": "bench", "operation": "noop"}}
    answer = host.post("/workflow/event-triggers", {"match": {"type": EVENT_TYPE}, "target": target})
    if answer.status_code not in (200, 201):
        raise SystemExit(f"creating the trigger: {answer.status_code} {answer.text}")
    trigger: str = answer.json()["id"]
    return trigger


def _publish(host: Gestaltd, events: list[str]) -> None:
    bodies = [orjson.dumps({"type": EVENT_TYPE, "source": "bench", "id": event}) for event in events]
    statuses = uvloop.run(post_all(host.port, "/api/v1/workflow/events", bodies, clients=CLIENTS))
    if refused := [status for status in statuses if status >= 300]:
        raise SystemExit(f"{len(refused)} of {len(events)} publishes were refused, the first with {refused[0]}")


def _run_id(trigger: str, event: str) -> str:
    """Id of the run, which follows from trigger, source and event (semantics.md 3)."""
    return "event:" + hashlib.sha256("\0".join([trigger, "bench", event]).encode()).hexdigest()[:32]


def _ended(host: Gestaltd, run: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not host.get(f"/workflow/runs/{run}").get("completedAt"):
        if time.monotonic() > deadline:
            raise SystemExit(f"{run} did not end within {WITHIN_S:.0f} s")
        time.sleep(0.25)


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.workflow", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("sections", nargs="*", help="engine, stored, published; all of them by default")
    parser.add_argument("--history", type=int, default=HISTORY, help=f"finished runs stored beforehand ({HISTORY})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"stored runs to execute ({RUNS})")
    options = parser.parse_args()
    sections = options.sections or ["engine", "stored", "published"]
    if unknown := set(sections) - {"engine", "stored", "published"}:
        parser.error(f"unknown section {sorted(unknown)[0]!r}; known are engine, stored, published")
    print(f"# workflow: {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(
        f"# command: {Path(sys.executable).name} -m benchmarks.workflow {' '.join(sys.argv[1:])}".rstrip(), flush=True
    )
    for section in sections:
        folder = Path(tempfile.mkdtemp(prefix="gstb-", dir="/tmp"))
        try:
            bench = Bench(folder)
            if section == "engine":
                uvloop.run(engine(bench, options.runs, options.history))
            elif section == "stored":
                stored(bench, options.runs, options.history)
            else:
                published(bench, options.history)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
