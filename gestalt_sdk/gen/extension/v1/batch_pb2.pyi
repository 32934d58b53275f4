from gestalt_sdk.gen.v1 import datastore_pb2 as _datastore_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApplyRequest(_message.Message):
    __slots__ = ("entries", "return_current", "durability_hint")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    RETURN_CURRENT_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_HINT_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[ApplyEntry]
    return_current: bool
    durability_hint: _datastore_pb2.TransactionDurabilityHint
    def __init__(self, entries: _Optional[_Iterable[_Union[ApplyEntry, _Mapping]]] = ..., return_current: _Optional[bool] = ..., durability_hint: _Optional[_Union[_datastore_pb2.TransactionDurabilityHint, str]] = ...) -> None: ...

class ApplyEntry(_message.Message):
    __slots__ = ("store", "put", "add", "delete", "check", "conditions", "required")
    STORE_FIELD_NUMBER: _ClassVar[int]
    PUT_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    store: str
    put: _datastore_pb2.Record
    add: _datastore_pb2.Record
    delete: str
    check: str
    conditions: _containers.RepeatedCompositeFieldContainer[ApplyCondition]
    required: bool
    def __init__(self, store: _Optional[str] = ..., put: _Optional[_Union[_datastore_pb2.Record, _Mapping]] = ..., add: _Optional[_Union[_datastore_pb2.Record, _Mapping]] = ..., delete: _Optional[str] = ..., check: _Optional[str] = ..., conditions: _Optional[_Iterable[_Union[ApplyCondition, _Mapping]]] = ..., required: _Optional[bool] = ...) -> None: ...

class ApplyCondition(_message.Message):
    __slots__ = ("store", "id", "absent", "equals")
    STORE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    EQUALS_FIELD_NUMBER: _ClassVar[int]
    store: str
    id: str
    absent: bool
    equals: FieldEquals
    def __init__(self, store: _Optional[str] = ..., id: _Optional[str] = ..., absent: _Optional[bool] = ..., equals: _Optional[_Union[FieldEquals, _Mapping]] = ...) -> None: ...

class FieldEquals(_message.Message):
    __slots__ = ("field", "value")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    field: str
    value: _datastore_pb2.TypedValue
    def __init__(self, field: _Optional[str] = ..., value: _Optional[_Union[_datastore_pb2.TypedValue, _Mapping]] = ...) -> None: ...

class ApplyResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[ApplyOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[ApplyOutcome, _Mapping]]] = ...) -> None: ...

class ApplyOutcome(_message.Message):
    __slots__ = ("code", "message", "current")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    current: _datastore_pb2.Record
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., current: _Optional[_Union[_datastore_pb2.Record, _Mapping]] = ...) -> None: ...

class GetManyRequest(_message.Message):
    __slots__ = ("store", "ids")
    STORE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    store: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, store: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetManyResponse(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_datastore_pb2.Record]
    def __init__(self, records: _Optional[_Iterable[_Union[_datastore_pb2.Record, _Mapping]]] = ...) -> None: ...

class GetPageRequest(_message.Message):
    __slots__ = ("store", "index", "values", "range", "direction", "limit", "page_token", "keys_only")
    STORE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEYS_ONLY_FIELD_NUMBER: _ClassVar[int]
    store: str
    index: str
    values: _containers.RepeatedCompositeFieldContainer[_datastore_pb2.TypedValue]
    range: _datastore_pb2.KeyRange
    direction: _datastore_pb2.CursorDirection
    limit: int
    page_token: bytes
    keys_only: bool
    def __init__(self, store: _Optional[str] = ..., index: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_datastore_pb2.TypedValue, _Mapping]]] = ..., range: _Optional[_Union[_datastore_pb2.KeyRange, _Mapping]] = ..., direction: _Optional[_Union[_datastore_pb2.CursorDirection, str]] = ..., limit: _Optional[int] = ..., page_token: _Optional[bytes] = ..., keys_only: _Optional[bool] = ...) -> None: ...

class GetPageResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_datastore_pb2.CursorEntry]
    next_page_token: bytes
    def __init__(self, entries: _Optional[_Iterable[_Union[_datastore_pb2.CursorEntry, _Mapping]]] = ..., next_page_token: _Optional[bytes] = ...) -> None: ...
