"""Serve WorkflowEvents: convert, ask, convert."""

from __future__ import annotations

from collections.abc import Callable

from gestalt_sdk.gen.extension.v1 import events_pb2 as pb
from gestalt_sdk.gen.extension.v1 import events_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import reporting_faults
from gestalt_sdk.transport.values import optional_time, to_timestamp
from gestalt_workflow.edge.faults import FAULTS
from gestalt_workflow.engine import Engine
from gestalt_workflow.events.kept_events import KeptEvent
from gestalt_workflow.events.replays import Replay, ReplayMode, ReplayRequest
from gestalt_workflow.events.verdicts import Verdict, VerdictKind
from gestalt_workflow.model import ids
from gestalt_workflow.model.errors import InvalidRequest
from gestalt_workflow.reading.queries import EventFilter
from gestalt_workflow.wire import messages

SERVICE = "gestalt.extension.v1.WorkflowEvents"
MOST_TRIGGERS = 100
LONGEST_REPLAY_ID = 200
_KINDS = {kind: pb.TriggerVerdictKind.Name(kind.value) for kind in VerdictKind}


class EventServicer(events_pb2_grpc.WorkflowEventsServicer):
    """WorkflowEvents of the configured engine."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """``engine`` gives the configured engine, or raises ``NotConfigured``."""
        self._engine = engine

    async def ListEvents(self, request: pb.ListEventsRequest, context: ServerContext) -> pb.ListEventsResponse:
        async with reporting_faults(context, FAULTS):
            wanted = _filter(request.filter)
            found = await self._engine().queries.events(wanted, request.page_size, request.page_token)
            events = (_listed(kept, summary=request.summary) for kept in found.items)
            return pb.ListEventsResponse(events=events, next_page_token=found.next_token)

    async def GetEvent(self, request: pb.GetEventRequest, context: ServerContext) -> pb.KeptEvent:
        async with reporting_faults(context, FAULTS):
            record_id = _record_id(request)
            return event_to_proto(await self._engine().events.get(record_id))

    async def ReplayEvent(self, request: pb.ReplayEventRequest, context: ServerContext) -> pb.ReplayEventResponse:
        async with reporting_faults(context, FAULTS):
            wanted = _replay_from_proto(request)
            replay, repeated = await self._engine().events.replay(wanted)
            return pb.ReplayEventResponse(
                event_record_id=wanted.event_id,
                replay=_replay_to_proto(replay),
                verdicts=map(_verdict, replay.verdicts.listed),
                verdicts_left_out=replay.verdicts.left_out,
                repeated_request=repeated,
            )


def event_to_proto(kept: KeptEvent) -> pb.KeptEvent:
    """Return the event with its verdicts and replays."""
    message = _listed(kept)
    message.verdicts.extend(map(_verdict, kept.verdicts.listed))
    message.verdicts_left_out = kept.verdicts.left_out
    message.replays.extend(map(_replay_to_proto, kept.replays))
    message.replays_left_out = kept.replays_left_out
    return message


def _listed(kept: KeptEvent, *, summary: bool = False) -> pb.KeptEvent:
    """Return the event without verdicts and replays; a summary also without what can be large."""
    last = kept.last_published_at
    message = pb.KeptEvent(
        id=kept.id,
        event=workflow_pb2.WorkflowEvent.FromString(kept.event.data),
        published_at=to_timestamp(kept.published_at),
        published_by=messages.actor_to_proto(kept.published_by),
        plugin_name=kept.plugin,
        publications=kept.publications,
        last_published_at=to_timestamp(last) if last is not None else None,
        conflicting_publications=kept.conflicts,
        matched=len(kept.verdicts.runs),
        unfinished=kept.unfinished,
        cause=messages.cause_to_proto(kept.cause) if kept.cause is not None else None,
    )
    if summary:
        message.event.ClearField("data")
        message.event.ClearField("extensions")
    return message


def _verdict(verdict: Verdict) -> pb.TriggerVerdict:
    return pb.TriggerVerdict(
        trigger_id=verdict.trigger_id,
        kind=_KINDS[verdict.kind],
        run_id=verdict.run_id,
        expected=verdict.expected,
        actual=verdict.actual,
    )


def _replay_to_proto(replay: Replay) -> pb.EventReplay:
    return pb.EventReplay(
        replay_id=replay.id,
        mode=pb.ReplayMode.Name(replay.mode.value),
        at=to_timestamp(replay.at),
        replayed_by=messages.actor_to_proto(replay.by),
        trigger_ids=replay.trigger_ids,
        runs=replay.runs,
        run_ids=replay.run_ids,
        unfinished=replay.unfinished,
    )


def _filter(message: pb.EventFilter) -> EventFilter:
    return EventFilter(
        type=message.type.strip(),
        source=message.source.strip(),
        subject=message.subject.strip(),
        publisher_id=message.published_by_subject_id.strip(),
        published_from=optional_time(message, "published_from"),
        published_before=optional_time(message, "published_before"),
    )


def _record_id(request: pb.GetEventRequest | pb.ReplayEventRequest) -> str:
    record_id, event_id = request.id.strip(), request.event_id.strip()
    if bool(record_id) == bool(event_id):
        raise InvalidRequest("exactly one of id and event_id is required")
    if record_id and request.source.strip():
        raise InvalidRequest("source goes with event_id, not with id")
    return record_id or ids.kept_event(request.source.strip(), event_id)


def _replay_from_proto(request: pb.ReplayEventRequest) -> ReplayRequest:
    record_id = _record_id(request)
    replay_id = request.replay_id.strip()
    if len(replay_id.encode()) > LONGEST_REPLAY_ID:
        raise InvalidRequest(f"replay_id has {len(replay_id.encode())} bytes; accepted are {LONGEST_REPLAY_ID}")
    try:
        mode = ReplayMode(request.mode or ReplayMode.MISSING)
    except ValueError:
        raise InvalidRequest(f"mode is {request.mode}; accepted are the numbers 1 to 3 of ReplayMode") from None
    trigger_ids = tuple(sorted({trigger_id.strip() for trigger_id in request.trigger_ids} - {""}))
    if request.trigger_ids and not trigger_ids:
        raise InvalidRequest("trigger_ids has only blank ids")
    if len(trigger_ids) > MOST_TRIGGERS:
        raise InvalidRequest(f"trigger_ids has {len(trigger_ids)} ids; accepted are {MOST_TRIGGERS}")
    return ReplayRequest(
        event_id=record_id,
        id=replay_id or ids.new_id(),
        mode=mode,
        trigger_ids=trigger_ids,
        by=messages.actor_from_proto(request.replayed_by),
    )
