"""An event with more matches than fit one commit reaches all its triggers, each once (decision 23)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.engine import Engine
from gestalt_workflow.events.fan_outs import TAKEN_OVER_AFTER
from gestalt_workflow.events.replays import Replay, ReplayMode, ReplayRequest
from gestalt_workflow.events.verdicts import VerdictKind
from gestalt_workflow.model.errors import StorageUnavailable
from gestalt_workflow.model.ids import event_run, kept_event, replayed_run
from gestalt_workflow.model.objects import CONFIG_SUBJECT, Actor, Event
from gestalt_workflow.retention.events import EventsByAge, EventsByCount
from gestalt_workflow.stored.records import EVENTS, FAN_OUTS, RUNS, TRIGGER_ROUNDS, TRIGGERS

from tests.support.fakes.indexeddb_client import unavailable
from tests.support.rigs.driving import event, publish, trigger
from tests.support.rigs.engine import ALICE, BOB, World, client_of
from tests.support.waiting import eventually

CONFIG = Actor(CONFIG_SUBJECT, "system", "Configuration", "config")
SMALL: dict[str, Any] = {"runs_per_commit": 4}


async def many(engine: Engine, count: int, name: str = "a", by: Actor = ALICE, **more: Any) -> list[str]:
    """Make triggers and return their ids."""
    names = [f"{name}{number}" for number in range(count)]
    for trigger_id in names:
        await trigger(engine, trigger_id, requested_by=by, **more)
    return names


def fired(world: World, names: Sequence[str], published: Event | None = None) -> list[str]:
    """Return which of the triggers have their run of the event."""
    found = published or event()
    return [name for name in names if event_run(name, found.source, found.id) in world.database.stores[RUNS]]


async def finished(engine: Engine) -> None:
    """Take every fan-out to its end."""
    while await engine.fan_outs.advance():
        pass


@pytest.mark.parametrize("count", [10, 11, 60])
async def test_every_trigger_has_its_run_however_many_there_are(world: World, count: int) -> None:
    """10: more than one commit takes; 60: more than are kept in memory."""
    engine = await world.engine(start=False, **SMALL)
    names = await many(engine, count)
    first = await publish(engine, event(), BOB)
    assert [run.trigger.trigger_id for run in first] == [f"a{number}" for number in range(4)]
    await finished(engine)
    assert fired(world, names) == names
    assert len(world.database.stores[RUNS]) == count
    assert not world.database.stores[FAN_OUTS]


async def test_the_engine_goes_on_with_a_fan_out_by_itself(world: World) -> None:
    engine = await world.engine(**SMALL)
    names = await many(engine, 30)
    await publish(engine, event())

    async def all_ended() -> bool | None:
        records = world.database.stores[RUNS].values()
        return True if len(records) == 30 and all(record["status"] == 3 for record in records) else None

    await eventually(all_ended)
    assert len(world.host.calls) == 30
    assert fired(world, names) == names


async def test_matches_that_fit_are_one_commit(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    await many(engine, 4)
    await publish(engine, event("warm"))
    before = client_of(engine).count
    assert len(await publish(engine, event())) == 4
    assert client_of(engine).count - before == 1
    assert not world.database.stores[FAN_OUTS]


async def test_runs_that_are_too_large_together_are_fanned_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run holds the event, so a hundred triggers of somebody else make an event of a megabyte a hundred."""
    monkeypatch.setattr("gestalt_workflow.events.publishing.COMMIT_BYTES", 10_000)
    monkeypatch.setattr("gestalt_workflow.events.fan_outs.PAGE_BYTES", 10_000)
    engine = await world.engine(start=False)
    names = await many(engine, 7)
    large = replace(event(), data=event().data + b"\x32" + b"\xa0\x1f" + b"x" * 4000)
    assert len(await publish(engine, large)) == 3
    await finished(engine)
    assert fired(world, names) == names


async def test_the_configuration_comes_first_then_subjects_in_turn(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    await many(engine, 30, "a", ALICE)
    await many(engine, 2, "b", BOB)
    await many(engine, 2, "c", CONFIG)
    first = await publish(engine, event())
    assert [run.trigger.trigger_id for run in first] == ["c0", "c1", "a0", "b0"]
    await engine.fan_outs.advance()
    assert fired(world, ["b1"]) == ["b1"]
    await finished(engine)
    assert len(world.database.stores[RUNS]) == 34


async def test_each_page_costs_the_same_however_many_triggers_there_are(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    await many(engine, 40)
    await publish(engine, event("warm"))
    await finished(engine)
    costs: list[int] = []
    for _ in range(2):
        before = client_of(engine).count
        await publish(engine, event(f"e{len(costs)}"))
        costs.append(client_of(engine).count - before)
        await finished(engine)
        await many(engine, 200, f"more{len(costs)}")
        await publish(engine, event(f"again{len(costs)}"))
        await finished(engine)
    assert costs[0] == costs[1] <= 8


async def test_only_what_the_event_meets_is_asked(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    await many(engine, 30, "far", source="elsewhere")
    await many(engine, 20, "other", type="other")
    near = await many(engine, 3, "n1") + await many(engine, 3, "n2", source="s")
    near += await many(engine, 3, "n3", subject="u") + await many(engine, 3, "n4", source="s", subject="u")
    await many(engine, 3, "n5", source="s", subject="v")
    published = event(subject="u")
    before = client_of(engine).count
    await publish(engine, published)
    await finished(engine)
    assert sorted(fired(world, near, published)) == sorted(near)
    assert len(world.database.stores[RUNS]) == 12
    assert client_of(engine).count - before <= 60


async def test_the_event_says_that_it_has_not_reached_all(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    names = await many(engine, 10)
    await many(engine, 1, "p", paused=True)
    await many(engine, 3, "far", source="elsewhere")
    await publish(engine, event())
    found = await engine.events.get(kept_event("s", "e1"))
    assert (found.unfinished, len(found.verdicts.runs)) == (1, 4)
    assert all(run_id in world.database.stores[RUNS] for run_id in found.verdicts.runs.values())
    await finished(engine)
    found = await engine.events.get(kept_event("s", "e1"))
    assert found.unfinished == 0
    assert set(found.verdicts.runs) == set(names)
    assert {verdict.kind for verdict in found.verdicts.listed} == {VerdictKind.MATCHED, VerdictKind.PAUSED}
    assert found.verdicts.left_out == 3


# Crashes and other processes


async def test_a_fan_out_whose_process_has_gone_is_taken_over(world: World) -> None:
    engine, other = await world.engine(start=False, **SMALL), await world.engine(start=False, **SMALL)
    names = await many(engine, 20)
    await publish(engine, event())
    await other.fan_outs.advance()
    assert len(world.database.stores[RUNS]) == 4, "its process may be at work"
    world.clock.advance(seconds=TAKEN_OVER_AFTER.total_seconds())
    await finished(other)
    assert fired(world, names) == names
    assert await engine.fan_outs.advance() is False
    assert len(world.database.stores[RUNS]) == 20


async def test_two_processes_on_one_fan_out_make_each_run_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_workflow.events.fan_outs.TAKEN_OVER_AFTER", timedelta())
    engine, other = await world.engine(start=False, **SMALL), await world.engine(start=False, **SMALL)
    names = await many(engine, 40)
    await publish(engine, event())
    while world.database.stores[FAN_OUTS]:
        await asyncio.gather(engine.fan_outs.advance(), other.fan_outs.advance())
    assert fired(world, names) == names
    assert len(world.database.stores[RUNS]) == 40


class LosingAnswers:
    """Loses the answer of one commit of an engine, made or not."""

    def __init__(self, engine: Engine, lost: int, *, written: bool) -> None:
        self.commits = 0
        self._lost = lost
        self._written = written
        self._apply = client_of(engine).apply
        client_of(engine).apply = self.apply  # type: ignore[method-assign]

    async def apply(self, writes: Any, **options: Any) -> Any:
        self.commits += 1
        if self.commits != self._lost:
            return await self._apply(writes, **options)
        if self._written:
            await self._apply(writes, **options)
        return unavailable("apply")


@pytest.mark.parametrize("written", [False, True])
async def test_an_answer_that_is_lost_loses_and_doubles_nothing(world: World, written: bool) -> None:
    """Each commit of a fan-out in turn gets no answer, and was or was not made."""
    names = await many(await world.engine(start=False, **SMALL), 20)
    most = 0
    for lost in range(1, 12):
        engine = await world.engine(start=False, **SMALL)
        losing = LosingAnswers(engine, lost, written=written)
        published = event(f"e{lost}")
        try:
            await publish(engine, published)
        except StorageUnavailable:
            await publish(engine, published)
        while world.database.stores[FAN_OUTS]:
            try:
                await finished(engine)
            except StorageUnavailable:
                continue
        assert fired(world, names, published) == names
        assert (await engine.events.get(kept_event("s", published.id))).unfinished == 0
        most = max(most, losing.commits)
    assert most >= 6
    assert len(world.database.stores[RUNS]) == 20 * 11


async def test_a_fan_out_that_the_store_refuses_stands_in_nobodys_way(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    names = await many(engine, 12)
    await publish(engine, event("broken"))
    (record,) = world.database.stores[FAN_OUTS].values()
    record["facts"] = "broken"
    await publish(engine, event())
    while len(world.database.stores[FAN_OUTS]) > 1:
        assert await engine.fan_outs.advance()
    assert fired(world, names) == names


# Repeats and replays


async def test_a_repeat_while_it_is_unfinished_asks_all_once_more_and_doubles_nothing(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    names = await many(engine, 12)
    await publish(engine, event())
    await engine.fan_outs.advance()
    late = await many(engine, 1, "late", CONFIG)  # before the place that the fan-out has come to
    assert await publish(engine, event(), BOB) == []
    await finished(engine)
    assert fired(world, names + late) == names + late
    assert len(world.database.stores[RUNS]) == 13
    found = await engine.events.get(kept_event("s", "e1"))
    assert (found.publications, found.conflicts, found.unfinished) == (2, 0, 0)


async def test_a_repeat_afterwards_makes_runs_only_for_triggers_without(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    names = await many(engine, 12)
    await publish(engine, event())
    await finished(engine)
    late = await many(engine, 1, "late", BOB)
    await publish(engine, event())
    await finished(engine)
    assert fired(world, names + late) == names + late
    assert len(world.database.stores[RUNS]) == 13
    assert (await engine.events.get(kept_event("s", "e1"))).publications == 2


async def test_a_repeat_makes_no_run_for_triggers_that_a_replay_gave_one(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    await publish(engine, event())
    await many(engine, 12)
    await replayed(engine, ReplayMode.FORCED)
    assert len(world.database.stores[RUNS]) == 12
    await publish(engine, event())
    await finished(engine)
    assert len(world.database.stores[RUNS]) == 12


async def test_triggers_made_while_the_clock_was_ahead_are_asked(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    world.clock.jump(hours=3)
    names = await many(engine, 12)
    world.clock.jump(hours=-3)
    await publish(engine, event())
    await finished(engine)
    assert fired(world, names) == names


async def test_whoever_changes_triggers_all_the_time_makes_no_publish_fail(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    names = await many(engine, 3)
    apply = client_of(engine).apply
    changes = 0

    async def overtaken(writes: Any, **options: Any) -> Any:
        nonlocal changes
        changes += 1
        await trigger(other, "restless", paused=bool(changes % 2))
        return await apply(writes, **options)

    client_of(engine).apply = overtaken  # type: ignore[method-assign]
    await publish(engine, event())
    assert fired(world, names) == names
    assert changes < 16


def request(mode: ReplayMode, id: str = "r1") -> ReplayRequest:
    return ReplayRequest(kept_event("s", "e1"), id, mode, (), BOB)


async def replayed(engine: Engine, mode: ReplayMode) -> tuple[Replay, Replay]:
    """Return what a replay answered at first, and what it answers when it is finished."""
    first, repeated = await engine.events.replay(request(mode))
    assert not repeated
    await finished(engine)
    last, repeated = await engine.events.replay(request(mode))
    assert repeated
    return first, last


@pytest.mark.parametrize("count", [12, 60])
async def test_a_replay_reaches_every_trigger_too(world: World, count: int) -> None:
    engine = await world.engine(start=False, **SMALL)
    await publish(engine, event())
    names = await many(engine, count)
    rehearsal, _ = await engine.events.replay(request(ReplayMode.DRY_RUN, "dry"))
    assert rehearsal.runs == count
    assert not world.database.stores[RUNS]
    first, last = await replayed(engine, ReplayMode.MISSING)
    assert (first.runs, first.unfinished) == (4, True)
    assert (last.runs, last.unfinished) == (count, False)
    assert fired(world, names) == names
    found = await engine.events.get(kept_event("s", "e1"))
    assert (found.unfinished, set(found.verdicts.runs)) == (0, set(names))


async def test_a_forced_replay_makes_one_more_run_for_each_trigger(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    names = await many(engine, 12)
    await publish(engine, event())
    await finished(engine)
    first, last = await replayed(engine, ReplayMode.FORCED)
    assert (first.runs, last.runs) == (4, 12)
    stored = world.database.stores[RUNS]
    assert len(stored) == 24
    assert all(replayed_run(name, "s", "e1", "r1") in stored for name in names)


async def test_a_replay_of_named_triggers_of_a_large_type(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    await publish(engine, event())
    await many(engine, 60)
    wanted = replace(request(ReplayMode.MISSING), trigger_ids=("a17", "a59"))
    replay, _ = await engine.events.replay(wanted)
    assert (replay.runs, replay.unfinished) == (2, False)
    assert fired(world, ["a17", "a18", "a59"]) == ["a17", "a59"]


# Retention


async def test_retention_keeps_an_event_until_it_has_reached_all(world: World) -> None:
    engine = await world.engine(start=False, **SMALL)
    await many(engine, 12)
    await publish(engine, event())
    await publish(engine, event("young", type="other"))
    await EventsByCount(engine.storage, 1).step()
    assert set(world.database.stores[EVENTS]) == {kept_event("s", "e1")}, "the younger one made room"
    world.clock.advance(days=30)
    by_age = EventsByAge(engine.storage, world.clock, timedelta(days=7))
    await by_age.step()
    assert len(world.database.stores[EVENTS]) == 1
    await finished(engine)
    await by_age.step()
    assert not world.database.stores[EVENTS]


# Rounds


async def test_a_trigger_keeps_its_turn_when_it_is_changed_and_leaves_no_row_behind(world: World) -> None:
    engine = await world.engine(start=False)
    await many(engine, 3)
    rows = world.database.stores[TRIGGER_ROUNDS]
    before = {id: record["place"] for id, record in rows.items()}
    await trigger(engine, "a1", source="s", paused=True)
    await engine.triggers.resume("a1")
    assert {id: record["place"] for id, record in world.database.stores[TRIGGER_ROUNDS].items()} == before
    await trigger(engine, "a1", type="other")
    assert world.database.stores[TRIGGER_ROUNDS]["a1"]["place"] == "0000000001/a1"
    for name in ("a0", "a1", "a2"):
        await engine.triggers.delete(name)
    assert not world.database.stores[TRIGGER_ROUNDS]


async def test_triggers_of_an_older_database_get_their_turn(world: World) -> None:
    engine = await world.engine(start=False)
    await many(engine, 3)
    await many(engine, 2, "b", BOB)
    await many(engine, 1, "c", CONFIG)
    before = {id: record["place"] for id, record in world.database.stores[TRIGGER_ROUNDS].items()}
    del world.database.stores[TRIGGER_ROUNDS], world.database.stores[FAN_OUTS]
    for record in world.database.stores[TRIGGERS].values():
        del record["round"]
    world.database.stores["wf_format"]["format"]["version"] = 3
    newer = await world.engine(start=False)
    assert {id: record["place"] for id, record in world.database.stores[TRIGGER_ROUNDS].items()} == before
    await newer.triggers.pause("a1")
    await trigger(newer, "a2", source="s")
    assert set(world.database.stores[TRIGGER_ROUNDS]) == set(before)
