"""Every error that this package raises on purpose has a status for providers that pass it on."""

from __future__ import annotations

import importlib
import pkgutil
import re
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
from gestalt_sdk.transport.faults import (
    TRAILER_TEXT_BYTES,
    Fault,
    FaultTable,
    fault_of,
    reason_of,
    reporting_faults,
    trailer_text,
)
from tests.support.commands import ROOT

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
    failed = await refusal(Failing(error), tmp_path)
    assert (failed.code().name, failed.details(), reason_of(failed)) == (code, text, reason)


@pytest.mark.parametrize("char", ["a", "%", "\x00", "é", "日", "🙂", "\ud800"])
async def test_a_long_text_arrives_cut_with_its_code(tmp_path: Path, char: str) -> None:
    failed = await refusal(Failing(OwnError(char * 100_000)), tmp_path)
    assert (failed.code().name, reason_of(failed)) == ("ABORTED", "OWN")
    shown = "?" if char == "\ud800" else char
    kept, _, note = (failed.details() or "").partition("…")
    assert note == f" (cut, {len(shown.encode()) * 100_000} bytes in all)"
    assert set(kept) == {shown}
    assert len(kept.encode()) > TRAILER_TEXT_BYTES // 3 - 40


def test_a_text_that_fits_is_left_as_it_is() -> None:
    for text in ("a" * TRAILER_TEXT_BYTES, "%" * (TRAILER_TEXT_BYTES // 3), "日" * (TRAILER_TEXT_BYTES // 9)):
        assert trailer_text(text) == text
        assert trailer_text(text + text[0] * 3) != text + text[0] * 3


async def test_a_long_text_of_somebody_else_s_server_is_read(tmp_path: Path) -> None:
    class Careless(runtime_pb2_grpc.ProviderLifecycleServicer):
        async def HealthCheck(self, request: Empty, context: ServerContext) -> Any:
            await context.abort(grpc.StatusCode.NOT_FOUND, "a" * 60_000)

    failed = await refusal(Careless(), tmp_path)
    assert (failed.code().name, len(failed.details() or "")) == ("NOT_FOUND", 60_000)


def test_calls_are_ended_in_one_place() -> None:
    folders = ("gestalt_sdk", "gestalt_host", "providers")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "gen" not in path.parts]
    ending = re.compile(r"context\.(abort|abort_with_status|set_details|set_trailing_metadata)\(")
    found = {path.relative_to(ROOT).as_posix() for path in sources if ending.search(path.read_text())}
    assert found == {"gestalt_sdk/transport/faults.py"}


async def refusal(servicer: runtime_pb2_grpc.ProviderLifecycleServicer, folder: Path) -> grpc.aio.AioRpcError:
    """What a health check of the servicer ends with."""
    server = grpc.aio.server()
    runtime_pb2_grpc.add_ProviderLifecycleServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{folder / 's'}")
    await server.start()
    async with open_channel(Address(f"unix:{folder / 's'}")) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await runtime_pb2_grpc.ProviderLifecycleStub(channel).HealthCheck(Empty(), timeout=5)
    await server.stop(0)
    return failed.value
