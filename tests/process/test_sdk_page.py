"""docs/sdk.md, run as it stands: its files served by a host or as processes, its commands typed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.gen.extension.v1 import metrics_pb2_grpc
from gestalt_sdk.gen.v1 import runtime_pb2, runtime_pb2_grpc, workflow_pb2, workflow_pb2_grpc
from gestalt_sdk.indexeddb import IndexedDB, IndexSchema, NotFound, ObjectStoreSchema, StoreRefused, TransactionFailed
from gestalt_sdk.transport import Address
from gestalt_sdk.workflow import PluginTarget, target_to_proto
from tests.support.commands import ROOT
from tests.support.pages import blocks, commands
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.rigs.provider_process import ProviderProcess, provider_process
from tests.support.rigs.replay import type_command
from tests.support.rigs.store import StoreProcess, short_folder
from tests.support.waiting import eventually, until

BLOCKS = list(blocks((ROOT / "docs" / "sdk.md").read_text()))
FILES = {block.file: block.text for block in BLOCKS if block.file}
CONSOLES = [block for block in BLOCKS if block.language == "console"]
SECTIONS = list(dict.fromkeys(console.section for console in CONSOLES))
KEY = {"GESTALT_ENCRYPTION_KEY": "a key for tests only"}
pytestmark = pytest.mark.timeout(300)


def write(folder: Path) -> Path:
    """Write every file of the page."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    folder = write(tmp_path_factory.mktemp("served"))
    port = free_port()
    (folder / "port.yaml").write_text(json.dumps({"server": {"public": {"port": port}}}))
    configs = [folder / name for name in ("gestalt.yaml", "gestalt-notes.yaml", "gestalt-later.yaml", "port.yaml")]
    served = Gestaltd(configs, {**KEY, "PWD": str(folder)}, port, folder)
    try:
        served.start()
        yield served
    finally:
        served.stop()


@pytest.mark.parametrize("section", SECTIONS)
def test_each_command_prints_what_the_page_shows(section: str, host: Gestaltd, tmp_path: Path) -> None:
    folder = write(tmp_path)
    environment = {
        **{name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ},
        **KEY,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GESTALT_URL": host.url,
        "PWD": str(folder),
    }
    for console in CONSOLES:
        if console.section == section:
            for command, shown in commands(console):
                if not command.startswith(("export ", "gestaltd serve")):  # the host is there already
                    type_command(command, shown, folder, environment)


def test_events_and_runs_of_the_notes_plugin_reach_their_targets(host: Gestaltd) -> None:
    assert host.post("/notes/follow", {}).status_code == 200
    started = {host.post("/notes/later", {"provider": name}).json()["run"] for name in ("local", "later")}
    assert host.post("/notes/add", {"text": "tea"}).status_code == 201
    assert host.post("/notes/add", {"text": "t" * 101}).status_code == 400

    def succeeded() -> list[Any]:
        runs = host.get("/workflow/runs")
        return [run for run in runs if run["status"] == "succeeded"]

    until(
        lambda: (
            started <= {run["id"] for run in succeeded()}
            and any(run["trigger"].get("event") and run["target"]["plugin"]["name"] == "greeter" for run in succeeded())
        ),
        within_s=30,
        what=lambda: str(host.get("/workflow/runs")),
    )
    assert "Traceback" not in host.log


class WorkflowHost(workflow_pb2_grpc.WorkflowHostServicer):
    """Answers the runs of the page's workflow provider."""

    async def InvokeOperation(self, request: Any, context: Any) -> workflow_pb2.InvokeWorkflowOperationResponse:
        if request.target.plugin.plugin_name == "gone":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no plugin")
        body = f"{request.target.plugin.operation} for {request.created_by.subject_id}"
        return workflow_pb2.InvokeWorkflowOperationResponse(status=200, body=body)


@asynccontextmanager
async def served_runs(folder: Path) -> AsyncIterator[ProviderProcess]:
    """Serve the page's workflow provider, configured and started, with a store and a host beside it."""
    server = grpc.aio.server()
    workflow_pb2_grpc.add_WorkflowHostServicer_to_server(WorkflowHost(), server)
    server.add_insecure_port(f"unix:{folder}/host.sock")
    await server.start()
    store = StoreProcess(folder, {"dsn": f"sqlite://{folder}/store.db"})
    store.start()
    variables = {
        "GESTALT_INDEXEDDB_SOCKET": str(store.socket),
        "GESTALT_WORKFLOW_HOST_SOCKET": f"{folder}/host.sock",
    }
    try:
        async with provider_process(folder, FILES["later/later.py"], "workflow", variables=variables) as running:
            yield running
    finally:
        store.stop()
        await server.stop(0)


async def test_the_workflow_provider_executes_its_runs() -> None:
    with short_folder() as folder:
        async with served_runs(Path(folder)) as running:
            lifecycle = runtime_pb2_grpc.ProviderLifecycleStub(running.channel)
            workflows = workflow_pb2_grpc.WorkflowProviderStub(running.channel)
            unready = await lifecycle.HealthCheck(Empty(), timeout=10, wait_for_ready=True)
            assert (unready.ready, unready.message) == (False, "not configured")
            request = runtime_pb2.ConfigureProviderRequest(name="later", protocol_version=3)
            await lifecycle.ConfigureProvider(request, timeout=10)
            await lifecycle.StartProvider(Empty(), timeout=10)
            assert (await lifecycle.HealthCheck(Empty(), timeout=10)).ready
            assert "provider.metrics" in (await lifecycle.GetProviderIdentity(Empty(), timeout=10)).capabilities

            async def ended(plugin: str) -> workflow_pb2.BoundWorkflowRun:
                start = workflow_pb2.StartWorkflowProviderRunRequest(
                    target=target_to_proto(PluginTarget(plugin, "list")),
                    idempotency_key=plugin,
                    created_by=workflow_pb2.WorkflowActor(subject_id="user:ada"),
                )
                first = await workflows.StartRun(start, timeout=10)
                again = await workflows.StartRun(start, timeout=10)
                assert first.id == again.id

                async def look() -> workflow_pb2.BoundWorkflowRun | None:
                    run = await workflows.GetRun(
                        workflow_pb2.GetWorkflowProviderRunRequest(run_id=first.id), timeout=10
                    )
                    return run if run.HasField("completed_at") else None

                return await eventually(look)

            run = await ended("notes")
            assert (run.status, run.result_body) == (workflow_pb2.WORKFLOW_RUN_STATUS_SUCCEEDED, "list for user:ada")
            run = await ended("gone")
            assert (run.status, run.status_message) == (workflow_pb2.WORKFLOW_RUN_STATUS_FAILED, "NOT_FOUND: no plugin")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await workflows.GetRun(workflow_pb2.GetWorkflowProviderRunRequest(run_id="x"), timeout=10)
            assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, "no run 'x'")
            (family,) = (await metrics_pb2_grpc.ProviderMetricsStub(running.channel).ReadMetrics(Empty())).families
            assert {sample.labels["outcome"]: sample.value for sample in family.samples} == {
                "succeeded": 1,
                "failed": 1,
            }
            assert await running.terminate() == 0


async def test_the_store_keeps_records() -> None:
    with short_folder() as folder:
        async with provider_process(Path(folder), FILES["shelf/shelf.py"], "indexeddb") as running:
            async with IndexedDB.connect(Address(f"unix:{running.socket}")) as db:
                await db.create_object_store("items")
                await db.store("items").put({"id": "a", "n": 1})
                assert await db.store("items").get("a") == {"id": "a", "n": 1}
                with pytest.raises(NotFound) as absent:
                    await db.store("items").get("b")
                assert absent.value.reason == "RECORD_NOT_FOUND"
                with pytest.raises(StoreRefused, match="this provider does not offer GetAll") as refused:
                    await db.store("items").get_all()
                assert refused.value.code == "UNIMPLEMENTED"
                with pytest.raises(TransactionFailed, match="this provider does not offer Transaction"):
                    async with db.transaction(["items"]):
                        pass
                assert not any("Traceback" in line for line in running.stderr)
                with pytest.raises(StoreRefused, match="a shelf has no indexes"):
                    await db.create_object_store("other", ObjectStoreSchema([IndexSchema("by_n", ["n"])]))
            assert await running.terminate() == 0
