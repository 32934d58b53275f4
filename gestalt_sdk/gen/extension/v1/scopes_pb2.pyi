from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class OpenScopeRequest(_message.Message):
    __slots__ = ("db", "object_stores", "socket_path")
    DB_FIELD_NUMBER: _ClassVar[int]
    OBJECT_STORES_FIELD_NUMBER: _ClassVar[int]
    SOCKET_PATH_FIELD_NUMBER: _ClassVar[int]
    db: str
    object_stores: _containers.RepeatedScalarFieldContainer[str]
    socket_path: str
    def __init__(self, db: _Optional[str] = ..., object_stores: _Optional[_Iterable[str]] = ..., socket_path: _Optional[str] = ...) -> None: ...

class OpenScopeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CloseScopeRequest(_message.Message):
    __slots__ = ("socket_path",)
    SOCKET_PATH_FIELD_NUMBER: _ClassVar[int]
    socket_path: str
    def __init__(self, socket_path: _Optional[str] = ...) -> None: ...

class CloseScopeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
