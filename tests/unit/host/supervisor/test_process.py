from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import signal
import stat
import sys
import tempfile
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from gestalt_host.errors import HostError
from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import (
    HostService,
    ProviderDown,
    ProviderProcess,
    ProviderStartFailed,
    State,
    Timings,
)
from gestalt_host.supervisor.directories import restore_directory
from gestalt_host.supervisor.launching import launch
from gestalt_host.supervisor.launching.child import Child
from gestalt_host.supervisor.output import ProviderOutput
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.gen.v1 import runtime_pb2_grpc
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address
from tests.support.rigs.supervisor import QUICK, WORKFLOW, new_process, own_directories
from tests.support.waiting import eventually

Launch = Callable[..., Awaitable[ProviderProcess]]
Script = Callable[..., LaunchCommand]


def notes(tmp_path: Path, what: str = "") -> list[dict[str, Any]]:
    path = tmp_path / "provider.log"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if what in ("", line["what"])]


async def ready_again(process: ProviderProcess, restarts: int) -> bool | None:
    return True if process.restarts >= restarts and process.is_ready else None


async def test_a_started_provider_is_identified_and_configured(
    launched: Launch, script: Script, tmp_path: Path
) -> None:
    process = await launched(script(WORKFLOW), config={"a": {"b": [1, True, None, "t"]}, "x": 1})

    assert process.state is State.READY
    assert process.identity.display_name == "Recording"
    assert process.identity.version == "1.2.3"
    assert process.identity.warnings == ("unknown key: x",)
    assert process.capabilities == {"workflow.retarget"}
    (configured,) = notes(tmp_path)
    assert configured["name"] == "local"
    assert configured["config"] == {"a": {"b": [1, True, None, "t"]}, "x": 1}


async def test_the_environment_is_built_from_scratch(
    launched: Launch, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SECRET", "must not be seen")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    command = script(WORKFLOW)
    command = LaunchCommand(command.args, {"PYTHONPATH": str(Path.cwd()), "BOTH": "command"})
    service = HostService("GESTALT_WORKFLOW_HOST_SOCKET", lambda server: [])

    process = await launched(
        command,
        env={"MINE": "1", "BOTH": "entry", "GESTALT_PLUGIN_SOCKET": "no"},
        services=(service,),
        sockets={"GESTALT_INDEXEDDB_SOCKET": "/x/scope.sock"},
    )

    env = notes(tmp_path)[0]["env"]
    inherited = {
        key: os.environ[key]
        for key in ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
        if key in os.environ
    }
    env.pop("LC_CTYPE", None)  # Python sets it for itself.
    env.pop("GRPC_ENABLE_FORK_SUPPORT", None)  # So does the SDK.
    assert env == {
        **inherited,
        "TZ": "Europe/Berlin",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(Path.cwd()),
        "MINE": "1",
        "BOTH": "entry",
        "GESTALT_PLUGIN_SOCKET": str(process.socket),
        "GESTALT_PLUGIN_PARENT_PID": str(os.getpid()),
        "GESTALT_PLUGIN_NAME": "local",
        "GESTALT_WORKFLOW_HOST_SOCKET": str(process.directory / "host-0.sock"),
        "GESTALT_INDEXEDDB_SOCKET": "/x/scope.sock",
    }


async def test_sockets_are_private_and_short(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW), services=(HostService("A_SOCKET", lambda server: []),))

    assert stat.S_IMODE(process.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(process.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE((process.directory / "host-0.sock").stat().st_mode) == 0o600
    assert len(str(process.directory / "host-0.sock")) < 60


async def test_host_services_accept_before_the_process_is_started(launched: Launch, script: Script) -> None:
    """The program talks to its host service before it serves anything itself."""
    source = """
        import os, sys, grpc
        from grpc_health.v1 import health_pb2, health_pb2_grpc
        from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
        channel = grpc.insecure_channel("unix:" + os.environ["GESTALT_WORKFLOW_HOST_SOCKET"])
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="gestalt.provider.v1.WorkflowHost"), timeout=0.5
        )
        assert answer.status == 1, answer
        names = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert "gestalt.provider.v1.WorkflowHost" in names, names
    """
    program = script(textwrap.dedent(source) + textwrap.dedent(WORKFLOW))
    service = HostService("GESTALT_WORKFLOW_HOST_SOCKET", lambda server: ["gestalt.provider.v1.WorkflowHost"])

    process = await launched(program, services=(service,))

    assert process.is_ready


async def test_a_provider_is_a_direct_child_without_standard_input(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW))

    status = Path(f"/proc/{process.pid}/status").read_text()
    assert f"PPid:\t{os.getpid()}\n" in status
    assert Path(f"/proc/{process.pid}/fd/0").readlink() == Path("/dev/null")
    assert Path(f"/proc/{process.pid}/cwd").readlink() == Path.cwd()


async def test_start_provider_is_sent_by_begin_and_after_every_restart(
    launched: Launch, script: Script, tmp_path: Path
) -> None:
    process = await launched(script(WORKFLOW))
    assert not notes(tmp_path, "start")

    await process.begin()
    assert len(notes(tmp_path, "start")) == 1

    os.kill(process.pid or 0, signal.SIGKILL)
    await eventually(lambda: ready_again(process, 1))
    assert [note["what"] for note in notes(tmp_path)] == ["configure", "start", "configure", "start"]


async def test_a_killed_provider_comes_back_on_the_same_channel(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW))
    stub = runtime_pb2_grpc.ProviderLifecycleStub(process.channel)
    channel, socket = process.channel, process.socket
    for kills in range(1, 4):
        first = process.pid
        os.kill(first or 0, signal.SIGKILL)
        await eventually(lambda kills=kills: ready_again(process, kills))  # type: ignore[misc]
        assert process.pid != first
        assert (process.channel, process.socket) == (channel, socket)
        assert (await stub.GetProviderIdentity(Empty(), timeout=5)).display_name == "Recording"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/tmp/gstp-x/plugin.sock"), "Read-only file system"),
        (HostError("/tmp/gstp-x is not this host's directory any more"), "their directory is not this host's any more"),
    ],
)
async def test_sockets_that_cannot_be_made_are_named_and_tried_again(
    launched: Launch, script: Script, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: str
) -> None:
    def fail(directory: Path) -> bool:
        raise error

    process = await launched(script(WORKFLOW))
    with monkeypatch.context() as patched:
        patched.setattr(launch, "restore_directory", fail)
        os.kill(process.pid or 0, signal.SIGKILL)

        async def tried_twice() -> bool | None:
            return True if process.restarts >= 2 else None

        await eventually(tried_twice)
        fault = process.report().last_fault
        assert fault is not None
        assert fault.text == f"it could not be started: its sockets cannot be made: {cause}"
        assert process.last_error == f'workflow "local": its sockets cannot be made: {error}'
    await eventually(lambda: ready_again(process, 3))


@pytest.mark.parametrize("is_stable", [False, True])
async def test_waits_grow_until_the_process_was_stable(launched: Launch, script: Script, is_stable: bool) -> None:
    first_s = 0.05
    timings = replace(QUICK, backoff_initial_s=first_s, backoff_cap_s=30, stable_after_s=0 if is_stable else 600)
    with capture_logs() as lines:
        process = await launched(script(WORKFLOW), timings=timings)
        for kills in range(1, 5):
            os.kill(process.pid or 0, signal.SIGKILL)
            await eventually(lambda kills=kills: ready_again(process, kills))  # type: ignore[misc]
    waits = [line["wait_s"] for line in lines if line.get("event_name") == "provider.restarting"]
    for number, wait_s in enumerate(waits):
        longest_s = first_s if is_stable else first_s * 2**number
        assert longest_s / 2 <= wait_s + 0.001, waits
        assert wait_s - 0.001 <= longest_s, waits
    assert len(waits) == 4


async def test_removed_sockets_are_told_and_made_again_by_a_restart(launched: Launch, script: Script) -> None:
    def register(server: grpc.aio.Server) -> list[str]:
        return []

    process = await launched(script(WORKFLOW), services=(HostService("A_SOCKET", register),))
    assert process.lack == ""
    (process.directory / "host-0.sock").unlink()
    assert "a socket of it has been removed" in process.lack
    shutil.rmtree(process.directory)
    assert "a socket of it has been removed" in process.lack
    os.kill(process.pid or 0, signal.SIGKILL)
    await eventually(lambda: ready_again(process, 1))
    assert process.lack == ""
    assert stat.S_IMODE(process.directory.stat().st_mode) == 0o700
    async with open_channel(Address(f"unix:{process.directory / 'host-0.sock'}")) as channel:
        async with asyncio.timeout(30):
            await channel.channel_ready()


async def test_a_directory_that_belongs_to_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").symlink_to(tmp_path / "theirs")
    with pytest.raises(HostError, match="is not this host's directory any more"):
        restore_directory(tmp_path / "ours")


async def test_waiting_for_a_restarting_provider_ends_when_it_is_ready(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW))
    os.kill(process.pid or 0, signal.SIGKILL)

    async def down() -> bool | None:
        return True if process.state is State.RESTARTING else None

    await eventually(down)
    assert process.last_error == "process ended (signal SIGKILL)"
    await process.wait_ready(10)
    assert process.state is State.READY
    assert process.last_error == ""


async def test_an_early_exit_names_the_exit_status(script: Script) -> None:
    process = new_process(script("raise SystemExit(3)"))
    with pytest.raises(ProviderStartFailed) as failure:
        await process.start()
    assert str(failure.value) == ('workflow "local": plugin process exited before serving gRPC (exit status 3)')
    assert process.state is State.FAILED
    with pytest.raises(ProviderDown, match="exit status 3"):
        await process.wait_ready(1)


async def test_a_provider_that_never_serves_is_ended(script: Script, tmp_path: Path) -> None:
    process = new_process(script("import time; time.sleep(60)"), timings=Timings(start_timeout_s=0.3, stop_grace_s=0.5))
    with pytest.raises(ProviderStartFailed, match=r"did not serve gRPC within 0.3 s"):
        await process.start()
    assert process.pid is None


async def test_a_command_that_cannot_be_executed_is_named() -> None:
    process = new_process(LaunchCommand(("/nonexistent/provider",)))
    with pytest.raises(ProviderStartFailed, match=r"cannot execute /nonexistent/provider: No such file or directory"):
        await process.start()


async def test_an_executable_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    program = tmp_path / "fresh"
    shutil.copyfile("/bin/true", program)
    program.chmod(0o700)
    writing = program.open("ab")
    asyncio.get_running_loop().call_later(0.15, writing.close)
    child = await Child.spawn([str(program)], {}, ProviderOutput("fresh", "workflow"))
    assert await child.wait() == 0
    with program.open("ab"), pytest.raises(ProviderStartFailed, match=r"cannot execute .*: Text file busy"):
        await Child.spawn([str(program)], {}, ProviderOutput("fresh", "workflow"))


async def test_a_refused_configuration_is_reported_once_and_not_retried(script: Script) -> None:
    process = new_process(script(WORKFLOW), config={"refuse": "dsn: not a URL"})
    with pytest.raises(ProviderStartFailed) as failure:
        await process.start()
    assert str(failure.value) == 'workflow "local": configure provider: dsn: not a URL'
    assert process.pid is None


async def test_a_provider_of_another_kind_is_refused(script: Script) -> None:
    process = new_process(script(WORKFLOW), ProviderKind.INDEXEDDB)
    with pytest.raises(ProviderStartFailed, match="provider kind mismatch: got workflow, want indexeddb"):
        await process.start()


async def test_an_empty_config_leaves_the_field_unset(launched: Launch, script: Script, tmp_path: Path) -> None:
    """The SDK hides the difference, so this provider looks at the raw request."""
    program = script(
        """
        import asyncio, os, sys, grpc
        from gestalt_sdk.gen.v1 import runtime_pb2 as pb, runtime_pb2_grpc

        class Raw(runtime_pb2_grpc.ProviderLifecycleServicer):
            async def GetProviderIdentity(self, request, context):
                return pb.ProviderIdentity(kind="PROVIDER_KIND_CACHE")
            async def ConfigureProvider(self, request, context):
                if request.HasField("config"):
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "config is set")
                return pb.ConfigureProviderResponse(protocol_version=request.protocol_version)

        async def main():
            server = grpc.aio.server()
            runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(Raw(), server)
            server.add_insecure_port("unix:" + os.environ["GESTALT_PLUGIN_SOCKET"])
            await server.start()
            await server.wait_for_termination()

        asyncio.run(main())
        """
    )
    process = await launched(program, ProviderKind.CACHE)
    assert process.is_ready
    # StartProvider is UNIMPLEMENTED here, which counts as success.
    await process.begin()


async def test_another_protocol_version_is_refused(script: Script) -> None:
    program = script(
        """
        import asyncio, os, grpc
        from gestalt_sdk.gen.v1 import runtime_pb2 as pb, runtime_pb2_grpc

        class Old(runtime_pb2_grpc.ProviderLifecycleServicer):
            async def GetProviderIdentity(self, request, context):
                return pb.ProviderIdentity(kind="PROVIDER_KIND_WORKFLOW")
            async def ConfigureProvider(self, request, context):
                return pb.ConfigureProviderResponse(protocol_version=2)

        async def main():
            server = grpc.aio.server()
            runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(Old(), server)
            server.add_insecure_port("unix:" + os.environ["GESTALT_PLUGIN_SOCKET"])
            await server.start()
            await server.wait_for_termination()

        asyncio.run(main())
        """
    )
    process = new_process(program)
    with pytest.raises(ProviderStartFailed, match="provider responded with protocol version 2, host requires 3"):
        await process.start()


async def test_stop_drains_then_leaves_nothing(script: Script, tmp_path: Path) -> None:
    process = new_process(script(WORKFLOW))
    await process.start()
    pid, directory = process.pid, process.directory
    await process.stop(5)
    assert notes(tmp_path, "drain")
    assert not Path(f"/proc/{pid}").exists()
    assert not directory.exists()
    assert process.state is State.STOPPED


async def test_a_provider_that_ignores_sigterm_is_killed_after_the_grace(script: Script) -> None:
    ignoring = WORKFLOW.replace(
        "async def drain(self):", "async def drain(self):\n            await asyncio.sleep(600)"
    )
    process = new_process(script(ignoring))
    await process.start()
    pid = process.pid
    await asyncio.wait_for(process.stop(0.3), 3)
    assert not Path(f"/proc/{pid}").exists()


async def test_what_a_provider_started_ends_with_it(launched: Launch, script: Script, tmp_path: Path) -> None:
    parent = WORKFLOW.replace(
        "async def configure(self, name, config):",
        "async def configure(self, name, config):\n"
        "            import subprocess\n"
        "            child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "            self.note('child', child=child.pid)",
    )
    process = await launched(script(parent))
    child = notes(tmp_path, "child")[0]["child"]
    os.kill(process.pid or 0, signal.SIGKILL)
    await eventually(lambda: ready_again(process, 1))

    async def gone() -> bool | None:
        stat = Path(f"/proc/{child}/stat")
        return True if not stat.exists() or stat.read_text().split()[2] == "Z" else None

    await eventually(gone)


async def test_stopping_during_a_restart_leaves_nothing(script: Script, tmp_path: Path) -> None:
    command = script(WORKFLOW)
    process = new_process(command)
    await process.start()
    # From now on the program never gets to serving.
    Path(command.args[1]).write_text("import time; time.sleep(600)")
    os.kill(process.pid or 0, signal.SIGKILL)

    async def relaunched() -> int | None:
        return process.pid if process.restarts == 1 else None

    pid = await eventually(relaunched)
    await process.stop(1)
    assert not Path(f"/proc/{pid}").exists()
    assert not process.directory.exists()


async def test_restarts_that_fail_are_retried(launched: Launch, script: Script) -> None:
    command = script(WORKFLOW)
    process = await launched(command)
    program = Path(command.args[1])
    source = program.read_text()
    program.write_text("raise SystemExit(7)")
    os.kill(process.pid or 0, signal.SIGKILL)

    async def tried_twice() -> bool | None:
        return True if process.restarts >= 2 else None

    await eventually(tried_twice)
    assert "exit status 7" in process.last_error
    program.write_text(source)

    async def ready() -> bool | None:
        return True if process.is_ready else None

    await eventually(ready)


async def test_spawning_while_calls_are_in_flight_harms_nobody(script: Script) -> None:
    """With gRPC's fork handlers on, children of a uvloop process die by SIGSEGV in this."""
    provider = script(WORKFLOW)
    host = script(
        f"""
        import asyncio, uvloop
        from gestalt_host.packages import LaunchCommand
        from gestalt_host.supervisor import ProviderProcess, ProviderSpec
        from gestalt_sdk.bases.provider import ProviderKind
        from gestalt_sdk.gen.v1 import runtime_pb2_grpc
        from google.protobuf.empty_pb2 import Empty

        async def started(name):
            process = ProviderProcess(ProviderSpec(name, ProviderKind.WORKFLOW, LaunchCommand({provider.args!r})))
            await process.start()
            return process

        async def main():
            calls = 0
            async def call(stub):
                nonlocal calls
                while True:
                    await stub.HealthCheck(Empty(), timeout=20)
                    calls += 1
            processes = [await started("first")]
            stub = runtime_pb2_grpc.ProviderLifecycleStub(processes[0].channel)
            callers = [asyncio.create_task(call(stub)) for _ in range(8)]
            for index in range(6):
                processes.append(await started(f"other{{index}}"))
            assert not any(caller.done() for caller in callers)
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
            assert all(process.is_ready and process.restarts == 0 for process in processes)
            print(calls, flush=True)
            await asyncio.gather(*(process.stop(2) for process in processes))

        uvloop.run(main())
        """,
        "host.py",
    )
    running = await asyncio.create_subprocess_exec(
        *host.args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(running.communicate(), 60)
    assert running.returncode == 0, errors.decode()
    assert int(output.split()[-1]) > 50


@pytest.fixture
def short_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gstt-", dir="/tmp") as name:
        yield Path(name)


async def test_providers_die_with_a_host_that_is_killed(script: Script, short_dir: Path) -> None:
    """Even one that does not watch its parent; and the next host removes the directories."""
    base = short_dir  # its own: hosts of other tests sweep the usual places
    program = script("import time, sys\nprint('up', flush=True)\ntime.sleep(600)", "deaf.py")
    host = script(
        f"""
        import asyncio
        from pathlib import Path
        from gestalt_host.packages import LaunchCommand
        from gestalt_host.supervisor import directories
        from gestalt_host.supervisor import ProviderProcess, ProviderSpec
        from gestalt_sdk.bases.provider import ProviderKind

        directories.base_directories = lambda: [Path({str(base)!r})]

        async def main():
            process = ProviderProcess(ProviderSpec("deaf", ProviderKind.WORKFLOW, LaunchCommand({program.args!r})))
            starting = asyncio.ensure_future(process.start())
            while process.pid is None or not (process.directory / "child").exists():
                await asyncio.sleep(0.01)
            print(process.pid, process.directory, flush=True)
            await starting

        asyncio.run(main())
        """,
        "host.py",
    )
    running = await asyncio.create_subprocess_exec(
        *host.args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert running.stdout is not None
    pid, directory = (await asyncio.wait_for(running.stdout.readline(), 20)).decode().split()
    running.kill()
    await running.wait()

    if sys.platform == "linux":

        async def gone() -> bool | None:
            return None if Path(f"/proc/{pid}").exists() else True

        await eventually(gone)

    from gestalt_host.supervisor import sweep_stale

    assert Path(directory).exists()
    assert await sweep_stale([base]) == 1
    assert not Path(directory).exists()


async def test_sweeping_leaves_the_directories_of_living_hosts(launched: Launch, script: Script) -> None:
    from gestalt_host.supervisor import sweep_stale

    process = await launched(script(WORKFLOW))
    await sweep_stale()
    assert process.directory.exists()
    assert process.directory in own_directories()


async def test_a_second_start_is_a_bug(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW))
    with pytest.raises(RuntimeError):
        await process.start()


async def test_health_of_the_provider_is_reported(launched: Launch, script: Script) -> None:
    process = await launched(
        script(
            WORKFLOW.replace(
                "async def drain",
                "async def health(self):\n            raise RuntimeError('x')\n\n        async def drain",
            )
        )
    )
    assert await process.health_problem() == "x"
    assert not process.notices


async def test_notices_of_a_provider_are_kept_with_its_health_and_bounded(launched: Launch, script: Script) -> None:
    notices = "[Notice(f'{number:02}' + 'n' * 100, 't' * 5000, number) for number in range(50)]"
    process = await launched(
        script(
            WORKFLOW.replace(
                "async def drain",
                "def notices(self):\n            from gestalt_sdk.bases.provider import Notice\n\n"
                f"            return {notices}\n\n        async def drain",
            )
        )
    )
    assert await process.health_problem() is None
    assert [(len(notice.name), len(notice.text), notice.value) for notice in process.notices] == [
        (64, 1000, float(number)) for number in range(20)
    ]


async def test_health_service_of_a_host_socket_answers(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW), services=(HostService("A_SOCKET", lambda server: ["x.Y"]),))
    async with open_channel(Address(f"unix:{process.directory / 'host-0.sock'}")) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="x.Y"), timeout=5
        )
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_metadata_of_a_plugin_is_asked_until_it_answers(launched: Launch, script: Script, tmp_path: Path) -> None:
    program = script(
        """
        import asyncio, os, grpc
        from gestalt_sdk.gen.v1 import plugin_pb2 as pb, plugin_pb2_grpc

        class Late(plugin_pb2_grpc.IntegrationProviderServicer):
            asked = 0
            async def GetMetadata(self, request, context):
                Late.asked += 1
                if Late.asked < 4:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
                return pb.ProviderMetadata()
            async def StartProvider(self, request, context):
                assert os.environ["GESTALT_RUNTIME_SESSION_ID"]
                assert Late.asked == 4 and request.name == "local" and request.protocol_version == 3
                return pb.StartProviderResponse(protocol_version=3)

        async def main():
            server = grpc.aio.server()
            plugin_pb2_grpc.add_IntegrationProviderServicer_to_server(Late(), server)
            server.add_insecure_port("unix:" + os.environ["GESTALT_PLUGIN_SOCKET"])
            await server.start()
            await server.wait_for_termination()

        asyncio.run(main())
        """
    )
    process = await launched(program, ProviderKind.INTEGRATION)
    assert process.is_ready


def test_quick_timings_keep_the_contract_values_elsewhere() -> None:
    assert Timings().start_timeout_s == 45
    assert Timings().poll_s == 0.025
    assert Timings().stop_grace_s == 2
    assert QUICK.backoff_cap_s < Timings().backoff_cap_s == 30
