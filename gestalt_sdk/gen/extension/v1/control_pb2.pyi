import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListProvidersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListProvidersResponse(_message.Message):
    __slots__ = ("providers",)
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[ProviderSummary]
    def __init__(self, providers: _Optional[_Iterable[_Union[ProviderSummary, _Mapping]]] = ...) -> None: ...

class ProviderSummary(_message.Message):
    __slots__ = ("kind", "name", "state", "reason", "pid", "restarts", "runtime")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    state: str
    reason: str
    pid: int
    restarts: int
    runtime: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., pid: _Optional[int] = ..., restarts: _Optional[int] = ..., runtime: _Optional[str] = ...) -> None: ...

class StreamLogRequest(_message.Message):
    __slots__ = ("kind", "name", "lines", "follow")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    lines: int
    follow: bool
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., lines: _Optional[int] = ..., follow: _Optional[bool] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("time", "pid", "line", "started", "ended", "left_out")
    TIME_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    pid: int
    line: LogLine
    started: ProcessStarted
    ended: ProcessEnded
    left_out: LinesLeftOut
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pid: _Optional[int] = ..., line: _Optional[_Union[LogLine, _Mapping]] = ..., started: _Optional[_Union[ProcessStarted, _Mapping]] = ..., ended: _Optional[_Union[ProcessEnded, _Mapping]] = ..., left_out: _Optional[_Union[LinesLeftOut, _Mapping]] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("stream", "text", "is_cut")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    stream: str
    text: bytes
    is_cut: bool
    def __init__(self, stream: _Optional[str] = ..., text: _Optional[bytes] = ..., is_cut: _Optional[bool] = ...) -> None: ...

class ProcessStarted(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ProcessEnded(_message.Message):
    __slots__ = ("how",)
    HOW_FIELD_NUMBER: _ClassVar[int]
    how: str
    def __init__(self, how: _Optional[str] = ...) -> None: ...

class LinesLeftOut(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: int
    def __init__(self, lines: _Optional[int] = ...) -> None: ...

class IssueInvocationTokenRequest(_message.Message):
    __slots__ = ("plugin",)
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    def __init__(self, plugin: _Optional[str] = ...) -> None: ...

class IssueInvocationTokenResponse(_message.Message):
    __slots__ = ("invocation_token", "expires_at")
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    invocation_token: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, invocation_token: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
