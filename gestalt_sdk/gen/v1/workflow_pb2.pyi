import datetime

from gestalt_sdk.gen.extension.v1 import causes_pb2 as _causes_pb2
from gestalt_sdk.gen.extension.v1 import policies_pb2 as _policies_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from gestalt_sdk.gen.v1 import agent_pb2 as _agent_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkflowRunStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKFLOW_RUN_STATUS_UNSPECIFIED: _ClassVar[WorkflowRunStatus]
    WORKFLOW_RUN_STATUS_PENDING: _ClassVar[WorkflowRunStatus]
    WORKFLOW_RUN_STATUS_RUNNING: _ClassVar[WorkflowRunStatus]
    WORKFLOW_RUN_STATUS_SUCCEEDED: _ClassVar[WorkflowRunStatus]
    WORKFLOW_RUN_STATUS_FAILED: _ClassVar[WorkflowRunStatus]
    WORKFLOW_RUN_STATUS_CANCELED: _ClassVar[WorkflowRunStatus]
WORKFLOW_RUN_STATUS_UNSPECIFIED: WorkflowRunStatus
WORKFLOW_RUN_STATUS_PENDING: WorkflowRunStatus
WORKFLOW_RUN_STATUS_RUNNING: WorkflowRunStatus
WORKFLOW_RUN_STATUS_SUCCEEDED: WorkflowRunStatus
WORKFLOW_RUN_STATUS_FAILED: WorkflowRunStatus
WORKFLOW_RUN_STATUS_CANCELED: WorkflowRunStatus

class BoundWorkflowTarget(_message.Message):
    __slots__ = ("plugin", "agent")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    plugin: BoundWorkflowPluginTarget
    agent: BoundWorkflowAgentTarget
    def __init__(self, plugin: _Optional[_Union[BoundWorkflowPluginTarget, _Mapping]] = ..., agent: _Optional[_Union[BoundWorkflowAgentTarget, _Mapping]] = ...) -> None: ...

class BoundWorkflowPluginTarget(_message.Message):
    __slots__ = ("plugin_name", "operation", "input", "connection", "instance", "credential_mode")
    PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_MODE_FIELD_NUMBER: _ClassVar[int]
    plugin_name: str
    operation: str
    input: _struct_pb2.Struct
    connection: str
    instance: str
    credential_mode: str
    def __init__(self, plugin_name: _Optional[str] = ..., operation: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., connection: _Optional[str] = ..., instance: _Optional[str] = ..., credential_mode: _Optional[str] = ...) -> None: ...

class BoundWorkflowAgentTarget(_message.Message):
    __slots__ = ("provider_name", "model", "prompt", "messages", "tool_refs", "response_schema", "metadata", "timeout_seconds", "output_delivery", "model_options")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TOOL_REFS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DELIVERY_FIELD_NUMBER: _ClassVar[int]
    MODEL_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    model: str
    prompt: str
    messages: _containers.RepeatedCompositeFieldContainer[_agent_pb2.AgentMessage]
    tool_refs: _containers.RepeatedCompositeFieldContainer[_agent_pb2.AgentToolRef]
    response_schema: _struct_pb2.Struct
    metadata: _struct_pb2.Struct
    timeout_seconds: int
    output_delivery: WorkflowOutputDelivery
    model_options: _struct_pb2.Struct
    def __init__(self, provider_name: _Optional[str] = ..., model: _Optional[str] = ..., prompt: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_agent_pb2.AgentMessage, _Mapping]]] = ..., tool_refs: _Optional[_Iterable[_Union[_agent_pb2.AgentToolRef, _Mapping]]] = ..., response_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., timeout_seconds: _Optional[int] = ..., output_delivery: _Optional[_Union[WorkflowOutputDelivery, _Mapping]] = ..., model_options: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class WorkflowOutputDelivery(_message.Message):
    __slots__ = ("target", "input_bindings", "credential_mode")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    INPUT_BINDINGS_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_MODE_FIELD_NUMBER: _ClassVar[int]
    target: BoundWorkflowPluginTarget
    input_bindings: _containers.RepeatedCompositeFieldContainer[WorkflowOutputBinding]
    credential_mode: str
    def __init__(self, target: _Optional[_Union[BoundWorkflowPluginTarget, _Mapping]] = ..., input_bindings: _Optional[_Iterable[_Union[WorkflowOutputBinding, _Mapping]]] = ..., credential_mode: _Optional[str] = ...) -> None: ...

class WorkflowOutputBinding(_message.Message):
    __slots__ = ("input_field", "value")
    INPUT_FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    input_field: str
    value: WorkflowOutputValueSource
    def __init__(self, input_field: _Optional[str] = ..., value: _Optional[_Union[WorkflowOutputValueSource, _Mapping]] = ...) -> None: ...

class WorkflowOutputValueSource(_message.Message):
    __slots__ = ("agent_output", "signal_payload", "signal_metadata", "literal")
    AGENT_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_METADATA_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    agent_output: str
    signal_payload: str
    signal_metadata: str
    literal: _struct_pb2.Value
    def __init__(self, agent_output: _Optional[str] = ..., signal_payload: _Optional[str] = ..., signal_metadata: _Optional[str] = ..., literal: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...

class WorkflowActor(_message.Message):
    __slots__ = ("subject_id", "subject_kind", "display_name", "auth_source")
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_KIND_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    AUTH_SOURCE_FIELD_NUMBER: _ClassVar[int]
    subject_id: str
    subject_kind: str
    display_name: str
    auth_source: str
    def __init__(self, subject_id: _Optional[str] = ..., subject_kind: _Optional[str] = ..., display_name: _Optional[str] = ..., auth_source: _Optional[str] = ...) -> None: ...

class WorkflowEvent(_message.Message):
    __slots__ = ("id", "source", "spec_version", "type", "subject", "time", "datacontenttype", "data", "extensions")
    class ExtensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SPEC_VERSION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    DATACONTENTTYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    spec_version: str
    type: str
    subject: str
    time: _timestamp_pb2.Timestamp
    datacontenttype: str
    data: _struct_pb2.Struct
    extensions: _containers.MessageMap[str, _struct_pb2.Value]
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., spec_version: _Optional[str] = ..., type: _Optional[str] = ..., subject: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., datacontenttype: _Optional[str] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., extensions: _Optional[_Mapping[str, _struct_pb2.Value]] = ...) -> None: ...

class WorkflowEventMatch(_message.Message):
    __slots__ = ("type", "source", "subject")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    type: str
    source: str
    subject: str
    def __init__(self, type: _Optional[str] = ..., source: _Optional[str] = ..., subject: _Optional[str] = ...) -> None: ...

class WorkflowManualTrigger(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkflowScheduleTrigger(_message.Message):
    __slots__ = ("schedule_id", "scheduled_for")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_FOR_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    scheduled_for: _timestamp_pb2.Timestamp
    def __init__(self, schedule_id: _Optional[str] = ..., scheduled_for: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkflowEventTriggerInvocation(_message.Message):
    __slots__ = ("trigger_id", "event")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    event: WorkflowEvent
    def __init__(self, trigger_id: _Optional[str] = ..., event: _Optional[_Union[WorkflowEvent, _Mapping]] = ...) -> None: ...

class WorkflowRunTrigger(_message.Message):
    __slots__ = ("manual", "schedule", "event")
    MANUAL_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    manual: WorkflowManualTrigger
    schedule: WorkflowScheduleTrigger
    event: WorkflowEventTriggerInvocation
    def __init__(self, manual: _Optional[_Union[WorkflowManualTrigger, _Mapping]] = ..., schedule: _Optional[_Union[WorkflowScheduleTrigger, _Mapping]] = ..., event: _Optional[_Union[WorkflowEventTriggerInvocation, _Mapping]] = ...) -> None: ...

class BoundWorkflowRun(_message.Message):
    __slots__ = ("id", "status", "target", "trigger", "created_at", "started_at", "completed_at", "status_message", "result_body", "created_by", "execution_ref", "workflow_key", "published_by", "result_truncated", "attempt", "policy", "not_before", "waits_for_run_id", "waits_for_limit", "cause")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESULT_BODY_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_KEY_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_BY_FIELD_NUMBER: _ClassVar[int]
    RESULT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: WorkflowRunStatus
    target: BoundWorkflowTarget
    trigger: WorkflowRunTrigger
    created_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    completed_at: _timestamp_pb2.Timestamp
    status_message: str
    result_body: str
    created_by: WorkflowActor
    execution_ref: str
    workflow_key: str
    published_by: WorkflowActor
    result_truncated: int
    attempt: int
    policy: _policies_pb2.RunPolicy
    not_before: _timestamp_pb2.Timestamp
    waits_for_run_id: str
    waits_for_limit: str
    cause: _causes_pb2.Cause
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[WorkflowRunStatus, str]] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., trigger: _Optional[_Union[WorkflowRunTrigger, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status_message: _Optional[str] = ..., result_body: _Optional[str] = ..., created_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., execution_ref: _Optional[str] = ..., workflow_key: _Optional[str] = ..., published_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., result_truncated: _Optional[int] = ..., attempt: _Optional[int] = ..., policy: _Optional[_Union[_policies_pb2.RunPolicy, _Mapping]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waits_for_run_id: _Optional[str] = ..., waits_for_limit: _Optional[str] = ..., cause: _Optional[_Union[_causes_pb2.Cause, _Mapping]] = ...) -> None: ...

class BoundWorkflowSchedule(_message.Message):
    __slots__ = ("id", "cron", "timezone", "target", "paused", "created_at", "updated_at", "next_run_at", "created_by", "execution_ref", "policy", "pause", "revision")
    ID_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    id: str
    cron: str
    timezone: str
    target: BoundWorkflowTarget
    paused: bool
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    next_run_at: _timestamp_pb2.Timestamp
    created_by: WorkflowActor
    execution_ref: str
    policy: _policies_pb2.SchedulePolicy
    pause: _policies_pb2.Pause
    revision: int
    def __init__(self, id: _Optional[str] = ..., cron: _Optional[str] = ..., timezone: _Optional[str] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., paused: _Optional[bool] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_run_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., execution_ref: _Optional[str] = ..., policy: _Optional[_Union[_policies_pb2.SchedulePolicy, _Mapping]] = ..., pause: _Optional[_Union[_policies_pb2.Pause, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class BoundWorkflowEventTrigger(_message.Message):
    __slots__ = ("id", "match", "target", "paused", "created_at", "updated_at", "created_by", "execution_ref", "policy", "pause", "revision")
    ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    id: str
    match: WorkflowEventMatch
    target: BoundWorkflowTarget
    paused: bool
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    created_by: WorkflowActor
    execution_ref: str
    policy: _policies_pb2.RunPolicy
    pause: _policies_pb2.Pause
    revision: int
    def __init__(self, id: _Optional[str] = ..., match: _Optional[_Union[WorkflowEventMatch, _Mapping]] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., paused: _Optional[bool] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., execution_ref: _Optional[str] = ..., policy: _Optional[_Union[_policies_pb2.RunPolicy, _Mapping]] = ..., pause: _Optional[_Union[_policies_pb2.Pause, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class WorkflowAccessPermission(_message.Message):
    __slots__ = ("plugin", "operations")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    operations: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, plugin: _Optional[str] = ..., operations: _Optional[_Iterable[str]] = ...) -> None: ...

class WorkflowExecutionReference(_message.Message):
    __slots__ = ("id", "provider_name", "target", "subject_id", "credential_subject_id", "permissions", "created_at", "revoked_at", "subject_kind", "display_name", "auth_source", "caller_plugin_name", "signature", "signature_key_id", "retired_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_KIND_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    AUTH_SOURCE_FIELD_NUMBER: _ClassVar[int]
    CALLER_PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    RETIRED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider_name: str
    target: BoundWorkflowTarget
    subject_id: str
    credential_subject_id: str
    permissions: _containers.RepeatedCompositeFieldContainer[WorkflowAccessPermission]
    created_at: _timestamp_pb2.Timestamp
    revoked_at: _timestamp_pb2.Timestamp
    subject_kind: str
    display_name: str
    auth_source: str
    caller_plugin_name: str
    signature: bytes
    signature_key_id: str
    retired_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., provider_name: _Optional[str] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., subject_id: _Optional[str] = ..., credential_subject_id: _Optional[str] = ..., permissions: _Optional[_Iterable[_Union[WorkflowAccessPermission, _Mapping]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subject_kind: _Optional[str] = ..., display_name: _Optional[str] = ..., auth_source: _Optional[str] = ..., caller_plugin_name: _Optional[str] = ..., signature: _Optional[bytes] = ..., signature_key_id: _Optional[str] = ..., retired_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkflowSignal(_message.Message):
    __slots__ = ("id", "name", "payload", "metadata", "created_by", "created_at", "idempotency_key", "sequence")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    payload: _struct_pb2.Struct
    metadata: _struct_pb2.Struct
    created_by: WorkflowActor
    created_at: _timestamp_pb2.Timestamp
    idempotency_key: str
    sequence: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., created_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class StartWorkflowProviderRunRequest(_message.Message):
    __slots__ = ("target", "idempotency_key", "created_by", "execution_ref", "workflow_key", "policy", "cause")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_KEY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    target: BoundWorkflowTarget
    idempotency_key: str
    created_by: WorkflowActor
    execution_ref: str
    workflow_key: str
    policy: _policies_pb2.RunPolicy
    cause: _causes_pb2.Cause
    def __init__(self, target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., created_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., execution_ref: _Optional[str] = ..., workflow_key: _Optional[str] = ..., policy: _Optional[_Union[_policies_pb2.RunPolicy, _Mapping]] = ..., cause: _Optional[_Union[_causes_pb2.Cause, _Mapping]] = ...) -> None: ...

class GetWorkflowProviderRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class ListWorkflowProviderRunsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkflowProviderRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[BoundWorkflowRun]
    def __init__(self, runs: _Optional[_Iterable[_Union[BoundWorkflowRun, _Mapping]]] = ...) -> None: ...

class CancelWorkflowProviderRunRequest(_message.Message):
    __slots__ = ("run_id", "reason", "canceled_by")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CANCELED_BY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    reason: str
    canceled_by: WorkflowActor
    def __init__(self, run_id: _Optional[str] = ..., reason: _Optional[str] = ..., canceled_by: _Optional[_Union[WorkflowActor, _Mapping]] = ...) -> None: ...

class SignalWorkflowProviderRunRequest(_message.Message):
    __slots__ = ("run_id", "signal")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    signal: WorkflowSignal
    def __init__(self, run_id: _Optional[str] = ..., signal: _Optional[_Union[WorkflowSignal, _Mapping]] = ...) -> None: ...

class SignalOrStartWorkflowProviderRunRequest(_message.Message):
    __slots__ = ("workflow_key", "target", "idempotency_key", "created_by", "execution_ref", "signal", "cause")
    WORKFLOW_KEY_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    workflow_key: str
    target: BoundWorkflowTarget
    idempotency_key: str
    created_by: WorkflowActor
    execution_ref: str
    signal: WorkflowSignal
    cause: _causes_pb2.Cause
    def __init__(self, workflow_key: _Optional[str] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., created_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., execution_ref: _Optional[str] = ..., signal: _Optional[_Union[WorkflowSignal, _Mapping]] = ..., cause: _Optional[_Union[_causes_pb2.Cause, _Mapping]] = ...) -> None: ...

class SignalWorkflowRunResponse(_message.Message):
    __slots__ = ("run", "signal", "started_run", "workflow_key")
    RUN_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STARTED_RUN_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_KEY_FIELD_NUMBER: _ClassVar[int]
    run: BoundWorkflowRun
    signal: WorkflowSignal
    started_run: bool
    workflow_key: str
    def __init__(self, run: _Optional[_Union[BoundWorkflowRun, _Mapping]] = ..., signal: _Optional[_Union[WorkflowSignal, _Mapping]] = ..., started_run: _Optional[bool] = ..., workflow_key: _Optional[str] = ...) -> None: ...

class UpsertWorkflowProviderScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "cron", "timezone", "target", "paused", "requested_by", "execution_ref", "retarget", "retire_execution_ref", "created_at", "policy", "pause", "if_revision", "if_absent")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    RETARGET_FIELD_NUMBER: _ClassVar[int]
    RETIRE_EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    IF_ABSENT_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    cron: str
    timezone: str
    target: BoundWorkflowTarget
    paused: bool
    requested_by: WorkflowActor
    execution_ref: str
    retarget: bool
    retire_execution_ref: str
    created_at: _timestamp_pb2.Timestamp
    policy: _policies_pb2.SchedulePolicy
    pause: _policies_pb2.Pause
    if_revision: int
    if_absent: bool
    def __init__(self, schedule_id: _Optional[str] = ..., cron: _Optional[str] = ..., timezone: _Optional[str] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., paused: _Optional[bool] = ..., requested_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., execution_ref: _Optional[str] = ..., retarget: _Optional[bool] = ..., retire_execution_ref: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., policy: _Optional[_Union[_policies_pb2.SchedulePolicy, _Mapping]] = ..., pause: _Optional[_Union[_policies_pb2.Pause, _Mapping]] = ..., if_revision: _Optional[int] = ..., if_absent: _Optional[bool] = ...) -> None: ...

class GetWorkflowProviderScheduleRequest(_message.Message):
    __slots__ = ("schedule_id",)
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    def __init__(self, schedule_id: _Optional[str] = ...) -> None: ...

class ListWorkflowProviderSchedulesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkflowProviderSchedulesResponse(_message.Message):
    __slots__ = ("schedules",)
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    schedules: _containers.RepeatedCompositeFieldContainer[BoundWorkflowSchedule]
    def __init__(self, schedules: _Optional[_Iterable[_Union[BoundWorkflowSchedule, _Mapping]]] = ...) -> None: ...

class DeleteWorkflowProviderScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "retire_execution_ref", "if_revision")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    RETIRE_EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    retire_execution_ref: str
    if_revision: int
    def __init__(self, schedule_id: _Optional[str] = ..., retire_execution_ref: _Optional[str] = ..., if_revision: _Optional[int] = ...) -> None: ...

class PauseWorkflowProviderScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "pause", "if_revision")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    pause: _policies_pb2.Pause
    if_revision: int
    def __init__(self, schedule_id: _Optional[str] = ..., pause: _Optional[_Union[_policies_pb2.Pause, _Mapping]] = ..., if_revision: _Optional[int] = ...) -> None: ...

class ResumeWorkflowProviderScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "if_revision")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    if_revision: int
    def __init__(self, schedule_id: _Optional[str] = ..., if_revision: _Optional[int] = ...) -> None: ...

class UpsertWorkflowProviderEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "match", "target", "paused", "requested_by", "execution_ref", "retarget", "retire_execution_ref", "created_at", "policy", "pause", "if_revision", "if_absent")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    RETARGET_FIELD_NUMBER: _ClassVar[int]
    RETIRE_EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    IF_ABSENT_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    match: WorkflowEventMatch
    target: BoundWorkflowTarget
    paused: bool
    requested_by: WorkflowActor
    execution_ref: str
    retarget: bool
    retire_execution_ref: str
    created_at: _timestamp_pb2.Timestamp
    policy: _policies_pb2.RunPolicy
    pause: _policies_pb2.Pause
    if_revision: int
    if_absent: bool
    def __init__(self, trigger_id: _Optional[str] = ..., match: _Optional[_Union[WorkflowEventMatch, _Mapping]] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., paused: _Optional[bool] = ..., requested_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., execution_ref: _Optional[str] = ..., retarget: _Optional[bool] = ..., retire_execution_ref: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., policy: _Optional[_Union[_policies_pb2.RunPolicy, _Mapping]] = ..., pause: _Optional[_Union[_policies_pb2.Pause, _Mapping]] = ..., if_revision: _Optional[int] = ..., if_absent: _Optional[bool] = ...) -> None: ...

class GetWorkflowProviderEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id",)
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    def __init__(self, trigger_id: _Optional[str] = ...) -> None: ...

class ListWorkflowProviderEventTriggersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkflowProviderEventTriggersResponse(_message.Message):
    __slots__ = ("triggers",)
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    triggers: _containers.RepeatedCompositeFieldContainer[BoundWorkflowEventTrigger]
    def __init__(self, triggers: _Optional[_Iterable[_Union[BoundWorkflowEventTrigger, _Mapping]]] = ...) -> None: ...

class PutWorkflowExecutionReferenceRequest(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: WorkflowExecutionReference
    def __init__(self, reference: _Optional[_Union[WorkflowExecutionReference, _Mapping]] = ...) -> None: ...

class GetWorkflowExecutionReferenceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListWorkflowExecutionReferencesRequest(_message.Message):
    __slots__ = ("subject_id",)
    SUBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    subject_id: str
    def __init__(self, subject_id: _Optional[str] = ...) -> None: ...

class ListWorkflowExecutionReferencesResponse(_message.Message):
    __slots__ = ("references",)
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    references: _containers.RepeatedCompositeFieldContainer[WorkflowExecutionReference]
    def __init__(self, references: _Optional[_Iterable[_Union[WorkflowExecutionReference, _Mapping]]] = ...) -> None: ...

class DeleteWorkflowProviderEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "retire_execution_ref", "if_revision")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    RETIRE_EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    retire_execution_ref: str
    if_revision: int
    def __init__(self, trigger_id: _Optional[str] = ..., retire_execution_ref: _Optional[str] = ..., if_revision: _Optional[int] = ...) -> None: ...

class PauseWorkflowProviderEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "pause", "if_revision")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    pause: _policies_pb2.Pause
    if_revision: int
    def __init__(self, trigger_id: _Optional[str] = ..., pause: _Optional[_Union[_policies_pb2.Pause, _Mapping]] = ..., if_revision: _Optional[int] = ...) -> None: ...

class ResumeWorkflowProviderEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "if_revision")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    if_revision: int
    def __init__(self, trigger_id: _Optional[str] = ..., if_revision: _Optional[int] = ...) -> None: ...

class PublishWorkflowProviderEventRequest(_message.Message):
    __slots__ = ("plugin_name", "event", "published_by", "cause")
    PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_BY_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    plugin_name: str
    event: WorkflowEvent
    published_by: WorkflowActor
    cause: _causes_pb2.Cause
    def __init__(self, plugin_name: _Optional[str] = ..., event: _Optional[_Union[WorkflowEvent, _Mapping]] = ..., published_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., cause: _Optional[_Union[_causes_pb2.Cause, _Mapping]] = ...) -> None: ...

class InvokeWorkflowOperationRequest(_message.Message):
    __slots__ = ("target", "run_id", "trigger", "input", "metadata", "created_by", "execution_ref", "signals", "published_by", "reference", "attempt", "cause")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_REF_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_BY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    target: BoundWorkflowTarget
    run_id: str
    trigger: WorkflowRunTrigger
    input: _struct_pb2.Struct
    metadata: _struct_pb2.Struct
    created_by: WorkflowActor
    execution_ref: str
    signals: _containers.RepeatedCompositeFieldContainer[WorkflowSignal]
    published_by: WorkflowActor
    reference: WorkflowExecutionReference
    attempt: int
    cause: _causes_pb2.Cause
    def __init__(self, target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., run_id: _Optional[str] = ..., trigger: _Optional[_Union[WorkflowRunTrigger, _Mapping]] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., created_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., execution_ref: _Optional[str] = ..., signals: _Optional[_Iterable[_Union[WorkflowSignal, _Mapping]]] = ..., published_by: _Optional[_Union[WorkflowActor, _Mapping]] = ..., reference: _Optional[_Union[WorkflowExecutionReference, _Mapping]] = ..., attempt: _Optional[int] = ..., cause: _Optional[_Union[_causes_pb2.Cause, _Mapping]] = ...) -> None: ...

class InvokeWorkflowOperationResponse(_message.Message):
    __slots__ = ("status", "body")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    status: int
    body: str
    def __init__(self, status: _Optional[int] = ..., body: _Optional[str] = ...) -> None: ...

class ManagedWorkflowSchedule(_message.Message):
    __slots__ = ("provider_name", "schedule")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    schedule: BoundWorkflowSchedule
    def __init__(self, provider_name: _Optional[str] = ..., schedule: _Optional[_Union[BoundWorkflowSchedule, _Mapping]] = ...) -> None: ...

class ManagedWorkflowEventTrigger(_message.Message):
    __slots__ = ("provider_name", "trigger")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    trigger: BoundWorkflowEventTrigger
    def __init__(self, provider_name: _Optional[str] = ..., trigger: _Optional[_Union[BoundWorkflowEventTrigger, _Mapping]] = ...) -> None: ...

class ManagedWorkflowRun(_message.Message):
    __slots__ = ("provider_name", "run")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    run: BoundWorkflowRun
    def __init__(self, provider_name: _Optional[str] = ..., run: _Optional[_Union[BoundWorkflowRun, _Mapping]] = ...) -> None: ...

class ManagedWorkflowRunSignal(_message.Message):
    __slots__ = ("provider_name", "run", "signal", "started_run", "workflow_key")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STARTED_RUN_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_KEY_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    run: BoundWorkflowRun
    signal: WorkflowSignal
    started_run: bool
    workflow_key: str
    def __init__(self, provider_name: _Optional[str] = ..., run: _Optional[_Union[BoundWorkflowRun, _Mapping]] = ..., signal: _Optional[_Union[WorkflowSignal, _Mapping]] = ..., started_run: _Optional[bool] = ..., workflow_key: _Optional[str] = ...) -> None: ...

class WorkflowManagerCreateScheduleRequest(_message.Message):
    __slots__ = ("provider_name", "cron", "timezone", "target", "paused", "invocation_token", "idempotency_key")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    cron: str
    timezone: str
    target: BoundWorkflowTarget
    paused: bool
    invocation_token: str
    idempotency_key: str
    def __init__(self, provider_name: _Optional[str] = ..., cron: _Optional[str] = ..., timezone: _Optional[str] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., paused: _Optional[bool] = ..., invocation_token: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class WorkflowManagerGetScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "invocation_token")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    invocation_token: str
    def __init__(self, schedule_id: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerUpdateScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "provider_name", "cron", "timezone", "target", "paused", "invocation_token")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    provider_name: str
    cron: str
    timezone: str
    target: BoundWorkflowTarget
    paused: bool
    invocation_token: str
    def __init__(self, schedule_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., cron: _Optional[str] = ..., timezone: _Optional[str] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., paused: _Optional[bool] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerDeleteScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "invocation_token")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    invocation_token: str
    def __init__(self, schedule_id: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerPauseScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "invocation_token")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    invocation_token: str
    def __init__(self, schedule_id: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerResumeScheduleRequest(_message.Message):
    __slots__ = ("schedule_id", "invocation_token")
    SCHEDULE_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    schedule_id: str
    invocation_token: str
    def __init__(self, schedule_id: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerCreateEventTriggerRequest(_message.Message):
    __slots__ = ("provider_name", "match", "target", "paused", "invocation_token", "idempotency_key")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    match: WorkflowEventMatch
    target: BoundWorkflowTarget
    paused: bool
    invocation_token: str
    idempotency_key: str
    def __init__(self, provider_name: _Optional[str] = ..., match: _Optional[_Union[WorkflowEventMatch, _Mapping]] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., paused: _Optional[bool] = ..., invocation_token: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class WorkflowManagerGetEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "invocation_token")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    invocation_token: str
    def __init__(self, trigger_id: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerUpdateEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "provider_name", "match", "target", "paused", "invocation_token")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    provider_name: str
    match: WorkflowEventMatch
    target: BoundWorkflowTarget
    paused: bool
    invocation_token: str
    def __init__(self, trigger_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., match: _Optional[_Union[WorkflowEventMatch, _Mapping]] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., paused: _Optional[bool] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerDeleteEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "invocation_token")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    invocation_token: str
    def __init__(self, trigger_id: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerPauseEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "invocation_token")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    invocation_token: str
    def __init__(self, trigger_id: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerResumeEventTriggerRequest(_message.Message):
    __slots__ = ("trigger_id", "invocation_token")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    invocation_token: str
    def __init__(self, trigger_id: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerPublishEventRequest(_message.Message):
    __slots__ = ("event", "invocation_token", "provider_name")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    event: WorkflowEvent
    invocation_token: str
    provider_name: str
    def __init__(self, event: _Optional[_Union[WorkflowEvent, _Mapping]] = ..., invocation_token: _Optional[str] = ..., provider_name: _Optional[str] = ...) -> None: ...

class WorkflowManagerStartRunRequest(_message.Message):
    __slots__ = ("provider_name", "target", "idempotency_key", "workflow_key", "invocation_token")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_KEY_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    target: BoundWorkflowTarget
    idempotency_key: str
    workflow_key: str
    invocation_token: str
    def __init__(self, provider_name: _Optional[str] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., workflow_key: _Optional[str] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerSignalRunRequest(_message.Message):
    __slots__ = ("run_id", "signal", "invocation_token")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    signal: WorkflowSignal
    invocation_token: str
    def __init__(self, run_id: _Optional[str] = ..., signal: _Optional[_Union[WorkflowSignal, _Mapping]] = ..., invocation_token: _Optional[str] = ...) -> None: ...

class WorkflowManagerSignalOrStartRunRequest(_message.Message):
    __slots__ = ("provider_name", "workflow_key", "target", "idempotency_key", "signal", "invocation_token")
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_KEY_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    provider_name: str
    workflow_key: str
    target: BoundWorkflowTarget
    idempotency_key: str
    signal: WorkflowSignal
    invocation_token: str
    def __init__(self, provider_name: _Optional[str] = ..., workflow_key: _Optional[str] = ..., target: _Optional[_Union[BoundWorkflowTarget, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., signal: _Optional[_Union[WorkflowSignal, _Mapping]] = ..., invocation_token: _Optional[str] = ...) -> None: ...
