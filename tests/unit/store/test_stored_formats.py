"""A database file that an earlier commit wrote still opens, reads and goes on with what it was doing.

``tests/support/data/store-format-2.sql`` is a dump of such a file (its README says how it came about). It is never
made anew from the code under test: a change of the stored format adds another dump beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gestalt_store.engines.interface import Walk
from gestalt_store.errors import UniqueConflict
from gestalt_store.sqlite.check import check
from gestalt_store.sqlite.database import SqliteDatabase
from gestalt_store.values import wire
from gestalt_store.values.keys import Encoded, Moment, encode
from gestalt_store.values.ranges import EVERYTHING, values_span
from gestalt_store.values.values import from_typed
from gestalt_store.work.operations import key_text

from tests.support.rigs.store_engine import LIMITS, put
from tests.support.waiting import eventually

DUMP = Path(__file__).parent.parent.parent / "support" / "data" / "store-format-2.sql"
VALUES: dict[str, Any] = {
    "null": None,
    "yes": True,
    "no": False,
    "int": -7,
    "large": 2**63 - 1,
    "float": 1.5,
    "minus-zero": -0.0,
    "time": Moment(1_777_777_777, 5),
    "text": "grüß\0e",
    "bytes": b"\x00\xff",
    "list": [1.0, "a", None],
    "map": {"a": {"b": [True]}},
}
"""Field ``value`` of each record in store ``kinds``, by its key."""
ORDER = ["null", "no", "yes", "int", "minus-zero", "list", "float", "large", "time", "text", "bytes", "map"]
"""The same by index key: of the list its first element decides."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.executescript(DUMP.read_text())
    connection.close()
    opened = await SqliteDatabase.open(path, "app", LIMITS)
    yield opened
    await opened.close()


def fields(record: bytes) -> dict[str, Any]:
    return {name: from_typed(value) for name, value in wire.Record.FromString(record).fields.items()}


async def keys(database: SqliteDatabase, store: str, index: str, *values: Any) -> list[str]:
    found = database.store(store)
    used = found.index(index)
    span = values_span(used.schema, list(values)) if values else EVERYTHING
    return [key_text(key) for key in await database.keys(Walk(found, span, used, keys_only=True))]


async def test_records_of_all_types_read_back(database: SqliteDatabase) -> None:
    store = database.store("kinds")
    for number, (key, value) in enumerate(VALUES.items()):
        record = await database.get(store, encode(key).whole)
        assert record is not None
        read = fields(record)
        assert repr(read.pop("value")) == repr(value)  # 1 is not 1.0, and 0.0 not -0.0
        if key == "map":
            assert read.pop("map") == value
        assert read == {"id": key, "group": "odd" if number % 2 else "even", "code": number}


async def test_indexes_find_and_order_the_records(database: SqliteDatabase) -> None:
    assert await keys(database, "kinds", "value") == ORDER
    assert await keys(database, "kinds", "both", "odd") == [key for key in ORDER if list(VALUES).index(key) % 2]
    assert await keys(database, "kinds", "code", 5) == ["float"]
    assert await keys(database, "kinds", "deep") == ["map"]
    with pytest.raises(UniqueConflict):
        await put(database, database.store("kinds"), id="other", code=5)


async def test_a_key_column_that_is_a_number_orders_by_number(database: SqliteDatabase) -> None:
    store = database.store("columns")
    assert [fields(record) for record in await database.records(Walk(store, EVERYTHING))] == [
        {"number": number, "note": f"note {number}"} for number in (-1, 2, 3)
    ]


async def test_ended_migrations_are_reported_as_they_ended(database: SqliteDatabase) -> None:
    assert [index.name for index in database.store("changed").schema.indexes] == ["new"]
    assert await keys(database, "changed", "new") == ["c2", "c1", "c0"]
    assert (await database.migration("changed")).state == "done"
    failed = await database.migration("doubled")
    assert (failed.state, failed.problem) == ("failed", "records have the same key in unique index 'a'")
    (conflict,) = failed.conflicts
    assert conflict == ("a", Encoded(encode("same").order, b""), (encode("d0").whole, encode("d1").whole))


async def test_a_migration_that_was_under_way_goes_on_to_its_end(database: SqliteDatabase) -> None:
    async def done() -> bool | None:
        migration = await database.migration("running")
        return (migration.state, migration.scanned) == ("done", 7) or None

    await eventually(done)
    assert await keys(database, "running", "a", 1) == ["r1", "r4"]
    assert check(database.core.path) == []
