from google.rpc import status_pb2 as _status_pb2
from gestalt_sdk.gen.v1 import workflow_pb2 as _workflow_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DispatchCalls(_message.Message):
    __slots__ = ("calls", "cancellations")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CANCELLATIONS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[DispatchCall]
    cancellations: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, calls: _Optional[_Iterable[_Union[DispatchCall, _Mapping]]] = ..., cancellations: _Optional[_Iterable[int]] = ...) -> None: ...

class DispatchCall(_message.Message):
    __slots__ = ("call_id", "request")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    request: _workflow_pb2.InvokeWorkflowOperationRequest
    def __init__(self, call_id: _Optional[int] = ..., request: _Optional[_Union[_workflow_pb2.InvokeWorkflowOperationRequest, _Mapping]] = ...) -> None: ...

class DispatchResults(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[DispatchResult]
    def __init__(self, results: _Optional[_Iterable[_Union[DispatchResult, _Mapping]]] = ...) -> None: ...

class DispatchResult(_message.Message):
    __slots__ = ("call_id", "response", "status")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    response: _workflow_pb2.InvokeWorkflowOperationResponse
    status: _status_pb2.Status
    def __init__(self, call_id: _Optional[int] = ..., response: _Optional[_Union[_workflow_pb2.InvokeWorkflowOperationResponse, _Mapping]] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
