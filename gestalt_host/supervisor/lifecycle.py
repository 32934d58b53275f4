"""The host's side of the lifecycle calls (contract.md 1.3, 4.5): generated code and gRPC statuses end here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from gestalt_host.supervisor.errors import ProviderStartFailed
from gestalt_sdk.bases.provider import ConfigFault, Notice, ProviderKind
from gestalt_sdk.gen.extension.v1 import check_pb2, check_pb2_grpc
from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc, runtime_pb2, runtime_pb2_grpc
from gestalt_sdk.transport.values import to_struct
from gestalt_sdk.version import PROTOCOL_VERSION

CALL_TIMEOUT_S = 30.0
METADATA_TIMEOUT_S = 45.0
START_TIMEOUT_S = 120.0
HEALTH_TIMEOUT_S = 2.0
NOTICES, NOTICE_NAME, NOTICE_TEXT = 20, 64, 1000
"""Of one provider are shown so many notices, with so many characters of name and text."""
POLL_S = 0.025
SESSION_CATALOGUE = "plugin.session_catalogue"
"""Stands among the capabilities of a plugin whose metadata says ``supports_session_catalog``."""
REFUSED = "it refused to start with its configuration"
"""Reason of a plugin that answered its start with an error, whose text is its own."""


@dataclass(frozen=True, slots=True)
class ProviderIdentity:
    """The answer of GetProviderIdentity after configuring. Of a plugin, which is never asked, only ``capabilities``."""

    display_name: str = ""
    version: str = ""
    description: str = ""
    warnings: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Answer:
    kind: str
    minimum: int
    maximum: int
    identity: ProviderIdentity


async def identify(channel: grpc.aio.Channel, kind: ProviderKind) -> ProviderIdentity:
    """Ask for the first identity; kind and protocol bounds must fit.

    Raises:
        ProviderStartFailed: they do not, or the call failed.
    """
    answer = await _identity(channel, "get provider identity")
    if answer.kind != kind.value:
        text = f"provider kind mismatch: got {answer.kind}, want {kind.value}"
        raise ProviderStartFailed(text, reason=text)
    if (answer.minimum and answer.minimum > PROTOCOL_VERSION) or (answer.maximum and answer.maximum < PROTOCOL_VERSION):
        spoken = f"{answer.minimum or 'any'} to {answer.maximum or 'any'}"
        text = f"provider speaks protocol versions {spoken}, host requires {PROTOCOL_VERSION}"
        raise ProviderStartFailed(text, reason=text)
    return answer.identity


async def configure(channel: grpc.aio.Channel, name: str, config: Mapping[str, Any]) -> ProviderIdentity:
    """Configure the provider and ask for the identity that the host shows.

    Raises:
        ProviderStartFailed: the configuration cannot be sent or is refused.
    """
    request = runtime_pb2.ConfigureProviderRequest(name=name, protocol_version=PROTOCOL_VERSION)
    if config:
        try:
            request.config.CopyFrom(to_struct(config))
        except TypeError as error:
            raise ProviderStartFailed(f"encode provider config: {error}") from error
    stub = runtime_pb2_grpc.ProviderLifecycleStub(channel)
    try:
        response = await stub.ConfigureProvider(request, timeout=CALL_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise ProviderStartFailed(_prefixed("configure provider", error), reason=REFUSED) from error
    _require_version(response.protocol_version)
    return (await _identity(channel, "get configured provider identity")).identity


async def check(
    channel: grpc.aio.Channel, name: str, config: Mapping[str, object], timeout_s: float = CALL_TIMEOUT_S
) -> tuple[ConfigFault, ...] | None:
    """Ask a provider that is not configured what is wrong with a configuration; None when it judges none.

    Raises:
        ProviderStartFailed: the configuration cannot be sent, or the call failed.
    """
    request = check_pb2.CheckConfigRequest(name=name)
    if config:
        try:
            request.config.CopyFrom(to_struct(config))
        except TypeError as error:
            raise ProviderStartFailed(f"encode provider config: {error}") from error
    try:
        response = await check_pb2_grpc.ProviderCheckStub(channel).CheckConfig(request, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return None
        raise ProviderStartFailed(_prefixed("check config", error)) from error
    return tuple(
        ConfigFault(fault.key[:NOTICE_TEXT], fault.reason[:NOTICE_TEXT], fault.is_warning) for fault in response.faults
    )


async def start_provider(channel: grpc.aio.Channel) -> None:
    """Tell a workflow provider to begin its background work; one that has no such call has begun already.

    Raises:
        ProviderStartFailed: it refused.
    """
    stub = runtime_pb2_grpc.ProviderLifecycleStub(channel)
    try:
        response = await stub.StartProvider(Empty(), timeout=START_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return
        raise ProviderStartFailed(_prefixed("start provider", error)) from error
    _require_version(response.protocol_version)


async def start_plugin(
    channel: grpc.aio.Channel, name: str, config: Mapping[str, Any], timeout_s: float = START_TIMEOUT_S
) -> ProviderIdentity:
    """Start a plugin: ask for its metadata until it is served, then send StartProvider, which may take ``timeout_s``.

    Of its metadata the identity has ``SESSION_CATALOGUE`` among the capabilities, where it offers that.

    Raises:
        ProviderStartFailed: it refused.
    """
    stub = plugin_pb2_grpc.IntegrationProviderStub(channel)
    try:
        async with asyncio.timeout(METADATA_TIMEOUT_S):
            identity = await _ask_for_metadata(stub)
    except TimeoutError as error:
        text = f"no answer within {METADATA_TIMEOUT_S:g} s"
        raise ProviderStartFailed(f"get provider metadata: {text}", reason=f"it gave {text}") from error
    request = plugin_pb2.StartProviderRequest(name=name, protocol_version=PROTOCOL_VERSION)
    if config:
        try:
            request.config.CopyFrom(to_struct(config))
        except TypeError as error:
            raise ProviderStartFailed(
                f"encode provider config: {error}", reason="its configuration cannot be sent"
            ) from error
    try:
        response = await stub.StartProvider(request, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return identity
        raise ProviderStartFailed(_prefixed("start provider", error), reason=REFUSED) from error
    _require_version(response.protocol_version)
    return identity


async def _ask_for_metadata(stub: plugin_pb2_grpc.IntegrationProviderStub) -> ProviderIdentity:
    while True:
        try:
            metadata = await stub.GetMetadata(Empty(), timeout=CALL_TIMEOUT_S)
            offered = (SESSION_CATALOGUE,) if metadata.supports_session_catalog else ()
            return ProviderIdentity(capabilities=frozenset(offered))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return ProviderIdentity()
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise ProviderStartFailed(_prefixed("get provider metadata", error), reason=REFUSED) from error
            await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Health:
    """What a provider says of its health.

    Attributes:
        problem: None when it is ready, else why not; blank when it does not answer in two seconds.
        notices: What is not as it should be all the same.
    """

    problem: str | None = None
    notices: tuple[Notice, ...] = ()


async def health(channel: grpc.aio.Channel) -> Health:
    """Ask the provider for its health. One without this call is ready as long as it runs."""
    stub = runtime_pb2_grpc.ProviderLifecycleStub(channel)
    try:
        response = await stub.HealthCheck(Empty(), timeout=HEALTH_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        return Health(None if error.code() is grpc.StatusCode.UNIMPLEMENTED else "")
    notices = tuple(
        Notice(notice.name[:NOTICE_NAME], notice.text[:NOTICE_TEXT], notice.value)
        for notice in response.notices[:NOTICES]
    )
    return Health(None if response.ready else response.message or "it is not ready", notices)


async def _identity(channel: grpc.aio.Channel, step: str) -> _Answer:
    stub = runtime_pb2_grpc.ProviderLifecycleStub(channel)
    try:
        answer = await stub.GetProviderIdentity(Empty(), timeout=CALL_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise ProviderStartFailed(_prefixed(step, error), reason="it did not say what it is") from error
    kinds = runtime_pb2.ProviderKind.DESCRIPTOR.values_by_number
    # An enumeration is open: a provider may send a number that this version has no name for.
    name = kinds[answer.kind].name if answer.kind in kinds else str(answer.kind)
    kind = name.removeprefix("PROVIDER_KIND_").lower()
    identity = ProviderIdentity(
        answer.display_name,
        answer.version,
        answer.description,
        tuple(answer.warnings),
        frozenset(answer.capabilities),
    )
    return _Answer(kind, answer.min_protocol_version, answer.max_protocol_version, identity)


def _require_version(version: int) -> None:
    if version != PROTOCOL_VERSION:
        text = f"provider responded with protocol version {version}, host requires {PROTOCOL_VERSION}"
        raise ProviderStartFailed(text, reason=text)


def _prefixed(step: str, error: grpc.aio.AioRpcError) -> str:
    """Put the step in front of the provider's own text, where the SDK has not put it there already."""
    text = error.details() or error.code().name
    return text if text.startswith(f"{step}: ") else f"{step}: {text}"
