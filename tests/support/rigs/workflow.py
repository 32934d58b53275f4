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
from google.protobuf.message import Message

from gestalt_host.verification.suites.workflow.client import CANCELED as CANCELED
from gestalt_host.verification.suites.workflow.client import FAILED as FAILED
from gestalt_host.verification.suites.workflow.client import PENDING as PENDING
from gestalt_host.verification.suites.workflow.client import RUNNING as RUNNING
from gestalt_host.verification.suites.workflow.client import SUCCEEDED as SUCCEEDED
from gestalt_host.verification.suites.workflow.client import MessageType, WorkflowClient
from gestalt_host.verification.suites.workflow.client import actor as actor
from gestalt_host.verification.suites.workflow.client import struct as struct
from gestalt_host.verification.suites.workflow.client import target as target
from gestalt_host.verification.suites.workflow.host import ScriptedHost as ScriptedHost
from gestalt_sdk.gen.extension.v1 import slots_pb2, slots_pb2_grpc
from gestalt_sdk.indexeddb import IndexedDB
from tests.support.waiting import observed_for

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import pytest
from google.protobuf import empty_pb2

from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2_grpc, runtime_pb2, runtime_pb2_grpc, workflow_pb2_grpc
from gestalt_sdk.transport.channels import CHANNEL_OPTIONS, SERVER_OPTIONS
from gestalt_sdk.transport.values import to_struct, to_timestamp
from tests.support.commands import ROOT, STORE, WORKFLOW
from tests.support.waiting import eventually

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


class Workflow(WorkflowClient):
    """A provider as its host calls it; an error of a call is an ``AioRpcError``."""

    def __init__(self, process: ProviderProcess) -> None:
        self.process = process

    @property
    def rpc(self) -> workflow_pb2_grpc.WorkflowProviderStub:
        return workflow_pb2_grpc.WorkflowProviderStub(self.process.channel)

    async def call(self, method: str, request: Message, answers: type[MessageType]) -> MessageType:
        answer: MessageType = await getattr(self.rpc, method)(request, timeout=DEADLINE_S)
        return answer


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
            rig.host.register(server)
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
