"""A provider process from start to end: health, reflection, configure, signals, the host's death, sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket as sockets
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gestalt_sdk.gen.extension.v1 import check_pb2, check_pb2_grpc, metrics_pb2_grpc
from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc, runtime_pb2, runtime_pb2_grpc
from gestalt_sdk.transport.environment import Address
from gestalt_sdk.transport.faults import TRAILER_TEXT_BYTES
from gestalt_sdk.transport.values import to_struct
from tests.support.rigs import grpc_calls
from tests.support.rigs.provider_process import ProviderProcess, provider_environment, provider_process
from tests.support.waiting import eventually

WORKFLOW = """
import asyncio, os, pathlib
import grpc
from gestalt_sdk.bases.provider import Provider, ProviderKind

class Probe(Provider):
    kind = ProviderKind.WORKFLOW
    display_name, description, version, capabilities = "Probe", "A probe", "1.2.3", ("workflow.retarget",)

    def register(self, server):
        async def hang(request, context):
            await asyncio.Event().wait()
        handler = grpc.unary_unary_rpc_method_handler(hang)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("probe.Probe", {"Hang": handler})])
        return ["gestalt.provider.v1.WorkflowProvider"]

    async def configure(self, name, config):
        if config.get("refuse"):
            raise ValueError(f"config.refuse is {config['refuse']!r}")
        self.config = config
        self.warnings = [f"unknown key {key}" for key in config if key == "odd"]

    async def start(self):
        if self.config.get("unstartable"):
            raise RuntimeError("not today")

    async def health(self):
        if not self.name:
            raise RuntimeError("not configured")

    def _note(self, word):
        with open(os.environ["NOTES"], "a") as file:
            file.write(word + "\\n")

    async def drain(self):
        self._note("drain")
        if os.environ.get("DRAIN"):
            await asyncio.sleep(float(os.environ["DRAIN"]))

    async def close(self):
        self._note("close")

provider = Probe
"""
LIFECYCLE = "gestalt.provider.v1.ProviderLifecycle"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def probe(root: Path, **variables: str) -> Any:
    return provider_process(root, WORKFLOW, "workflow", variables={"NOTES": str(root / "notes"), **variables})


def notes(root: Path) -> list[str]:
    path = root / "notes"
    return path.read_text().split() if path.exists() else []


async def health_of(running: ProviderProcess, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(running.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5, wait_for_ready=True)).status


def lifecycle(running: ProviderProcess) -> runtime_pb2_grpc.ProviderLifecycleStub:
    return runtime_pb2_grpc.ProviderLifecycleStub(running.channel)


def configuration(version: int = 3, **config: object) -> runtime_pb2.ConfigureProviderRequest:
    return runtime_pb2.ConfigureProviderRequest(
        name="local", config=to_struct(config) if config else None, protocol_version=version
    )


async def test_identity_configure_health_and_start(tmp_path: Path) -> None:
    async with probe(tmp_path) as running:
        stub = lifecycle(running)
        identity = await stub.GetProviderIdentity(Empty(), timeout=5, wait_for_ready=True)
        assert (identity.kind, identity.name) == (runtime_pb2.PROVIDER_KIND_WORKFLOW, "")
        assert (identity.min_protocol_version, identity.max_protocol_version) == (3, 3)
        assert list(identity.capabilities) == ["workflow.retarget"]
        assert await health_of(running) == NOT_SERVING == await health_of(running, LIFECYCLE)
        ready = await stub.HealthCheck(Empty(), timeout=5)
        assert (ready.ready, ready.message) == (False, "not configured")

        answer = await stub.ConfigureProvider(configuration(odd=1), timeout=5)
        assert answer.protocol_version == 3
        assert await eventually(lambda: _serving(running, LIFECYCLE))
        assert await health_of(running) == SERVING
        identity = await stub.GetProviderIdentity(Empty(), timeout=5)
        assert (identity.name, identity.display_name, identity.version) == ("local", "Probe", "1.2.3")
        assert list(identity.warnings) == ["unknown key odd"]
        assert (await stub.HealthCheck(Empty(), timeout=5)).ready
        for _ in range(2):
            assert (await stub.StartProvider(Empty(), timeout=5)).protocol_version == 3


async def _serving(running: ProviderProcess, service: str) -> bool | None:
    return True if await health_of(running, service) == SERVING else None


async def test_a_refused_configuration_may_be_followed_by_a_good_one(tmp_path: Path) -> None:
    async with probe(tmp_path) as running:
        stub = lifecycle(running)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.ConfigureProvider(configuration(refuse="x"), timeout=5, wait_for_ready=True)
        assert failed.value.code() is grpc.StatusCode.UNKNOWN
        assert failed.value.details() == "configure provider: config.refuse is 'x'"
        assert await health_of(running) == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.ConfigureProvider(configuration(version=2), timeout=5)
        assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert failed.value.details() == "host requested protocol version 2, provider requires 3"
        await stub.ConfigureProvider(configuration(unstartable=True), timeout=5)
        assert await eventually(lambda: _serving(running, ""))
        with pytest.raises(grpc.aio.AioRpcError, match="start provider: not today"):
            await stub.StartProvider(Empty(), timeout=5)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_services(tmp_path: Path, version: str) -> None:
    async with probe(tmp_path) as running:
        await health_of(running)
        names = await asyncio.to_thread(grpc_calls.services, running.socket, version=version)
        assert {LIFECYCLE, "gestalt.provider.v1.WorkflowProvider", "grpc.health.v1.Health"} <= names


async def test_the_socket_is_private(tmp_path: Path) -> None:
    async with probe(tmp_path) as running:
        assert stat.S_IMODE(running.socket.stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_closes_and_exits_0(tmp_path: Path, number: signal.Signals) -> None:
    async with probe(tmp_path) as running:
        await health_of(running)
        running.process.send_signal(number)
        assert await running.stopped() == 0
        assert notes(tmp_path) == ["drain", "close"]
        assert not running.socket.exists()


async def test_calls_are_answered_during_the_drain_and_health_is_not_serving(tmp_path: Path) -> None:
    async with probe(tmp_path, DRAIN="60") as running:
        await lifecycle(running).ConfigureProvider(configuration(), timeout=5, wait_for_ready=True)
        running.process.send_signal(signal.SIGTERM)
        await eventually(lambda: _noted(tmp_path, "drain"))
        assert await health_of(running) == NOT_SERVING
        assert (await lifecycle(running).HealthCheck(Empty(), timeout=5)).ready
        running.process.send_signal(signal.SIGTERM)  # a second one ends the drain
        assert await running.stopped() == 0
        assert notes(tmp_path) == ["drain", "close"]


async def _noted(root: Path, word: str) -> bool | None:
    return True if word in notes(root) else None


async def test_a_call_that_never_ends_does_not_keep_the_process(tmp_path: Path) -> None:
    async with probe(tmp_path) as running:
        await health_of(running)
        hang = running.channel.unary_unary("/probe.Probe/Hang")
        calls = [asyncio.ensure_future(hang(b"", timeout=30)) for _ in range(2)]
        watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        assert await asyncio.wait_for(running.terminate(), timeout=5) == 0
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        watch.cancel()


async def test_the_provider_ends_when_its_host_dies(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(WORKFLOW)
    host = """
import os, subprocess, sys, time
env = dict(os.environ, GESTALT_PLUGIN_PARENT_PID=str(os.getpid()))
child = subprocess.Popen([sys.executable, "-m", "gestalt_sdk.run", sys.argv[1], "probe", "workflow"], env=env)
print(child.pid, flush=True)
time.sleep(600)
"""
    socket = tmp_path / "s"
    environment = provider_environment(GESTALT_PLUGIN_SOCKET=str(socket), NOTES=str(tmp_path / "notes"), DRAIN="60")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", host, str(tmp_path), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())

    async def listening() -> bool | None:
        return True if socket.exists() else None

    async def ended() -> bool | None:
        return True if _state(pid) == "Z" else None

    try:
        await eventually(listening)
        process.kill()
        await process.wait()
        await eventually(ended, within_s=3)
        assert notes(tmp_path) == ["drain", "close"]
        assert not socket.exists()
    finally:
        if await ended() is None:
            os.kill(pid, signal.SIGKILL)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


async def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    async with probe(tmp_path) as first:
        await health_of(first)
        path = first.socket
        first.process.kill()
        await first.stopped()
        assert path.exists()
        environment = provider_environment(GESTALT_PLUGIN_SOCKET=str(path), NOTES=str(tmp_path / "notes"))
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gestalt_sdk.run", str(tmp_path), "probe", "workflow",
            env=environment, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert await health_of(first) == NOT_SERVING
        finally:
            second.terminate()
            assert await second.wait() == 0


PLUGIN = """
from gestalt_sdk.plugin import Plugin, operation

class Probe(Plugin):
    display_name = "Probe"

    async def configure(self, name, config):
        if config.get("refuse"):
            raise ValueError("no")

    @operation("whoami")
    async def whoami(self):
        return self.name

plugin = Probe
"""


async def test_a_plugin_is_served_without_lifecycle_and_ready_after_start(tmp_path: Path) -> None:
    async with provider_process(tmp_path, PLUGIN, "integration", target="probe") as running:
        assert await health_of(running) == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await lifecycle(running).GetProviderIdentity(Empty(), timeout=5)
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
        stub = plugin_pb2_grpc.IntegrationProviderStub(running.channel)
        metadata = await stub.GetMetadata(Empty(), timeout=5)
        assert metadata.display_name == "Probe"
        assert not metadata.supports_post_connect
        assert [operation.id for operation in metadata.static_catalog.operations] == ["whoami"]
        with pytest.raises(grpc.aio.AioRpcError, match="configure provider: no"):
            await stub.StartProvider(
                plugin_pb2.StartProviderRequest(name="p", config=to_struct({"refuse": 1}), protocol_version=3),
                timeout=5,
            )
        with pytest.raises(grpc.aio.AioRpcError, match="requires 3"):
            await stub.StartProvider(plugin_pb2.StartProviderRequest(name="p", protocol_version=4), timeout=5)
        answer = await stub.StartProvider(plugin_pb2.StartProviderRequest(name="p", protocol_version=3), timeout=5)
        assert answer.protocol_version == 3
        assert await eventually(lambda: _serving(running, "gestalt.provider.v1.IntegrationProvider"))
        result = await stub.Execute(plugin_pb2.ExecuteRequest(operation="whoami"), timeout=5)
        assert (result.status, result.body) == (200, '"p"')
        assert await running.terminate() == 0


def run(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gestalt_sdk.run", *arguments]
    environment = provider_environment(**variables)
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=root, timeout=30)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere", "probe"], "root 'nowhere' is not a directory"),
        ([".", "absent"], "there is no module 'absent' under the root"),
        ([".", "broken"], "module 'broken' needs 'nothing_of_the_kind', which is not installed"),
        ([".", "wrong"], "module 'wrong' cannot be imported: ZeroDivisionError"),
        ([".", "undeclared"], "operation id is 'a b'; accepted are words of letters, digits, _ and -, joined by dots"),
        ([".", "undeclared"], "/undeclared.py:4)"),
        ([".", "unread"], "SyntaxError: "),
        ([".", "unread"], "/unread.py:2)"),
        ([".", "empty"], "module 'empty' has none of the attributes integration, provider, plugin"),
        ([".", "empty:thing"], "module 'empty' has no attribute 'thing'"),
        ([".", "empty:NUMBER"], "empty:NUMBER is a int; accepted are a Provider"),
        ([".", "empty:make"], "empty:make made a dict, not a Provider"),
        ([".", "probe", "toaster"], "kind is 'toaster'; accepted are agent, authentication"),
        ([".", "probe", "workflow"], "probe:plugin is a provider of kind integration, but is to be served as workflow"),
    ],
)
def test_a_target_that_cannot_be_served_is_named_in_one_line(tmp_path: Path, arguments: list[str], text: str) -> None:
    (tmp_path / "probe.py").write_text(PLUGIN)
    (tmp_path / "broken.py").write_text("import nothing_of_the_kind")
    (tmp_path / "wrong.py").write_text("1 / 0")
    (tmp_path / "empty.py").write_text("NUMBER = 1\nmake = dict")
    (tmp_path / "unread.py").write_text("x = 1\ny = = 2")
    (tmp_path / "undeclared.py").write_text(
        "from gestalt_sdk.plugin import Plugin, operation\nclass P(Plugin):\n\n"
        "    @operation('a b')\n    async def a(self): return 1"
    )
    result = run(tmp_path, *arguments, GESTALT_PLUGIN_SOCKET=str(tmp_path / "s"))
    assert result.returncode == 1
    assert text in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_wrong_usage_and_environment(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PLUGIN)
    assert run(tmp_path, ".").returncode == 2
    result = run(tmp_path, ".", "probe")
    assert result.returncode == 1
    assert "GESTALT_PLUGIN_SOCKET is not set" in result.stderr
    result = run(tmp_path, ".", "probe", GESTALT_PLUGIN_SOCKET="ftp://x")
    assert result.returncode == 1
    assert "GESTALT_PLUGIN_SOCKET is 'ftp://x'; accepted are" in result.stderr
    result = run(tmp_path, ".", "probe", GESTALT_PLUGIN_SOCKET=str(tmp_path / "no" / "such" / "s"))
    assert result.returncode == 1
    assert "which cannot be bound" in result.stderr


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PLUGIN)
    (tmp_path / "s").write_text("precious")
    result = run(tmp_path, ".", "probe", GESTALT_PLUGIN_SOCKET=str(tmp_path / "s"))
    assert result.returncode == 1
    assert (tmp_path / "s").read_text() == "precious"


async def test_tcp_addresses_are_served(tmp_path: Path) -> None:
    with sockets.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "probe.py").write_text(PLUGIN)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gestalt_sdk.run", str(tmp_path), "probe",
        env=provider_environment(GESTALT_PLUGIN_SOCKET=f"tcp://127.0.0.1:{port}"), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with grpc.aio.insecure_channel(Address(f"127.0.0.1:{port}").target) as channel:
            stub = plugin_pb2_grpc.IntegrationProviderStub(channel)
            await stub.GetMetadata(Empty(), timeout=10, wait_for_ready=True)
    finally:
        process.terminate()
        assert await process.wait() == 0


JUDGED = WORKFLOW.replace(
    'capabilities = "Probe", "A probe", "1.2.3", ("workflow.retarget",)',
    'capabilities = "", "", "", ()',
)
JUDGED = JUDGED.replace(
    "    async def start(self):",
    """    async def check(self, name, config):
        raise KeyError("n" * 10_000)

    async def metrics(self):
        raise KeyError("secret")

    async def start(self):""",
)


async def test_a_bug_in_an_optional_hook_is_told_in_bounds_and_logged(tmp_path: Path) -> None:
    async with provider_process(tmp_path, JUDGED, "workflow", variables={"NOTES": str(tmp_path / "notes")}) as running:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await check_pb2_grpc.ProviderCheckStub(running.channel).CheckConfig(
                check_pb2.CheckConfigRequest(name="local"), timeout=5, wait_for_ready=True
            )
        assert failed.value.code() is grpc.StatusCode.UNKNOWN
        text = failed.value.details() or ""
        assert text.startswith("check config: 'nnnn")
        assert len(text.encode()) <= TRAILER_TEXT_BYTES

        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await metrics_pb2_grpc.ProviderMetricsStub(running.channel).ReadMetrics(Empty(), timeout=5)
        assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.INTERNAL, "internal error")
        identity = await lifecycle(running).GetProviderIdentity(Empty(), timeout=5)
        assert list(identity.capabilities) == ["provider.check", "provider.metrics"]
