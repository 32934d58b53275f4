"""Open channels to the services that the host gives this process, each when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from gestalt_sdk.errors import ServiceRefused, ServiceUnavailable
from gestalt_sdk.transport.channels import open_channel, request_metadata
from gestalt_sdk.transport.environment import service_address

CALL_TIMEOUT_S = 30.0
_SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class HostChannels:
    """Keep one channel for each service variable."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.aio.Channel] = {}

    def channel(self, variable: str) -> grpc.aio.Channel:
        """Return the channel. Raises ``EnvironmentUnusable`` when the variable is not set or cannot be read."""
        channel = self._channels.get(variable)
        if channel is None:
            channel = self._channels[variable] = open_channel(service_address(variable))
        return channel

    async def close(self) -> None:
        """Close all channels; the next use of one opens it again."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()


async def call(method: Callable[..., Any], request: Any, timeout_s: float | None = CALL_TIMEOUT_S) -> Any:
    """Make a unary call of a host service and return its answer; ``timeout_s`` None: wait as long as it takes.

    Some hosts begin to listen only after they have started this process: until then the call waits.

    Raises:
        ServiceUnavailable: no answer before the deadline, or no connection.
        ServiceRefused: any other status, with its code and text.
    """
    try:
        return await method(request, timeout=timeout_s, wait_for_ready=True, metadata=request_metadata())
    except grpc.aio.AioRpcError as error:
        code, text = error.code(), error.details() or error.code().name.lower().replace("_", " ")
        if code in _SILENT:
            raise ServiceUnavailable(f"the host did not answer: {text}") from error
        raise ServiceRefused(code.name, text) from error
