"""Carry domain errors over gRPC, in both directions.

Each package keeps one table from its error classes to a ``Fault``; the serving edge turns an error into the status of
its row, the dialling edge reads the reason back. Errors without a row are bugs: logged once, sent as INTERNAL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import NoReturn

import grpc
import structlog
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gestalt_sdk.common.requests import request_in_progress
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.transport.channels import ServerContext, request_id_of

DOMAIN = "gestalt"
TRAILER_TEXT_BYTES = 2048
"""How much of a trailer the text of a refusal may take, percent-encoded."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe one row of a fault table.

    Attributes:
        reason: Stable upper-case name for programs, sent as ``google.rpc.ErrorInfo.reason``.
        code: gRPC status of the error.
    """

    reason: str
    code: grpc.StatusCode


FaultTable = Mapping[type[GestaltError], Fault]


def fault_of(error: GestaltError, table: FaultTable) -> Fault | None:
    """Return the row of the error's class or of the nearest base class that has one, else None."""
    for cls in type(error).__mro__:
        row = table.get(cls)
        if row is not None:
            return row
    return None


def status_of(error: GestaltError, table: FaultTable) -> status_pb2.Status | None:
    """Return the error as ``google.rpc.Status`` with an ErrorInfo, or None when the table has no row for it."""
    row = fault_of(error, table)
    if row is None:
        return None
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=row.reason, domain=DOMAIN))
    return status_pb2.Status(code=row.code.value[0], message=_encodable(str(error)), details=[detail])


@asynccontextmanager
async def reporting_faults(context: ServerContext, table: FaultTable) -> AsyncIterator[None]:
    """End the call with the status of any error raised inside; the only place where errors become statuses."""
    try:
        yield
    except GestaltError as error:
        status = status_of(error, table)
        if status is None:
            _log_failure(context, "error without a fault row", error)
            await end_call(context, grpc.StatusCode.INTERNAL, "internal error")
        else:
            await end_call_with(context, status)
    except grpc.aio.AbortError:
        raise  # ended on purpose, inside
    except Exception as error:
        # grpc would send the text of the exception to the peer.
        _log_failure(context, "call failed", error)
        await end_call(context, grpc.StatusCode.INTERNAL, "internal error")


def _log_failure(context: ServerContext, text: str, error: Exception) -> None:
    with request_in_progress(request_id_of(context)):
        log.exception(text, event_name="rpc.failed", error_type=type(error).__name__)


async def refuse(context: ServerContext, step: str, error: Exception) -> NoReturn:
    """End the call because a hook of the provider failed; the host gets its text as UNKNOWN."""
    expected = isinstance(error, (GestaltError, ValueError))
    log.warning(
        "%s failed",
        step,
        event_name="lifecycle.refused",
        step=step,
        error=str(error),
        exc_info=None if expected else error,
    )
    await end_call(context, grpc.StatusCode.UNKNOWN, f"{step}: {str(error) or type(error).__name__}")


async def end_call(context: ServerContext, code: grpc.StatusCode, text: str) -> NoReturn:
    """End the call with a status that has no details; a long text is cut (``trailer_text``)."""
    await context.abort(code, trailer_text(text))
    raise AssertionError("abort raises")


async def end_call_with(context: ServerContext, status: status_pb2.Status) -> NoReturn:
    """End the call with the status and its details; a long text is cut (``trailer_text``)."""
    status.message = trailer_text(status.message)
    await context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort raises")


def trailer_text(text: str) -> str:
    """Return the text, or as much of it as fits a trailer, and how long it was.

    A status that ends a call travels in trailers, twice where it has details: percent-encoded, three bytes for each
    that is not printable ASCII, and in base64. Peers refuse more than 8 KiB of trailers, and then the caller gets
    neither code nor text.
    """
    whole = text.encode(errors="replace")
    if len(whole) <= TRAILER_TEXT_BYTES and sum(map(_encoded_size, whole)) <= TRAILER_TEXT_BYTES:
        return text
    note = f"… (cut, {len(whole)} bytes in all)"
    room = TRAILER_TEXT_BYTES - sum(map(_encoded_size, note.encode()))
    end = next(at for at, size in enumerate(accumulate(map(_encoded_size, whole))) if size > room)
    return whole[:end].decode(errors="ignore") + note


def _encodable(text: str) -> str:
    """Return the text without lone surrogates, which a message cannot carry."""
    return text.encode(errors="replace").decode()


def _encoded_size(byte: int) -> int:
    return 1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3


def reason_of(error: grpc.aio.AioRpcError) -> str | None:
    """Return the ErrorInfo reason that the peer sent, None when it sent only a code (other people's providers do)."""
    status = rpc_status.from_call(error)
    if status is None:
        return None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            return str(info.reason)
    return None
