"""Open gRPC channels and servers with the options that every Gestalt process uses."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from gestalt_sdk.common.requests import accepted_request_id, current_request_id
from gestalt_sdk.transport.environment import (
    RELAY_TOKEN_HEADER,
    TLS_CA_FILE,
    TLS_CA_PEM,
    Address,
    EnvironmentUnusable,
)

ServerContext: TypeAlias = grpc.aio.ServicerContext
"""What a servicer method gets beside its request."""

MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024
METADATA_LIMIT_BYTES = 256 * 1024
REQUEST_ID_HEADER = "x-request-id"

LOST_STATUS = "Internal error from Core"
"""Details of a stream whose server refused it while grpc's asyncio client still wrote: the real status is lost."""
SERVER_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.so_reuseport", 0),
)
CHANNEL_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    # Other people's servers do not bound the texts of their refusals as ours do (``faults.trailer_text``).
    ("grpc.max_metadata_size", METADATA_LIMIT_BYTES),
    ("grpc.absolute_max_metadata_size", METADATA_LIMIT_BYTES),
    # tonic refuses a socket path as authority.
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A provider that restarts on the same socket is dialled again at once, not after grpc's default second or more.
    # "grpc.min_reconnect_backoff_ms" keeps its default, 20 s: whatever its name, it is how long the server may take to
    # greet, and on a busy machine a small value makes calls to a healthy server UNAVAILABLE.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


def open_channel(address: Address) -> grpc.aio.Channel:
    """Return a channel to the address; it sends the relay token, if there is one, with every call.

    Raises:
        EnvironmentUnusable: the file with the host's certificates cannot be read.
    """
    interceptors = _relay_token(address.token) if address.token else None
    if address.tls:
        options = [item for item in CHANNEL_OPTIONS if item[0] != "grpc.default_authority"]
        credentials = grpc.ssl_channel_credentials(_root_certificates(os.environ))
        return grpc.aio.secure_channel(address.target, credentials, options=options, interceptors=interceptors)
    return grpc.aio.insecure_channel(address.target, options=CHANNEL_OPTIONS, interceptors=interceptors)


class Patience:
    """Say how long calls over a channel wait: for an answer ``timeout_s``, and within it for a server not yet there.

    A server that has been there once and has gone is not waited for: who calls it learns so at once.
    """

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._channel = channel
        self._connected = False

    @property
    def for_ready(self) -> bool:
        """Return ``wait_for_ready`` of a call that is made now."""
        if not self._connected:
            self._connected = self._channel.get_state() is grpc.ChannelConnectivity.READY
        return not self._connected


def request_metadata() -> Sequence[tuple[str, str]] | None:
    """Return what tells a peer which request of a client a call belongs to, so that its log can name it too."""
    request_id = current_request_id()
    return ((REQUEST_ID_HEADER, request_id),) if request_id else None


def request_id_of(context: ServerContext) -> str:
    """Return which request of a client the peer's call belongs to; empty when it did not say."""
    found = (str(value) for key, value in context.invocation_metadata() or () if key == REQUEST_ID_HEADER)
    return accepted_request_id(next(found, ""))


def _root_certificates(environ: Mapping[str, str]) -> bytes | None:
    """Return the system's roots and the host's own CA, where it names one (contract.md 2.5); None: grpc's roots."""
    pem = environ.get(TLS_CA_PEM, "").encode()
    file = environ.get(TLS_CA_FILE, "")
    if not pem and file:
        try:
            pem = Path(file).read_bytes()
        except OSError as error:
            raise EnvironmentUnusable(f"{TLS_CA_FILE} is {file!r}: {error.strerror or error}") from error
    if not pem:
        return None
    system = ssl.get_default_verify_paths().cafile
    return (Path(system).read_bytes() + b"\n" if system else b"") + pem


def _relay_token(token: str) -> list[grpc.aio.ClientInterceptor]:
    """One interceptor for each shape of call: grpc registers an object for the first shape that it has, no other."""

    def with_token(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), (RELAY_TOKEN_HEADER, token))
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )

    async def intercept(self: Any, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(with_token(details), request)

    shapes = {
        "intercept_unary_unary": grpc.aio.UnaryUnaryClientInterceptor,
        "intercept_unary_stream": grpc.aio.UnaryStreamClientInterceptor,
        "intercept_stream_unary": grpc.aio.StreamUnaryClientInterceptor,
        "intercept_stream_stream": grpc.aio.StreamStreamClientInterceptor,
    }
    return [type("_RelayToken", (base,), {method: intercept})() for method, base in shapes.items()]
