from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class HealthNotice(_message.Message):
    __slots__ = ("name", "text", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    value: float
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
