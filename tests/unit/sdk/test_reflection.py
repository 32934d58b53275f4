"""Server reflection: versions v1 and v1alpha of the protocol, asked by hand-made clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2

from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.serving import reflection
from gestalt_sdk.serving.process import bind
from tests.support.rigs.grpc_calls import reflected

V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"
WORKFLOW = "gestalt.provider.v1.WorkflowProvider"
Request: TypeAlias = reflection_pb2.ServerReflectionRequest
Response: TypeAlias = reflection_pb2.ServerReflectionResponse

each_version = pytest.mark.parametrize("version", ["v1", "v1alpha"])


@pytest.fixture
async def socket(tmp_path: Path) -> AsyncIterator[Path]:
    path, server = tmp_path / "plugin.sock", grpc.aio.server()
    reflection.add_reflection(server, [WORKFLOW])
    bind(server, f"unix:{path}")
    await server.start()
    yield path
    await server.stop(None)


async def ask(socket: Path, version: str, *requests: Request) -> list[Response]:
    return await asyncio.to_thread(reflected, socket, *requests, version=version)


def files(answer: Response) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    found = [
        descriptor_pb2.FileDescriptorProto.FromString(data)
        for data in answer.file_descriptor_response.file_descriptor_proto
    ]
    return {file.name: file for file in found}


@each_version
async def test_both_versions_list_the_services_and_themselves(socket: Path, version: str) -> None:
    (answer,) = await ask(socket, version, Request(list_services=""))
    assert [service.name for service in answer.list_services_response.service] == [WORKFLOW, V1, V1ALPHA]


@each_version
@pytest.mark.parametrize(
    "symbol",
    [
        WORKFLOW,
        f"{WORKFLOW}.GetRun",
        "gestalt.provider.v1.WorkflowRunStatus",
        "gestalt.provider.v1.BoundWorkflowRun",
        "gestalt.provider.v1.BoundWorkflowRun.id",
    ],
)
async def test_a_symbol_is_described_with_all_files_it_depends_on(socket: Path, version: str, symbol: str) -> None:
    (answer,) = await ask(socket, version, Request(file_containing_symbol=symbol))
    described = files(answer)
    assert workflow_pb2.DESCRIPTOR.name in described
    assert {name for file in described.values() for name in file.dependency} <= set(described)


@each_version
async def test_a_file_is_described_by_its_name(socket: Path, version: str) -> None:
    (answer,) = await ask(socket, version, Request(file_by_filename=workflow_pb2.DESCRIPTOR.name))
    assert workflow_pb2.DESCRIPTOR.name in files(answer)


@each_version
@pytest.mark.parametrize(
    "request_",
    [
        Request(file_containing_symbol=V1),
        Request(file_containing_symbol=f"{V1}.ServerReflectionInfo"),
        Request(file_containing_symbol="grpc.reflection.v1.ServerReflectionRequest.host"),
        Request(file_by_filename="grpc/reflection/v1/reflection.proto"),
    ],
    ids=["service", "method", "field", "file"],
)
async def test_version_v1_can_be_described_itself(socket: Path, version: str, request_: Request) -> None:
    (answer,) = await ask(socket, version, request_)
    pool = descriptor_pool.DescriptorPool()
    for file in files(answer).values():
        pool.Add(file)
    method = pool.FindMethodByName(f"{V1}.ServerReflectionInfo")
    alpha = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].methods_by_name["ServerReflectionInfo"]
    assert method.input_type.full_name == "grpc.reflection.v1.ServerReflectionRequest"
    assert method.client_streaming
    assert method.server_streaming
    for made, known in ((method.input_type, alpha.input_type), (method.output_type, alpha.output_type)):
        assert [(field.name, field.number) for field in made.fields] == [(f.name, f.number) for f in known.fields]


@pytest.fixture(scope="module")
def extended() -> None:
    """A message of this process that has extensions."""
    file = descriptor_pb2.FileDescriptorProto(name="tests/extended.proto", package="tests", syntax="proto2")
    message = file.message_type.add(name="Extended")
    message.extension_range.add(start=100, end=200)
    for number in (101, 150):
        file.extension.add(
            name=f"number_{number}", number=number, extendee=".tests.Extended", label="LABEL_OPTIONAL", type="TYPE_BOOL"
        )
    descriptor_pool.Default().Add(file)


@each_version
@pytest.mark.usefixtures("extended")
async def test_extensions_are_found_by_number_and_listed(socket: Path, version: str) -> None:
    found, unknown, numbers, nothing = await ask(
        socket,
        version,
        Request(file_containing_extension=extension("tests.Extended", 150)),
        Request(file_containing_extension=extension("tests.Extended", 151)),
        Request(all_extension_numbers_of_type="tests.Extended"),
        Request(all_extension_numbers_of_type="grpc.reflection.v1.ErrorResponse"),
    )
    assert set(files(found)) == {"tests/extended.proto"}
    assert unknown.error_response.error_code == 5
    assert list(numbers.all_extension_numbers_response.extension_number) == [101, 150]
    assert nothing.all_extension_numbers_response.base_type_name == "grpc.reflection.v1.ErrorResponse"
    assert not nothing.all_extension_numbers_response.extension_number


def extension(message: str, number: int) -> reflection_pb2.ExtensionRequest:
    return reflection_pb2.ExtensionRequest(containing_type=message, extension_number=number)


@each_version
async def test_many_requests_on_one_stream_are_answered_in_order_and_what_is_unknown_ends_none(
    socket: Path, version: str
) -> None:
    requests = [
        Request(file_containing_symbol="gestalt.provider.v1.Nothing"),
        Request(file_by_filename="no/such.proto"),
        Request(file_containing_extension=extension("no.Such", 1)),
        Request(all_extension_numbers_of_type="no.Such"),
        Request(host="without a question"),
        Request(list_services="*"),
    ]
    answers = await ask(socket, version, *requests)
    assert [answer.original_request for answer in answers] == requests
    assert [answer.error_response.error_code for answer in answers] == [5, 5, 5, 5, 3, 0]


def test_what_a_provider_brings_of_v1_itself_does_not_clash() -> None:
    """A provider's own code may load a generated module of version v1; its descriptor need not be spelt like ours."""
    code = """
import grpc
from google.protobuf import descriptor_pool
from gestalt_sdk.serving import reflection

async def main():
    reflection.add_reflection(grpc.aio.server(), [])
    theirs = reflection.v1_file()
    theirs.options.ClearField("java_package")
    descriptor_pool.Default().Add(theirs)
    reflection.add_reflection(grpc.aio.server(), [])
    print(descriptor_pool.Default().FindFileByName(theirs.name).name)

import asyncio
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "grpc/reflection/v1/reflection.proto\n"), ended.stderr
