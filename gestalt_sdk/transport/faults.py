"""Carry domain errors over gRPC, in both directions.

Each package keeps one table from its error classes to a ``Fault``; the serving edge turns an error into the status of
its row, the dialling edge reads the reason back. Errors without a row are bugs: logged once, sent as INTERNAL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gestalt_sdk.errors import GestaltError
from gestalt_sdk.transport.channels import ServerContext

DOMAIN = "gestalt"

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
    return status_pb2.Status(code=row.code.value[0], message=str(error), details=[detail])


@asynccontextmanager
async def reporting_faults(context: ServerContext, table: FaultTable) -> AsyncIterator[None]:
    """End the call with the status of any error raised inside; the only place where errors become statuses."""
    try:
        yield
    except GestaltError as error:
        status = status_of(error, table)
        if status is None:
            log.exception("error without a fault row", event_name="rpc.failed", error_type=type(error).__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")
        else:
            await context.abort_with_status(rpc_status.to_status(status))
    except grpc.aio.AbortError:
        raise  # ended on purpose, inside
    except Exception as error:
        # grpc would send the text of the exception to the peer.
        log.exception("call failed", event_name="rpc.failed", error_type=type(error).__name__)
        await context.abort(grpc.StatusCode.INTERNAL, "internal error")


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
