"""A provider that does not answer is named at once, calls to it fail, and it is started again when it stays silent."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import ProviderAway, ProviderDown, ProviderProcess, State
from gestalt_host.supervisor.watching import signs_of_life
from gestalt_host.supervisor.watching.greeting import greeted
from gestalt_sdk.bases.provider import ProviderKind
from tests.support.rigs.supervisor import QUICK, WORKFLOW
from tests.support.waiting import eventually, observed_for

Launch = Callable[..., Awaitable[ProviderProcess]]
Script = Callable[..., LaunchCommand]

SOON = replace(QUICK, ask_every_s=0.05, silent_after_s=0.3, restart_silent_after_s=1.0, look_s=0.05)
NEVER = replace(SOON, restart_silent_after_s=inf)
PLUGIN = """
    import asyncio, os, threading, time
    import grpc
    from gestalt_sdk.gen.v1 import plugin_pb2 as pb, plugin_pb2_grpc

    class Bare(plugin_pb2_grpc.IntegrationProviderServicer):
        async def StartProvider(self, request, context):
            return pb.StartProviderResponse(protocol_version=3)
        async def Execute(self, request, context):
            if request.operation == "block":
                time.sleep(2)
            if request.operation == "wait":
                await asyncio.sleep(600)
            return pb.OperationResult(status=200, body=str(os.getpid()))

    async def main():
        server = grpc.aio.server()
        plugin_pb2_grpc.add_IntegrationProviderServicer_to_server(Bare(), server)
        server.add_insecure_port("unix:" + os.environ["GESTALT_PLUGIN_SOCKET"])
        await server.start()
        await server.wait_for_termination()

    asyncio.run(main())
"""
"""It has nothing but the calls of the contract that every plugin has, as plugins of other SDKs do."""


def execute(process: ProviderProcess, operation: str) -> Awaitable[object]:
    from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc

    stub = plugin_pb2_grpc.IntegrationProviderStub(process.channel)
    return process.calls.answer(stub.Execute(plugin_pb2.ExecuteRequest(operation=operation), timeout=60))


async def becomes(process: ProviderProcess, state: State) -> None:
    async def found() -> bool | None:
        return True if process.state is state else None

    await eventually(found, within_s=30)


@asynccontextmanager
async def stopped(process: ProviderProcess) -> AsyncIterator[int]:
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("source", "kind"), [(PLUGIN, ProviderKind.INTEGRATION), (WORKFLOW, ProviderKind.WORKFLOW)], ids=["plugin", "ours"]
)
async def test_a_stopped_provider_is_named_and_ready_again_when_it_goes_on(
    launched: Launch, script: Script, source: str, kind: ProviderKind
) -> None:
    process = await launched(script(source), kind, NEVER)
    async with stopped(process) as pid:
        await becomes(process, State.SILENT)
        assert process.absence.startswith("it has not answered for ")
        assert "started again" not in process.absence
        with pytest.raises(ProviderAway, match="has not answered"):
            await process.wait_ready(60)
    await process_ready(process)
    assert (process.pid, process.restarts, process.absence) == (pid, 0, "")


async def process_ready(process: ProviderProcess) -> None:
    await becomes(process, State.READY)


async def test_one_that_stays_silent_is_ended_and_started_again(launched: Launch, script: Script) -> None:
    process = await launched(script(PLUGIN), ProviderKind.INTEGRATION, SOON)
    async with stopped(process) as pid:
        await becomes(process, State.SILENT)
        assert "started again in" in process.absence

        async def replaced() -> bool | None:
            return True if process.restarts and process.is_ready else None

        await eventually(replaced, within_s=30)
        assert process.pid != pid
        assert not Path(f"/proc/{pid}").exists()


async def test_calls_under_way_to_a_silent_provider_fail(launched: Launch, script: Script) -> None:
    process = await launched(script(PLUGIN), ProviderKind.INTEGRATION, NEVER)
    waiting = asyncio.ensure_future(execute(process, "wait"))
    await execute(process, "")
    async with stopped(process):
        with pytest.raises(ProviderAway, match="has not answered"):
            async with asyncio.timeout(30):
                await waiting


async def test_one_that_is_busy_is_not_silent(launched: Launch, script: Script) -> None:
    """Its event loop does nothing else for much longer than a stopped process could be silent."""
    process = await launched(script(PLUGIN), ProviderKind.INTEGRATION, SOON)
    pid = process.pid
    answers = await asyncio.gather(execute(process, "block"), execute(process, ""))
    assert {answer.body for answer in answers} == {str(pid)}  # type: ignore[attr-defined]
    assert process.restarts == 0


async def test_what_a_silent_provider_works_on_is_awaited_while_it_runs(
    launched: Launch, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the library greets on the event loop, as Node does, a busy process is silent and yet works."""

    async def no_greeting(path: Path) -> None:
        await asyncio.Future()

    monkeypatch.setattr(signs_of_life, "greeted", no_greeting)
    process = await launched(script(PLUGIN), ProviderKind.INTEGRATION, NEVER)
    working = asyncio.ensure_future(execute(process, "block"))
    await becomes(process, State.SILENT)
    assert (await working).status == 200  # type: ignore[attr-defined]


async def test_who_is_cancelled_while_calls_are_given_up_ends_cancelled(launched: Launch, script: Script) -> None:
    process = await launched(script(PLUGIN), ProviderKind.INTEGRATION, NEVER)
    waiting = asyncio.ensure_future(execute(process, "wait"))
    await execute(process, "")
    process.calls.give_up("x")
    waiting.cancel()
    with pytest.raises((asyncio.CancelledError, ProviderAway)):
        await waiting
    assert not process.calls._calls


async def test_a_server_without_sockets_file_cannot_be_asked(tmp_path: Path) -> None:
    async with asyncio.timeout(10):
        await greeted(tmp_path / "nothing.sock")


async def test_a_greeting_is_awaited_from_who_listens_and_says_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        asking = asyncio.ensure_future(greeted(tmp_path / "s"))
        await observed_for(0.3)
        assert not asking.done()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_in_a_crash_loop_nobody_is_kept_waiting(launched: Launch, script: Script) -> None:
    command = script(PLUGIN)
    timings = replace(QUICK, backoff_initial_s=0.02, backoff_cap_s=60)
    process = await launched(command, ProviderKind.INTEGRATION, timings)
    Path(command.args[1]).write_text("raise SystemExit(3)")
    os.kill(process.pid or 0, signal.SIGKILL)

    async def in_a_loop() -> bool | None:
        try:
            async with asyncio.timeout(5):
                await process.wait_ready(600)
        except ProviderAway as error:
            return True if "is started again in" in str(error) else None
        return None

    await eventually(in_a_loop, within_s=60)
    assert "exit status 3" in process.last_error


async def test_a_slow_start_is_waited_for_only_so_long(script: Script) -> None:
    from tests.support.rigs.supervisor import new_process

    slow = PLUGIN.replace("return pb.StartProviderResponse", "await asyncio.sleep(600)\n            return 0")
    slow = slow.replace("return 0(", "return pb.StartProviderResponse(")
    process = new_process(script(slow), ProviderKind.INTEGRATION, replace(QUICK, slow_start_s=1, start_limit_s=3))
    starting = asyncio.ensure_future(process.start())
    await becomes(process, State.STARTING)
    with pytest.raises(ProviderAway, match="still starting"):
        async with asyncio.timeout(30):
            await process.wait_ready(600)
    with pytest.raises(Exception, match="was served, but not configured, within"):
        await starting
    assert process.absence == "it could not be started: it was served, but not configured, within 3 s"
    with pytest.raises(ProviderDown):
        await process.wait_ready(1)


async def test_one_that_is_stopped_is_silent_also_when_its_socket_has_been_removed(
    launched: Launch, script: Script
) -> None:
    process = await launched(script(PLUGIN), ProviderKind.INTEGRATION, NEVER)
    process.socket.unlink()
    os.kill(process.pid or 0, signal.SIGSTOP)

    async def silent() -> bool | None:
        return True if process.state is State.SILENT else None

    await eventually(silent)
    os.kill(process.pid or 0, signal.SIGCONT)

    async def ready() -> bool | None:
        return True if process.is_ready else None

    await eventually(ready)


async def test_removed_sockets_are_logged_once_and_those_of_one_that_stops_are_not(
    launched: Launch, script: Script
) -> None:
    process = await launched(script(PLUGIN), ProviderKind.INTEGRATION, NEVER)
    with capture_logs() as lines:
        process.socket.unlink()

        async def told() -> bool | None:
            return True if removals(lines) else None

        await eventually(told)
        await observed_for(0.5)
        assert len(removals(lines)) == 1
    other = await launched(script(PLUGIN), ProviderKind.INTEGRATION, NEVER)
    with capture_logs() as lines:
        await other.stop(5)
    assert not removals(lines)


def removals(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in lines if line.get("event_name") == "provider.socket_removed"]
