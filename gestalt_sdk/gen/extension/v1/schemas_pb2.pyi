from gestalt_sdk.gen.v1 import datastore_pb2 as _datastore_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MigrationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MIGRATION_STATE_UNSPECIFIED: _ClassVar[MigrationState]
    MIGRATION_STATE_RUNNING: _ClassVar[MigrationState]
    MIGRATION_STATE_DONE: _ClassVar[MigrationState]
    MIGRATION_STATE_FAILED: _ClassVar[MigrationState]
MIGRATION_STATE_UNSPECIFIED: MigrationState
MIGRATION_STATE_RUNNING: MigrationState
MIGRATION_STATE_DONE: MigrationState
MIGRATION_STATE_FAILED: MigrationState

class ChangeIndexesRequest(_message.Message):
    __slots__ = ("store", "add", "remove")
    STORE_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    store: str
    add: _containers.RepeatedCompositeFieldContainer[_datastore_pb2.IndexSchema]
    remove: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, store: _Optional[str] = ..., add: _Optional[_Iterable[_Union[_datastore_pb2.IndexSchema, _Mapping]]] = ..., remove: _Optional[_Iterable[str]] = ...) -> None: ...

class GetMigrationRequest(_message.Message):
    __slots__ = ("store",)
    STORE_FIELD_NUMBER: _ClassVar[int]
    store: str
    def __init__(self, store: _Optional[str] = ...) -> None: ...

class Migration(_message.Message):
    __slots__ = ("state", "records_read", "records", "schema", "problem", "conflicts")
    STATE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_READ_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    state: MigrationState
    records_read: int
    records: int
    schema: _datastore_pb2.ObjectStoreSchema
    problem: str
    conflicts: _containers.RepeatedCompositeFieldContainer[IndexConflict]
    def __init__(self, state: _Optional[_Union[MigrationState, str]] = ..., records_read: _Optional[int] = ..., records: _Optional[int] = ..., schema: _Optional[_Union[_datastore_pb2.ObjectStoreSchema, _Mapping]] = ..., problem: _Optional[str] = ..., conflicts: _Optional[_Iterable[_Union[IndexConflict, _Mapping]]] = ...) -> None: ...

class IndexConflict(_message.Message):
    __slots__ = ("index", "key", "primary_keys")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_KEYS_FIELD_NUMBER: _ClassVar[int]
    index: str
    key: _containers.RepeatedCompositeFieldContainer[_datastore_pb2.KeyValue]
    primary_keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, index: _Optional[str] = ..., key: _Optional[_Iterable[_Union[_datastore_pb2.KeyValue, _Mapping]]] = ..., primary_keys: _Optional[_Iterable[str]] = ...) -> None: ...
