"""Serve ProviderCheck (capability ``provider.check``) for a ``Provider`` that overrides ``check``."""

from __future__ import annotations

import grpc

from gestalt_sdk.bases.provider import ConfigFault, Provider
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.extension.v1 import check_pb2, check_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import refuse
from gestalt_sdk.transport.values import from_struct

CAPABILITY = "provider.check"
SERVICE = "gestalt.extension.v1.ProviderCheck"


def offers_check(provider: Provider) -> bool:
    """Tell whether the provider judges configurations."""
    return type(provider).check is not Provider.check


def add_check_service(provider: Provider, server: grpc.aio.Server) -> list[str]:
    """Add the service where the provider offers it; return its full name."""
    if not offers_check(provider):
        return []
    check_pb2_grpc.add_ProviderCheckServicer_to_server(CheckServicer(provider), server)
    return [SERVICE]


class CheckServicer(check_pb2_grpc.ProviderCheckServicer):
    """Answer the host that asks what is wrong with a configuration."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def CheckConfig(
        self, request: check_pb2.CheckConfigRequest, context: ServerContext
    ) -> check_pb2.CheckConfigResponse:
        """Return the faults; what the hook raises on purpose is one of the configuration as a whole, else UNKNOWN."""
        try:
            faults = await self._provider.check(request.name, from_struct(request.config))
        except (GestaltError, ValueError) as error:
            faults = [ConfigFault("", str(error) or type(error).__name__)]
        except Exception as error:
            await refuse(context, "check config", error)
        return check_pb2.CheckConfigResponse(
            faults=[
                check_pb2.ConfigFault(key=fault.key, reason=fault.reason, is_warning=fault.is_warning)
                for fault in faults
            ]
        )
