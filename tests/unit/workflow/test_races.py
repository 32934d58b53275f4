"""Races that the simulation found once, each told alone; time is virtual where a test has to wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import pytest
from gestalt_workflow.config import Config
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.errors import StorageUnavailable, TooMuchContention
from gestalt_workflow.model.objects import EventMatch, EventTrigger, NewSignal, RunStatus
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.schedules import ScheduleRequest, checked_timing
from gestalt_workflow.objects.signals import SignalOrStartRequest
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.stored.records import RUNS, SIGNALS

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import IndexedDB, StoreUnavailable, Write, WriteResult
from tests.simulation.loop import VirtualLoop
from tests.support.fakes.indexeddb_client import MemoryClient, RecordDatabase
from tests.support.rigs.engine import ALICE, START, ScriptedHost, World, client_of, plugin_target
from tests.support.waiting import eventually, observed_for, one_turn


def _signal(key: str = "") -> NewSignal:
    return NewSignal(pb.WorkflowSignal(name="go").SerializeToString(), idempotency_key=key, subject_id="user:alice")


def _every_minute(schedule_id: str, world: World, cron: str = "* * * * *") -> ScheduleRequest:
    timing = checked_timing(cron, "UTC", world.clock())
    return ScheduleRequest(schedule_id, timing[0], timing[1], plugin_target(), timing[2])


@pytest.mark.parametrize("poll_s", [1, 30, 60, 3600])
def test_runs_that_another_process_left_are_found_however_seldom_it_is_looked(poll_s: int) -> None:
    """Sweeps and reloads that were due at every round displaced the looking for runs."""

    async def scenario() -> None:
        database, host = RecordDatabase(), ScriptedHost()

        def engine() -> Engine:
            config = Config(poll_interval=timedelta(seconds=poll_s))
            client, hosts = cast(IndexedDB, MemoryClient(database)), cast(WorkflowHost, host)
            return Engine("local", config, client, hosts, lambda: START + timedelta(seconds=loop.time()))

        working, other = await engine().open(), await engine().open()
        working.start()
        await observed_for(5)
        run = await other.runs.start(StartRequest(plugin_target()))
        await observed_for(2 * poll_s + 10)
        assert host.runs() == [run.id]
        await working.close()
        await other.close()

    loop = VirtualLoop()
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.end()


async def test_a_run_that_did_not_end_in_the_drain_is_failed_even_when_a_signal_came_in(world: World) -> None:
    """It was put back into the queue, and invoked again by the next process."""
    engine = await world.engine()
    world.host.hold("run")
    request = SignalOrStartRequest("key", plugin_target(), _signal(), ALICE)
    run = (await engine.signals.signal_or_start(request)).run

    await eventually(lambda: _when(bool(world.host.calls)))
    await engine.signals.signal(run.id, _signal())
    await engine.drain(within=timedelta(seconds=0.05))
    assert (await engine.runs.get(run.id)).status is RunStatus.FAILED
    assert world.host.runs() == [run.id]


async def test_a_run_whose_claim_is_answered_after_its_lease_is_not_invoked_under_it(world: World) -> None:
    """A process that was suspended with the answer on its way invoked what others had taken for lost."""
    engine = await world.engine(claim_ttl=timedelta(minutes=1))
    client = client_of(engine)

    def suspended(message: str) -> None:
        running = any(record["status"] == RunStatus.RUNNING for record in world.database.stores[RUNS].values())
        if message == "apply" and running:
            client.after = None
            world.clock.advance(minutes=2)

    client.after = suspended
    run = await engine.runs.start(StartRequest(plugin_target()))
    done = await world.finished(engine, run.id)
    assert done.status is RunStatus.SUCCEEDED
    assert [(call.id, call.epoch) for call, _, _ in world.host.calls] == [(run.id, 2)]


async def test_what_is_known_of_a_deleted_schedule_does_not_fire_its_successor(world: World) -> None:
    """Both began at revision 1: the old definition fired, and replaced the new one."""
    other = await world.engine(start=False)
    await other.schedules.upsert(_every_minute("s", world))
    knows_old = await world.engine()
    messages = client_of(knows_old).messages
    await eventually(lambda: _when(messages["page"] >= 3))
    await one_turn()
    await other.schedules.delete("s")
    await other.schedules.upsert(_every_minute("s", world, "0 3 * * *"))
    before = messages["apply"]
    world.clock.advance(minutes=1)
    await eventually(lambda: _when(messages["apply"] > before))
    await one_turn()
    assert not world.database.stores[RUNS]
    assert (await other.schedules.get("s")).cron == "0 3 * * *"


async def _when(holds: bool) -> bool | None:
    return True if holds else None


async def test_what_is_known_of_a_deleted_trigger_does_not_replace_its_successor(world: World) -> None:
    knows_old, other = await world.engine(start=False), await world.engine(start=False)
    await other.triggers.upsert(TriggerRequest("t", EventMatch("old"), plugin_target()))
    old = await knows_old.triggers.get("t")
    await other.triggers.delete("t")
    await other.triggers.upsert(TriggerRequest("t", EventMatch("new"), plugin_target()))

    async def outdated() -> EventTrigger:
        return old

    triggers = knows_old.triggers
    with pytest.raises(TooMuchContention, match=r"^pause event trigger: "):
        await triggers._change("pause event trigger", outdated, lambda found, _: triggers._put(found, found))
    assert (await other.triggers.get("t")).match.type == "new"


async def test_a_signal_that_was_sent_again_does_not_start_a_second_run_when_the_first_write_arrives(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write whose answer was lost may be executed late, when the run of the second attempt has ended."""
    engine = await world.engine(start=False)
    client = client_of(engine)
    apply = client.apply
    delayed: list[Sequence[Write]] = []

    async def on_its_way(entries: Sequence[Write], *, return_current: bool = False) -> list[WriteResult]:
        delayed.append(entries)
        raise StoreUnavailable("no answer")

    request = SignalOrStartRequest("key", plugin_target(), _signal("once"), ALICE)
    monkeypatch.setattr(client, "apply", on_its_way)
    with pytest.raises(StorageUnavailable):
        await engine.signals.signal_or_start(request)
    monkeypatch.setattr(client, "apply", apply)
    answered = await engine.signals.signal_or_start(request)
    engine.start()
    await world.finished(engine, answered.run.id)
    await apply(delayed[0])
    assert set(world.database.stores[RUNS]) == {answered.run.id}
    assert set(world.database.stores[SIGNALS]) == {answered.signal.id}
