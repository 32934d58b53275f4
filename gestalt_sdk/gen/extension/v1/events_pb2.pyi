import datetime

from gestalt_sdk.gen.extension.v1 import causes_pb2 as _causes_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from gestalt_sdk.gen.v1 import workflow_pb2 as _workflow_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TriggerVerdictKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRIGGER_VERDICT_KIND_UNSPECIFIED: _ClassVar[TriggerVerdictKind]
    TRIGGER_VERDICT_KIND_MATCHED: _ClassVar[TriggerVerdictKind]
    TRIGGER_VERDICT_KIND_DUPLICATE: _ClassVar[TriggerVerdictKind]
    TRIGGER_VERDICT_KIND_PAUSED: _ClassVar[TriggerVerdictKind]
    TRIGGER_VERDICT_KIND_SOURCE_DIFFERS: _ClassVar[TriggerVerdictKind]
    TRIGGER_VERDICT_KIND_SUBJECT_DIFFERS: _ClassVar[TriggerVerdictKind]
    TRIGGER_VERDICT_KIND_PLUGIN_DIFFERS: _ClassVar[TriggerVerdictKind]
    TRIGGER_VERDICT_KIND_TYPE_DIFFERS: _ClassVar[TriggerVerdictKind]
    TRIGGER_VERDICT_KIND_LOOP: _ClassVar[TriggerVerdictKind]

class ReplayMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPLAY_MODE_UNSPECIFIED: _ClassVar[ReplayMode]
    REPLAY_MODE_MISSING: _ClassVar[ReplayMode]
    REPLAY_MODE_FORCED: _ClassVar[ReplayMode]
    REPLAY_MODE_DRY_RUN: _ClassVar[ReplayMode]
TRIGGER_VERDICT_KIND_UNSPECIFIED: TriggerVerdictKind
TRIGGER_VERDICT_KIND_MATCHED: TriggerVerdictKind
TRIGGER_VERDICT_KIND_DUPLICATE: TriggerVerdictKind
TRIGGER_VERDICT_KIND_PAUSED: TriggerVerdictKind
TRIGGER_VERDICT_KIND_SOURCE_DIFFERS: TriggerVerdictKind
TRIGGER_VERDICT_KIND_SUBJECT_DIFFERS: TriggerVerdictKind
TRIGGER_VERDICT_KIND_PLUGIN_DIFFERS: TriggerVerdictKind
TRIGGER_VERDICT_KIND_TYPE_DIFFERS: TriggerVerdictKind
TRIGGER_VERDICT_KIND_LOOP: TriggerVerdictKind
REPLAY_MODE_UNSPECIFIED: ReplayMode
REPLAY_MODE_MISSING: ReplayMode
REPLAY_MODE_FORCED: ReplayMode
REPLAY_MODE_DRY_RUN: ReplayMode

class EventFilter(_message.Message):
    __slots__ = ("type", "source", "subject", "published_by_subject_id", "published_from", "published_before")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_BY_SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FROM_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    type: str
    source: str
    subject: str
    published_by_subject_id: str
    published_from: _timestamp_pb2.Timestamp
    published_before: _timestamp_pb2.Timestamp
    def __init__(self, type: _Optional[str] = ..., source: _Optional[str] = ..., subject: _Optional[str] = ..., published_by_subject_id: _Optional[str] = ..., published_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., published_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token", "summary")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    filter: EventFilter
    page_size: int
    page_token: str
    summary: bool
    def __init__(self, filter: _Optional[_Union[EventFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., summary: _Optional[bool] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[KeptEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[KeptEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetEventRequest(_message.Message):
    __slots__ = ("id", "source", "event_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    event_id: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., event_id: _Optional[str] = ...) -> None: ...

class KeptEvent(_message.Message):
    __slots__ = ("id", "event", "published_at", "published_by", "plugin_name", "publications", "last_published_at", "conflicting_publications", "matched", "verdicts", "verdicts_left_out", "replays", "replays_left_out", "unfinished", "cause")
    ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_BY_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    LAST_PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    CONFLICTING_PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    REPLAYS_FIELD_NUMBER: _ClassVar[int]
    REPLAYS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    id: str
    event: _workflow_pb2.WorkflowEvent
    published_at: _timestamp_pb2.Timestamp
    published_by: _workflow_pb2.WorkflowActor
    plugin_name: str
    publications: int
    last_published_at: _timestamp_pb2.Timestamp
    conflicting_publications: int
    matched: int
    verdicts: _containers.RepeatedCompositeFieldContainer[TriggerVerdict]
    verdicts_left_out: int
    replays: _containers.RepeatedCompositeFieldContainer[EventReplay]
    replays_left_out: int
    unfinished: int
    cause: _causes_pb2.Cause
    def __init__(self, id: _Optional[str] = ..., event: _Optional[_Union[_workflow_pb2.WorkflowEvent, _Mapping]] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., published_by: _Optional[_Union[_workflow_pb2.WorkflowActor, _Mapping]] = ..., plugin_name: _Optional[str] = ..., publications: _Optional[int] = ..., last_published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., conflicting_publications: _Optional[int] = ..., matched: _Optional[int] = ..., verdicts: _Optional[_Iterable[_Union[TriggerVerdict, _Mapping]]] = ..., verdicts_left_out: _Optional[int] = ..., replays: _Optional[_Iterable[_Union[EventReplay, _Mapping]]] = ..., replays_left_out: _Optional[int] = ..., unfinished: _Optional[int] = ..., cause: _Optional[_Union[_causes_pb2.Cause, _Mapping]] = ...) -> None: ...

class TriggerVerdict(_message.Message):
    __slots__ = ("trigger_id", "kind", "run_id", "expected", "actual")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    ACTUAL_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    kind: TriggerVerdictKind
    run_id: str
    expected: str
    actual: str
    def __init__(self, trigger_id: _Optional[str] = ..., kind: _Optional[_Union[TriggerVerdictKind, str]] = ..., run_id: _Optional[str] = ..., expected: _Optional[str] = ..., actual: _Optional[str] = ...) -> None: ...

class ReplayEventRequest(_message.Message):
    __slots__ = ("id", "source", "event_id", "replay_id", "mode", "trigger_ids", "replayed_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    REPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_IDS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    event_id: str
    replay_id: str
    mode: ReplayMode
    trigger_ids: _containers.RepeatedScalarFieldContainer[str]
    replayed_by: _workflow_pb2.WorkflowActor
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., event_id: _Optional[str] = ..., replay_id: _Optional[str] = ..., mode: _Optional[_Union[ReplayMode, str]] = ..., trigger_ids: _Optional[_Iterable[str]] = ..., replayed_by: _Optional[_Union[_workflow_pb2.WorkflowActor, _Mapping]] = ...) -> None: ...

class ReplayEventResponse(_message.Message):
    __slots__ = ("event_record_id", "replay", "verdicts", "verdicts_left_out", "repeated_request")
    EVENT_RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    REPEATED_REQUEST_FIELD_NUMBER: _ClassVar[int]
    event_record_id: str
    replay: EventReplay
    verdicts: _containers.RepeatedCompositeFieldContainer[TriggerVerdict]
    verdicts_left_out: int
    repeated_request: bool
    def __init__(self, event_record_id: _Optional[str] = ..., replay: _Optional[_Union[EventReplay, _Mapping]] = ..., verdicts: _Optional[_Iterable[_Union[TriggerVerdict, _Mapping]]] = ..., verdicts_left_out: _Optional[int] = ..., repeated_request: _Optional[bool] = ...) -> None: ...

class EventReplay(_message.Message):
    __slots__ = ("replay_id", "mode", "at", "replayed_by", "trigger_ids", "runs", "run_ids", "unfinished")
    REPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_BY_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_IDS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    replay_id: str
    mode: ReplayMode
    at: _timestamp_pb2.Timestamp
    replayed_by: _workflow_pb2.WorkflowActor
    trigger_ids: _containers.RepeatedScalarFieldContainer[str]
    runs: int
    run_ids: _containers.RepeatedScalarFieldContainer[str]
    unfinished: bool
    def __init__(self, replay_id: _Optional[str] = ..., mode: _Optional[_Union[ReplayMode, str]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replayed_by: _Optional[_Union[_workflow_pb2.WorkflowActor, _Mapping]] = ..., trigger_ids: _Optional[_Iterable[str]] = ..., runs: _Optional[int] = ..., run_ids: _Optional[_Iterable[str]] = ..., unfinished: _Optional[bool] = ...) -> None: ...
