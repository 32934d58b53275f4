"""Serve WorkflowSlots: what became of the slots of a schedule, and which come next."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime, timedelta

from gestalt_sdk.gen.extension.v1 import slots_pb2 as pb
from gestalt_sdk.gen.extension.v1 import slots_pb2_grpc
from gestalt_sdk.timing.cron import Cron, parse_cron
from gestalt_sdk.timing.zones import load_zone
from gestalt_sdk.transport.channels import ServerContext
from gestalt_sdk.transport.faults import reporting_faults
from gestalt_sdk.transport.values import from_timestamp, optional_time, to_timestamp
from gestalt_workflow.edge.faults import FAULTS
from gestalt_workflow.engine import Engine
from gestalt_workflow.firing.ledger import is_undecided
from gestalt_workflow.firing.plan import fires_at
from gestalt_workflow.firing.slots import Remark, next_slots, remark
from gestalt_workflow.model.clock import from_micros, to_micros
from gestalt_workflow.model.errors import InvalidRequest
from gestalt_workflow.model.objects import Run, Schedule, SlotRange, SlotState
from gestalt_workflow.objects.schedules import checked_timing

SERVICE = "gestalt.extension.v1.WorkflowSlots"
LARGEST_PAGE = 1000
DEFAULT_PAGE = 100
DEFAULT_PREVIEW = 10
_SKIPS = {
    SlotState.OVERLAP: pb.SLOT_SKIP_REASON_OVERLAP,
    SlotState.PAUSED: pb.SLOT_SKIP_REASON_PAUSED,
    SlotState.CATCH_UP: pb.SLOT_SKIP_REASON_CATCH_UP,
    SlotState.NEVER_LOADED: pb.SLOT_SKIP_REASON_NEVER_LOADED,
}

_REMARKS = {
    Remark.NONE: pb.SLOT_REMARK_UNSPECIFIED,
    Remark.FIRST_PASS: pb.SLOT_REMARK_FIRST_PASS,
    Remark.SECOND_PASS: pb.SLOT_REMARK_SECOND_PASS,
    Remark.SHIFTED: pb.SLOT_REMARK_SHIFTED,
}


class SlotsServicer(slots_pb2_grpc.WorkflowSlotsServicer):
    """WorkflowSlots of the configured engine."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        """``engine`` gives the configured engine, or raises ``NotConfigured``."""
        self._engine = engine

    async def ListSlots(self, request: pb.ListSlotsRequest, context: ServerContext) -> pb.ListSlotsResponse:
        async with reporting_faults(context, FAULTS):
            schedule_id = request.schedule_id.strip()
            if not schedule_id:
                raise InvalidRequest("schedule_id is required")
            limit = _count(request.page_size, "page_size", DEFAULT_PAGE)
            # `from` is a word of Python.
            since = optional_time(request, "from")
            after = _position(request.page_token) if request.page_token else None
            ledger = self._engine().ledger
            page = await ledger.page(schedule_id, since, optional_time(request, "to"), limit, after)
            token = _token(page.following) if page.following is not None else ""
            return pb.ListSlotsResponse(slots=map(outcome_to_proto, page.slots), next_page_token=token)

    async def PreviewSlots(self, request: pb.PreviewSlotsRequest, context: ServerContext) -> pb.PreviewSlotsResponse:
        async with reporting_faults(context, FAULTS):
            engine = self._engine()
            count = _count(request.count, "count", DEFAULT_PREVIEW)
            after = from_timestamp(request.after) if request.HasField("after") else engine.clock()
            schedule_id = request.schedule_id.strip()
            if schedule_id and (request.cron or request.timezone):
                raise InvalidRequest("schedule_id and cron with timezone exclude each other")
            schedule = await engine.schedules.get(schedule_id) if schedule_id else None
            if schedule is None:
                text, zone, _ = checked_timing(request.cron, request.timezone, after)
            else:
                text, zone = schedule.cron, schedule.timezone
            cron = parse_cron(text, stored=schedule is not None)
            slots = [_upcoming(cron, zone, slot, schedule) for slot in next_slots(cron, zone, after, count)]
            return pb.PreviewSlotsResponse(slots=slots, timezone=zone, paused=schedule is not None and schedule.paused)


def outcome_to_proto(line: Run | SlotRange) -> pb.SlotOutcome:
    """Return a line of the ledger as a message."""
    if isinstance(line, Run):
        slot = line.trigger.slot or line.created_at
        message = pb.SlotOutcome(
            first=to_timestamp(slot),
            last=to_timestamp(slot),
            count=1,
            state=pb.SLOT_STATE_DENIED if line.denied else pb.SLOT_STATE_FIRED,
            run_id=line.id,
            recorded_at=to_timestamp(line.created_at),
        )
        message.lateness.FromTimedelta(line.created_at - slot)
        return message
    message = pb.SlotOutcome(
        first=to_timestamp(line.first), last=to_timestamp(line.last), count=line.count, run_id=line.run_id
    )
    if not is_undecided(line):
        message.recorded_at.CopyFrom(to_timestamp(line.recorded_at))
    elif line.state is SlotState.NEVER_LOADED:
        message.state = pb.SLOT_STATE_DUE
        return message
    if line.state is SlotState.COLLAPSED:
        message.state = pb.SLOT_STATE_COLLAPSED
        if line.into is not None:
            message.collapsed_into.CopyFrom(to_timestamp(line.into))
    else:
        message.state = pb.SLOT_STATE_SKIPPED
        message.skip_reason = _SKIPS[line.state]
    return message


def _upcoming(cron: Cron, zone: str, slot: datetime, schedule: Schedule | None) -> pb.UpcomingSlot:
    local = slot.astimezone(load_zone(zone))
    offset = local.utcoffset() or timedelta()
    return pb.UpcomingSlot(
        slot=to_timestamp(slot),
        local_time=local.replace(tzinfo=None).isoformat(timespec="seconds"),
        utc_offset_seconds=int(offset.total_seconds()),
        remark=_REMARKS[remark(cron, zone, slot)],
        fires_at=to_timestamp(fires_at(schedule, slot) if schedule is not None else slot),
    )


def _count(value: int, name: str, default: int) -> int:
    if not 0 <= value <= LARGEST_PAGE:
        raise InvalidRequest(f"{name} is {value}; accepted are 1 to {LARGEST_PAGE}, and 0 for {default}")
    return value or default


def _token(position: tuple[datetime, int]) -> str:
    moment, kind = position
    text = f"{to_micros(moment)}.{kind}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _position(token: str) -> tuple[datetime, int]:
    try:
        moment, kind = base64.urlsafe_b64decode(token.encode("ascii")).decode("ascii").split(".")
        return from_micros(int(moment)), int(kind)
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidRequest("page_token is not one that this service gave") from None
