"""What is measured: the processes of one folder, under gestaltd or with a host here that answers at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.processes import CpuMeter
from gestalt_sdk.gen.extension.v1 import scopes_pb2, scopes_pb2_grpc, workflow_dispatch_pb2, workflow_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.gen.v1 import workflow_pb2_grpc
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.transport.channels import SERVER_OPTIONS
from gestalt_sdk.transport.streamed import answer_calls
from tests.support.commands import ROOT, STORE, WORKFLOW
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.rigs.workflow import CountingStore, ProviderProcess, Workflow
from tests.support.waiting import eventually

WORKERS = 64
WITHIN_S = 600.0
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
  bench: {{source: {{path: {root}/tests/support/plugins/rig/manifest.yaml}}}}
"""


class InstantHost(workflow_pb2_grpc.WorkflowHostServicer, workflow_dispatch_pb2_grpc.WorkflowDispatchServicer):
    """Answers every invocation at once.

    Attributes:
        invoked: Invocations so far.
        schedules: When each schedule's first run was invoked, in seconds since 1970, by schedule id.
        run_ids: The run of each of those.
    """

    def __init__(self) -> None:
        self.invoked = 0
        self.schedules: dict[str, float] = {}
        self.run_ids: dict[str, str] = {}

    async def InvokeOperation(self, request: Any, context: Any) -> pb.InvokeWorkflowOperationResponse:
        self.invoked += 1
        schedule_id = request.trigger.schedule.schedule_id
        if schedule_id and schedule_id not in self.schedules:
            self.schedules[schedule_id] = time.time()
            self.run_ids[schedule_id] = request.run_id
        return pb.InvokeWorkflowOperationResponse(status=200, body="{}")

    async def Dispatch(self, requests: Any, context: Any) -> None:
        async def invoke(request: Any) -> pb.InvokeWorkflowOperationResponse:
            return await self.InvokeOperation(request, context)

        await answer_calls(requests, context, workflow_dispatch_pb2.DispatchResults, invoke, _unexpected)

    async def until_invoked(self, count: int, within_s: float = WITHIN_S) -> None:
        """Wait until there have been that many invocations."""
        await until_true(lambda: self.invoked >= count, within_s)


def _unexpected(error: Exception) -> Any:
    raise error


async def until_true(probe: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    async def probed() -> bool | None:
        return probe() or None

    await eventually(probed, within_s=within_s)


@dataclass
class Alone:
    """Provider and store, with this process as their host; the provider is not started."""

    host: InstantHost
    db: IndexedDB
    workflow: Workflow
    store: ProviderProcess
    counting: CountingStore | None

    def meter(self) -> CpuMeter:
        return CpuMeter([("provider", self.workflow.process.pid), ("store", self.store.pid)])


class System:
    """A folder with a store of its own, and the processes that are started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @asynccontextmanager
    async def store(self) -> AsyncIterator[tuple[ProviderProcess, Path, IndexedDB]]:
        """The store process with the database that gestaltd gives its workflow provider, and the database's socket."""
        store = ProviderProcess("s", STORE.text, self.folder, {}, {"dsn": f"sqlite://{self.folder}/state.db"})
        try:
            await store.boot(start=False)
            socket = self.folder / "scope.sock"
            request = scopes_pb2.OpenScopeRequest(db="workflow", socket_path=str(socket))
            await scopes_pb2_grpc.IndexedDBScopesStub(store.channel).OpenScope(request)
            async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
                yield store, socket, IndexedDB.over(channel)
        finally:
            await store.end()

    @asynccontextmanager
    async def host(self, *, stream: bool = True) -> AsyncIterator[tuple[InstantHost, Path]]:
        instant, socket, server = InstantHost(), self.folder / "h.sock", grpc.aio.server(options=SERVER_OPTIONS)
        workflow_pb2_grpc.add_WorkflowHostServicer_to_server(instant, server)
        if stream:
            workflow_dispatch_pb2_grpc.add_WorkflowDispatchServicer_to_server(instant, server)
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        try:
            yield instant, socket
        finally:
            await server.stop(0)

    @asynccontextmanager
    async def provider(self, store: Path, host: Path) -> AsyncIterator[Workflow]:
        """The workflow provider on that store; not started."""
        environ = {"GESTALT_INDEXEDDB_SOCKET": str(store), "GESTALT_WORKFLOW_HOST_SOCKET": str(host)}
        process = ProviderProcess("w", WORKFLOW.text, self.folder, environ, {"workerCount": WORKERS})
        try:
            await process.boot(start=False)
            yield Workflow(process)
        finally:
            await process.end()

    @asynccontextmanager
    async def alone(self, *, stream: bool = True, counted: bool = False) -> AsyncIterator[Alone]:
        """``counted``: with a relay in this process between provider and store, that counts messages."""
        async with AsyncExitStack() as stack:
            store, socket, db = await stack.enter_async_context(self.store())
            counting = None
            if counted:
                counting = CountingStore(str(socket))
                socket = self.folder / "counting.sock"
                await stack.enter_async_context(counting.serving(socket))
            host, host_socket = await stack.enter_async_context(self.host(stream=stream))
            workflow = await stack.enter_async_context(self.provider(socket, host_socket))
            yield Alone(host, db, workflow, store, counting)

    def gestaltd(self) -> Gestaltd:
        port = free_port()
        config = self.folder / "gestalt.yaml"
        config.write_text(CONFIG.format(port=port, root=ROOT, folder=self.folder, workers=WORKERS))
        return Gestaltd([config], {}, port, self.folder)
