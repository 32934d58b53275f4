"""The contract's messages as the store reads and writes them: records and JSON values stay bytes.

A record is stored as the bytes that arrived, so it need not be decoded and encoded again. On the wire a nested message
and a ``bytes`` field look the same. The classes here are therefore made from the contract's own descriptors, in a pool
of their own, with every ``Record``, ``CursorEntry`` and ``google.protobuf.Value`` field turned into ``bytes``.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol, TypeAlias, cast

from google.protobuf import descriptor_pb2, empty_pb2, message_factory, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import status_pb2

from gestalt_sdk.gen.extension.v1 import batch_pb2, schemas_pb2
from gestalt_sdk.gen.v1 import datastore_pb2

PACKAGE = "gestalt.provider.v1"
BATCH_PACKAGE = "gestalt.extension.v1"
_OPAQUE = {f".{PACKAGE}.Record", f".{PACKAGE}.CursorEntry", ".google.protobuf.Value"}
_VERBATIM = (struct_pb2, timestamp_pb2, empty_pb2, status_pb2)
_TYPE_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES


class Message(Protocol):
    """A message of the contract as it is read here: its fields are those of the ``.proto`` file, opaque ones bytes."""

    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: object) -> None: ...
    def CopyFrom(self, other: Message) -> None: ...
    def HasField(self, name: str) -> bool: ...
    def SerializeToString(self, *, deterministic: bool = False) -> bytes: ...
    def SetInParent(self) -> None: ...
    def WhichOneof(self, name: str) -> str | None: ...


Fields: TypeAlias = MutableMapping[str, Message]
"""The fields of a ``Record``: a ``TypedValue`` for each name."""


class MessageClass(Protocol):
    """The class of such a message, made when this module is loaded."""

    def __call__(self, **fields: object) -> Message: ...
    def FromString(self, data: bytes) -> Message: ...


def _add(pool: DescriptorPool, file: FileDescriptor, done: set[str], opaque: bool) -> None:
    if file.name in done:
        return
    done.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, done, opaque=False)
    description = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(description)
    if opaque:
        for message in description.message_type:
            for field in message.field:
                if field.type_name in _OPAQUE:
                    field.type = _TYPE_BYTES
                    field.ClearField("type_name")
    pool.Add(description)


def _load() -> DescriptorPool:
    pool = DescriptorPool()
    done: set[str] = set()
    for module in _VERBATIM:
        _add(pool, module.DESCRIPTOR, done, opaque=False)
    for contract in (datastore_pb2.DESCRIPTOR, batch_pb2.DESCRIPTOR, schemas_pb2.DESCRIPTOR):
        _add(pool, contract, done, opaque=True)
    return pool


_POOL = _load()


def message(name: str, package: str = PACKAGE) -> MessageClass:
    """Return the class of a contract message, with opaque records."""
    return _class_of(_POOL.FindMessageTypeByName(f"{package}.{name}"))


def request_classes(service: str, package: str = PACKAGE) -> dict[str, MessageClass]:
    """Return the class of the requests of each call of a service, by the call's name."""
    described = _POOL.FindServiceByName(f"{package}.{service}")
    return {method.name: _class_of(method.input_type) for method in described.methods}


def _class_of(descriptor: Descriptor) -> MessageClass:
    return cast(MessageClass, message_factory.GetMessageClass(descriptor))


Record = message("Record")
TypedValue = message("TypedValue")
KeyValue = message("KeyValue")
CursorResponse = message("CursorResponse")
RecordResponse = message("RecordResponse")
RecordsResponse = message("RecordsResponse")
KeyResponse = message("KeyResponse")
KeysResponse = message("KeysResponse")
CountResponse = message("CountResponse")
DeleteResponse = message("DeleteResponse")
ObjectStoreSchema = message("ObjectStoreSchema")
TransactionServerMessage = message("TransactionServerMessage")
ApplyResponse = message("ApplyResponse", BATCH_PACKAGE)
GetManyResponse = message("GetManyResponse", BATCH_PACKAGE)
Migration = message("Migration", BATCH_PACKAGE)
GetPageResponse = message("GetPageResponse", BATCH_PACKAGE)
