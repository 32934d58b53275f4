"""The operations, over notes in memory instead of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from notes_plugin.provider import NotesPlugin

from gestalt_sdk.indexeddb import CursorEntry, IndexedDB, KeyRange, Record
from gestalt_sdk.plugin import OperationError, Request


class Notes:
    """The calls of a database and of its object store that the plugin makes."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    async def create_object_store(self, name: str) -> None:
        assert name == "notes"

    def store(self, name: str) -> Notes:
        assert name == "notes"
        return self

    async def put(self, record: Record) -> None:
        self.records[record["id"]] = record

    async def find(self, id: str) -> Record | None:
        return self.records.get(id)

    @asynccontextmanager
    async def cursor(self, range: KeyRange | None) -> AsyncIterator[Walk]:
        yield Walk([self.records[id] for id in sorted(self.records) if range is None or id > range.lower])


class Walk:
    def __init__(self, records: list[Record]) -> None:
        self._records = iter(records)

    async def next(self) -> CursorEntry | None:
        record = next(self._records, None)
        return CursorEntry(record["id"], record["id"], record) if record else None


@pytest.fixture
async def plugin(monkeypatch: pytest.MonkeyPatch) -> NotesPlugin:
    notes = cast(IndexedDB, Notes())
    made = NotesPlugin()
    monkeypatch.setattr(made, "indexeddb", lambda: notes)
    await made.configure("notes", {})
    return made


async def test_a_note_is_read_as_it_was_written(plugin: NotesPlugin) -> None:
    written = await plugin.put_note("milk", "buy some", 2)
    assert written == {"id": "milk", "text": "buy some", "priority": 2}
    assert await plugin.get_note("milk") == written


async def test_notes_are_listed_by_id_page_by_page(plugin: NotesPlugin) -> None:
    for id in ("c", "a", "b"):
        await plugin.put_note(id, "")
    first = await plugin.list_notes(limit=2)
    assert [note["id"] for note in cast(list[Record], first["notes"])] == ["a", "b"]
    assert first["next"] == "b"
    assert await plugin.list_notes(limit=2, after="b") == {"notes": [{"id": "c", "text": "", "priority": 0}]}


async def test_what_cannot_be_done_is_refused(plugin: NotesPlugin) -> None:
    with pytest.raises(OperationError, match='no note "milk"') as missing:
        await plugin.announce(Request.make(), "milk")
    assert missing.value.status == 404
    for refused in (plugin.put_note(" ", "x"), plugin.list_notes(limit=0)):
        with pytest.raises(OperationError, match="accepted is") as wrong:
            await refused
        assert wrong.value.status == 400


@pytest.mark.parametrize("config", [{"eventType": ""}, {"eventType": 7}, {"event": "x"}])
async def test_a_configuration_that_cannot_be_used_names_the_key(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"config\.event.*accepted is"):
        await NotesPlugin().configure("notes", config)
