"""Carry calls: channels, the sockets of the host, faults, streams and values on the wire."""

from typing import TYPE_CHECKING

from gestalt_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from gestalt_sdk.transport.channels import ServerContext as ServerContext
    from gestalt_sdk.transport.channels import open_channel as open_channel
    from gestalt_sdk.transport.environment import Address as Address
    from gestalt_sdk.transport.environment import EnvironmentUnusable as EnvironmentUnusable
    from gestalt_sdk.transport.environment import parse_address as parse_address
    from gestalt_sdk.transport.environment import service_address as service_address
    from gestalt_sdk.transport.faults import Fault as Fault
    from gestalt_sdk.transport.faults import FaultTable as FaultTable
    from gestalt_sdk.transport.faults import end_call as end_call
    from gestalt_sdk.transport.faults import end_call_with as end_call_with
    from gestalt_sdk.transport.faults import reason_of as reason_of
    from gestalt_sdk.transport.faults import reporting_faults as reporting_faults
    from gestalt_sdk.transport.faults import status_of as status_of
    from gestalt_sdk.transport.host_channels import HostChannels as HostChannels
    from gestalt_sdk.transport.host_channels import call as call
    from gestalt_sdk.transport.streamed import CallFailed as CallFailed
    from gestalt_sdk.transport.streamed import StreamedCalls as StreamedCalls
    from gestalt_sdk.transport.streamed import StreamUnserved as StreamUnserved
    from gestalt_sdk.transport.streamed import answer_calls as answer_calls
    from gestalt_sdk.transport.unimplemented import unimplemented_by_default as unimplemented_by_default
    from gestalt_sdk.transport.values import from_struct as from_struct
    from gestalt_sdk.transport.values import from_timestamp as from_timestamp
    from gestalt_sdk.transport.values import from_value as from_value
    from gestalt_sdk.transport.values import rfc3339 as rfc3339
    from gestalt_sdk.transport.values import to_struct as to_struct
    from gestalt_sdk.transport.values import to_timestamp as to_timestamp
    from gestalt_sdk.transport.values import to_value as to_value
else:
    __getattr__, __all__ = lazy_names(
        __name__,
        {
            "channels": "ServerContext open_channel",
            "environment": "Address EnvironmentUnusable parse_address service_address",
            "faults": "Fault FaultTable end_call end_call_with reason_of reporting_faults status_of",
            "host_channels": "HostChannels call",
            "streamed": "CallFailed StreamUnserved StreamedCalls answer_calls",
            "unimplemented": "unimplemented_by_default",
            "values": "from_struct from_timestamp from_value rfc3339 to_struct to_timestamp to_value",
        },
    )
