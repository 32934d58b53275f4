"""Serve ProviderLifecycle (contract.md 1.2, 1.3) for a ``Provider``."""

from __future__ import annotations

import asyncio

import grpc
from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.bases import check, metrics
from gestalt_sdk.bases.provider import Provider
from gestalt_sdk.gen.extension.v1 import health_pb2
from gestalt_sdk.gen.v1 import runtime_pb2, runtime_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import end_call, refuse
from gestalt_sdk.transport.values import from_struct
from gestalt_sdk.version import PROTOCOL_VERSION


class LifecycleServicer(runtime_pb2_grpc.ProviderLifecycleServicer):
    """Answer the host's calls that identify, configure, start and probe a provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._configuring = asyncio.Lock()

    async def GetProviderIdentity(self, request: Empty, context: ServerContext) -> runtime_pb2.ProviderIdentity:
        """Return kind, names, warnings and capabilities."""
        provider = self._provider
        return runtime_pb2.ProviderIdentity(
            kind=f"PROVIDER_KIND_{provider.kind.name}",
            name=provider.name,
            display_name=provider.display_name,
            description=provider.description,
            version=provider.version,
            warnings=provider.warnings,
            min_protocol_version=PROTOCOL_VERSION,
            max_protocol_version=PROTOCOL_VERSION,
            capabilities=offered_capabilities(provider),
        )

    async def ConfigureProvider(
        self, request: runtime_pb2.ConfigureProviderRequest, context: ServerContext
    ) -> runtime_pb2.ConfigureProviderResponse:
        """Configure the provider; one call at a time, UNKNOWN with the provider's text when it refuses."""
        await require_version(request.protocol_version, context)
        async with self._configuring:
            try:
                await self._provider.configure(request.name, from_struct(request.config))
            except Exception as error:
                await refuse(context, "configure provider", error)
            self._provider.name = request.name
            self._provider.configured_event.set()
        return runtime_pb2.ConfigureProviderResponse(protocol_version=PROTOCOL_VERSION)

    async def HealthCheck(self, request: Empty, context: ServerContext) -> runtime_pb2.HealthCheckResponse:
        """Return whether the provider is ready, with its reason when it is not."""
        try:
            self._provider.beats.require()
            await self._provider.health()
        except Exception as error:
            return runtime_pb2.HealthCheckResponse(ready=False, message=str(error) or type(error).__name__)
        notices = [
            health_pb2.HealthNotice(name=notice.name, text=notice.text, value=notice.value)
            for notice in self._provider.notices()
        ]
        return runtime_pb2.HealthCheckResponse(ready=True, notices=notices)

    async def StartProvider(self, request: Empty, context: ServerContext) -> runtime_pb2.StartRuntimeProviderResponse:
        """Start the provider's background work."""
        try:
            await self._provider.start()
        except Exception as error:
            await refuse(context, "start provider", error)
        return runtime_pb2.StartRuntimeProviderResponse(protocol_version=PROTOCOL_VERSION)


def offered_capabilities(provider: Provider) -> list[str]:
    """Return the capabilities that the provider names, and those of the optional hooks that it overrides."""
    offered = list(provider.capabilities)
    if check.offers_check(provider):
        offered.append(check.CAPABILITY)
    if type(provider).metrics is not Provider.metrics and metrics.CAPABILITY not in offered:
        offered.append(metrics.CAPABILITY)
    return offered


async def require_version(requested: int, context: ServerContext) -> None:
    """Refuse any protocol version but ours."""
    if requested != PROTOCOL_VERSION:
        await end_call(
            context,
            grpc.StatusCode.FAILED_PRECONDITION,
            f"host requested protocol version {requested}, provider requires {PROTOCOL_VERSION}",
        )
