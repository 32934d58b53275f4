"""Driving one engine by hand: schedules written, what is due fired once, what is held back looked for once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gestalt_workflow.engine import Engine
from gestalt_workflow.model.objects import (
    NOBODY,
    Actor,
    Event,
    EventMatch,
    EventTrigger,
    NewSignal,
    Run,
    RunStatus,
    Schedule,
    SlotRange,
)
from gestalt_workflow.objects.schedules import ScheduleRequest, checked_timing
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.reading.queries import RunFilter

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.engine import ALICE, World, plugin_target
from tests.support.waiting import eventually


async def upsert(
    world: World, engine: Engine, schedule_id: str = "s", cron: str = "* * * * *", **more: Any
) -> Schedule:
    cron, zone, slot = checked_timing(cron, more.pop("timezone", ""), world.clock())
    fields = {"target": plugin_target(), "requested_by": ALICE, "execution_ref": "ref", **more}
    return await engine.schedules.upsert(ScheduleRequest(schedule_id, cron, zone, first_slot=slot, **fields))


async def fire_due(engine: Engine) -> None:
    """Fire all that is due now, as often as it takes."""
    scheduler = engine.scheduler
    await scheduler._check_clock()
    await scheduler._load(engine.clock())
    while due := scheduler._pop_due(engine.clock()):
        await scheduler._fire(due)


async def all_runs(engine: Engine) -> list[Run]:
    """Every run, by creation time, then id; at most 1000."""
    found = await engine.queries.runs(RunFilter(), 1000, "")
    assert not found.next_token
    return found.items[::-1]


async def scheduled(engine: Engine, schedule_id: str = "s") -> list[Run]:
    """Runs of the schedule, by slot."""
    runs = [run for run in await all_runs(engine) if run.trigger.schedule_id == schedule_id]
    return sorted(runs, key=lambda run: run.trigger.slot or run.created_at)


def minutes(runs: Sequence[Run]) -> list[int]:
    """Minutes of the runs' slots."""
    return [run.trigger.slot.minute for run in runs if run.trigger.slot is not None]


async def ledger(engine: Engine, schedule_id: str = "s", limit: int = 1000) -> list[Run | SlotRange]:
    """The whole ledger, oldest first, read in pages."""
    found: list[Run | SlotRange] = []
    after: tuple[datetime, int] | None = None
    while True:
        page = await engine.ledger.page(schedule_id, None, None, limit, after)
        found += page.slots
        after = page.following
        if after is None:
            return found[::-1]


async def ended(engine: Engine, run: Run, status: RunStatus = RunStatus.SUCCEEDED) -> Run:
    async def probe() -> Run | None:
        found = await engine.runs.get(run.id)
        return found if found.status is status else None

    return await eventually(probe)


async def trigger(engine: Engine, trigger_id: str, type: str = "t", **more: Any) -> EventTrigger:
    match = EventMatch(type, more.pop("source", ""), more.pop("subject", ""))
    fields = {"target": plugin_target(), "requested_by": ALICE, "execution_ref": f"ref-{trigger_id}", **more}
    return await engine.triggers.upsert(TriggerRequest(trigger_id, match, **fields))


def event(event_id: str = "e1", type: str = "t", source: str = "s", subject: str = "") -> Event:
    message = pb.WorkflowEvent(id=event_id, type=type, source=source, subject=subject)
    return Event(event_id, source, type, subject, message.SerializeToString())


async def publish(engine: Engine, published: Event, publisher: Actor = NOBODY, owner: str = "") -> list[Run]:
    return await engine.events.publish(published, publisher, owner)


def signal(name: str, **fields: str) -> NewSignal:
    return NewSignal(pb.WorkflowSignal(name=name).SerializeToString(), **fields)  # type: ignore[arg-type]
