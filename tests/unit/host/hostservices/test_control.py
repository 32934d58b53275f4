"""HostControl: what the host tells its own user, and the socket that it does so on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest
from structlog.testing import capture_logs

from gestalt_host.access.subjects import Actor, Principal
from gestalt_host.access.tokens.invocation_tokens import InvocationTokenInvalid, InvocationTokens
from gestalt_host.hostservices.control import ControlSocket, HostControlServicer, Issuer
from gestalt_host.supervisor.about import HostAbout, read_about
from gestalt_host.supervisor.directories import remove_directory
from gestalt_host.supervisor.output.recent import Ended, LeftOut, Line, RecentOutput
from gestalt_host.supervisor.reports import ProviderReport
from gestalt_sdk.gen.extension.v1 import control_pb2 as pb
from gestalt_sdk.gen.extension.v1.control_pb2_grpc import HostControlStub
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address

NOW = datetime.now(UTC)
ABOUT = HostAbout.of_this_process("http://127.0.0.1:81", [])
USER = Principal(Actor("user:1", "user"))


class Rig:
    def __init__(self) -> None:
        self.reports = [
            ProviderReport("plugin", "a", "ready", NOW, pid=5, restarts=2),
            ProviderReport("plugin", "b", "failed", NOW, reason="it could not be started: its source is missing"),
            ProviderReport("plugin", "d", "ready", NOW, runtime="declarative"),
        ]
        self.output = RecentOutput()
        self.now = 1000.0
        self.issuer: Issuer | None = (InvocationTokens(bytes(32), clock=lambda: self.now), USER)
        servicer = HostControlServicer(lambda: self.reports, self.outputs, lambda: self.issuer)
        self.socket = ControlSocket(servicer, ABOUT)

    def outputs(self, kind: str, name: str) -> list[RecentOutput]:
        return [self.output] if name == "a" else []

    @asynccontextmanager
    async def dialled(self) -> AsyncIterator[HostControlStub]:
        channel = open_channel(Address(f"unix:{self.socket.path}"))
        try:
            yield HostControlStub(channel)
        finally:
            await channel.close()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    await made.socket.start()
    yield made
    await made.socket.stop()


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


async def test_every_provider_is_told_with_why_it_cannot_be_called(rig: Rig) -> None:
    async with rig.dialled() as stub:
        answer = await stub.ListProviders(pb.ListProvidersRequest())
    first, second, third = answer.providers
    assert first == pb.ProviderSummary(kind="plugin", name="a", state="ready", pid=5, restarts=2, runtime="executable")
    assert third.runtime == "declarative"
    assert (second.state, second.reason) == ("failed", "it could not be started: its source is missing")


async def test_a_log_is_sent_as_it_was_written_and_followed_to_its_end(rig: Rig) -> None:
    rig.output.started(7)
    rig.output.add(Line("stderr", b"\xff\x1b[31m", is_cut=True))
    async with rig.dialled() as stub:
        call = stub.StreamLog(pb.StreamLogRequest(kind="plugin", name="a", lines=-1, follow=True))
        started, line = [await call.read() for _ in range(2)]
        assert (started.pid, started.WhichOneof("what")) == (7, "started")
        assert line.line == pb.LogLine(stream="stderr", text=b"\xff\x1b[31m", is_cut=True)
        rig.output.add(LeftOut(3))
        rig.output.add(Ended("signal SIGKILL"))
        assert (await call.read()).left_out.lines == 3
        assert (await call.read()).ended.how == "signal SIGKILL"
        rig.reports[0] = ProviderReport("plugin", "a", "stopped", NOW, reason="it was stopped")
        rig.output.close()
        expected = (grpc.StatusCode.ABORTED, 'plugin "a" writes no more: it was stopped')
        assert await refusal(call.read()) == expected


async def test_a_log_that_is_not_followed_ends_well(rig: Rig) -> None:
    for number in range(3):
        rig.output.add(Line("stdout", str(number).encode()))
    async with rig.dialled() as stub:
        call = stub.StreamLog(pb.StreamLogRequest(kind="plugin", name="a", lines=2))
        assert [entry.line.text async for entry in call] == [b"1", b"2"]


async def test_a_reader_that_goes_away_is_forgotten(rig: Rig) -> None:
    async with rig.dialled() as stub:
        call = stub.StreamLog(pb.StreamLogRequest(kind="plugin", name="a", follow=True))
        async with asyncio.timeout(10):
            while not rig.output.wakes:
                await asyncio.wait_for(stub.ListProviders(pb.ListProvidersRequest()), 5)
            call.cancel()
            while rig.output.wakes:
                await asyncio.wait_for(stub.ListProviders(pb.ListProvidersRequest()), 5)


async def test_who_has_no_process_or_is_not_configured_is_named(rig: Rig) -> None:
    async with rig.dialled() as stub:
        call = stub.StreamLog(pb.StreamLogRequest(kind="plugin", name="b", follow=True))
        assert await refusal(call.read()) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            'plugin "b" has no process: it could not be started: its source is missing',
        )
        call = stub.StreamLog(pb.StreamLogRequest(kind="plugin", name="d"))
        _, text = await refusal(call.read())
        assert text == 'plugin "d" has no process: it is declarative, the host sends its requests itself'
        call = stub.StreamLog(pb.StreamLogRequest(kind="workflow", name="a"))
        expected = (
            grpc.StatusCode.NOT_FOUND,
            "there is no workflow/a here; configured are plugin/a, plugin/b, plugin/d",
        )
        assert await refusal(call.read()) == expected
        code, text = await refusal(stub.IssueInvocationToken(pb.IssueInvocationTokenRequest(plugin="c")))
        assert (code, text.partition(";")[0]) == (grpc.StatusCode.NOT_FOUND, "there is no plugin/c here")


async def test_a_token_holds_a_minute_for_its_plugin_and_is_logged(rig: Rig) -> None:
    assert rig.issuer is not None
    tokens, _ = rig.issuer
    async with rig.dialled() as stub:
        with capture_logs() as said:
            answer = await stub.IssueInvocationToken(pb.IssueInvocationTokenRequest(plugin="a"))
    assert [(line["event_name"], line["plugin"], line["subject"]) for line in said] == [("token.issued", "a", "user:1")]
    assert answer.invocation_token not in str(said)
    assert tokens.resolve(answer.invocation_token, "a").principal.subject_id == "user:1"
    rig.now += 60
    with pytest.raises(InvocationTokenInvalid):
        tokens.resolve(answer.invocation_token, "a")


async def test_a_starting_host_makes_no_tokens(rig: Rig) -> None:
    rig.issuer = None
    async with rig.dialled() as stub:
        code, text = await refusal(stub.IssueInvocationToken(pb.IssueInvocationTokenRequest(plugin="a")))
    assert (code, text) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "the host is starting, and cannot make tokens yet",
    )


async def test_the_socket_is_its_user_s_alone_is_made_again_and_goes(rig: Rig) -> None:
    path = rig.socket.path
    assert path is not None
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert path.parent.name.startswith("gstp-81-host-")
    told = read_about(path.parent)
    assert told is not None
    assert [item.path for item in told.sockets] == [str(path)]
    for remove in (lambda: remove_directory(path.parent), path.unlink):
        remove()
        await rig.socket.restore()
        assert (path.stat().st_mode & 0o777, read_about(path.parent)) == (0o600, told)
        async with rig.dialled() as stub:
            assert (await stub.ListProviders(pb.ListProvidersRequest())).providers
    await rig.socket.restore()
    await rig.socket.stop()
    assert not path.parent.exists()
    assert os.getpid() == told.host.pid


async def test_a_socket_that_cannot_be_made_again_ends_nothing(rig: Rig) -> None:
    path = rig.socket.path
    assert path is not None
    remove_directory(path.parent)
    path.parent.write_text("somebody else's")
    with capture_logs() as said:
        await rig.socket.restore()
    assert [line["event_name"] for line in said] == ["control.restored", "control.not_restored"]
    path.parent.unlink()
