"""A database that commit 3e4ea25 wrote is read, and what was under way in it goes on.

``tests/support/data/workflow-format-3.sql`` is the dump (its README says how it came about). In it are runs in every
state, also claimed by a process that is gone, held back, blocked, set aside behind a limit; schedules with their
ledger, triggers, a published and replayed event, signals, execution references.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from gestalt_workflow.claims.transitions import INTERRUPTED
from gestalt_workflow.config import read_config
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.engine import Engine
from gestalt_workflow.events.kept_events import event_from_record, event_to_record
from gestalt_workflow.events.verdicts import VerdictKind
from gestalt_workflow.model import timeline
from gestalt_workflow.model.objects import (
    Actor,
    InvocationResult,
    Outcome,
    Reference,
    Run,
    RunStatus,
    Signal,
    SlotRange,
    SlotState,
)
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.signals import SignalOrStartRequest
from gestalt_workflow.reading.queries import EventFilter, ObjectFilter, RunFilter
from gestalt_workflow.stored import records
from gestalt_workflow.stored.storage import KeyRange, Record
from gestalt_workflow.wire.messages import event_from_proto, signal_from_proto
from gestalt_workflow.wire.targets import describe_target

from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.transport.environment import Address
from tests.support.rigs.workflow import open_rig, target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.ours("workflow"), pytest.mark.ours("store")]

DUMP = Path(__file__).parents[2] / "support" / "data" / "workflow-format-3.sql"
WRITTEN = datetime(2026, 5, 4, 12, 3, 1, tzinfo=UTC)
"""When the dump's clock stood at its last write."""
ALICE = Actor("user:alice", "user", "Alice", "session")
ROUND_TRIPS: dict[str, tuple[Callable[[Record], Any], Callable[[Any], Record]]] = {
    records.SCHEDULES: (records.schedule_from_record, records.schedule_to_record),
    records.TRIGGERS: (records.trigger_from_record, records.trigger_to_record),
    records.RUNS: (records.run_from_record, records.run_to_record),
    records.SIGNALS: (records.signal_from_record, records.signal_to_record),
    records.REFERENCES: (records.reference_from_record, records.reference_to_record),
    records.SLOTS: (records.slot_range_from_record, records.slot_range_to_record),
    records.EVENTS: (event_from_record, event_to_record),
}


class Clock:
    def __init__(self) -> None:
        self.now = WRITTEN

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


class Host:
    """Answers 200 to everything."""

    def __init__(self) -> None:
        self.invoked: list[tuple[Run, Sequence[Signal], Reference | None]] = []

    async def invoke(self, run: Run, signals: Sequence[Signal], reference: Reference | None) -> Outcome:
        self.invoked.append((run, signals, reference))
        return InvocationResult(200, "now")

    async def close(self) -> None:
        return None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(clock: Clock) -> AsyncIterator[Engine]:
    """An engine on the database, not started."""
    async with open_rig(DUMP) as rig:
        db = IndexedDB.connect(Address(f"unix:{rig.store.socket}"))
        config = read_config({"targetLimits": {"slack": 1}})
        opened = await Engine("local", config, db, cast(WorkflowHost, Host()), clock).open()
        yield opened
        await opened.close()


async def all_runs(engine: Engine) -> list[Run]:
    return (await engine.queries.runs(RunFilter(), 1000, "")).items


async def of_operation(engine: Engine, operation: str, plugin: str = "svc") -> list[Run]:
    """Runs that were started by hand for the operation."""
    wanted = RunFilter(operation=operation, target_owner=plugin, subject_id="user:alice")
    runs = (await engine.queries.runs(wanted, 0, "")).items
    return [run for run in runs if not run.trigger.schedule_id]


async def ended(engine: Engine, run_id: str) -> Run:
    async def probe() -> Run | None:
        run = await engine.runs.get(run_id)
        return run if run.status.terminal else None

    return await eventually(probe)


@pytest.mark.parametrize("store", ROUND_TRIPS)
async def test_every_record_is_written_again_as_it_was(engine: Engine, store: str) -> None:
    decode, encode = ROUND_TRIPS[store]
    page = await engine.storage.page_by_id(store, KeyRange(), "read")
    assert page.records
    assert [encode(decode(record)) for record in page.records] == [in_its_turn(record) for record in page.records]


def in_its_turn(record: Record) -> Record:
    """Return the record as this version has it, which queues a run by its subject too; any other as it is."""
    queue = str(record.get("queue", ""))
    if queue != "ready" and not queue.startswith("lane "):
        return record
    lane = queue.removeprefix("ready").removeprefix("lane ")
    return {**record, "queue": f"lane {lane}\0{record.get('subject', '')}"}


async def test_runs_read_as_they_were(engine: Engine) -> None:
    found = {run.id: run for run in await all_runs(engine)}
    assert len(found) == 19
    (retrying,) = await of_operation(engine, "flaky")
    assert (retrying.held_back, retrying.attempt, retrying.status_message) == (
        True,
        1,
        "workflow operation returned status 503 (attempt 1 of 3)",
    )
    (aside,) = await of_operation(engine, "ok", "slack")
    assert (aside.status, aside.lane) == (RunStatus.PENDING, "slack")
    (limited,) = await of_operation(engine, "hold", "slack")
    assert (limited.status, limited.permits, limited.epoch) == (RunStatus.RUNNING, ("slack#0",), 1)
    blocked = found["schedule:queue:2026-05-04T12:02:00Z"]
    assert blocked.blocked_by == "schedule:queue:2026-05-04T12:01:00Z"
    (cut,) = await of_operation(engine, "long")
    assert (len(cut.result_body), cut.result_truncated) == (1000, 3000)
    (denied,) = await of_operation(engine, "denied")
    assert denied.denied
    canceled, keyed = sorted(await of_operation(engine, "hold"), key=lambda run: run.created_at)
    assert (canceled.status, canceled.status_message) == (RunStatus.CANCELED, "not needed")
    moments = timeline.read(canceled).moments
    assert [moment.kind for moment in moments] == [timeline.CREATED, timeline.CLAIMED, timeline.CANCELED]
    assert moments[-1].subject_id == "user:bob"
    assert (keyed.workflow_key, keyed.undelivered, len(keyed.batch)) == ("order-1", 2, 1)


async def test_schedules_triggers_references_and_events_read_as_they_were(engine: Engine) -> None:
    schedules = {s.id: s for s in (await engine.queries.schedules(ObjectFilter(), 0, "")).items}
    assert schedules.keys() == {"minutely", "queue", "skip", "berlin"}
    pause = schedules["berlin"].pause
    assert pause is not None
    assert (pause.note, pause.until) == ("moving house", datetime(2027, 1, 1, tzinfo=UTC))
    page = await engine.ledger.page("skip", None, None, 10)
    skipped, fired = page.slots
    assert isinstance(skipped, SlotRange)
    assert (skipped.state, skipped.count) == (SlotState.OVERLAP, 2)
    assert isinstance(fired, Run)
    assert fired.policy.retry is not None
    triggers = (await engine.queries.triggers(ObjectFilter(), 0, "")).items
    assert [(t.id, t.match.source, t.paused) for t in triggers] == [
        ("met", "shop", False),
        ("paused", "", True),
        ("elsewhere", "depot", False),
    ]
    assert (await engine.references.get("named")).signed
    assert (await engine.references.get("revoked")).revoked_at is not None
    events = (await engine.queries.events(EventFilter(), 0, "")).items
    assert [kept.event.id for kept in events] == ["e2", "e1"]
    assert (events[1].publications, events[1].conflicts, len(events[1].replays)) == (3, 1, 1)
    verdicts = {verdict.trigger_id: verdict.kind for verdict in events[1].verdicts.listed}
    assert verdicts == {
        "met": VerdictKind.DUPLICATE,
        "paused": VerdictKind.PAUSED,
        "elsewhere": VerdictKind.SOURCE_DIFFERS,
    }


async def test_repeats_are_recognised(engine: Engine) -> None:
    again = await engine.runs.start(
        StartRequest(describe_target(target("ok")), idempotency_key="once", created_by=ALICE)
    )
    assert (again.status, again.result_body) == (RunStatus.SUCCEEDED, '{"ok":true}')
    event = workflow_pb2.WorkflowEvent(id="e1", type="order", source="shop")
    request = workflow_pb2.PublishWorkflowProviderEventRequest(event=event)
    assert await engine.events.publish(event_from_proto(request, WRITTEN), ALICE) == []
    signal = signal_from_proto(workflow_pb2.WorkflowSignal(name="paid", idempotency_key="i2"), present=True)
    wanted = SignalOrStartRequest("order-1", describe_target(target("hold")), signal, ALICE)
    delivery = await engine.signals.signal_or_start(wanted)
    assert (delivery.signal.sequence, delivery.run.undelivered, delivery.started_run) == (2, 2, False)
    assert len(await all_runs(engine)) == 19


async def test_what_was_under_way_goes_on(engine: Engine, clock: Clock) -> None:
    before = {run.id: run for run in await all_runs(engine)}
    clock.now += timedelta(hours=2)  # the lease has ended, the next attempt is due, a hundred slots were missed
    engine.start()
    for run_id, run in before.items():
        after = await ended(engine, run_id)
        if run.status.terminal:
            assert after == run
        elif run.status is RunStatus.RUNNING and run.policy.retry is None:
            assert (after.status, after.status_message, after.stale) == (RunStatus.FAILED, INTERRUPTED, True)
        elif run.status is RunStatus.RUNNING:
            assert (after.status, after.attempt) == (RunStatus.FAILED, run.attempt)  # interruptions are not retried
        else:
            assert (after.status, after.result_body) == (RunStatus.SUCCEEDED, "now")
    (latest, collapsed, *_) = await _ledger_of(engine, "minutely")
    assert isinstance(latest, Run)
    assert (await ended(engine, latest.id)).status is RunStatus.SUCCEEDED
    assert isinstance(collapsed, SlotRange)
    assert (collapsed.state, collapsed.count, collapsed.into) == (SlotState.COLLAPSED, 119, latest.trigger.slot)
    host = cast(Host, engine._host)
    sent = {run.trigger.schedule_id: reference for run, _, reference in host.invoked if reference is not None}
    assert sent["minutely"].id == "named"
    signal = signal_from_proto(workflow_pb2.WorkflowSignal(name="again"), present=True)
    wanted = SignalOrStartRequest("order-1", describe_target(target("ok")), signal, ALICE)
    assert (await engine.signals.signal_or_start(wanted)).started_run  # the key of the failed run is free


async def _ledger_of(engine: Engine, schedule_id: str) -> Sequence[Run | SlotRange]:
    async def probe() -> Sequence[Run | SlotRange] | None:
        page = await engine.ledger.page(schedule_id, None, None, 10)
        newest = page.slots[0]
        return page.slots if isinstance(newest, Run) and newest.created_at > WRITTEN + timedelta(hours=1) else None

    return await eventually(probe)
