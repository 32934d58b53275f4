"""Operations on one stream, between the host's client and a plugin process of our SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest

from gestalt_host.access.credentials.connections import InvocationCredential
from gestalt_host.access.policies.authorizer import UNRESTRICTED
from gestalt_host.access.subjects import Actor
from gestalt_host.errors import PluginUnavailable
from gestalt_host.invocation.model import Invocation, OperationResult
from gestalt_host.invocation.plugin_client import PluginClient
from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc
from tests.support.rigs import grpc_calls
from tests.support.rigs.links import Link, serving
from tests.support.rigs.provider_process import ProviderProcess, provider_process
from tests.support.waiting import eventually

PLUGIN = """
    import asyncio
    from pathlib import Path
    from gestalt_sdk.plugin import Plugin, Request, operation

    class Probe(Plugin):
        @operation("echo")
        async def echo(self, request: Request, text: str = "") -> str:
            return text

        @operation("hold")
        async def hold(self, request: Request, folder: str, name: str) -> str:
            here = Path(folder)
            (here / f"{name}.began").touch()
            try:
                while not (here / f"{name}.go").exists():
                    await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                (here / f"{name}.canceled").touch()
                raise
            return name

    provider = Probe
"""


@asynccontextmanager
async def plugin(root: Path) -> AsyncIterator[tuple[ProviderProcess, PluginClient]]:
    async with provider_process(root, PLUGIN, "integration") as running:
        yield running, PluginClient(Link("probe", running.channel, frozenset()))


def invocation(operation: str, **params: Any) -> Invocation:
    return Invocation(
        operation, params, Actor("user:ann", "user", "Ann", "session"), InvocationCredential(), UNRESTRICTED
    )


async def exists(path: Path) -> None:
    async def probe() -> bool | None:
        return True if path.exists() else None

    await eventually(probe)


async def test_many_operations_at_once_answer_each_for_itself(tmp_path: Path) -> None:
    async with plugin(tmp_path) as (running, client):
        texts = [f"t{number}" for number in range(50)] + ["x" * 300_000]
        results = await asyncio.gather(*(client.invoke(invocation("echo", text=text)) for text in texts))
        assert results == [OperationResult(200, f'"{text}"') for text in texts]
        assert (await client.invoke(invocation("gone"))).status == 404
        name = "gestalt.extension.v1.PluginDispatch"
        assert name in await asyncio.to_thread(grpc_calls.services, running.socket)


async def test_a_cancelled_caller_cancels_its_operation_and_no_other(tmp_path: Path) -> None:
    async with plugin(tmp_path) as (_, client):
        calls = [
            asyncio.create_task(client.invoke(invocation("hold", folder=str(tmp_path), name=name))) for name in "ab"
        ]
        for name in "ab":
            await exists(tmp_path / f"{name}.began")
        calls[0].cancel()
        await exists(tmp_path / "a.canceled")
        (tmp_path / "b.go").touch()
        assert await calls[1] == OperationResult(200, '"b"')
        assert not (tmp_path / "b.canceled").exists()


async def test_a_plugin_that_stops_answers_what_runs_and_ends_at_once(tmp_path: Path) -> None:
    async with plugin(tmp_path) as (running, client):
        call = asyncio.create_task(client.invoke(invocation("hold", folder=str(tmp_path), name="a")))
        await exists(tmp_path / "a.began")
        stopping = asyncio.create_task(running.terminate())
        (tmp_path / "a.go").touch()
        assert await call == OperationResult(200, '"a"')
        assert await stopping == 0
    async with plugin(tmp_path) as (running, client):
        await client.invoke(invocation("echo"))
        begin = monotonic()
        assert await running.terminate() == 0
        assert monotonic() - begin < 1.4  # an idle stream is not waited for: the grace is 1.5 s


async def test_a_plugin_that_dies_fails_what_it_had_and_its_successor_is_used(tmp_path: Path) -> None:
    async with plugin(tmp_path) as (running, client):
        call = asyncio.create_task(client.invoke(invocation("hold", folder=str(tmp_path), name="a")))
        await exists(tmp_path / "a.began")
        running.process.kill()
        with pytest.raises(PluginUnavailable):
            await call
        await running.stopped()
        with pytest.raises(PluginUnavailable):
            await client.invoke(invocation("echo"))


class PlainPlugin(plugin_pb2_grpc.IntegrationProviderServicer):
    async def Execute(self, request: Any, context: Any) -> plugin_pb2.OperationResult:
        return plugin_pb2.OperationResult(status=200, body=request.operation)


async def test_a_plugin_without_the_stream_gets_unary_calls(tmp_path: Path) -> None:
    def register(server: grpc.aio.Server) -> None:
        plugin_pb2_grpc.add_IntegrationProviderServicer_to_server(PlainPlugin(), server)

    async with serving(register, tmp_path, "p") as link:
        client = PluginClient(link)
        for _ in range(3):
            assert await client.invoke(invocation("x")) == OperationResult(200, "x")
