"""Which services a socket has and what their messages are like: by its server's reflection, else as bundled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2 as pb

from gestalt_host.supervisor.about import SocketAbout
from gestalt_sdk.gen import extension, v1
from gestalt_sdk.transport.channels import LOST_STATUS, open_channel
from gestalt_sdk.transport.environment import Address

VERSIONS = ("v1", "v1alpha")
"""The messages of both are the same on the wire."""
ANSWER_S = 5.0
OF_GRPC = "grpc."
"""Begins the names of health and reflection, which every socket may have."""


class NoReflection(Exception):
    """The server does not say; the text is why."""


class Socket:
    """An open channel to one socket, and what is known of its services."""

    def __init__(self, about: SocketAbout) -> None:
        self.about = about
        self.channel = open_channel(Address(f"unix:{about.path}"))
        self._silence: NoReflection | None = None

    @property
    def has_reflection(self) -> bool:
        """Whether its server has answered whenever it was asked."""
        return self._silence is None

    async def close(self) -> None:
        await self.channel.close()

    async def services(self) -> Sequence[str]:
        """Return the full names of its services, by name: what the server says, else what the host knows."""
        try:
            answer = (await self._ask([pb.ServerReflectionRequest(list_services="*")]))[0]
        except NoReflection:
            return sorted(self.about.services)
        return sorted(item.name for item in answer.list_services_response.service)

    async def pool_with(self, symbol: str) -> descriptor_pool.DescriptorPool:
        """Return a pool with that full name, as the server describes it, else with everything that is bundled."""
        try:
            return await self._pool(symbol)
        except NoReflection:
            return bundled_pool()

    async def _pool(self, symbol: str) -> descriptor_pool.DescriptorPool:
        """Return a pool with the file of the symbol and all that it imports."""
        files: dict[str, FileDescriptorProto] = {}
        asked: set[str] = set()
        wanted = [pb.ServerReflectionRequest(file_containing_symbol=symbol)]
        while wanted:
            for answer in await self._ask(wanted):
                if answer.HasField("error_response"):
                    raise NoReflection(answer.error_response.error_message)
                for data in answer.file_descriptor_response.file_descriptor_proto:
                    file = _file(data)
                    files.setdefault(file.name, file)
            missing = {name for file in files.values() for name in file.dependency} - files.keys()
            if missing & asked:
                raise NoReflection(f"it was asked for {', '.join(sorted(missing & asked))} and answered something else")
            asked |= missing
            wanted = [pb.ServerReflectionRequest(file_by_filename=name) for name in sorted(missing)]
        pool = descriptor_pool.DescriptorPool()
        try:
            for file in _in_order(files):
                pool.AddSerializedFile(file.SerializeToString())
            pool.FindFileContainingSymbol(symbol)
        except (TypeError, KeyError) as error:  # what was answered does not fit together
            raise NoReflection(str(error)) from error
        return pool

    async def _ask(self, requests: Sequence[pb.ServerReflectionRequest]) -> list[pb.ServerReflectionResponse]:
        if self._silence is not None:  # a server that hangs is not waited for twice
            raise self._silence
        why = ""
        for version in VERSIONS:
            stream = self.channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=pb.ServerReflectionRequest.SerializeToString,
                response_deserializer=pb.ServerReflectionResponse.FromString,
            )
            try:
                answers = [answer async for answer in stream(iter(requests), timeout=ANSWER_S)]
                if len(answers) == len(requests):
                    return answers
                why = f"{len(requests)} questions got {len(answers)} answers"
            except grpc.aio.AioRpcError as error:
                why = error.details() or error.code().name
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED and why != LOST_STATUS:
                    break
        self._silence = NoReflection(why)
        raise self._silence


def bundled_pool() -> descriptor_pool.DescriptorPool:
    """Return a pool with every message of the contract, of this project's extensions and of health."""
    _bundled_files()
    return descriptor_pool.Default()


def bundled_services() -> list[str]:
    """Return the full names of the services that ``bundled_pool`` describes."""
    return [service.full_name for file in _bundled_files() for service in file.services_by_name.values()]


async def services_of(sockets: Iterable[SocketAbout]) -> list[Sequence[str]]:
    """Return the services of each socket; all are asked at once."""
    opened = [Socket(item) for item in sockets]
    try:
        return list(await asyncio.gather(*(item.services() for item in opened)))
    finally:
        await asyncio.gather(*(item.close() for item in opened))


def _file(data: bytes) -> FileDescriptorProto:
    try:
        return FileDescriptorProto.FromString(data)
    except DecodeError as error:
        raise NoReflection("its answer is no file descriptor") from error


def _bundled_files() -> list[FileDescriptor]:
    generated = [file for package in (v1, extension) for file in _files(package.__name__, package.__path__)]
    return [*generated, health_pb2.DESCRIPTOR]


def _files(name: str, path: Iterable[str]) -> Iterator[FileDescriptor]:
    for module in iter_modules(path):
        inner = f"{name}.{module.name}"
        if module.ispkg:
            yield from _files(inner, import_module(inner).__path__)
        elif module.name.endswith("_pb2"):
            yield import_module(inner).DESCRIPTOR


def _in_order(files: dict[str, FileDescriptorProto]) -> list[FileDescriptorProto]:
    """Return the files so that each comes after those that it imports."""
    ordered: dict[str, FileDescriptorProto] = {}

    def add(name: str, above: frozenset[str]) -> None:
        if name in ordered or name in above:
            return
        for imported in files[name].dependency:
            add(imported, above | {name})
        ordered[name] = files[name]

    for name in files:
        add(name, frozenset())
    return list(ordered.values())
