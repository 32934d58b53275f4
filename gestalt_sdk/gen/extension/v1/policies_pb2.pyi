import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CatchUpMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CATCH_UP_MODE_UNSPECIFIED: _ClassVar[CatchUpMode]
    CATCH_UP_MODE_LATEST: _ClassVar[CatchUpMode]
    CATCH_UP_MODE_ALL: _ClassVar[CatchUpMode]
    CATCH_UP_MODE_NONE: _ClassVar[CatchUpMode]

class OverlapPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERLAP_POLICY_UNSPECIFIED: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_ALLOW: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_SKIP: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_QUEUE_ONE: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_CANCEL_PREVIOUS: _ClassVar[OverlapPolicy]

class RetryOn(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETRY_ON_UNSPECIFIED: _ClassVar[RetryOn]
    RETRY_ON_SERVER_ERROR: _ClassVar[RetryOn]
    RETRY_ON_CLIENT_ERROR: _ClassVar[RetryOn]
    RETRY_ON_CALL_FAILED: _ClassVar[RetryOn]
    RETRY_ON_TIMEOUT: _ClassVar[RetryOn]
    RETRY_ON_INTERRUPTED: _ClassVar[RetryOn]
CATCH_UP_MODE_UNSPECIFIED: CatchUpMode
CATCH_UP_MODE_LATEST: CatchUpMode
CATCH_UP_MODE_ALL: CatchUpMode
CATCH_UP_MODE_NONE: CatchUpMode
OVERLAP_POLICY_UNSPECIFIED: OverlapPolicy
OVERLAP_POLICY_ALLOW: OverlapPolicy
OVERLAP_POLICY_SKIP: OverlapPolicy
OVERLAP_POLICY_QUEUE_ONE: OverlapPolicy
OVERLAP_POLICY_CANCEL_PREVIOUS: OverlapPolicy
RETRY_ON_UNSPECIFIED: RetryOn
RETRY_ON_SERVER_ERROR: RetryOn
RETRY_ON_CLIENT_ERROR: RetryOn
RETRY_ON_CALL_FAILED: RetryOn
RETRY_ON_TIMEOUT: RetryOn
RETRY_ON_INTERRUPTED: RetryOn

class SchedulePolicy(_message.Message):
    __slots__ = ("catchup", "overlap", "jitter", "run")
    CATCHUP_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    catchup: CatchUp
    overlap: OverlapPolicy
    jitter: _duration_pb2.Duration
    run: RunPolicy
    def __init__(self, catchup: _Optional[_Union[CatchUp, _Mapping]] = ..., overlap: _Optional[_Union[OverlapPolicy, str]] = ..., jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., run: _Optional[_Union[RunPolicy, _Mapping]] = ...) -> None: ...

class CatchUp(_message.Message):
    __slots__ = ("mode", "window", "cap")
    MODE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    CAP_FIELD_NUMBER: _ClassVar[int]
    mode: CatchUpMode
    window: _duration_pb2.Duration
    cap: int
    def __init__(self, mode: _Optional[_Union[CatchUpMode, str]] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cap: _Optional[int] = ...) -> None: ...

class RunPolicy(_message.Message):
    __slots__ = ("retry", "timeout")
    RETRY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    retry: RetryPolicy
    timeout: _duration_pb2.Duration
    def __init__(self, retry: _Optional[_Union[RetryPolicy, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RetryPolicy(_message.Message):
    __slots__ = ("max_attempts", "initial_backoff", "max_backoff", "retry_on")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    MAX_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    RETRY_ON_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    initial_backoff: _duration_pb2.Duration
    max_backoff: _duration_pb2.Duration
    retry_on: _containers.RepeatedScalarFieldContainer[RetryOn]
    def __init__(self, max_attempts: _Optional[int] = ..., initial_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., retry_on: _Optional[_Iterable[_Union[RetryOn, str]]] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("note", "subject_id", "display_name", "until", "paused_at")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    PAUSED_AT_FIELD_NUMBER: _ClassVar[int]
    note: str
    subject_id: str
    display_name: str
    until: _timestamp_pb2.Timestamp
    paused_at: _timestamp_pb2.Timestamp
    def __init__(self, note: _Optional[str] = ..., subject_id: _Optional[str] = ..., display_name: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., paused_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
