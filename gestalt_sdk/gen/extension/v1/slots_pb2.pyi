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

class SlotState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLOT_STATE_UNSPECIFIED: _ClassVar[SlotState]
    SLOT_STATE_FIRED: _ClassVar[SlotState]
    SLOT_STATE_COLLAPSED: _ClassVar[SlotState]
    SLOT_STATE_SKIPPED: _ClassVar[SlotState]
    SLOT_STATE_DUE: _ClassVar[SlotState]
    SLOT_STATE_DENIED: _ClassVar[SlotState]

class SlotSkipReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLOT_SKIP_REASON_UNSPECIFIED: _ClassVar[SlotSkipReason]
    SLOT_SKIP_REASON_OVERLAP: _ClassVar[SlotSkipReason]
    SLOT_SKIP_REASON_PAUSED: _ClassVar[SlotSkipReason]
    SLOT_SKIP_REASON_CATCH_UP: _ClassVar[SlotSkipReason]
    SLOT_SKIP_REASON_NEVER_LOADED: _ClassVar[SlotSkipReason]

class SlotRemark(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLOT_REMARK_UNSPECIFIED: _ClassVar[SlotRemark]
    SLOT_REMARK_FIRST_PASS: _ClassVar[SlotRemark]
    SLOT_REMARK_SECOND_PASS: _ClassVar[SlotRemark]
    SLOT_REMARK_SHIFTED: _ClassVar[SlotRemark]
SLOT_STATE_UNSPECIFIED: SlotState
SLOT_STATE_FIRED: SlotState
SLOT_STATE_COLLAPSED: SlotState
SLOT_STATE_SKIPPED: SlotState
SLOT_STATE_DUE: SlotState
SLOT_STATE_DENIED: SlotState
SLOT_SKIP_REASON_UNSPECIFIED: SlotSkipReason
SLOT_SKIP_REASON_OVERLAP: SlotSkipReason
SLOT_SKIP_REASON_PAUSED: SlotSkipReason
SLOT_SKIP_REASON_CATCH_UP: SlotSkipReason
SLOT_SKIP_REASON_NEVER_LOADED: SlotSkipReason
SLOT_REMARK_UNSPECIFIED: SlotRemark
SLOT_REMARK_FIRST_PASS: SlotRemark
SLOT_REMARK_SECOND_PASS: SlotRemark
SLOT_REMARK_SHIFTED: SlotRemark

class ListSlotsRequest(_message.Message):
    __slots__ = ("schedule_id", "to", "page_size", "page_token")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    to: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, schedule_id: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., **kwargs) -> None: ...

class ListSlotsResponse(_message.Message):
    __slots__ = ("slots", "next_page_token")
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    slots: _containers.RepeatedCompositeFieldContainer[SlotOutcome]
    next_page_token: str
    def __init__(self, slots: _Optional[_Iterable[_Union[SlotOutcome, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SlotOutcome(_message.Message):
    __slots__ = ("first", "last", "count", "state", "skip_reason", "run_id", "lateness", "collapsed_into", "recorded_at")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SKIP_REASON_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    LATENESS_FIELD_NUMBER: _ClassVar[int]
    COLLAPSED_INTO_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    first: _timestamp_pb2.Timestamp
    last: _timestamp_pb2.Timestamp
    count: int
    state: SlotState
    skip_reason: SlotSkipReason
    run_id: str
    lateness: _duration_pb2.Duration
    collapsed_into: _timestamp_pb2.Timestamp
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, first: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., count: _Optional[int] = ..., state: _Optional[_Union[SlotState, str]] = ..., skip_reason: _Optional[_Union[SlotSkipReason, str]] = ..., run_id: _Optional[str] = ..., lateness: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., collapsed_into: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PreviewSlotsRequest(_message.Message):
    __slots__ = ("schedule_id", "cron", "timezone", "count", "after")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    cron: str
    timezone: str
    count: int
    after: _timestamp_pb2.Timestamp
    def __init__(self, schedule_id: _Optional[str] = ..., cron: _Optional[str] = ..., timezone: _Optional[str] = ..., count: _Optional[int] = ..., after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PreviewSlotsResponse(_message.Message):
    __slots__ = ("slots", "timezone", "paused")
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    slots: _containers.RepeatedCompositeFieldContainer[UpcomingSlot]
    timezone: str
    paused: bool
    def __init__(self, slots: _Optional[_Iterable[_Union[UpcomingSlot, _Mapping]]] = ..., timezone: _Optional[str] = ..., paused: _Optional[bool] = ...) -> None: ...

class UpcomingSlot(_message.Message):
    __slots__ = ("slot", "local_time", "utc_offset_seconds", "remark", "fires_at")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    LOCAL_TIME_FIELD_NUMBER: _ClassVar[int]
    UTC_OFFSET_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REMARK_FIELD_NUMBER: _ClassVar[int]
    FIRES_AT_FIELD_NUMBER: _ClassVar[int]
    slot: _timestamp_pb2.Timestamp
    local_time: str
    utc_offset_seconds: int
    remark: SlotRemark
    fires_at: _timestamp_pb2.Timestamp
    def __init__(self, slot: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., local_time: _Optional[str] = ..., utc_offset_seconds: _Optional[int] = ..., remark: _Optional[_Union[SlotRemark, str]] = ..., fires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
