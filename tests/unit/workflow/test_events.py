"""Events and triggers in one engine (semantics.md 19.6, decisions 3 and 14)."""

from __future__ import annotations

import asyncio

import pytest
from gestalt_workflow.model.errors import StorageUnavailable
from gestalt_workflow.model.objects import NOBODY, Actor
from gestalt_workflow.reading.lists import ALL_TRIGGERS
from gestalt_workflow.stored.records import RUNS, TRIGGERS
from gestalt_workflow.wire.messages import trigger_to_proto

from tests.support.fakes.indexeddb_client import unavailable
from tests.support.rigs.driving import all_runs, event, publish, trigger
from tests.support.rigs.engine import ALICE, BOB, World, client_of, plugin_target


async def test_a_run_belongs_to_the_trigger_and_names_a_publisher_who_is_somebody_else(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    (by_bob,) = await publish(engine, event("e1"), BOB)
    (by_alice,) = await publish(engine, event("e2"), ALICE)
    (nobody,) = await publish(engine, event("e3"), Actor(display_name="Nobody"))
    assert [run.created_by for run in (by_bob, by_alice, nobody)] == [ALICE] * 3
    assert [run.execution_ref for run in (by_bob, by_alice, nobody)] == ["ref-a"] * 3
    assert [run.published_by for run in (by_bob, by_alice, nobody)] == [BOB, NOBODY, NOBODY]


async def test_the_same_event_makes_a_run_once_for_each_trigger(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    assert len(await publish(engine, event())) == 1
    await trigger(engine, "b")
    assert [run.execution_ref for run in await publish(engine, event())] == ["ref-b"]
    assert await publish(engine, event()) == []
    assert len(world.database.stores[RUNS]) == 2


async def test_publishes_that_arrive_together_share_commits(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event("first"))
    before = client_of(engine).messages["apply"]
    await asyncio.gather(*(publish(engine, event(f"e{number}")) for number in range(100)))
    assert client_of(engine).messages["apply"] - before <= 3
    assert len(world.database.stores[RUNS]) == 101


async def test_a_trigger_of_another_process_is_met_by_the_next_publish(world: World) -> None:
    engine, other = await world.engine(start=False), await world.engine(start=False)
    assert await publish(engine, event("e1")) == []
    await trigger(other, "a")
    assert len(await publish(engine, event("e2"))) == 1
    await other.triggers.pause("a")
    assert await publish(engine, event("e3")) == []
    await other.triggers.resume("a")
    assert len(await publish(engine, event("e4"))) == 1
    await trigger(other, "a", type="elsewhere")
    assert await publish(engine, event("e5")) == []
    await other.triggers.delete("a")
    assert await publish(engine, event("e6", type="elsewhere")) == []


async def test_triggers_of_other_types_cost_a_publish_nothing(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await publish(engine, event("first"))
    for number in range(50):
        await trigger(engine, f"other{number}", type=f"type{number}")
    before = client_of(engine).count
    await publish(engine, event("second"))
    assert client_of(engine).count - before == 1


@pytest.mark.trap("j")
async def test_a_broken_trigger_hides_no_other(world: World) -> None:
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    await trigger(engine, "b")
    del world.database.stores[TRIGGERS]["a"]["target"]
    assert [run.execution_ref for run in await publish(engine, event())] == ["ref-b"]
    listed = await engine.lists.messages(ALL_TRIGGERS, trigger_to_proto)
    assert [message.id for message in listed] == ["b"]


async def test_a_publish_whose_answer_was_lost_can_be_repeated(world: World) -> None:
    engine = await world.engine()
    await trigger(engine, "a")
    await publish(engine, event("first"))
    client_of(engine).after = unavailable
    with pytest.raises(StorageUnavailable, match=r"^publish event: "):
        await publish(engine, event("second"))
    client_of(engine).after = None
    assert await publish(engine, event("second")) == []
    runs = await all_runs(engine)
    assert len(runs) == 2
    for run in runs:
        await world.finished(engine, run.id)
    assert len(world.host.calls) == 2


async def test_many_publishers_all_succeed(world: World) -> None:
    """A duplicate never fails its batch."""
    engine = await world.engine(start=False)
    await trigger(engine, "a")
    results = await asyncio.gather(*(publish(engine, event(f"e{number % 10}")) for number in range(80)))
    assert sum(len(runs) for runs in results) == 10


async def test_what_is_known_of_event_types_is_bounded_by_its_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever publishes types with long names, or makes triggers with large targets, fills no memory."""
    monkeypatch.setattr("gestalt_workflow.objects.triggers.KNOWN_BYTES", 1000)
    engine = await world.engine(start=False)
    for number in range(10):
        await trigger(engine, f"t{number}", type=f"large{number}", target=plugin_target("x" * 300))
        assert len(await publish(engine, event(f"a{number}", type=f"large{number}"))) == 1
        assert await publish(engine, event(f"b{number}", type=f"{number}" * 300)) == []
        assert engine.triggers._known_bytes <= 1000
    assert len(engine.triggers._known) in (2, 3)
    for event_type in list(engine.triggers._known):
        engine.triggers._forget(event_type)
    assert engine.triggers._known_bytes == 0
