"""What a run causes is counted by its root, and a loop of triggers ends by itself (decision 29)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.engine import Engine
from gestalt_workflow.events.kept_events import KeptEvent
from gestalt_workflow.events.verdicts import Verdict, VerdictKind
from gestalt_workflow.model.errors import StateConflict
from gestalt_workflow.model.ids import kept_event
from gestalt_workflow.model.objects import CONFIG_SUBJECT, NOBODY, Actor, Cause, Run
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.signals import SignalOrStartRequest
from gestalt_workflow.provider import IndexedDBWorkflowProvider
from gestalt_workflow.retention.rows import CauseRows
from gestalt_workflow.stored.records import CAUSES, FAN_OUTS, RUNS
from gestalt_workflow.wire.messages import invocation_to_proto
from structlog.testing import capture_logs

from tests.support.rigs.driving import event, publish, signal, trigger
from tests.support.rigs.engine import ALICE, BOB, World, client_of, plugin_target

DEEP: dict[str, Any] = {"max_chain": 5, "max_caused": 1000}
WIDE: dict[str, Any] = {"max_chain": 1000, "max_caused": 10}


async def caused(engine: Engine, event_id: str, cause: Cause | None) -> list[Run]:
    return await engine.events.publish(event(event_id), NOBODY, "", cause)


async def kept(engine: Engine, event_id: str) -> KeptEvent:
    return await engine.events.get(kept_event("s", event_id))


def told(run: Run) -> Cause:
    """Return what the host is told that the run goes back to."""
    cause = invocation_to_proto(run, [], None).cause
    return Cause(cause.root, cause.chain)


async def test_a_run_goes_back_to_what_caused_it(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    (first,) = await publish(engine, event())
    assert told(first) == Cause(kept_event("s", "e1"))
    by_hand = await engine.runs.start(StartRequest(plugin_target()))
    assert told(by_hand) == Cause(by_hand.id)
    cause = Cause(by_hand.id, 7)
    (second,) = await caused(engine, "e2", cause)
    assert told(second) == told(await engine.runs.get(second.id)) == cause
    assert (await kept(engine, "e2")).cause == cause
    started = await engine.runs.start(StartRequest(plugin_target(), cause=cause))
    assert told(await engine.runs.get(started.id)) == cause


async def loop(engine: Engine, beginning: str = "e0") -> int:
    """Let each run publish the next event, and return how many runs there are."""
    runs = await caused(engine, beginning, None)
    made = 0
    while runs:
        made += len(runs)
        cause = told(runs[0])
        runs = await caused(engine, f"{beginning}/{made}", Cause(cause.root, cause.chain + 1))
    return made


@pytest.mark.parametrize(("limits", "runs"), [(DEEP, 6), (WIDE, 11)])
async def test_a_loop_ends(world: World, limits: dict[str, Any], runs: int) -> None:
    """The first run is the root's own and not counted."""
    engine = await world.engine(start=False, **limits)
    await trigger(engine, "a")
    with capture_logs() as logs:
        assert await loop(engine) == runs
        assert await loop(engine, "f0") == runs, "another root is counted for itself"
    (line,) = (line for line in logs if line.get("event_name") == "cause.stopped")
    assert (line["trigger"], line["log_level"]) == ("a", "warning")
    last = await kept(engine, f"e0/{runs}")
    (verdict,) = last.verdicts.listed
    assert (verdict.trigger_id, verdict.kind, verdict.run_id) == ("a", VerdictKind.LOOP, "")
    assert "max" in verdict.expected
    assert verdict.actual
    assert engine.causes.stopped == 2


CONFIG = Actor(CONFIG_SUBJECT, "system", "Configuration", "config")


async def test_whoever_makes_a_loop_stops_nothing_of_others(world: World) -> None:
    """One subject's triggers use up its own runs of a root; those of others that come later have theirs."""
    engine = await world.engine(start=False, **WIDE)
    for number in range(12):
        await trigger(engine, f"a{number}", requested_by=ALICE)
    await trigger(engine, "b", type="later", requested_by=BOB)
    await trigger(engine, "c", type="later", requested_by=CONFIG)
    await trigger(engine, "d", type="later", requested_by=ALICE)
    assert len(await caused(engine, "e1", Cause("r", 1))) == 12
    assert await caused(engine, "e2", Cause("r", 2)) == []
    runs = await engine.events.publish(event("e3", type="later"), NOBODY, "", Cause("r", 2))
    assert [run.trigger.trigger_id for run in runs] == ["b", "c"]
    kinds = {verdict.trigger_id: verdict.kind for verdict in (await kept(engine, "e3")).verdicts.listed}
    assert kinds == {"b": VerdictKind.MATCHED, "c": VerdictKind.MATCHED, "d": VerdictKind.LOOP}
    await engine.runs.start(StartRequest(plugin_target(), created_by=BOB, cause=Cause("r", 2)))
    with pytest.raises(StateConflict, match="maxCaused"):
        await engine.runs.start(StartRequest(plugin_target(), created_by=ALICE, cause=Cause("r", 2)))


async def test_whoever_makes_a_loop_stops_no_later_step_of_the_configuration(world: World) -> None:
    """The loop runs a trigger of the configuration too often, which is counted for that trigger alone."""
    engine = await world.engine(start=False, **WIDE)
    await trigger(engine, "first", requested_by=CONFIG)
    await trigger(engine, "next", type="later", requested_by=CONFIG)
    await trigger(engine, "loop", requested_by=ALICE)
    for number in range(12):
        await caused(engine, f"e{number}", Cause("r", 1 + number))
    assert {verdict.kind for verdict in (await kept(engine, "e11")).verdicts.listed} == {VerdictKind.LOOP}
    assert len(await engine.events.publish(event("late", type="later"), NOBODY, "", Cause("r", 2))) == 1


async def test_a_fan_out_stops_for_those_of_whom_too_much_has_come(world: World) -> None:
    engine = await world.engine(start=False, max_caused=10, runs_per_commit=4)
    for number in range(30):
        await trigger(engine, f"a{number}", requested_by=ALICE)
    for number in range(8):
        await trigger(engine, f"c{number}", requested_by=CONFIG)
    await caused(engine, "e1", Cause("r", 1))
    while await engine.fan_outs.advance():
        pass
    await caused(engine, "e2", Cause("r", 2))
    while await engine.fan_outs.advance():
        pass
    made = [str(record["trigger_id"]) for record in world.database.stores[RUNS].values()]
    assert sum(name.startswith("c") for name in made) == 16
    assert 10 <= sum(name.startswith("a") for name in made) <= 10 + 4


async def test_counts_in_memory_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_workflow.objects.causes.KNOWN_COUNTS", 30)
    engine = await world.engine(start=False, **WIDE)
    for number in range(8):
        await trigger(engine, f"c{number}", requested_by=CONFIG)
    for number in range(20):
        await caused(engine, f"e{number}", Cause(f"r{number}", 1))
    known = sum(len(root.stored) for root in engine.causes._roots.values())
    assert 8 <= known == engine.causes._known_counts <= 30
    await caused(engine, "f", Cause("r0", 1))
    await caused(engine, "g", Cause("r0", 1))
    assert world.database.stores[CAUSES]["r0"]["caused"] == 24


async def test_counting_costs_no_message(world: World) -> None:
    engine = await world.engine(start=False, **WIDE)
    await trigger(engine, "a")
    await caused(engine, "warm", None)
    before = client_of(engine).count
    for number in range(5):
        await caused(engine, f"e{number}", Cause("r", 1))
    assert client_of(engine).count - before == 5
    assert world.database.stores[CAUSES]["r"]["caused"] == 5


async def test_what_a_run_starts_is_counted_and_refused(world: World) -> None:
    engine = await world.engine(start=False, **WIDE)
    cause = Cause("r", 1)
    for number in range(5):
        await engine.runs.start(StartRequest(plugin_target(), f"k{number}", cause=cause))
        wanted = SignalOrStartRequest(f"w{number}", plugin_target(), signal("go"), cause=cause)
        await engine.signals.signal_or_start(wanted)
    with pytest.raises(
        StateConflict, match=r'caused by "r".*10 runs of one subject and root within an hour .*maxCaused'
    ):
        await engine.runs.start(StartRequest(plugin_target(), cause=cause))
    with pytest.raises(StateConflict, match="maxCaused"):
        await engine.signals.signal_or_start(SignalOrStartRequest("new", plugin_target(), signal("go"), cause=cause))
    # What exists already is answered all the same.
    await engine.runs.start(StartRequest(plugin_target(), "k0", cause=cause))
    await engine.signals.signal_or_start(SignalOrStartRequest("w0", plugin_target(), signal("go"), cause=cause))
    with pytest.raises(StateConflict, match=r"a chain of 1000 \(maxChain\), this is 1001"):
        await engine.runs.start(StartRequest(plugin_target(), cause=Cause("q", 1001)))


async def test_the_count_is_known_after_a_start_and_to_other_processes(world: World) -> None:
    engine, other = await world.engine(start=False, **WIDE), await world.engine(start=False, **WIDE)
    await trigger(engine, "a")
    for number in range(20):
        await caused((engine, other)[number % 2], f"e{number}", Cause("r", 1))
    assert 10 <= len(world.database.stores[RUNS]) <= 12
    later = await world.engine(start=False, **WIDE)
    for number in range(20, 25):
        await caused(later, f"e{number}", Cause("r", 1))
    assert len(world.database.stores[RUNS]) <= 13, "the first one is counted without being compared"


async def test_the_next_hour_counts_anew_and_old_counts_are_removed(world: World) -> None:
    engine = await world.engine(start=False, **WIDE)
    await trigger(engine, "a")
    for number in range(12):
        await caused(engine, f"e{number}", Cause("r", 1))
    assert len(world.database.stores[RUNS]) == 10
    world.clock.advance(hours=1)
    assert len(await caused(engine, "later", Cause("r", 1))) == 1
    assert world.database.stores[CAUSES]["r"]["caused"] == 1
    rows = CauseRows(engine.storage, world.clock)
    await rows.step()
    assert len(world.database.stores[CAUSES]) == 1
    world.clock.now += timedelta(hours=2)
    await rows.step()
    assert not world.database.stores[CAUSES]


async def test_a_fan_out_stops_when_its_cause_has_gone_too_far(world: World) -> None:
    engine = await world.engine(start=False, max_caused=10, runs_per_commit=4)
    for number in range(40):
        await trigger(engine, f"a{number}")
    await caused(engine, "e", Cause("r", 1))
    while await engine.fan_outs.advance():
        pass
    assert 10 <= len(world.database.stores[RUNS]) <= 10 + 4
    assert not world.database.stores[FAN_OUTS]
    found = await kept(engine, "e")
    kinds = [verdict.kind for verdict in found.verdicts.listed]
    assert VerdictKind.LOOP in kinds
    assert found.unfinished == 0
    assert len(found.verdicts.listed) + found.verdicts.left_out == 40


async def test_a_repeat_of_an_event_keeps_the_runs_that_it_had(world: World) -> None:
    engine = await world.engine(start=False, max_caused=1)
    await trigger(engine, "a")
    (run,) = await caused(engine, "e", Cause("r", 1))
    await trigger(engine, "b")
    assert await caused(engine, "e", Cause("r", 1)) == []
    first, second = (await kept(engine, "e")).verdicts.listed
    assert first == Verdict("a", VerdictKind.DUPLICATE, run.id)
    assert (second.trigger_id, second.kind) == ("b", VerdictKind.LOOP)


async def test_what_is_unfinished_and_what_was_stopped_is_in_the_health(world: World) -> None:
    engine = await world.engine(start=False, max_caused=10, runs_per_commit=4)
    provider = IndexedDBWorkflowProvider()
    provider._engine = engine
    assert list(provider.notices()) == []
    for number in range(40):
        await trigger(engine, f"a{number}")
    await caused(engine, "e", Cause("r", 1))
    assert {notice.name: notice.value for notice in provider.notices()} == {"events_unfinished": 1}
    while await engine.fan_outs.advance():
        pass
    found = {notice.name: notice.value for notice in provider.notices()}
    assert found == {"causes_stopped": engine.causes.stopped}
    world.clock.advance(hours=2)
    assert list(provider.notices()) == []
