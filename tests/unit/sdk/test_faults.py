"""Every error that this package raises on purpose has a status for providers that pass it on."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

import gestalt_sdk
from gestalt_sdk.agent.provider import FAULTS as AGENT_FAULTS
from gestalt_sdk.client_faults import CLIENT_FAULTS
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.v1 import runtime_pb2_grpc
from gestalt_sdk.transport.channels import ServerContext, open_channel
from gestalt_sdk.transport.environment import Address
from gestalt_sdk.transport.faults import Fault, FaultTable, fault_of, reason_of, reporting_faults

LOCAL = {"ParameterInvalid", "OperationError", "SubjectRejected", "DeclarationInvalid", "TargetUnusable", "LoopSilent"}
"""Never leave the process as a gRPC status: operations answer with their result, health with its status, the others end
a start."""


def subclasses(cls: type[GestaltError]) -> list[type[GestaltError]]:
    return [each for direct in cls.__subclasses__() for each in (direct, *subclasses(direct))]


def test_every_error_has_a_row() -> None:
    for module in pkgutil.walk_packages(gestalt_sdk.__path__, "gestalt_sdk."):
        if ".gen" not in module.name:
            importlib.import_module(module.name)
    table = {**CLIENT_FAULTS, **AGENT_FAULTS}
    own = [cls for cls in subclasses(GestaltError) if cls.__module__.startswith("gestalt_sdk.")]
    assert len(own) > 10
    missing = [cls.__name__ for cls in own if cls.__name__ not in LOCAL and fault_of(cls.__new__(cls), table) is None]
    assert missing == []


class OwnError(GestaltError):
    pass


class DerivedError(OwnError):
    pass


TABLE: FaultTable = {OwnError: Fault("OWN", grpc.StatusCode.ABORTED)}


class Failing(runtime_pb2_grpc.ProviderLifecycleServicer):
    """Raises what it is given."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def HealthCheck(self, request: Empty, context: ServerContext) -> Any:
        async with reporting_faults(context, TABLE):
            raise self._error


@pytest.mark.parametrize(
    ("error", "code", "text", "reason"),
    [
        (OwnError("own"), "ABORTED", "own", "OWN"),
        (DerivedError("derived"), "ABORTED", "derived", "OWN"),
        (GestaltError("without a row"), "INTERNAL", "internal error", None),
        (KeyError("a secret"), "INTERNAL", "internal error", None),
    ],
)
async def test_an_error_becomes_the_status_of_its_row(
    tmp_path: Path, error: Exception, code: str, text: str, reason: str | None
) -> None:
    server = grpc.aio.server()
    runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(Failing(error), server)
    server.add_insecure_port(f"unix:{tmp_path / 's'}")
    await server.start()
    async with open_channel(Address(f"unix:{tmp_path / 's'}")) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await runtime_pb2_grpc.ProviderLifecycleStub(channel).HealthCheck(Empty(), timeout=5)
    await server.stop(0)
    assert (failed.value.code().name, failed.value.details(), reason_of(failed.value)) == (code, text, reason)
