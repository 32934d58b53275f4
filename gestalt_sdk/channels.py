"""gRPC channels and servers with the options that every Gestalt process uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import grpc

from gestalt_sdk.environment import RELAY_TOKEN_HEADER, Address

ServerContext: TypeAlias = grpc.aio.ServicerContext
"""What a servicer method gets beside its request."""

MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024

SERVER_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.so_reuseport", 0),
)
CHANNEL_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    # tonic refuses a socket path as authority (contract.md 2.3).
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A provider that restarts on the same socket is dialled again at once, not after grpc's default second or more.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


def open_channel(address: Address) -> grpc.aio.Channel:
    """A channel to the address; it sends the relay token, if there is one, with every call."""
    interceptors = [_RelayToken(address.token)] if address.token else None
    if address.tls:
        options = [item for item in CHANNEL_OPTIONS if item[0] != "grpc.default_authority"]
        return grpc.aio.secure_channel(
            address.target, grpc.ssl_channel_credentials(), options=options, interceptors=interceptors
        )
    return grpc.aio.insecure_channel(address.target, options=CHANNEL_OPTIONS, interceptors=interceptors)


class _RelayToken(
    grpc.aio.UnaryUnaryClientInterceptor,
    grpc.aio.UnaryStreamClientInterceptor,
    grpc.aio.StreamUnaryClientInterceptor,
    grpc.aio.StreamStreamClientInterceptor,
):
    def __init__(self, token: str) -> None:
        self._token = token

    def _with_token(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), (RELAY_TOKEN_HEADER, self._token))
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._with_token(details), request)

    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._with_token(details), request)

    async def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(self._with_token(details), requests)

    async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(self._with_token(details), requests)
