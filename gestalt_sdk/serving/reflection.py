"""Server reflection: any gRPC tool learns from a socket which services it has and what their messages are.

grpcio-reflection has version v1alpha alone. The messages of v1 are the same under another package name, so one servicer
answers both, and the descriptor of v1 is made from that of v1alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

SERVICE = "grpc.reflection.v1.ServerReflection"
FILE = "grpc/reflection/v1/reflection.proto"
"""The name under which gRPC publishes the file that declares ``SERVICE``."""
SERVICES = (SERVICE, reflection.SERVICE_NAME)

Found = TypeVar("Found")


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Add ``grpc.reflection`` v1 and v1alpha; both list the named services and themselves."""
    servicer = reflection.aio.ReflectionServicer((*services, *SERVICES), pool=_Pool())
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in SERVICES:
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
        )


def v1_file() -> descriptor_pb2.FileDescriptorProto:
    """Return the file that declares version v1, made from that of v1alpha."""
    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    file = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    file.name = FILE
    file.options.ClearField("deprecated")
    return file


class _Pool:
    """What the servicer asks of a descriptor pool: everything this process has loaded, and version v1.

    The file of v1 is kept out of the process's own pool, where it would clash with one that a provider's code brings.
    """

    def __init__(self) -> None:
        self._loaded = descriptor_pool.Default()
        self._v1 = descriptor_pool.DescriptorPool()
        self._v1.Add(v1_file())

    def FindFileByName(self, name: str) -> FileDescriptor:
        return self._first(lambda pool: pool.FindFileByName(name))

    def FindFileContainingSymbol(self, name: str) -> FileDescriptor:
        try:
            return self._first(lambda pool: pool.FindFileContainingSymbol(name))
        except KeyError:  # the pools do not count methods among symbols, the protocol does
            return self._first(lambda pool: pool.FindMethodByName(name)).containing_service.file

    def FindMessageTypeByName(self, name: str) -> Descriptor:
        return self._first(lambda pool: pool.FindMessageTypeByName(name))

    def FindExtensionByNumber(self, message: Descriptor, number: int) -> FieldDescriptor:
        return self._loaded.FindExtensionByNumber(message, number)

    def FindAllExtensions(self, message: Descriptor) -> list[FieldDescriptor]:
        return self._loaded.FindAllExtensions(message)

    def _first(self, find: Callable[[descriptor_pool.DescriptorPool], Found]) -> Found:
        try:
            return find(self._loaded)
        except KeyError:
            return find(self._v1)
