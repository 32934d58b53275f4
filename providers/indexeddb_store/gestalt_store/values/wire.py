"""The contract's messages as the store reads and writes them: records and JSON values stay bytes.

A record is stored as the bytes that arrived, so decoding and encoding it again would be waste. On the wire a nested
message and a ``bytes`` field look the same; the classes here are therefore made from the contract's own descriptors
with every ``Record``, ``CursorEntry`` and ``google.protobuf.Value`` field turned into ``bytes``, in a descriptor pool
of their own.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FileDescriptor
from google.rpc import status_pb2

from gestalt_sdk.gen.extension.v1 import batch_pb2, schemas_pb2
from gestalt_sdk.gen.v1 import datastore_pb2

PACKAGE = "gestalt.provider.v1"
BATCH_PACKAGE = "gestalt.extension.v1"
_OPAQUE = {f".{PACKAGE}.Record", f".{PACKAGE}.CursorEntry", ".google.protobuf.Value"}
_VERBATIM = (struct_pb2, timestamp_pb2, empty_pb2, status_pb2)
_TYPE_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES


def _add(pool: Any, file: FileDescriptor, done: set[str], opaque: bool) -> None:
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


def _load() -> Any:
    pool: Any = descriptor_pool.DescriptorPool()
    done: set[str] = set()
    for module in _VERBATIM:
        _add(pool, module.DESCRIPTOR, done, opaque=False)
    for contract in (datastore_pb2.DESCRIPTOR, batch_pb2.DESCRIPTOR, schemas_pb2.DESCRIPTOR):
        _add(pool, contract, done, opaque=True)
    return pool


_POOL = _load()


def message(name: str, package: str = PACKAGE) -> Any:
    """The class of a contract message, with opaque records."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{package}.{name}"))


def methods(service: str, package: str = PACKAGE) -> dict[str, tuple[Any, Any]]:
    """Request and response class of every call of a service."""
    described = _POOL.FindServiceByName(f"{package}.{service}")
    return {
        method.name: (
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
        )
        for method in described.methods
    }


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
Empty = message("Empty", "google.protobuf")
