"""Our workflow provider with the fault that the variable FAULT names; run as a program, with the arguments of our own.

The faults stand at its edges: in what it answers its host, and in what it asks of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import grpc

from gestalt_sdk import run
from gestalt_sdk.gen.v1 import workflow_pb2 as pb

FAULT = os.environ.get("FAULT", "")

Handler = Callable[[Any, Any], Awaitable[Any]]


async def faulty(method: str, handler: Handler, request: Any, context: Any) -> Any:
    """Answer a call with the fault."""
    if FAULT == "forgets_who_made_a_schedule" and method == "UpsertSchedule":
        request.ClearField("requested_by")
    if FAULT == "takes_ids_of_others" and method.startswith("Upsert"):
        request.target.plugin.plugin_name = "svc"
    if FAULT == "takes_any_cron" and method == "UpsertSchedule" and len(request.cron.split()) != 5:
        request.cron = "0 0 * * *"
    if FAULT == "loses_the_connection_of_a_target" and method == "StartRun":
        request.target.plugin.connection = ""
    if FAULT == "lists_references_of_all" and method == "ListExecutionReferences":
        request.subject_id = ""
    if FAULT in ("forgets_idempotency", "races_without_looking") and method == "StartRun":
        request.idempotency_key = ""
    if FAULT == "takes_signals_of_ended_runs" and method == "SignalRun":
        run_of = pb.BoundWorkflowRun(id=request.run_id)
        return pb.SignalWorkflowRunResponse(run=run_of, signal=request.signal)
    if FAULT == "publishes_to_everybody" and method == "PublishEvent":
        request.plugin_name = ""
    if FAULT == "forgets_what_it_acknowledged" and method == "PutExecutionReference":
        return request.reference
    if FAULT == "matches_beginnings" and method == "PublishEvent":
        request.event.source, request.event.subject = request.event.source[:3], request.event.subject[:3]
    if FAULT == "knows_owners_by_their_beginning" and method == "PublishEvent":
        request.plugin_name = request.plugin_name[:5]
    answer = await handler(request, context)
    if FAULT == "lists_a_hundred" and method.startswith("List"):
        [[_, listed]] = answer.ListFields() or [[None, []]]
        del listed[100:]
    if FAULT == "takes_the_second_pass" and method == "UpsertSchedule":
        first = answer.next_run_at.ToDatetime(UTC).astimezone(ZoneInfo(answer.timezone))
        answer.next_run_at.FromDatetime(first.replace(fold=1).astimezone(UTC).replace(tzinfo=None))
    if FAULT == "is_an_hour_late" and method == "UpsertSchedule":
        late = answer.next_run_at.ToDatetime() + timedelta(hours=1)
        answer.next_run_at.FromDatetime(late)
    if FAULT == "counts_signals_from_zero" and method == "SignalOrStartRun":
        answer.signal.sequence -= 1
    if FAULT == "hides_interruptions" and method == "GetRun" and "restarted" in answer.status_message:
        answer.status = pb.WORKFLOW_RUN_STATUS_SUCCEEDED
    return answer


def asked_of_the_host(request: pb.InvokeWorkflowOperationRequest) -> None:
    """Change a request to the host as the fault has it."""
    if FAULT == "runs_as_the_publisher" and request.trigger.HasField("event"):
        request.created_by.subject_id = "user:bob"


def told_by_the_host(answer: pb.InvokeWorkflowOperationResponse) -> None:
    """Change an answer of the host as the fault has it."""
    if FAULT == "swallows_failures":
        answer.status = 200
    if FAULT == "keeps_the_beginning_of_results":
        answer.body = answer.body[:4096]


class AtItsService(grpc.aio.ServerInterceptor):
    """Plants faults into what the provider answers."""

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        service, _, method = details.method.strip("/").rpartition("/")
        if handler is None or not service.endswith(".WorkflowProvider"):
            return handler
        return grpc.unary_unary_rpc_method_handler(
            partial(faulty, method, handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class AtTheHost(grpc.aio.UnaryUnaryClientInterceptor):
    """Plants faults into what the provider asks its host, and is told by it."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        if not isinstance(request, pb.InvokeWorkflowOperationRequest):
            return await continuation(details, request)
        asked_of_the_host(request)
        call = await continuation(details, request)
        answer = await call
        told_by_the_host(answer)
        return call


def main() -> int:
    real_server, real_channel = grpc.aio.server, grpc.aio.insecure_channel

    def server(*args: Any, interceptors: Any = (), **kwargs: Any) -> Any:
        return real_server(*args, interceptors=[*(interceptors or ()), AtItsService()], **kwargs)

    def channel(*args: Any, interceptors: Any = (), **kwargs: Any) -> Any:
        return real_channel(*args, interceptors=[*(interceptors or ()), AtTheHost()], **kwargs)

    grpc.aio.server, grpc.aio.insecure_channel = server, channel
    return run.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
