"""The store through its socket, with the client that other providers use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from shelf_store.keys import Value, encode, parse_key, text_of
from shelf_store.provider import Shelf

from gestalt_sdk.indexeddb import (
    AlreadyExists,
    IndexedDB,
    IndexSchema,
    KeyRange,
    NotFound,
    ObjectStoreSchema,
    StoreRefused,
)
from gestalt_sdk.transport import Address, open_channel

NOTES = ObjectStoreSchema([IndexSchema("by_kind", ["kind", "n"]), IndexSchema("by_n", ["n"], unique=True)])


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[IndexedDB]:
    store, server = Shelf(), grpc.aio.server()
    store.register(server)
    server.add_insecure_port(f"unix:{folder}/s.sock")
    await server.start()
    channel = open_channel(Address(f"unix:{folder}/s.sock"))
    try:
        await store.configure("shelf", {"dsn": f"sqlite://{folder}/state.db"})
        yield IndexedDB.over(channel)
    finally:
        await channel.close()
        await server.stop(0)
        await store.close()


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[IndexedDB]:
    async with served(tmp_path) as db:
        await db.create_object_store("notes", NOTES)
        for n, (id, kind) in enumerate([("c", "tea"), ("a", "tea"), ("b", "milk")]):
            await db.store("notes").put({"id": id, "kind": kind, "n": n})
        yield db


async def test_records_are_read_by_key_and_by_index(db: IndexedDB) -> None:
    notes = db.store("notes")
    assert await notes.find("a") == {"id": "a", "kind": "tea", "n": 1}
    assert await notes.find("x") is None
    assert [note["id"] for note in await notes.get_all(KeyRange(lower="a", lower_open=True))] == ["b", "c"]
    by_kind = notes.index("by_kind")
    assert [note["id"] for note in await by_kind.get_all("tea")] == ["c", "a"]
    assert await by_kind.count("tea", 1) == 1
    assert await by_kind.delete("tea") == 2
    assert await notes.count() == 1


async def test_what_collides_is_refused_and_changes_nothing(db: IndexedDB) -> None:
    notes = db.store("notes")
    with pytest.raises(AlreadyExists, match="already exists"):
        await notes.add({"id": "a"})
    with pytest.raises(AlreadyExists, match="unique index conflict"):
        await notes.put({"id": "a", "n": 0})
    with pytest.raises(StoreRefused, match="record id must be a non-empty string"):
        await notes.put({"id": " "})
    with pytest.raises(StoreRefused, match="does not match"):
        await db.create_object_store("notes")
    assert await notes.find("a") == {"id": "a", "kind": "tea", "n": 1}


async def test_a_cursor_sees_what_was_there_when_it_was_opened(db: IndexedDB) -> None:
    seen = []
    async with db.store("notes").cursor() as cursor:
        await db.store("notes").delete("c")
        while entry := await cursor.next():
            seen.append(entry.primary_key)
    assert seen == ["a", "b", "c"]


async def test_a_transaction_is_seen_by_others_when_it_is_committed(db: IndexedDB) -> None:
    async with db.transaction(["notes"], "readwrite") as transaction:
        await transaction.store("notes").put({"id": "a", "n": 7})
        assert await transaction.store("notes").count() == 3
        assert await db.store("notes").find("a") == {"id": "a", "kind": "tea", "n": 1}
    assert await db.store("notes").find("a") == {"id": "a", "n": 7}


async def test_a_transaction_that_fails_leaves_nothing(db: IndexedDB) -> None:
    async def clear_and_read() -> None:
        async with db.transaction(["notes"], "readwrite") as transaction:
            await transaction.store("notes").clear()
            await transaction.store("notes").get("a")

    with pytest.raises(NotFound, match="not found"):
        await clear_and_read()
    assert await db.store("notes").count() == 3


async def test_transactions_that_write_run_one_after_the_other(db: IndexedDB) -> None:
    async def increment() -> None:
        async with db.transaction(["notes"], "readwrite") as transaction:
            (note,) = await transaction.store("notes").get_all(KeyRange("a", "a"))
            await transaction.store("notes").put({**note, "n": note["n"] + 10})

    await asyncio.gather(*(increment() for _ in range(5)))
    assert await db.store("notes").find("a") == {"id": "a", "kind": "tea", "n": 51}


async def test_what_was_written_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    async with served(tmp_path) as db:
        await db.create_object_store("notes", NOTES)
        await db.store("notes").put({"id": "a", "n": 1})
    async with served(tmp_path) as db:
        await db.create_object_store("notes", NOTES)
        assert await db.store("notes").index("by_n").count(1) == 1


def test_keys_sort_as_they_are_compared() -> None:
    values: list[Value] = [
        None,
        False,
        True,
        -2.5,
        2**63 - 1,
        float(2**63),
        float("nan"),
        "",
        "a",
        "a\0",
        "b",
        b"",
        {"a": 1},
        [],
        ["a"],
    ]
    orders = [encode(value).order for value in values]
    assert sorted(orders) == orders
    assert encode(1).order == encode(1.0).order
    assert encode(1) != encode(1.0)


def test_keys_as_text() -> None:
    values: list[Value] = [None, True, 3, 1.5, 1e21, b"\x01\x02", ["a", 1.0], {"x": 1.0}]
    assert [text_of(value) for value in values] == ["<nil>", "true", "3", "1.5", "1e+21", "[1 2]", "[a 1]", "map[x:1]"]
    noon = parse_key("2026-05-01T14:00:00.5+02:00", 4)
    assert text_of(noon) == "2026-05-01 12:00:00.5 +0000 UTC"
    assert parse_key(text_of(noon), 4) == noon


@pytest.mark.parametrize(
    "config", [{}, {"dsn": "state.db"}, {"dsn": "sqlite://"}, {"dsn": "sqlite:///no/such/folder/x"}]
)
async def test_a_configuration_that_cannot_be_used_names_the_key(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"config\.dsn"):
        await Shelf().configure("shelf", config)
