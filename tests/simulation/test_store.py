"""The store of the simulation answers as the real one does, whatever is asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gestalt_sdk.indexeddb import (
    Condition,
    CursorEntry,
    IndexedDB,
    IndexSchema,
    KeyRange,
    ObjectStoreSchema,
    Record,
    Write,
)
from gestalt_sdk.transport.environment import Address
from tests.simulation.store import Fate, StoreClient
from tests.support.fakes.database import Change
from tests.support.fakes.indexeddb_client import RecordDatabase
from tests.support.rigs.store import StoreProcess, short_folder

SCHEMA = ObjectStoreSchema(
    [IndexSchema("pair", ["n", "kind"]), IndexSchema("only", ["once"], unique=True), IndexSchema("kind", ["kind"])]
)
STORES = ("one", "two")
IDS = [f"id{number}" for number in range(6)]

LOOKS: list[tuple[str, list[Any], KeyRange | None]] = [
    ("pair", [], None),
    ("pair", [1], None),
    ("kind", ["a"], None),
    ("only", [], None),
    ("kind", [], KeyRange(upper="b")),
    ("pair", [], KeyRange(upper=[1, "b"], upper_open=True)),
    ("pair", [], KeyRange(lower=[1], upper=[2], upper_open=True)),
]
BY_ID = [None, KeyRange(), KeyRange("id1", "id4", upper_open=True)]


class Quiet:
    """A network on which nothing happens."""

    def fate(self, call: str) -> Fate:
        return Fate(0.0, 0.0)

    def sending(self, call: str) -> bool:
        return True

    def applied(self, call: str) -> None:
        return None

    def answered(self, call: str) -> bool:
        return True


@pytest.fixture
async def real() -> AsyncIterator[IndexedDB]:
    with short_folder() as folder:
        store = StoreProcess(Path(folder), {"dsn": f"sqlite://{folder}/store.db"})
        store.start()
        try:
            async with IndexedDB.connect(Address(f"unix:{store.socket}")) as db:
                yield db
        finally:
            store.stop()


async def test_the_simulated_store_answers_as_the_real_one(real: IndexedDB) -> None:
    changes: list[list[Change[Record]]] = []
    simulated = StoreClient(RecordDatabase(changes.append), Quiet())
    for name in STORES:
        await real.create_object_store(name, SCHEMA)
        await simulated.create_object_store(name, SCHEMA)
    random = Random(5)
    for _ in range(250):
        entries = [_entry(random) for _ in range(random.randrange(1, 5))]
        expected = await real.apply(entries, return_current=True)
        answered = await simulated.apply(entries, return_current=True)
        assert [outcome.code for outcome in answered] == [outcome.code for outcome in expected], entries
        assert [outcome.current for outcome in answered] == [outcome.current for outcome in expected], entries
        store = random.choice(STORES)
        index, values, bounds = random.choice(LOOKS)
        direction = random.choice(("next", "prev"))
        pages = [await _pages(db, store, index, values, bounds, direction) for db in (real, simulated)]
        assert pages[1] == pages[0], (store, index, values, bounds, direction)
        counts = [await db.store(store).index(index).count(*values, range=bounds) for db in (real, simulated)]
        assert counts[1] == counts[0], (store, index, values, bounds)
        bounds = random.choice(BY_ID)
        pages = [await _pages(db, store, "", [], bounds, direction) for db in (real, simulated)]
        assert pages[1] == pages[0], (store, direction)
        assert await simulated.get_many(store, IDS) == await real.get_many(store, IDS)
    assert len(changes) > 100


async def _pages(
    db: Any, store: str, index: str, values: list[Any], bounds: KeyRange | None, direction: str
) -> list[CursorEntry]:
    token, entries = b"", []
    while True:
        found = db.store(store).index(index) if index else db.store(store)
        page = await found.page(*values, range=bounds, limit=2, token=token, direction=direction)
        entries += page.entries
        token = page.next_token
        if not token:
            return entries


def _entry(random: Random) -> Write:
    store, id = random.choice(STORES), random.choice(IDS)
    op = random.choice(("put", "put", "add", "delete", "check"))
    conditions = [_condition(random) for _ in range(random.choice((0, 0, 1, 2)))]
    required = random.random() < 0.2
    if op in ("put", "add"):
        record: Record = {"id": id, "n": random.randrange(3)}
        if random.random() < 0.7:
            record["kind"] = random.choice("abc")
        if random.random() < 0.3:
            record["once"] = random.randrange(8)
        return Write(store, op, record, conditions=conditions, required=required)  # type: ignore[arg-type]
    return Write(store, op, id=id, conditions=conditions, required=required)  # type: ignore[arg-type]


def _condition(random: Random) -> Condition:
    where = {"store": random.choice(STORES), "id": random.choice(IDS)} if random.random() < 0.5 else {}
    if random.random() < 0.4:
        return Condition(absent=random.random() < 0.5, **where)
    return Condition.equals("n", random.randrange(3), **where)
