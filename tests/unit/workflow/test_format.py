"""The database's format, errors and faults."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import pytest
from gestalt_workflow.edge.faults import FAULTS
from gestalt_workflow.model import errors
from gestalt_workflow.model.errors import FormatTooNew, StorageFailed, WorkflowError
from gestalt_workflow.model.objects import NOBODY, Event, EventMatch
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.stored import format
from gestalt_workflow.stored.records import EVENTS, FORMAT, SCHEMAS, SLOTS, TRIGGER_ROUNDS
from gestalt_workflow.stored.storage import Storage, Write, WriteResult

from gestalt_sdk.transport.faults import fault_of
from tests.support.rigs.engine import World, client_of, plugin_target


async def test_an_empty_database_is_made_ready_and_marked(world: World) -> None:
    await world.engine(start=False)
    assert set(world.database.stores) == set(SCHEMAS)
    assert world.database.stores[FORMAT]["format"]["version"] == format.VERSION


async def test_opening_a_ready_database_is_one_message(world: World) -> None:
    await world.engine(start=False)
    assert client_of(await world.engine(start=False)).count == 1


async def test_a_database_that_was_left_half_made_is_finished(world: World) -> None:
    await world.engine(start=False)
    del world.database.stores[FORMAT]["format"]
    await world.engine(start=False)
    assert world.database.stores[FORMAT]["format"]["version"] == format.VERSION


async def test_a_newer_database_is_refused(world: World) -> None:
    await world.engine(start=False)
    world.database.stores[FORMAT]["format"]["version"] = format.VERSION + 1
    with pytest.raises(FormatTooNew, match="install the newer provider again"):
        await world.engine(start=False)


async def test_an_older_database_is_migrated_step_by_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.engine(start=False)
    world.database.stores[FORMAT]["format"]["version"] = 1
    steps: list[int] = []

    async def one_to_two(storage: object) -> None:
        steps.append(1)

    async def two_to_three(storage: object) -> None:
        steps.append(2)

    monkeypatch.setattr(format, "VERSION", 3)
    monkeypatch.setattr(format, "MIGRATIONS", {1: one_to_two, 2: two_to_three})
    await world.engine(start=False)
    assert steps == [1, 2]
    assert world.database.stores[FORMAT]["format"]["version"] == format.VERSION


async def test_a_database_of_the_first_format_gets_the_slot_ledger(world: World) -> None:
    await world.engine(start=False)
    world.database.stores[FORMAT]["format"]["version"] = 1
    del world.database.stores[SLOTS]
    await world.engine(start=False)
    assert set(world.database.stores) == set(SCHEMAS)


async def test_a_database_of_the_second_format_gets_the_events_and_keeps_what_it_has(world: World) -> None:
    engine = await world.engine(start=False)
    await engine.triggers.upsert(TriggerRequest("t", EventMatch("t"), plugin_target()))
    world.database.stores[FORMAT]["format"]["version"] = 2
    del world.database.stores[EVENTS]
    newer = await world.engine(start=False)
    assert world.database.stores[FORMAT]["format"]["version"] == format.VERSION
    event = Event("e", "s", "t", "", b"")
    assert len(await newer.events.publish(event, NOBODY)) == 1
    assert len(world.database.stores[EVENTS]) == 1


async def test_a_migration_writes_nothing_over_what_another_process_has_changed_meanwhile(world: World) -> None:
    """Two processes start at once; the faster one serves already."""
    serving, late = await world.engine(start=False), await world.engine(start=False)
    for name in ("changed", "deleted", "paused", "same"):
        await serving.triggers.upsert(TriggerRequest(name, EventMatch("t"), plugin_target()))
    rows = world.database.stores[TRIGGER_ROUNDS]
    write_alone = late.storage.write_alone

    async def once_meanwhile(writes: Sequence[Write], step: str) -> list[WriteResult]:
        late.storage.write_alone = write_alone  # type: ignore[method-assign]
        await serving.triggers.upsert(TriggerRequest("changed", EventMatch("other"), plugin_target()))
        await serving.triggers.delete("deleted")
        await serving.triggers.pause("paused")
        return await write_alone(writes, step)

    late.storage.write_alone = once_meanwhile  # type: ignore[method-assign]
    await format.MIGRATIONS[3](late.storage)
    assert {name: row["meets"].split("\0")[0] for name, row in rows.items()} == {
        "changed": "other",
        "paused": "t",
        "same": "t",
    }


async def test_a_process_that_is_slower_lowers_no_format(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.engine(start=False)
    rows = world.database.stores[FORMAT]
    rows["format"]["version"] = 2

    async def another_finishes(storage: Storage) -> None:
        rows["format"] = {"id": "format", "version": format.VERSION}

    async def seen(storage: Storage) -> None:
        assert rows["format"]["version"] == format.VERSION

    monkeypatch.setattr(format, "MIGRATIONS", {2: another_finishes, 3: seen})
    await world.engine(start=False)
    assert rows["format"]["version"] == format.VERSION


async def test_a_format_that_is_no_number_is_refused(world: World) -> None:
    await world.engine(start=False)
    world.database.stores[FORMAT]["format"]["version"] = "one"
    with pytest.raises(StorageFailed, match="not a number"):
        await world.engine(start=False)


def test_every_error_has_a_fault() -> None:
    for _, cls in inspect.getmembers(errors, inspect.isclass):
        if issubclass(cls, WorkflowError) and cls is not WorkflowError:
            assert fault_of(cls.__new__(cls), FAULTS) is not None, cls
