"""Fair turns (decision 24): places go round by subject, whatever one subject has waiting and with what priority."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import structlog
from gestalt_workflow.dispatch.run_queue import PAGE, WINDOW
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.objects import (
    CONFIG_SUBJECT,
    NOBODY,
    Actor,
    Event,
    EventMatch,
    InvocationResult,
    Outcome,
    Reference,
    Run,
    RunStatus,
    Signal,
)
from gestalt_workflow.model.policies import Retry, RunPolicy
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.stored.records import LANE, READY, RUNS, turn_key

from tests.support.rigs.driving import all_runs, fire_due, upsert
from tests.support.rigs.engine import ALICE, BOB, ScriptedHost, World, client_of, plugin_target
from tests.support.waiting import eventually, one_turn


def actor(name: str) -> Actor:
    return Actor(f"user:{name}", "user", name, "session")


async def start(engine: Engine, who: Actor, operation: str = "run", plugin: str = "svc", **fields: Any) -> Run:
    return await engine.runs.start(StartRequest(plugin_target(operation, plugin), created_by=who, **fields))


def order(world: World) -> list[str]:
    """Whose runs were invoked, in order."""
    return [run.subject.removeprefix("user:") for run, _, _ in world.host.calls]


async def all_ended(engine: Engine, within_s: float = 60) -> None:
    async def probe() -> bool | None:
        rows = world_rows(engine).values()
        return True if all(record["status"] >= RunStatus.SUCCEEDED for record in rows) else None

    await eventually(probe, within_s=within_s)


def world_rows(engine: Engine) -> Any:
    return client_of(engine).database.rows[RUNS]


# A backlog delays nobody else


async def test_a_backlog_of_one_subject_delays_another_by_the_runs_in_hand(world: World) -> None:
    engine = await world.engine(start=False, worker_count=4)
    for _ in range(200):
        await start(engine, ALICE)
    other = await start(engine, BOB)
    engine.start()
    await world.finished(engine, other.id)
    assert world.host.runs().index(other.id) <= 4


async def test_one_trigger_with_many_events_does_not_hold_up_configured_schedules(world: World) -> None:
    """A run that an event started has the highest priority (0), one of a schedule 20: it does not count here."""
    engine = await world.engine(worker_count=2)
    gate = world.host.hold("slow")
    trigger = TriggerRequest("t", EventMatch("type"), plugin_target("slow"), False, ALICE, "")
    await engine.triggers.upsert(trigger)
    await upsert(world, engine, requested_by=Actor(CONFIG_SUBJECT, "system", "config", "config"))
    for number in range(300):
        await engine.events.publish(Event(f"e{number}", "s", "type", "", b""), NOBODY)
    await eventually(lambda: _answer(world.host.active == 2))
    world.clock.advance(minutes=1)
    await fire_due(engine)
    gate.set()
    await all_ended(engine)
    assert order(world).index(CONFIG_SUBJECT) <= 2 + 1


async def test_within_its_turn_priority_orders_the_runs_of_a_subject(world: World) -> None:
    engine = await world.engine(start=False, worker_count=1)
    plain = [await start(engine, ALICE) for _ in range(2)]
    keyed = await start(engine, ALICE, workflow_key="k")
    others = [await start(engine, BOB) for _ in range(3)]
    engine.start()
    await all_ended(engine)
    mine = [run_id for run_id in world.host.runs() if run_id not in {run.id for run in others}]
    assert mine == [keyed.id, *(run.id for run in plain)]
    assert order(world) == ["alice", "bob"] * 3


async def test_subjects_go_round_in_turn_until_nobody_has_a_run(world: World) -> None:
    engine = await world.engine(start=False, worker_count=3)
    counts = {"a": 40, "b": 1, "c": 7, "d": 40}
    for name, count in counts.items():
        for _ in range(count):
            await start(engine, actor(name))
    engine.start()
    await all_ended(engine)
    seen = order(world)
    assert seen[:4] == ["a", "b", "c", "d"]
    assert seen[:22] == ["a", "b", "c", "d", *["a", "c", "d"] * 6]
    assert seen[22:] == ["a", "d"] * 33


async def test_a_run_that_is_due_again_has_its_subjects_turn(world: World) -> None:
    engine = await world.engine(start=False, worker_count=1)
    world.host.answers["flaky"] = InvocationResult(503, "")
    retried = await start(engine, BOB, "flaky", policy=RunPolicy(retry=Retry(2, timedelta(minutes=5))))
    engine.start()
    await eventually(lambda: _answer(len(world.host.calls) == 1))
    gate = world.host.hold("run")
    backlog = [await start(engine, ALICE) for _ in range(100)]
    await eventually(lambda: _answer(world.host.active == 1))
    world.clock.advance(minutes=6)
    await engine.waiting_room.look()
    gate.set()
    await world.finished(engine, retried.id)
    assert sum(run.id in world.host.runs()[: world.host.runs().index(retried.id, 1)] for run in backlog) <= 3


# Many subjects, many runs


class CountingHost(ScriptedHost):
    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    async def invoke(self, run: Run, signals: Sequence[Signal], reference: Reference | None) -> Outcome:
        self.order.append(run.subject)
        return await super().invoke(run, signals, reference)


def put_backlog(world: World, run: Run, counts: dict[str, int]) -> None:
    """Store copies of the run for each subject, as another process does: nobody is told."""
    rows = world.database.stores[RUNS]
    like = rows.pop(run.id)
    for subject, count in counts.items():
        for number in range(count):
            place = {"queue": turn_key("", subject), "subject": subject, "created_by": [subject, "user", "", ""]}
            rows[f"{subject}/{number}"] = {**like, **place, "id": f"{subject}/{number}"}


@pytest.mark.parametrize(
    ("counts", "messages"),
    [
        ({f"user:{number:05}": 1 for number in range(3000)}, 0.02),
        ({"user:big": 2500} | {f"user:{number:05}": 1 for number in range(1200)}, 0.05),
        ({f"user:{number}": 100 for number in range(40)}, 0.25),
    ],
    ids=["many small", "one large", "many large"],
)
async def test_turns_cost_no_look_at_the_store_each(world: World, counts: dict[str, int], messages: float) -> None:
    """Also not where more subjects have runs than are kept in memory."""
    maker = await world.engine(start=False)
    put_backlog(world, await start(maker, ALICE), counts)
    host = CountingHost()
    engine = await world.engine(start=False, worker_count=8, host=host, poll_interval=timedelta(hours=1))
    client = client_of(engine)
    before = client.messages["page"]
    engine.start()
    await all_ended(engine, within_s=120)
    assert len(host.order) == sum(counts.values())
    assert (client.messages["page"] - before) / len(host.order) <= messages
    assert set(host.order[: len(counts)]) == set(counts)


async def test_what_other_processes_queue_is_found_while_there_is_a_backlog(world: World) -> None:
    engine = await world.engine(worker_count=1)
    gate = world.host.hold("run")
    for _ in range(PAGE + 100):
        await start(engine, ALICE)
    other = await world.engine(start=False)
    late = await start(other, BOB)
    for _ in range(3):
        await engine.lanes.look_for_runs(engine.dispatcher.busy)
    gate.set()
    await world.finished(engine, late.id)
    assert world.host.runs().index(late.id) <= 3


async def test_memory_holds_no_more_turns_than_its_window(world: World) -> None:
    engine = await world.engine(start=False)
    await engine.lanes.look_for_runs(engine.dispatcher.busy)
    for number in range(WINDOW + 200):
        await start(engine, actor(f"{number:05}"))
    assert len(list(engine.lanes.queue)) <= WINDOW
    engine.start()
    await all_ended(engine)
    assert len(set(order(world))) == WINDOW + 200


@pytest.mark.parametrize("seed", range(20))
async def test_every_run_is_given_out_once_and_nobody_waits_longer_than_a_round(world: World, seed: int) -> None:
    """Runs come, are canceled and are taken, by this process and by others, in random order and number."""
    dice = Random(seed)
    maker, taker = await world.engine(start=False), await world.engine(start=False)
    names = [actor(f"{number:03}") for number in range(dice.choice((2, 5, 40)))]
    lanes, busy = taker.lanes, set[str]()
    waiting: dict[str, str] = {}
    since: dict[str, int] = {}
    turns = 0

    async def take(limit: int) -> bool:
        nonlocal turns
        batch = await lanes.take(limit, lambda: busy)
        for run, _ in batch.runs:
            if run.id not in waiting:
                continue  # canceled, and this process was not told: its claim would be refused
            busy.add(run.id)
            subject = waiting.pop(run.id)
            record = world.database.stores[RUNS][run.id]
            record["status"] = int(RunStatus.RUNNING)
            del record["queue"]
            # A round, and another one where another process made the run behind this one's back.
            assert turns - since.pop(subject) <= 2 * len(names), subject
            turns += 1
            if subject in waiting.values():
                since[subject] = turns
        return bool(batch)

    for _ in range(60):
        for _ in range(dice.choice((0, 1, 1, 30))):
            engine = dice.choice((maker, taker))
            run = await start(engine, dice.choice(names[: dice.choice((1, len(names)))]))
            waiting[run.id] = run.subject
            since.setdefault(run.subject, turns)
        if waiting and dice.random() < 0.2:
            gone = dice.choice(list(waiting))
            await dice.choice((maker, taker)).runs.cancel(gone, "")
            if (subject := waiting.pop(gone)) not in waiting.values():
                del since[subject]
        if dice.random() < 0.1:
            lanes.suspect()
        await lanes.look_for_runs(lambda: busy)
        await take(dice.choice((1, 3, 8)))
    while await lanes.look_for_runs(lambda: busy) or await take(8):
        await take(8)
    assert not waiting


# Limits


async def test_a_limit_goes_round_by_subject_too(world: World) -> None:
    """And a subject that waits there with many runs takes nobody's turn in the queue."""
    engine = await world.engine(start=False, worker_count=2, target_limits={"slack": 1})
    for _ in range(PAGE + 50):
        await start(engine, ALICE, "send", "slack")
    for _ in range(20):
        await start(engine, ALICE, "other", "mail")
    limited, free = await start(engine, BOB, "send", "slack"), await start(engine, BOB, "other", "mail")
    engine.start()
    await world.finished(engine, free.id)
    await world.finished(engine, limited.id)
    calls = world.host.runs()
    assert calls.index(free.id) <= 4
    sends = [run.id for run, _, _ in world.host.calls if run.target.plugin == "slack"]
    assert sends.index(limited.id) <= 3


async def test_a_subject_with_several_limits_has_one_turn_a_round(world: World) -> None:
    limits = {f"p{number}": 1 for number in range(6)}
    engine = await world.engine(start=False, worker_count=1, target_limits=limits)
    gate = world.host.hold("run")
    for number in range(60):
        await start(engine, ALICE, plugin=f"p{number % 6}")
    runs = [await start(engine, BOB, plugin="free") for _ in range(10)]
    engine.start()
    await one_turn()
    gate.set()
    await all_ended(engine)
    names = order(world)
    last = max(place for place, name in enumerate(names) if name == "bob")
    assert last <= 2 * len(runs) + 2


# Databases and processes of earlier versions


async def test_a_backlog_that_an_earlier_version_queued_is_given_turns(world: World) -> None:
    engine = await world.engine(start=False, worker_count=2, target_limits={"slack": 1})
    runs = [await start(engine, ALICE) for _ in range(PAGE + 100)]
    aside = [await start(engine, ALICE, plugin="slack") for _ in range(10)]
    other, limited = await start(engine, BOB), await start(engine, BOB, plugin="slack")
    rows = world.database.stores[RUNS]
    for run in (*runs, other):
        rows[run.id] |= {"queue": READY}
    for run in (*aside, limited):
        rows[run.id] |= {"queue": f"{LANE}slack"}
    newer = await world.engine(worker_count=2, target_limits={"slack": 1})
    await world.finished(newer, other.id)
    await world.finished(newer, limited.id)
    names = [run.id for run, _, _ in world.host.calls]
    assert sum(run.id in names[: names.index(other.id)] for run in runs) <= PAGE
    await all_ended(newer)
    assert len(names) == len(set(names))


async def test_a_record_stays_in_its_turn_when_an_earlier_version_writes_it(world: World) -> None:
    """It takes what follows ``lane `` for the name of a lane, keeps it, and brings the run back to ``ready``."""
    engine = await world.engine(start=False)
    run = await start(engine, ALICE)
    record = world.database.stores[RUNS][run.id]
    assert record["queue"].startswith("lane ")
    assert "rank_at" in record
    record |= {"queue": READY, "revision": record["revision"] + 1}
    other = await world.engine()
    assert (await world.finished(other, run.id)).status is RunStatus.SUCCEEDED
    late = await start(other, BOB, "late")
    assert (await world.finished(other, late.id)).status is RunStatus.SUCCEEDED
    assert len(await all_runs(other)) == 2


async def _answer(found: bool) -> bool | None:
    return True if found else None


# What waits too long is told


async def test_runs_that_wait_too_long_are_told_by_kind_of_subject_and_nobody_by_id(world: World) -> None:
    engine = await world.engine(start=False, worker_count=1, overdue_after=timedelta(seconds=90))
    world.host.hold("run")
    await start(engine, ALICE)
    await start(engine, Actor(CONFIG_SUBJECT, "system", "config", "config"))
    await start(engine, BOB, workflow_key="k")
    await engine.lanes.look_for_runs(engine.dispatcher.busy)
    assert engine.overdue.look() is None
    world.clock.advance(seconds=89)
    assert engine.overdue.look() is None
    world.clock.advance(seconds=11)
    delay = engine.overdue.look()
    assert delay is not None
    assert (delay.subjects, delay.kinds, round(delay.longest.total_seconds())) == (3, ("system", "user"), 100)
    assert delay.describe() == ("runs of 3 subjects (system, user) wait for a free worker, the longest for 100 s")


async def test_a_delay_is_logged_once_a_minute_and_once_that_it_is_over(world: World) -> None:
    engine = await world.engine(start=False)
    run = await start(engine, ALICE)
    await engine.lanes.look_for_runs(engine.dispatcher.busy)
    with structlog.testing.capture_logs() as lines:
        for _ in range(10):
            world.clock.advance(seconds=20)
            engine.overdue.log()
        await engine.runs.cancel(run.id, "")
        for _ in range(3):
            engine.overdue.log()
    names = [line["event_name"] for line in lines if str(line["event_name"]).startswith("runs.")]
    assert names == ["runs.overdue"] * 3 + ["runs.in_time"]
    assert ALICE.subject_id not in repr(lines)


async def test_runs_behind_a_limit_or_held_back_are_no_delay_of_workers(world: World) -> None:
    engine = await world.engine(worker_count=4, target_limits={"slack": 1})
    world.host.hold("run")
    for _ in range(3):
        await start(engine, ALICE, plugin="slack")
    world.host.answers["flaky"] = InvocationResult(503, "")
    await start(engine, BOB, "flaky", policy=RunPolicy(retry=Retry(2, timedelta(hours=5))))
    await eventually(lambda: _answer(len(world.host.calls) == 2 and world.host.active == 1))
    world.clock.advance(hours=1)
    assert engine.overdue.look() is None


async def test_runs_that_are_large_together_are_claimed_in_several_commits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message does not carry what any number of workers could claim, and nobody would be served any more."""
    monkeypatch.setattr("gestalt_workflow.dispatch.lanes.CLAIM_BYTES", 1000)
    engine = await world.engine(worker_count=20)
    most = 0
    apply = client_of(engine).apply

    async def measured(writes: Any, **options: Any) -> Any:
        nonlocal most
        claims = [write for write in writes if write.store == RUNS and write.record and write.record.get("lease")]
        most = max(most, sum(len(write.record["target"]) for write in claims))
        return await apply(writes, **options)

    client_of(engine).apply = measured  # type: ignore[method-assign]
    world.host.hold("wait")
    held = [await start(engine, actor("first"), "wait") for _ in range(20)]

    async def all_invoked() -> bool | None:
        return True if len(world.host.calls) == 20 else None

    await eventually(all_invoked)
    for number in range(12):
        await start(engine, actor(f"u{number % 4}"), "x" * (1500 if number == 5 else 300))
    world.host.gates["wait"].set()
    await all_ended(engine)
    assert len(world.host.calls) == len(held) + 12
    assert most <= 1600, "the largest one alone"


async def test_memory_holds_no_more_bytes_of_runs_than_its_window(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of an event of a megabyte takes as much as a thousand others."""
    monkeypatch.setattr("gestalt_workflow.dispatch.run_queue.WINDOW_BYTES", 5000)
    engine = await world.engine(worker_count=1)
    gate = world.host.hold("wait")
    await start(engine, actor("a"), "wait")
    for _ in range(20):
        await start(engine, actor("a"), "x" * 1000)
    (queue,) = engine.dispatcher._lanes.queue
    assert 1 <= len(queue) < 5
    assert queue.may_have_more
    gate.set()
    await all_ended(engine)
    assert len(world.host.calls) == 21
    assert queue._bytes == 0
