"""Published events are kept with their verdicts, repeats are noted, replays make runs once (events.proto)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from gestalt_workflow.engine import Engine
from gestalt_workflow.events.kept_events import KeptEvent
from gestalt_workflow.events.replays import Replay, ReplayMode, ReplayRequest
from gestalt_workflow.events.verdicts import Verdict, VerdictKind
from gestalt_workflow.model import timeline
from gestalt_workflow.model.errors import InvalidRequest, ObjectNotFound, StateConflict, StorageUnavailable
from gestalt_workflow.model.ids import event_run, kept_event, replayed_run
from gestalt_workflow.model.objects import NOBODY, Actor
from gestalt_workflow.reading.queries import EventFilter
from gestalt_workflow.stored.records import EVENTS, RUNS

from tests.support.fakes.indexeddb_client import unavailable
from tests.support.rigs.driving import all_runs, event, publish, trigger
from tests.support.rigs.engine import ALICE, BOB, World, client_of, plugin_target

MATCHED, DUPLICATE, PAUSED, SOURCE_DIFFERS = (VerdictKind(number) for number in range(1, 5))


async def kept(engine: Engine, event_id: str = "e1", source: str = "s") -> KeptEvent:
    return await engine.events.get(kept_event(source, event_id))


def kinds(found: KeptEvent | Replay) -> dict[str, VerdictKind]:
    return {verdict.trigger_id: verdict.kind for verdict in found.verdicts.listed}


async def replay(
    engine: Engine, mode: ReplayMode = ReplayMode.MISSING, id: str = "r1", *trigger_ids: str, by: Actor = BOB
) -> Replay:
    wanted = ReplayRequest(kept_event("s", "e1"), id, mode, trigger_ids, by)
    return (await engine.events.replay(wanted))[0]


# Publishing


async def test_an_event_is_kept_with_a_verdict_for_each_trigger_of_its_type(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await trigger(engine, "b", source="elsewhere")
    await trigger(engine, "c", paused=True)
    await trigger(engine, "d", type="other")
    (run,) = await publish(engine, event(), BOB)
    found = await kept(engine)
    assert (found.published_by, found.publications, found.event.id) == (BOB, 1, "e1")
    assert found.verdicts.listed == (
        Verdict("a", MATCHED, run.id),
        Verdict("c", PAUSED),
        Verdict("b", SOURCE_DIFFERS, "", "elsewhere", "s"),
    )


async def test_an_event_that_nobody_waits_for_is_kept_too(world: World) -> None:
    engine = await world.engine(start=False)
    assert await publish(engine, event()) == []
    assert (await kept(engine)).verdicts.listed == ()
    with pytest.raises(ObjectNotFound, match='workflow event "published:x" not found'):
        await engine.events.get("published:x")


async def test_event_and_runs_are_one_commit(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await trigger(engine, "b")
    await publish(engine, event("warm"))
    before = client_of(engine).count
    await publish(engine, event())
    assert client_of(engine).count - before == 1
    client_of(engine).before = unavailable
    with pytest.raises(StorageUnavailable):
        await publish(engine, event("e2"))
    assert len(world.database.stores[RUNS]) == 4
    assert len(world.database.stores[EVENTS]) == 2


async def test_a_repeat_is_noted_and_makes_runs_only_for_triggers_without(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    (first,) = await publish(engine, event(), ALICE)
    await trigger(engine, "b")
    (second,) = await publish(engine, event(), BOB)
    await engine.triggers.delete("a")
    assert await publish(engine, event()) == []
    found = await kept(engine)
    assert (found.publications, found.published_by, found.conflicts) == (3, ALICE, 0)
    assert found.last_published_at is not None
    assert found.last_published_at > found.published_at
    assert found.verdicts.runs == {"a": first.id, "b": second.id}
    assert set(kinds(found).values()) == {DUPLICATE}


async def test_a_repeat_that_is_another_event_is_seen_as_that(world: World) -> None:
    """Runs are recognised by trigger, source and id alone (semantics.md 19.6)."""
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await trigger(engine, "b", type="other")
    await publish(engine, event())
    assert [run.execution_ref for run in await publish(engine, event(type="other"))] == ["ref-b"]
    await publish(engine, event(subject="7"))
    found = await kept(engine)
    assert (found.event.type, found.publications, found.conflicts) == ("t", 3, 2)
    assert set(found.verdicts.runs) == {"a", "b"}


async def test_a_run_that_outlived_its_event_is_a_duplicate(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event())
    world.database.stores[EVENTS].clear()
    await trigger(engine, "b")
    assert [run.execution_ref for run in await publish(engine, event())] == ["ref-b"]
    assert kinds(await kept(engine)) == {"a": DUPLICATE, "b": MATCHED}


async def test_a_record_that_cannot_be_read_stops_no_publish(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event())
    world.database.stores[EVENTS][kept_event("s", "e1")]["facts"] = "broken"
    await trigger(engine, "b")
    assert [run.execution_ref for run in await publish(engine, event())] == ["ref-b"]
    assert kinds(await kept(engine)) == {"a": DUPLICATE, "b": MATCHED}


async def test_any_number_of_repeats_at_once_are_all_noted(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    await trigger(engine, "a")
    made = await asyncio.gather(*(publish(e, event()) for e in (engine, other) for _ in range(40)))
    assert sum(map(len, made)) == 1
    assert (await kept(engine)).publications == 80


async def test_a_trigger_that_changes_during_a_repeat_is_met_as_it_is_then(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    await publish(engine, event())
    await trigger(other, "a")
    assert len(await publish(engine, event())) == 1
    assert (await kept(engine)).publications == 2


async def test_a_write_that_comes_late_makes_no_run_beside_the_record(world: World) -> None:
    """Its runs name the stamp that the record would have got with it; another write gave it another one."""
    engine, other = await world.engine(start=False), await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event())
    sent: list[Any] = []
    apply = client_of(engine).apply

    async def lost(entries: Any, **options: Any) -> Any:
        if not sent:
            sent.append(list(entries))
            unavailable("apply")
        return await apply(entries, **options)

    client_of(engine).apply = lost  # type: ignore[method-assign, assignment]
    with pytest.raises(StorageUnavailable):
        await replay(engine, ReplayMode.FORCED)
    await replay(other, ReplayMode.MISSING, "r2")
    outcomes = await apply(sent[0])
    assert [outcome.ok for outcome in outcomes] == [False, False]
    assert len(world.database.stores[RUNS]) == 1


# Lists


async def test_events_by_page_and_filter(world: World) -> None:
    engine = await world.engine(start=False)
    for number in range(12):
        published = event(f"e{number}", f"t{number % 2}", f"s{number % 3}", f"u{number % 4}")
        await publish(engine, published, (ALICE, BOB)[number % 2])
    times = [(await kept(engine, f"e{n}", f"s{n % 3}")).published_at for n in range(12)]

    async def every(**filters: Any) -> list[int]:
        ids, token = [], ""
        while True:
            page = await engine.queries.events(EventFilter(**filters), 5, token)
            ids += [int(found.event.id[1:]) for found in page.items]
            token = page.next_token
            if not token:
                return ids

    assert await every() == list(range(11, -1, -1))
    assert await every(type="t1") == [11, 9, 7, 5, 3, 1]
    assert await every(source="s0") == [9, 6, 3, 0]
    assert await every(type="t0", source="s0") == [6, 0]
    assert await every(subject="u3", publisher_id="user:bob") == [11, 7, 3]
    assert await every(published_from=times[3], published_before=times[6]) == [5, 4, 3]
    assert await every(type="t0", published_from=times[4], publisher_id="user:alice") == [10, 8, 6, 4]
    page = await engine.queries.events(EventFilter(), 5, "")
    with pytest.raises(InvalidRequest, match="another filter"):
        await engine.queries.events(EventFilter(type="t1"), 5, page.next_token)


# Replays


async def test_a_replay_makes_runs_for_triggers_that_have_none(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event(), BOB)
    await trigger(engine, "b")
    await trigger(engine, "c", paused=True)
    done = await replay(engine, by=Actor("user:carol"))
    assert kinds(done) == {"a": DUPLICATE, "b": MATCHED, "c": PAUSED}
    assert done.runs == 1
    assert done.run_ids == [event_run("b", "s", "e1")]
    run = await engine.runs.get(done.run_ids[0])
    assert (run.created_by, run.execution_ref, run.published_by) == (ALICE, "ref-b", BOB)
    (_, asked) = timeline.read(run).moments
    assert (asked.kind, asked.detail, asked.subject_id) == (timeline.REPLAYED, "r1", "user:carol")
    found = await kept(engine)
    assert found.replays == (done,)
    assert set(found.verdicts.runs) == {"a", "b"}
    assert await publish(engine, event()) == []


async def test_a_repeated_replay_answers_the_first_and_makes_nothing(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event())
    first = await replay(engine, ReplayMode.FORCED)
    await trigger(engine, "b")
    again, repeated = await other.events.replay(ReplayRequest(kept_event("s", "e1"), "r1", ReplayMode.FORCED))
    assert repeated
    assert again == first
    assert len(world.database.stores[RUNS]) == 2
    for changed in (
        ReplayRequest(kept_event("s", "e1"), "r1", ReplayMode.MISSING),
        ReplayRequest(kept_event("s", "e1"), "r1", ReplayMode.FORCED, ("a",)),
    ):
        with pytest.raises(StateConflict, match=r'replay "r1" .* was another one: mode FORCED, all triggers'):
            await engine.events.replay(changed)


async def test_a_replay_whose_answer_was_lost_can_be_repeated(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event())
    client_of(engine).after = unavailable
    with pytest.raises(StorageUnavailable, match=r"^replay event: "):
        await replay(engine, ReplayMode.FORCED)
    client_of(engine).after = None
    assert (await replay(engine, ReplayMode.FORCED)).run_ids == [replayed_run("a", "s", "e1", "r1")]
    assert len(world.database.stores[RUNS]) == 2


async def test_a_forced_replay_makes_a_new_run_for_every_trigger_each_time(world: World) -> None:
    engine = await world.engine()
    await trigger(engine, "a")
    await publish(engine, event())
    runs = [(await replay(engine, ReplayMode.FORCED, f"r{number}")).run_ids for number in range(3)]
    assert len({run_id for run_ids in runs for run_id in run_ids}) == 3
    for (run_id,) in runs:
        await world.finished(engine, run_id)


async def test_a_run_of_a_forced_replay_counts_as_the_run_of_its_trigger(world: World) -> None:
    engine = await world.engine(start=False)
    await publish(engine, event())
    await trigger(engine, "a")
    await replay(engine, ReplayMode.FORCED)
    assert kinds(await replay(engine, ReplayMode.MISSING, "r2")) == {"a": DUPLICATE}
    assert await publish(engine, event()) == []
    assert (await kept(engine)).verdicts.runs == {"a": replayed_run("a", "s", "e1", "r1")}


async def test_a_dry_run_says_what_would_happen_and_writes_nothing(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event())
    before = {name: dict(rows) for name, rows in world.database.stores.items()}
    assert kinds(await replay(engine, ReplayMode.DRY_RUN)) == {"a": DUPLICATE}
    assert world.database.stores == before
    await trigger(other, "b")
    await trigger(other, "c", source="x")
    for _ in range(2):  # never a repeated request
        would = await replay(engine, ReplayMode.DRY_RUN)
        assert kinds(would) == {"a": DUPLICATE, "b": MATCHED, "c": SOURCE_DIFFERS}
        assert would.runs == 1
        assert would.run_ids == []
    assert len(world.database.stores[RUNS]) == 1
    assert (await kept(engine)).replays == ()


async def test_a_run_that_the_record_does_not_know_is_found(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event())
    del world.database.stores[EVENTS][kept_event("s", "e1")]["verdicts"]
    assert kinds(await replay(engine, ReplayMode.DRY_RUN)) == {"a": DUPLICATE}
    done = await replay(engine)
    assert kinds(done) == {"a": DUPLICATE}
    assert done.runs == 0


async def test_a_replay_can_be_restricted_to_triggers(world: World) -> None:
    engine = await world.engine(start=False)
    await publish(engine, event())
    for name in ("a", "b", "c"):
        await trigger(engine, name)
    await trigger(engine, "x", type="other")
    with pytest.raises(ObjectNotFound, match='workflow event trigger "none" not found'):
        await replay(engine, ReplayMode.MISSING, "r1", "b", "none")
    done = await replay(engine, ReplayMode.MISSING, "r1", "b", "x")
    assert kinds(done) == {"b": MATCHED, "x": VerdictKind.TYPE_DIFFERS}
    assert done.verdicts.left_out == 0
    assert {run.trigger.trigger_id for run in await all_runs(engine)} == {"b"}


async def test_a_replay_keeps_to_the_plugin_that_was_asked(world: World) -> None:
    engine = await world.engine(start=False)
    await publish(engine, event(), NOBODY, "svc")
    await trigger(engine, "a")
    await trigger(engine, "b", target=plugin_target(plugin="other"))
    assert kinds(await replay(engine)) == {"a": MATCHED, "b": VerdictKind.PLUGIN_DIFFERS}


async def test_a_replay_of_what_is_not_kept_is_refused(world: World) -> None:
    engine = await world.engine(start=False)
    with pytest.raises(ObjectNotFound, match="workflow event"):
        await replay(engine)


async def test_replays_of_several_processes_at_once_make_each_run_once(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    await publish(engine, event())
    for name in ("a", "b"):
        await trigger(engine, name)
    wanted = ReplayRequest(kept_event("s", "e1"), "r", ReplayMode.MISSING)
    calls = [e.events.replay(replace(wanted, id=f"r{number}")) for number in range(8) for e in (engine, other)]
    answers = await asyncio.gather(*calls)
    assert sum(replay.runs for replay, repeated in answers if not repeated) == 2
    assert len(world.database.stores[RUNS]) == 2
