"""What a server's reflection says, also where it says nothing that can be used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as pb

from gestalt_host.daemon.provider.reflection_client import Socket
from gestalt_host.supervisor.about import SocketAbout

SYMBOL = "gestalt.provider.v1.IntegrationProvider"
Describe = Callable[[pb.ServerReflectionRequest], Sequence[bytes]]


@asynccontextmanager
async def serving(folder: Path, describe: Describe, asked: list[str]) -> AsyncIterator[Socket]:
    """Serve reflection v1 that answers each question with those files."""

    async def answer(
        requests: AsyncIterator[pb.ServerReflectionRequest], context: object
    ) -> AsyncIterator[pb.ServerReflectionResponse]:
        async for request in requests:
            asked.append(request.file_by_filename)
            answer = pb.ServerReflectionResponse()
            answer.file_descriptor_response.file_descriptor_proto.extend(describe(request))
            yield answer

    handler = grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=pb.ServerReflectionRequest.FromString,
        response_serializer=pb.ServerReflectionResponse.SerializeToString,
    )
    server = grpc.aio.server()
    name = "grpc.reflection.v1.ServerReflection"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),))
    path = folder / "s.sock"
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    socket = Socket(SocketAbout(str(path)))
    try:
        yield socket
    finally:
        await socket.close()
        await server.stop(None)


def importing(request: pb.ServerReflectionRequest) -> list[bytes]:
    """The same file for every question, which imports one that never comes."""
    return [FileDescriptorProto(name="a.proto", dependency=["b.proto"]).SerializeToString()]


@pytest.mark.parametrize(
    "describe",
    [
        importing,
        lambda request: [b"\xff\xff"],
        lambda request: [FileDescriptorProto(name="a.proto").SerializeToString()],
        lambda request: [FileDescriptorProto(name="a.proto", dependency=["a.proto"]).SerializeToString()],
        lambda request: [],
    ],
    ids=["never ends", "no descriptor", "without the symbol", "imports itself", "nothing"],
)
async def test_what_reflection_cannot_describe_is_described_as_bundled(tmp_path: Path, describe: Describe) -> None:
    asked: list[str] = []
    async with serving(tmp_path, describe, asked) as socket:
        pool = await socket.pool_with(SYMBOL)
    assert pool.FindServiceByName(SYMBOL).methods_by_name["Execute"] is not None
    assert len(asked) == len(set(asked))


async def test_a_server_without_reflection_is_asked_once(tmp_path: Path) -> None:
    socket = Socket(SocketAbout(str(tmp_path / "nobody.sock"), (SYMBOL,)))
    assert socket.has_reflection
    try:
        assert await socket.services() == [SYMBOL]
        assert not socket.has_reflection
        assert (await socket.pool_with(SYMBOL)).FindServiceByName(SYMBOL) is not None
    finally:
        await socket.close()
