"""A record that was damaged since it was stored: it can be deleted and replaced in every way, and no other suffers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from gestalt_store.postgres.check import check_server
from gestalt_store.postgres.formats import schema_name
from gestalt_store.sqlite.check import check
from gestalt_store.values import wire
from gestalt_store.values.keys import encode

from gestalt_host.verification.suites.indexeddb.client import DEADLINE_S
from gestalt_host.verification.suites.indexeddb.messages import bounds, index, record, value
from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.store import Service

pytestmark = pytest.mark.ours("store")


def _with_damaged_json() -> bytes:
    made = wire.Record()
    made.fields["id"].string_value = "k1"
    made.fields["n"].json_value = b"\x2a\xff"
    return made.SerializeToString()


NO_MESSAGE, NO_INDEX_KEY = b"\xff\xff\xff", _with_damaged_json()
"""Bytes that are no record at all, and a record whose field of the index cannot be decoded."""


@dataclass
class Damageable:
    """A service, and what its database lets the test do behind it."""

    service: Service
    replace: Callable[[str, bytes, bytes], None]
    """Gives the stored bytes of the record with this encoded key in this store."""
    problems: Callable[[], Awaitable[list[str]]]
    """What ``check`` finds in the database."""
    stores: list[str] = field(default_factory=list)

    async def store_with_damage(self, damage: bytes) -> str:
        """A store with the records k0, k1, k2, of which k1 is damaged; two indexes on ``n``."""
        store = await self.service.new_store(index("n", "n"), index("u", "n", unique=True))
        self.stores.append(store)
        for number in range(3):
            await self.service.put(store, id=f"k{number}", n=number)
        self.replace(store, encode("k1").whole, damage)
        return store

    async def assert_sound(self, store: str, *keys: str) -> None:
        """The store holds records with these keys, its indexes agree, and k1 and its index key can be used again."""
        assert await self.service.keys(store) == list(keys)
        for name in ("n", "u"):
            assert await self.service.index_keys(store, name) == list(keys)
        assert await self.problems() == []
        if "k1" not in keys:
            await self.service.add(store, id="k1", n=1)
            assert await self.service.index_keys(store, "u", 1) == ["k1"]
            assert await self.problems() == []


@pytest.fixture(params=["sqlite", "postgres"])
async def damageable(request: pytest.FixtureRequest) -> AsyncIterator[Damageable]:
    if request.param == "postgres":
        process = request.getfixturevalue("postgres_process")
        server: PostgresServer = request.getfixturevalue("postgres_server")
        db = process.config["schema"]
        schema = f'"{schema_name(db)}"'

        def replace(store: str, key: bytes, data: bytes) -> None:
            ((number,),) = server.execute(f"SELECT coalesce(data, id) FROM {schema}.stores WHERE name = %s", store)
            server.execute(f"UPDATE {schema}.records_{number} SET value = %s WHERE key = %s", data, key)

        async def problems() -> list[str]:
            return list((await check_server(server.dsn))[db])
    else:
        process = request.getfixturevalue("shared_process")
        path = process.folder / "state" / "store.db"

        def replace(store: str, key: bytes, data: bytes) -> None:
            with sqlite3.connect(path) as connection:
                ((number,),) = connection.execute("SELECT id FROM stores WHERE name = ?", (store,)).fetchall()
                connection.execute(f"UPDATE records_{number} SET value = ? WHERE key = ?", (data, key))
            connection.close()

        async def problems() -> list[str]:
            return await asyncio.to_thread(check, path)

    service = Service(process.socket)
    made = Damageable(service, replace, problems)
    yield made
    for store in made.stores:  # the database is shared with tests that damage nothing
        await service.call("DeleteObjectStore", pb.ObjectStoreNameRequest(store=store))
    await service.close()


def by_index(store: str) -> pb.IndexQueryRequest:
    return pb.IndexQueryRequest(store=store, index="n", values=[value(1)])


def some(store: str) -> pb.ObjectStoreRangeRequest:
    return pb.ObjectStoreRangeRequest(store=store, range=bounds("k1", "k1"))


def one(store: str) -> pb.ObjectStoreRequest:
    return pb.ObjectStoreRequest(store=store, id="k1")


def new(store: str) -> pb.RecordRequest:
    return pb.RecordRequest(store=store, record=record(id="k1", n=1))


GONE, REPLACED = ("k0", "k2"), ("k0", "k1", "k2")
WRITES: list[tuple[str, str, Callable[[str], Any], tuple[str, ...]]] = [
    ("Put", "put", new, REPLACED),
    ("Delete", "delete", one, GONE),
    ("DeleteRange", "delete_range", some, GONE),
    ("IndexDelete", "index_delete", by_index, GONE),
]
each_write = pytest.mark.parametrize(("call", "member", "request_of", "left"), WRITES, ids=[row[0] for row in WRITES])
each_damage = pytest.mark.parametrize("damage", [NO_MESSAGE, NO_INDEX_KEY], ids=["no message", "no index key"])


@each_damage
@each_write
async def test_a_call_deletes_or_replaces_it(
    damageable: Damageable, call: str, member: str, request_of: Any, left: tuple[str, ...], damage: bytes
) -> None:
    store = await damageable.store_with_damage(damage)
    answer = await damageable.service.call(call, request_of(store))
    if "Range" in call or "Index" in call:
        assert answer.deleted == 1
    await damageable.assert_sound(store, *left)


@each_damage
@each_write
async def test_a_transaction_deletes_or_replaces_it(
    damageable: Damageable, call: str, member: str, request_of: Any, left: tuple[str, ...], damage: bytes
) -> None:
    store = await damageable.store_with_damage(damage)
    transaction = await damageable.service.transaction(store)
    assert not (await transaction.attempt(member, request_of(store))).error.code
    assert await transaction.keys(store) == list(left)
    query = pb.IndexQueryRequest(store=store, index="u")
    assert list((await transaction.attempt("index_get_all_keys", query)).keys.keys) == list(left)
    assert not (await transaction.commit()).code
    await damageable.assert_sound(store, *left)


@each_damage
@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(
    ("write", "left"), [({"put": record(id="k1", n=1)}, REPLACED), ({"delete": "k1"}, GONE)], ids=["put", "delete"]
)
async def test_a_batch_deletes_or_replaces_it(
    damageable: Damageable, write: dict[str, Any], left: tuple[str, ...], required: bool, damage: bytes
) -> None:
    store = await damageable.store_with_damage(damage)
    exists = batch_pb2.ApplyCondition(absent=False)
    entries = [
        batch_pb2.ApplyEntry(store=store, required=required, conditions=[exists], **write),
        batch_pb2.ApplyEntry(store=store, required=required, put=record(id="k0", n=0)),
    ]
    answer = await damageable.service.batch.Apply(batch_pb2.ApplyRequest(entries=entries), timeout=DEADLINE_S)
    assert [outcome.code for outcome in answer.outcomes] == [0, 0]
    await damageable.assert_sound(store, *left)


@each_damage
async def test_a_condition_on_its_field_does_not_hold_and_the_other_writes_are_told(
    damageable: Damageable, damage: bytes
) -> None:
    store = await damageable.store_with_damage(damage)
    equals = batch_pb2.ApplyCondition(equals=batch_pb2.FieldEquals(field="n", value=value(1)))
    entries = [
        batch_pb2.ApplyEntry(store=store, conditions=[equals], put=record(id="k1", n=7)),
        batch_pb2.ApplyEntry(store=store, add=record(id="k1", n=7)),
        batch_pb2.ApplyEntry(store=store, put=record(id="k9", n=9)),
    ]
    request = batch_pb2.ApplyRequest(entries=entries, return_current=True)
    answer = await damageable.service.batch.Apply(request, timeout=DEADLINE_S)
    assert [outcome.code for outcome in answer.outcomes] == [10, 6, 0]
    assert answer.outcomes[0].message == "the record cannot be decoded"
    assert not any(outcome.HasField("current") for outcome in answer.outcomes)
    assert await damageable.service.keys(store) == ["k0", "k1", "k2", "k9"]


@each_damage
async def test_a_cursor_that_reads_keys_passes_and_deletes_it(damageable: Damageable, damage: bytes) -> None:
    store = await damageable.store_with_damage(damage)
    cursor = await damageable.service.cursor(store, pb.OpenCursorRequest(index="n", keys_only=True))
    assert [(await cursor.next()).entry.primary_key for _ in range(2)] == ["k0", "k1"]
    assert not (await cursor.delete()).done
    assert (await cursor.next()).entry.primary_key == "k2"
    await damageable.assert_sound(store, *GONE)


@each_damage
async def test_check_names_it_as_requests_do(damageable: Damageable, damage: bytes) -> None:
    store = await damageable.store_with_damage(damage)
    problems = [problem for problem in await damageable.problems() if store in problem and "cannot be read" in problem]
    assert len(problems) == 1
    assert f"object store {store!r}: record 'k1' cannot be read" in problems[0]


@each_damage
async def test_reads_of_keys_do_not_look_at_it(damageable: Damageable, damage: bytes) -> None:
    store = await damageable.store_with_damage(damage)
    service, every = damageable.service, pb.ObjectStoreRangeRequest(store=store)
    query = pb.IndexQueryRequest(store=store, index="n")
    assert await service.keys(store) == list(REPLACED)
    assert await service.index_keys(store, "n") == list(REPLACED)
    assert (await service.call("GetKey", one(store))).key == "k1"
    assert (await service.call("IndexGetKey", by_index(store))).key == "k1"
    assert (await service.call("Count", every)).count == (await service.call("IndexCount", query)).count == 3
    page = await service.batch.GetPage(batch_pb2.GetPageRequest(store=store, keys_only=True), timeout=DEADLINE_S)
    assert [entry.primary_key for entry in page.entries] == list(REPLACED)
    transaction = await service.transaction(store)
    await transaction.put(store, id="k3", n=3)
    assert list((await transaction.attempt("get_all_keys", every)).keys.keys) == [*REPLACED, "k3"]
    assert list((await transaction.attempt("index_get_all_keys", query)).keys.keys) == [*REPLACED, "k3"]
    assert (await transaction.attempt("get_key", one(store))).key.key == "k1"
    await transaction.abort()
