"""Execution references in one engine (semantics.md 7.4; decisions 8 and 18)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.dispatch.lanes import Taken
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.errors import ObjectNotFound
from gestalt_workflow.model.objects import EventMatch, Reference
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.schedules import ScheduleRequest, checked_timing
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.reading.queries import ObjectFilter

from tests.support.rigs.engine import ALICE, START, World, client_of, plugin_target


def reference(reference_id: str = "ref", **more: Any) -> Reference:
    fields: dict[str, Any] = {"subject_id": "user:alice", "data": b"", "created_at": START, "signed": True, **more}
    return Reference(reference_id, **fields)


async def invoked_with(world: World, engine: Engine) -> Reference | None:
    """The reference that travels with a run started now."""
    run = await engine.runs.start(StartRequest(plugin_target(), created_by=ALICE, execution_ref="ref"))
    await world.finished(engine, run.id)
    return world.host.calls[-1][2]


async def test_put_keeps_the_creation_time_and_writes_nothing_that_is_equal(world: World) -> None:
    engine = await world.engine(start=False)
    first = await engine.references.put(reference())
    later = reference(created_at=START + timedelta(days=1))
    assert await engine.references.put(later) == first
    changed = await engine.references.put(replace(later, subject_id="user:bob"))
    assert (changed.created_at, changed.revision) == (first.created_at, 2)
    assert await engine.references.get("ref") == changed


async def test_a_put_without_revocation_takes_it_back(world: World) -> None:
    engine = await world.engine(start=False)
    await engine.references.put(reference(revoked_at=START))
    assert (await engine.references.put(reference())).revoked_at is None


async def test_a_fresh_reference_costs_one_message(world: World) -> None:
    engine = await world.engine(start=False)
    before = client_of(engine).count
    await engine.references.put(reference())
    assert client_of(engine).count - before == 1


async def test_references_of_a_subject_come_oldest_first_revoked_ones_too(world: World) -> None:
    engine = await world.engine(start=False)
    await engine.references.put(reference("b", created_at=START + timedelta(seconds=1), revoked_at=START))
    await engine.references.put(reference("a", created_at=START + timedelta(seconds=1)))
    await engine.references.put(reference("c"))
    await engine.references.put(reference("other", subject_id="user:bob"))
    of_alice = (await engine.queries.references(ObjectFilter("user:alice"), 0, "")).items
    assert [reference.id for reference in of_alice] == ["c", "a", "b"]
    assert len((await engine.queries.references(ObjectFilter(), 0, "")).items) == 4


async def test_a_signed_reference_travels_with_the_run(world: World) -> None:
    engine = await world.engine()
    stored = await engine.references.put(reference())
    assert await invoked_with(world, engine) == stored


@pytest.mark.parametrize("change", [{"signed": False}, {"revoked_at": START}])
async def test_an_unsigned_or_revoked_one_does_not(world: World, change: dict[str, Any]) -> None:
    engine = await world.engine()
    await engine.references.put(reference(**change))
    assert await invoked_with(world, engine) is None


async def test_a_retired_one_still_does(world: World) -> None:
    engine = await world.engine()
    await engine.references.put(reference(retired_at=START))
    assert await invoked_with(world, engine) is not None


async def test_a_reference_revoked_by_another_process_is_not_sent(world: World) -> None:
    engine, other = await world.engine(), await world.engine(start=False)
    await engine.references.put(reference())
    assert await invoked_with(world, engine) is not None  # from here on it is known
    await other.references.put(reference(revoked_at=START))
    assert await invoked_with(world, engine) is None


async def test_a_reference_revoked_between_claim_and_call_is_not_sent(world: World) -> None:
    engine = await world.engine(start=False)
    await engine.references.put(reference())
    run = await engine.runs.start(StartRequest(plugin_target(), execution_ref="ref"))
    async with asyncio.TaskGroup() as tasks:
        await engine.dispatcher._claim(Taken([(run, ())]), tasks)
        await engine.references.put(reference(revoked_at=START))
        await world.finished(engine, run.id)
    assert world.host.calls[0][2] is None or world.host.calls[0][2].revoked_at is None
    assert (await engine.references.get("ref")).revoked_at == START


async def test_update_and_delete_retire_in_their_own_commit(world: World) -> None:
    engine = await world.engine(start=False)
    for name in ("one", "two", "three", "four"):
        await engine.references.put(reference(name))
    cron, zone, slot = checked_timing("* * * * *", "", world.clock())
    wanted = ScheduleRequest("s", cron, zone, plugin_target(), slot, execution_ref="one")
    await engine.schedules.upsert(wanted)
    await engine.schedules.upsert(replace(wanted, execution_ref="two", retire="one"))
    await engine.schedules.delete("s", "two")
    trigger = TriggerRequest("t", EventMatch("x"), plugin_target(), execution_ref="three")
    await engine.triggers.upsert(trigger)
    await engine.triggers.upsert(replace(trigger, execution_ref="four", retire="three"))
    await engine.triggers.delete("t", "four")
    for name in ("one", "two", "three", "four"):
        retired = await engine.references.get(name)
        assert retired.retired_at is not None
        assert retired.revoked_at is None


async def test_retiring_what_is_not_there_is_no_error(world: World) -> None:
    engine = await world.engine(start=False)
    cron, zone, slot = checked_timing("* * * * *", "", world.clock())
    await engine.schedules.upsert(ScheduleRequest("s", cron, zone, plugin_target(), slot, retire="nope"))
    await engine.schedules.delete("s", "nope")


async def test_an_unknown_reference_is_not_found(world: World) -> None:
    engine = await world.engine(start=False)
    with pytest.raises(ObjectNotFound, match='workflow execution reference "nope" not found'):
        await engine.references.get("nope")


async def test_references_in_memory_are_bounded_by_their_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change of a schedule makes one, with the whole input of its target."""
    monkeypatch.setattr("gestalt_workflow.objects.references.KNOWN_BYTES", 1000)
    engine = await world.engine(start=False)
    for number in range(20):
        await engine.references.put(reference(f"r{number}", data=b"x" * 300))
        await engine.references.put(reference("ref", data=b"y" * (100 + number)))
    known = engine.references._known
    assert set(known) == {"r18", "r19", "ref"}
    assert engine.references._known_bytes == sum(len(one.data) for one in known.values()) <= 1000
    await engine.references.load(["r3"])
    assert engine.references.sendable("r3") is not None, "it is read again"
    await engine.references.put(reference("large", data=b"z" * 5000))
    assert set(known) == {"large"}
