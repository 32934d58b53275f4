from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Cause(_message.Message):
    __slots__ = ("root", "chain")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    root: str
    chain: int
    def __init__(self, root: _Optional[str] = ..., chain: _Optional[int] = ...) -> None: ...
