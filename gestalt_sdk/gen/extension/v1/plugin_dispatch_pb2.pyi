from google.rpc import status_pb2 as _status_pb2
from gestalt_sdk.gen.v1 import plugin_pb2 as _plugin_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PluginCalls(_message.Message):
    __slots__ = ("calls", "cancellations")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CANCELLATIONS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[PluginCall]
    cancellations: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, calls: _Optional[_Iterable[_Union[PluginCall, _Mapping]]] = ..., cancellations: _Optional[_Iterable[int]] = ...) -> None: ...

class PluginCall(_message.Message):
    __slots__ = ("call_id", "request")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    request: _plugin_pb2.ExecuteRequest
    def __init__(self, call_id: _Optional[int] = ..., request: _Optional[_Union[_plugin_pb2.ExecuteRequest, _Mapping]] = ...) -> None: ...

class PluginResults(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[PluginResult]
    def __init__(self, results: _Optional[_Iterable[_Union[PluginResult, _Mapping]]] = ...) -> None: ...

class PluginResult(_message.Message):
    __slots__ = ("call_id", "response", "status")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    response: _plugin_pb2.OperationResult
    status: _status_pb2.Status
    def __init__(self, call_id: _Optional[int] = ..., response: _Optional[_Union[_plugin_pb2.OperationResult, _Mapping]] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
