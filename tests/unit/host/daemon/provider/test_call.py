"""`gestaltd provider call` against servers of every shape: with reflection of either version, and without any."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider import call, hosts
from gestalt_host.supervisor.about import About, HostAbout, SocketAbout, write_about

SERVICE = "shapes.Shapes"
SHAPES = ("OneOne", "OneMany", "ManyOne", "ManyMany", "Fail", "Wait")
IMPORTED = FileDescriptorProto(name="shapes/inner.proto", package="shapes", syntax="proto3")
IMPORTED.message_type.add(name="Inner").field.add(
    name="flag", number=1, type=FieldDescriptorProto.TYPE_BOOL, label=FieldDescriptorProto.LABEL_OPTIONAL
)


def described() -> FileDescriptorProto:
    """A service with a method of each shape; its message uses one of another file."""
    file = FileDescriptorProto(name="shapes/shapes.proto", package="shapes", syntax="proto3")
    file.dependency.append("shapes/inner.proto")
    fields = file.message_type.add(name="Note").field
    optional = FieldDescriptorProto.LABEL_OPTIONAL
    fields.add(name="text", number=1, type=FieldDescriptorProto.TYPE_STRING, label=optional)
    fields.add(name="big", number=2, type=FieldDescriptorProto.TYPE_INT64, label=optional)
    fields.add(
        name="inner", number=3, type=FieldDescriptorProto.TYPE_MESSAGE, type_name=".shapes.Inner", label=optional
    )
    service = file.service.add(name="Shapes")
    for name in SHAPES:
        service.method.add(
            name=name,
            input_type=".shapes.Note",
            output_type=".shapes.Note",
            client_streaming=name in ("ManyOne", "ManyMany"),
            server_streaming=name in ("OneMany", "ManyMany", "Wait"),
        )
    return file


POOL = descriptor_pool.DescriptorPool()
POOL.Add(IMPORTED)
POOL.Add(described())
Note = message_factory.GetMessageClass(POOL.FindMessageTypeByName("shapes.Note"))


class Shapes:
    """Answers with what it was told; keeps the metadata of the last call."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}

    async def OneOne(self, request: Any, context: Any) -> Any:
        self.metadata = dict(context.invocation_metadata())
        return request

    async def OneMany(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(request.big):
            yield Note(text=f"{request.text}{number}")

    async def ManyOne(self, requests: AsyncIterator[Any], context: Any) -> Any:
        return Note(text="".join([request.text async for request in requests]))

    async def ManyMany(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield request

    async def Fail(self, request: Any, context: Any) -> Any:
        status = status_pb2.Status(code=grpc.StatusCode.ABORTED.value[0], message="no \x1b[31mluck")
        known, unknown = any_pb2.Any(), any_pb2.Any(type_url="type.googleapis.com/x.Y", value=b"\x01")
        known.Pack(error_details_pb2.ErrorInfo(reason="BAD_LUCK"))
        own = any_pb2.Any(type_url="type.googleapis.com/shapes.Inner", value=b"\x08\x01")
        status.details.extend([known, unknown, own])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(grpc.StatusCode.ABORTED, status.message)

    async def Wait(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield request
        await asyncio.Event().wait()

    def add_to(self, server: grpc.aio.Server) -> None:
        kinds = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }
        methods = {
            method.name: kinds[method.client_streaming, method.server_streaming](
                getattr(self, method.name), Note.FromString, Note.SerializeToString
            )
            for method in described().service[0].method
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))


def add_reflection(server: grpc.aio.Server, version: str) -> None:
    servicer = reflection.aio.ReflectionServicer((SERVICE,), pool=POOL)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    name = f"grpc.reflection.{version}.ServerReflection"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),))


Call = Callable[..., Awaitable[list[Any]]]


@asynccontextmanager
async def serving(folder: Path, version: str, service: str = SERVICE) -> AsyncIterator[Shapes]:
    server, shapes = grpc.aio.server(), Shapes()
    shapes.add_to(server)
    if version:
        add_reflection(server, version)
    directory = folder / "gstp-a"
    directory.mkdir()
    path = directory / "plugin.sock"
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    host = HostAbout.of_this_process("http://127.0.0.1:81", [folder / "a.yaml"])
    write_about(directory, About(host, "plugin", "a", (SocketAbout(str(path), (service,)),)))
    try:
        yield shapes
    finally:
        await server.stop(0)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Makes a call to ``a`` and returns the answers that were printed."""
    monkeypatch.setattr(hosts, "base_directories", lambda: [tmp_path])

    async def made(method: str, data: str | None = None, **options: list[str]) -> list[Any]:
        values = {name.replace("_", "-"): value for name, value in options.items()}
        if data is not None:
            values["d"] = [data]
        await call.make(call.Request.of(Options(values=values, arguments=["a", method])))
        shown = capsys.readouterr().out
        return [json_format.Parse(part, Note()) for part in shown.replace("}\n{", "}\0{").split("\0") if part.strip()]

    return made


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_every_shape_of_call_is_made_by_reflection_of_either_version(
    version: str, tmp_path: Path, made: Call
) -> None:
    async with serving(tmp_path, version):
        big = '{"text": "a", "big": "9007199254740993", "inner": {"flag": true}}'
        (answer,) = await made("Shapes/OneOne", big)
        assert (answer.text, answer.big, answer.inner.flag) == ("a", 9007199254740993, True)
        assert await made("shapes.Shapes.OneOne") == [Note()]
        assert [item.text for item in await made("Shapes/OneMany", '{"text": "n", "big": 3}')] == ["n0", "n1", "n2"]
        assert await made("Shapes/ManyOne", '{"text": "a"} {"text": "b"}') == [Note(text="ab")]
        assert await made("Shapes/ManyOne") == [Note()]
        assert [item.text for item in await made("/Shapes/ManyMany", '{"text": "a"}{"text": "b"}')] == ["a", "b"]


async def test_messages_from_standard_input_go_out_as_they_come(
    tmp_path: Path, made: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        shown: list[str] = []
        arrived = asyncio.Event()

        def show(text: str) -> None:
            shown.append(text)
            arrived.set()

        monkeypatch.setattr(call, "show", show)
        async with serving(tmp_path, "v1"):
            calling = asyncio.ensure_future(made("Shapes/ManyMany", "@"))
            for number in range(3):
                arrived.clear()
                os.write(writer, f'{{"text":\n "{number}"}}'.encode())
                async with asyncio.timeout(20):
                    await arrived.wait()  # it is answered before the next one is written
            os.close(writer)
            await calling
        assert [json.loads(text)["text"] for text in shown] == ["0", "1", "2"]


async def test_messages_can_come_from_a_file(tmp_path: Path, made: Call) -> None:
    file = tmp_path / "messages.json"
    file.write_text('{"text": "a"}\n{"text": "b"}\n')
    async with serving(tmp_path, "v1"):
        assert await made("Shapes/ManyOne", f"@{file}") == [Note(text="ab")]
        with pytest.raises(CommandFailed, match=r"-d @/missing cannot be read: No such file or directory"):
            await made("Shapes/ManyOne", "@/missing")


async def test_a_failed_call_is_told_with_code_message_and_details(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, "v1"):
        with pytest.raises(CommandFailed) as failed:
            await made("Shapes/Fail")
    first, _, rest = str(failed.value).partition("\n")
    assert first == "Shapes/Fail: ABORTED: no \x1b[31mluck"  # `tell` escapes it
    assert '"reason": "BAD_LUCK"' in rest
    assert '"value": "AQ=="' in rest
    assert '"flag": true' in rest


async def test_a_stream_is_ended_after_so_many_answers_or_seconds(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, "v1"):
        assert await made("Shapes/Wait", '{"text": "x"}', max_messages=["1"]) == [Note(text="x")]
        with pytest.raises(CommandFailed, match="Shapes/Wait: DEADLINE_EXCEEDED"):
            await made("Shapes/Wait", timeout=["0.3"])


async def test_metadata_goes_along(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, "v1") as shapes:
        await made("Shapes/OneOne", H=["X-One: a: b", "two-bin: AQI="], header=["three:"])
        assert shapes.metadata["x-one"] == "a: b"
        assert shapes.metadata["two-bin"] == b"\x01\x02"
        assert shapes.metadata["three"] == ""


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("H", "no colon", "-H 'no colon' is no metadata"),
        ("H", "grpc-timeout: 1S", "with a name that gRPC does not keep"),
        ("H", "a b: c", "is no metadata"),
        ("H", "x: é", "-H x: the value is no printable ASCII"),
        ("H", "x-bin: !", "-H x-bin: the value is no Base64"),
        ("timeout", "0", '--timeout is "0"; it takes a number of seconds above 0'),
        ("timeout", "inf", "--timeout is"),
        ("max-messages", "-1", '--max-messages is "-1"; it takes a number from 1 on'),
        ("d", "", ""),
    ],
)
def test_options_that_cannot_be_are_refused(option: str, value: str, error: str) -> None:
    values = {option: [value] if option != "d" else ["1", "2"]}
    with pytest.raises(CommandFailed) as refused:
        call.Request.of(Options(values=values, arguments=["a", "S/M"]))
    assert (error or "-d was given twice") in str(refused.value)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("Shapes", '"Shapes" names no method; SERVICE/METHOD does'),
        ("Shape/OneOne", "plugin/a has no service Shape (did you mean shapes.Shapes?); there are shapes.Shapes"),
        ("Shapes/oneone", "shapes.Shapes has no method oneone (did you mean OneOne?); it has OneOne, OneMany"),
    ],
)
async def test_what_there_is_not_is_answered_with_what_there_is(
    method: str, error: str, tmp_path: Path, made: Call
) -> None:
    async with serving(tmp_path, "v1"):
        with pytest.raises(CommandFailed) as refused:
            await made(method)
    assert error in str(refused.value)


async def test_a_method_that_takes_one_message_is_not_given_two(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, "v1"):
        with pytest.raises(CommandFailed, match=r"shapes.Shapes.OneOne takes one message; 2 were given"):
            await made("Shapes/OneOne", "{} {}")


async def test_a_message_that_does_not_fit_ends_a_stream_with_why(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, "v1"):
        for method in ("ManyMany", "ManyOne"):
            with pytest.raises(CommandFailed, match=r"line 2 of the message does not fit: shapes.Note has no"):
                await made(f"Shapes/{method}", '{"text": "a"}\n{"txet": "b"}')


async def test_without_reflection_the_bundled_descriptions_are_used(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, "", "gestalt.provider.v1.IntegrationProvider"):
        with pytest.raises(CommandFailed, match="IntegrationProvider/GetMetadata: UNIMPLEMENTED"):
            await made("IntegrationProvider/GetMetadata")


async def test_a_service_that_nobody_can_describe_is_named(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, ""):
        with pytest.raises(CommandFailed, match=r"plugin/a serves shapes.Shapes, but neither its reflection nor this"):
            await made("Shapes/OneOne")


async def test_a_socket_can_be_chosen(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, "v1"):
        for socket in ("plugin.sock", str(tmp_path / "gstp-a" / "plugin.sock")):
            assert await made("Shapes/OneOne", socket=[socket]) == [Note()]
        with pytest.raises(CommandFailed, match=r'plugin/a has no socket "GESTALT_X"; it has plugin.sock'):
            await made("Shapes/OneOne", socket=["GESTALT_X"])
        with pytest.raises(CommandFailed, match="there are none"):
            await made("Shapes/OneOne", socket=["/nobody/there.sock"])


async def test_a_provider_that_does_not_answer_is_told_of(tmp_path: Path, made: Call) -> None:
    async with serving(tmp_path, "v1", "gestalt.provider.v1.IntegrationProvider"):
        pass
    with pytest.raises(CommandFailed, match="IntegrationProvider/GetMetadata: UNAVAILABLE"):
        await made("IntegrationProvider/GetMetadata")
