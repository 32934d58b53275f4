"""The rig of the contract suite: a real store process, a workflow provider process, and this test as their host.

Everything goes through sockets, as under a host. ``--workflow-command`` points the suite at another provider,
``--store-command`` at another store (``tests/support/commands.py``).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration

from gestalt_sdk.gen.extension.v1 import slots_pb2, slots_pb2_grpc
from gestalt_sdk.indexeddb import IndexedDB
from tests.support.waiting import observed_for

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2

from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2_grpc, runtime_pb2, runtime_pb2_grpc, workflow_pb2, workflow_pb2_grpc
from gestalt_sdk.transport.channels import CHANNEL_OPTIONS, SERVER_OPTIONS
from gestalt_sdk.transport.values import to_struct, to_timestamp
from tests.support.commands import ROOT, STORE, WORKFLOW
from tests.support.waiting import eventually

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED = range(1, 6)
DEADLINE_S = 20.0
QUIET: dict[str, Any] = {"pollInterval": "1h"}
"""No idle rounds, so that what is counted belongs to what is measured."""
BOTH_ENGINES = pytest.mark.parametrize(
    "rig", ["sqlite", pytest.param("postgres", marks=pytest.mark.ours("store"))], indirect=True
)
"""Runs the contract suite's tests of a module on our store's other engine too."""


class ProviderProcess:
    """One provider process on its socket, driven through its lifecycle as a host does."""

    def __init__(
        self, name: str, command: str, directory: Path, environ: dict[str, str], config: dict[str, Any]
    ) -> None:
        self.name = name
        self.socket = directory / f"{name}.sock"
        self.log = directory / f"{name}.log"
        self._command = command
        self._environ = environ
        self.config = config
        self._process: asyncio.subprocess.Process | None = None
        self.channel: grpc.aio.Channel | None = None
        self.identity: runtime_pb2.ProviderIdentity | None = None
        self.launches = 0
        """How many processes there have been."""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def launch(self) -> None:
        environ = {k: os.environ[k] for k in ("PATH", "HOME", "TMPDIR", "LANG") if k in os.environ}
        environ |= {"PYTHONPATH": str(ROOT), "GESTALT_PLUGIN_PARENT_PID": str(os.getpid())}
        environ |= {"GESTALT_PLUGIN_SOCKET": str(self.socket), "GESTALT_PLUGIN_NAME": self.name, **self._environ}
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *shlex.split(self._command), env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.launches += 1
        self.channel = grpc.aio.insecure_channel(f"unix:{self.socket}", options=CHANNEL_OPTIONS)
        await eventually(self._socket_or_exit, within_s=DEADLINE_S)
        await asyncio.wait_for(self.channel.channel_ready(), DEADLINE_S)

    async def _socket_or_exit(self) -> bool | None:
        assert self._process is not None
        if self._process.returncode is not None:
            raise AssertionError(f"{self.name} exited with {self._process.returncode}: {self.log.read_text()[-3000:]}")
        return True if self.socket.exists() else None

    @property
    def lifecycle(self) -> runtime_pb2_grpc.ProviderLifecycleStub:
        return runtime_pb2_grpc.ProviderLifecycleStub(self.channel)

    async def configure(self) -> None:
        request = runtime_pb2.ConfigureProviderRequest(name=self.name, protocol_version=3)
        if self.config:
            request.config.CopyFrom(to_struct(self.config))
        await self.lifecycle.ConfigureProvider(request, timeout=DEADLINE_S)
        self.identity = await self.lifecycle.GetProviderIdentity(empty_pb2.Empty(), timeout=DEADLINE_S)

    async def start(self) -> None:
        await self.lifecycle.StartProvider(empty_pb2.Empty(), timeout=DEADLINE_S)

    async def boot(self, *, start: bool = True) -> None:
        await self.launch()
        await self.configure()
        if start:
            await self.start()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; returns the exit status."""
        if self.channel is not None:
            await self.channel.close()
            self.channel = None
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(number)
        status = await asyncio.wait_for(self._process.wait(), DEADLINE_S)
        self.socket.unlink(missing_ok=True)
        return status

    async def ended(self) -> None:
        """Wait until the process has gone."""
        assert self._process is not None
        await asyncio.wait_for(self._process.wait(), DEADLINE_S)

    async def kill(self) -> None:
        await self.end(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class ScriptedHost(workflow_pb2_grpc.WorkflowHostServicer):
    """Answers InvokeOperation by operation name, 200 ``ok`` unless told otherwise, and keeps every request."""

    def __init__(self) -> None:
        self.requests: list[workflow_pb2.InvokeWorkflowOperationRequest] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self.errors: dict[str, tuple[grpc.StatusCode, str]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.during: Callable[[workflow_pb2.InvokeWorkflowOperationRequest], Awaitable[None]] | None = None
        self.active: Counter[str] = Counter()
        self.deadlines: list[float | None] = []
        """Seconds that each call left itself; None: as long as it takes."""

    def hold(self, operation: str) -> asyncio.Event:
        """Invocations of the operation wait until the event is set."""
        return self.gates.setdefault(operation, asyncio.Event())

    async def InvokeOperation(self, request: Any, context: Any) -> workflow_pb2.InvokeWorkflowOperationResponse:
        operation = request.target.plugin.operation or request.target.agent.provider_name
        self.requests.append(request)
        self.deadlines.append(None if context is None else context.time_remaining())
        self.active[operation] += 1
        try:
            if self.during is not None:
                await self.during(request)
            if operation in self.gates:
                await self.gates[operation].wait()
            if operation in self.errors:
                await context.abort(*self.errors[operation])
            status, body = self.answers.get(operation, (200, "ok"))
            return workflow_pb2.InvokeWorkflowOperationResponse(status=status, body=body)
        finally:
            self.active[operation] -= 1

    def run_ids(self) -> list[str]:
        return [request.run_id for request in self.requests]

    async def invoked(self, count: int, *, within_s: float = 10) -> list[workflow_pb2.InvokeWorkflowOperationRequest]:
        """Wait until there have been that many invocations."""

        async def probe() -> bool | None:
            return True if len(self.requests) >= count else None

        await eventually(probe, within_s=within_s)
        return self.requests


class CountingStore:
    """Stands between provider and store and counts what goes by: calls, and frames of streams in one direction."""

    def __init__(self, target: str, *, without_extensions: bool = False) -> None:
        self._target = target
        self._without_extensions = without_extensions
        self.messages: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        """For each object store, the Apply calls that write to it."""
        self.answered: Callable[[str], Awaitable[None]] | None = None
        """Called with the method when the store has answered a unary call, before the provider gets to know."""

    @property
    def count(self) -> int:
        return self.messages.total()

    @asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator[CountingStore]:
        async with grpc.aio.insecure_channel(f"unix:{self._target}", options=CHANNEL_OPTIONS) as channel:
            self._channel = channel
            server = grpc.aio.server(options=SERVER_OPTIONS)
            server.add_generic_rpc_handlers([_Relay(self)])
            server.add_insecure_port(f"unix:{socket}")
            await server.start()
            try:
                yield self
            finally:
                await server.stop(0.2)

    def handler(self, path: str) -> grpc.RpcMethodHandler | None:
        service, _, method = path.strip("/").rpartition("/")
        if self._without_extensions and "extension" in service:
            return None
        if method in ("Transaction", "OpenCursor"):
            return grpc.stream_stream_rpc_method_handler(partial(self._stream, path))
        return grpc.unary_unary_rpc_method_handler(partial(self._unary, path))

    async def _unary(self, path: str, request: bytes, context: Any) -> bytes:
        self.messages[path.rpartition("/")[2]] += 1
        if path.endswith("/Apply"):
            entries = batch_pb2.ApplyRequest.FromString(request).entries
            self.writes.update({entry.store for entry in entries if entry.WhichOneof("operation") != "check"})
        try:
            response = await self._channel.unary_unary(path)(request, timeout=30)
            if self.answered is not None:
                await self.answered(path.rpartition("/")[2])
            return response
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))
            raise

    async def _stream(self, path: str, requests: Any, context: Any) -> AsyncIterator[bytes]:
        name = path.rpartition("/")[2]

        async def counted() -> AsyncIterator[bytes]:
            async for request in requests:
                self.messages[name] += 1
                yield request

        try:
            async for response in self._channel.stream_stream(path)(counted()):
                yield response
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")


class _Relay(grpc.GenericRpcHandler):
    def __init__(self, store: CountingStore) -> None:
        self._store = store

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._store.handler(details.method)


class Rig:
    """Store, host and any number of provider processes in one scratch directory."""

    def __init__(self, directory: Path, stack: AsyncExitStack, store: dict[str, Any] | None = None) -> None:
        self.directory = directory
        self.host = ScriptedHost()
        self._stack = stack
        config = store or {"dsn": f"sqlite://{directory}/state.db"}
        self.store = ProviderProcess("store", STORE.text, directory, {}, config)
        self.counting: CountingStore | None = None
        self.host_socket = directory / "host.sock"
        """Where the next provider finds its host."""
        self.environ: dict[str, str] = {}
        """What else the next provider finds in its environment."""
        self._providers = 0

    @property
    def database_store(self) -> datastore_pb2_grpc.IndexedDBStub:
        return datastore_pb2_grpc.IndexedDBStub(self.store.channel)

    async def count_messages(self, *, without_extensions: bool = False) -> CountingStore:
        """From the next provider on, count what providers and store exchange."""
        counting = CountingStore(str(self.store.socket), without_extensions=without_extensions)
        self.counting = await self._stack.enter_async_context(counting.serving(self.directory / "counting.sock"))
        return counting

    async def provider(self, *, start: bool = True, name: str = "", **config: Any) -> Workflow:
        """A provider process that runs, by default configured to notice things soon."""
        self._providers += 1
        name = name or f"w{self._providers}"
        store = self.directory / "counting.sock" if self.counting is not None else self.store.socket
        environ = {
            "GESTALT_INDEXEDDB_SOCKET": str(store),
            "GESTALT_WORKFLOW_HOST_SOCKET": str(self.host_socket),
            **self.environ,
        }
        process = ProviderProcess(name, WORKFLOW.text, self.directory, environ, {"pollInterval": "100ms", **config})
        self._stack.push_async_callback(process.kill)
        await process.boot(start=start)
        return Workflow(process)


class Workflow:
    """A provider as its host calls it, with the few shapes that tests need."""

    def __init__(self, process: ProviderProcess) -> None:
        self.process = process

    @property
    def rpc(self) -> workflow_pb2_grpc.WorkflowProviderStub:
        return workflow_pb2_grpc.WorkflowProviderStub(self.process.channel)

    async def start_run(self, operation: str = "run", **fields: Any) -> workflow_pb2.BoundWorkflowRun:
        request = workflow_pb2.StartWorkflowProviderRunRequest(target=target(operation), **fields)
        return await self.rpc.StartRun(request, timeout=DEADLINE_S)

    async def get_run(self, run_id: str) -> workflow_pb2.BoundWorkflowRun:
        request = workflow_pb2.GetWorkflowProviderRunRequest(run_id=run_id)
        return await self.rpc.GetRun(request, timeout=DEADLINE_S)

    async def list_runs(self) -> list[workflow_pb2.BoundWorkflowRun]:
        response = await self.rpc.ListRuns(workflow_pb2.ListWorkflowProviderRunsRequest(), timeout=DEADLINE_S)
        return list(response.runs)

    async def cancel_run(self, run_id: str, reason: str = "") -> workflow_pb2.BoundWorkflowRun:
        request = workflow_pb2.CancelWorkflowProviderRunRequest(run_id=run_id, reason=reason)
        return await self.rpc.CancelRun(request, timeout=DEADLINE_S)

    async def run_in(self, run_id: str, *statuses: int, within_s: float = 10) -> workflow_pb2.BoundWorkflowRun:
        """Wait until the run has one of these statuses, any terminal one by default."""
        wanted = statuses or (SUCCEEDED, FAILED, CANCELED)

        async def probe() -> workflow_pb2.BoundWorkflowRun | None:
            run = await self.get_run(run_id)
            return run if run.status in wanted else None

        return await eventually(probe, within_s=within_s)

    async def upsert_trigger(self, trigger_id: str, type: str = "t", operation: str = "run", **fields: Any) -> Any:
        request = workflow_pb2.UpsertWorkflowProviderEventTriggerRequest(
            trigger_id=trigger_id,
            match=fields.pop("match", None) or workflow_pb2.WorkflowEventMatch(type=type),
            target=fields.pop("target", None) or target(operation),
            **fields,
        )
        return await self.rpc.UpsertEventTrigger(request, timeout=DEADLINE_S)

    async def publish(self, event_id: str = "", type: str = "t", source: str = "s", **fields: Any) -> None:
        event = workflow_pb2.WorkflowEvent(id=event_id, type=type, source=source)
        request = workflow_pb2.PublishWorkflowProviderEventRequest(event=event, **fields)
        await self.rpc.PublishEvent(request, timeout=DEADLINE_S)

    async def upsert_schedule(self, schedule_id: str, cron: str = "* * * * *", **fields: Any) -> Any:
        request = workflow_pb2.UpsertWorkflowProviderScheduleRequest(
            schedule_id=schedule_id, cron=cron, target=fields.pop("target", None) or target(), **fields
        )
        return await self.rpc.UpsertSchedule(request, timeout=DEADLINE_S)

    async def get_schedule(self, schedule_id: str) -> workflow_pb2.BoundWorkflowSchedule:
        request = workflow_pb2.GetWorkflowProviderScheduleRequest(schedule_id=schedule_id)
        return await self.rpc.GetSchedule(request, timeout=DEADLINE_S)

    async def signal(self, run_id: str, name: str = "go", **fields: Any) -> workflow_pb2.SignalWorkflowRunResponse:
        signal = workflow_pb2.WorkflowSignal(name=name, **fields)
        request = workflow_pb2.SignalWorkflowProviderRunRequest(run_id=run_id, signal=signal)
        return await self.rpc.SignalRun(request, timeout=DEADLINE_S)

    async def signal_or_start(
        self, key: str, name: str = "go", *, operation: str = "run", created_by: Any = None, **fields: Any
    ) -> workflow_pb2.SignalWorkflowRunResponse:
        signal = workflow_pb2.WorkflowSignal(name=name, **fields)
        request = workflow_pb2.SignalOrStartWorkflowProviderRunRequest(
            workflow_key=key, target=target(operation), signal=signal, created_by=created_by
        )
        return await self.rpc.SignalOrStartRun(request, timeout=DEADLINE_S)

    async def put_reference(self, reference_id: str, **fields: Any) -> workflow_pb2.WorkflowExecutionReference:
        fields = {"target": target(), "subject_id": "user:alice", **fields}
        reference = workflow_pb2.WorkflowExecutionReference(id=reference_id, **fields)
        request = workflow_pb2.PutWorkflowExecutionReferenceRequest(reference=reference)
        return await self.rpc.PutExecutionReference(request, timeout=DEADLINE_S)

    async def get_reference(self, reference_id: str) -> workflow_pb2.WorkflowExecutionReference:
        request = workflow_pb2.GetWorkflowExecutionReferenceRequest(id=reference_id)
        return await self.rpc.GetExecutionReference(request, timeout=DEADLINE_S)


def target(operation: str = "run", plugin: str = "svc", **fields: Any) -> workflow_pb2.BoundWorkflowTarget:
    return workflow_pb2.BoundWorkflowTarget(
        plugin=workflow_pb2.BoundWorkflowPluginTarget(plugin_name=plugin, operation=operation, **fields)
    )


def actor(subject_id: str) -> workflow_pb2.WorkflowActor:
    return workflow_pb2.WorkflowActor(subject_id=subject_id, subject_kind=subject_id.partition(":")[0])


def struct(**fields: Any) -> struct_pb2.Struct:
    return to_struct(fields)


def seconds(value: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=value))
    return duration


def timestamp(moment: datetime) -> Any:
    return to_timestamp(moment)


async def quiet(counting: CountingStore, *, less: str = "") -> None:
    """Wait until nothing goes by any more, but for calls of the method ``less``."""

    def seen() -> int:
        return counting.count - counting.messages[less]

    async def probe() -> bool | None:
        before = seen()
        await observed_for(0.15)
        return True if seen() == before else None

    await eventually(probe)


async def looked_again(counting: CountingStore, times: int) -> None:
    """Wait until a provider has asked its store that often again."""
    before = counting.count

    async def looked() -> bool | None:
        return True if counting.count >= before + times else None

    await eventually(looked)


async def all_ended(workflow: Workflow, count: int) -> list[workflow_pb2.BoundWorkflowRun]:
    async def probe() -> list[workflow_pb2.BoundWorkflowRun] | None:
        runs = await workflow.list_runs()
        return runs if len(runs) >= count and all(run.status > RUNNING for run in runs) else None

    return await eventually(probe, within_s=30)


async def make_due(rig: Rig, *schedule_ids: str, missed: timedelta = timedelta(minutes=2)) -> None:
    """Set back our own record of when each of these fires next; ours."""
    slot = datetime.now(UTC).replace(second=0, microsecond=0) - missed
    async with IndexedDB.over(rig.store.channel) as db:
        schedules = db.store("wf_schedules")
        for schedule_id in schedule_ids:
            record = await schedules.get(schedule_id)
            await schedules.put({**record, "next_run_at": slot, "due_at": slot})


@asynccontextmanager
async def open_rig(dump: Path | None = None, *, store: dict[str, Any] | None = None) -> AsyncIterator[Rig]:
    """A rig whose store begins empty, or from an SQLite dump of our own store's file.

    ``store``: the store's configuration; an SQLite file of the rig's own by default.
    """
    directory = Path(tempfile.mkdtemp(prefix="gwf-", dir="/tmp"))
    try:
        if dump is not None:
            with closing(sqlite3.connect(directory / "state.db")) as database:
                database.executescript(dump.read_text())
        async with AsyncExitStack() as stack:
            rig = Rig(directory, stack, store)
            server = grpc.aio.server(options=SERVER_OPTIONS)
            workflow_pb2_grpc.add_WorkflowHostServicer_to_server(rig.host, server)
            server.add_insecure_port(f"unix:{directory}/host.sock")
            await server.start()
            stack.push_async_callback(server.stop, 0.2)
            stack.push_async_callback(rig.store.kill)
            await rig.store.boot(start=False)
            yield rig
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def slots_of(workflow: Workflow) -> slots_pb2_grpc.WorkflowSlotsStub:
    return slots_pb2_grpc.WorkflowSlotsStub(workflow.process.channel)


async def preview(workflow: Workflow, **fields: Any) -> slots_pb2.PreviewSlotsResponse:
    return await slots_of(workflow).PreviewSlots(slots_pb2.PreviewSlotsRequest(**fields), timeout=DEADLINE_S)
