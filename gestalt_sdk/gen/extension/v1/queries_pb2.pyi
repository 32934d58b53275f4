import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from gestalt_sdk.gen.v1 import workflow_pb2 as _workflow_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunMomentKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_MOMENT_KIND_UNSPECIFIED: _ClassVar[RunMomentKind]
    RUN_MOMENT_KIND_CREATED: _ClassVar[RunMomentKind]
    RUN_MOMENT_KIND_CLAIMED: _ClassVar[RunMomentKind]
    RUN_MOMENT_KIND_ENDED: _ClassVar[RunMomentKind]
    RUN_MOMENT_KIND_SIGNALED: _ClassVar[RunMomentKind]
    RUN_MOMENT_KIND_CANCELED: _ClassVar[RunMomentKind]
    RUN_MOMENT_KIND_RETURNED: _ClassVar[RunMomentKind]
    RUN_MOMENT_KIND_REPLAYED: _ClassVar[RunMomentKind]
RUN_MOMENT_KIND_UNSPECIFIED: RunMomentKind
RUN_MOMENT_KIND_CREATED: RunMomentKind
RUN_MOMENT_KIND_CLAIMED: RunMomentKind
RUN_MOMENT_KIND_ENDED: RunMomentKind
RUN_MOMENT_KIND_SIGNALED: RunMomentKind
RUN_MOMENT_KIND_CANCELED: RunMomentKind
RUN_MOMENT_KIND_RETURNED: RunMomentKind
RUN_MOMENT_KIND_REPLAYED: RunMomentKind

class RunFilter(_message.Message):
    __slots__ = ("statuses", "target_owner", "operation", "schedule_id", "trigger_id", "owner_subject_id", "created_from", "created_before", "slot_from", "slot_before")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    TARGET_OWNER_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FROM_FIELD_NUMBER: _ClassVar[int]
    SLOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[_workflow_pb2.WorkflowRunStatus]
    target_owner: str
    operation: str
    schedule_id: str
    trigger_id: str
    owner_subject_id: str
    created_from: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    slot_from: _timestamp_pb2.Timestamp
    slot_before: _timestamp_pb2.Timestamp
    def __init__(self, statuses: _Optional[_Iterable[_Union[_workflow_pb2.WorkflowRunStatus, str]]] = ..., target_owner: _Optional[str] = ..., operation: _Optional[str] = ..., schedule_id: _Optional[str] = ..., trigger_id: _Optional[str] = ..., owner_subject_id: _Optional[str] = ..., created_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., slot_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., slot_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueryRunsRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token", "summary", "result_bytes")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    RESULT_BYTES_FIELD_NUMBER: _ClassVar[int]
    filter: RunFilter
    page_size: int
    page_token: str
    summary: bool
    result_bytes: int
    def __init__(self, filter: _Optional[_Union[RunFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., summary: _Optional[bool] = ..., result_bytes: _Optional[int] = ...) -> None: ...

class QueryRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.BoundWorkflowRun]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[_workflow_pb2.BoundWorkflowRun, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CountRunsRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: RunFilter
    def __init__(self, filter: _Optional[_Union[RunFilter, _Mapping]] = ...) -> None: ...

class CountRunsResponse(_message.Message):
    __slots__ = ("counts", "incomplete")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[StatusCount]
    incomplete: bool
    def __init__(self, counts: _Optional[_Iterable[_Union[StatusCount, _Mapping]]] = ..., incomplete: _Optional[bool] = ...) -> None: ...

class StatusCount(_message.Message):
    __slots__ = ("status", "count")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    status: _workflow_pb2.WorkflowRunStatus
    count: int
    def __init__(self, status: _Optional[_Union[_workflow_pb2.WorkflowRunStatus, str]] = ..., count: _Optional[int] = ...) -> None: ...

class GetRunTimelineRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class GetRunTimelineResponse(_message.Message):
    __slots__ = ("moments", "left_out")
    MOMENTS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    moments: _containers.RepeatedCompositeFieldContainer[RunMoment]
    left_out: int
    def __init__(self, moments: _Optional[_Iterable[_Union[RunMoment, _Mapping]]] = ..., left_out: _Optional[int] = ...) -> None: ...

class RunMoment(_message.Message):
    __slots__ = ("at", "kind", "attempt", "status", "detail", "subject_id")
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    kind: RunMomentKind
    attempt: int
    status: _workflow_pb2.WorkflowRunStatus
    detail: str
    subject_id: str
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[_Union[RunMomentKind, str]] = ..., attempt: _Optional[int] = ..., status: _Optional[_Union[_workflow_pb2.WorkflowRunStatus, str]] = ..., detail: _Optional[str] = ..., subject_id: _Optional[str] = ...) -> None: ...

class QueryObjectsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "subject_id", "id_prefix")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    subject_id: str
    id_prefix: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., subject_id: _Optional[str] = ..., id_prefix: _Optional[str] = ...) -> None: ...

class QuerySchedulesResponse(_message.Message):
    __slots__ = ("schedules", "next_page_token")
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    schedules: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.BoundWorkflowSchedule]
    next_page_token: str
    def __init__(self, schedules: _Optional[_Iterable[_Union[_workflow_pb2.BoundWorkflowSchedule, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class QueryEventTriggersResponse(_message.Message):
    __slots__ = ("triggers", "next_page_token")
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    triggers: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.BoundWorkflowEventTrigger]
    next_page_token: str
    def __init__(self, triggers: _Optional[_Iterable[_Union[_workflow_pb2.BoundWorkflowEventTrigger, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class QueryExecutionReferencesResponse(_message.Message):
    __slots__ = ("references", "next_page_token")
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    references: _containers.RepeatedCompositeFieldContainer[_workflow_pb2.WorkflowExecutionReference]
    next_page_token: str
    def __init__(self, references: _Optional[_Iterable[_Union[_workflow_pb2.WorkflowExecutionReference, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
