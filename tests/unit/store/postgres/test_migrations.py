"""Indexes are changed while several processes serve the store: who builds, what writers keep up, what readers see."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from gestalt_store.engines.interface import ConditionalWrite, Walk
from gestalt_store.errors import IndexNotFound, ObjectStoreNotFound, TransactionAborted, UniqueConflict
from gestalt_store.postgres.check import check_server
from gestalt_store.postgres.database import PostgresDatabase
from gestalt_store.postgres.formats import FORMAT
from gestalt_store.postgres.index_changes import PgIndexBuild
from gestalt_store.postgres.server import PgServer
from gestalt_store.postgres.tables import LONGEST, PgStore
from gestalt_store.values import wire
from gestalt_store.values.keys import decode, encode
from gestalt_store.values.ranges import EVERYTHING, Span
from gestalt_store.values.schema import IndexSchema, StoreSchema
from gestalt_store.work.operations import key_text, write_of

from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.suites.indexeddb.client import Code
from gestalt_host.verification.suites.indexeddb.messages import index, record
from gestalt_sdk.gen.extension.v1 import batch_pb2, schemas_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.postgres_store import LIMITS, Start
from tests.support.rigs.store import Service
from tests.support.rigs.store_engine import make, put
from tests.support.rigs.store_engine import record as record_bytes
from tests.support.waiting import eventually

Pair = tuple[Service, Service]
Engines = tuple[PostgresDatabase, PostgresDatabase]
RUNNING, DONE, FAILED = 1, 2, 3
ABORTED = Code.ABORTED.value[0]


def field_index(field: str, *, unique: bool = False, name: str = "") -> IndexSchema:
    return IndexSchema(name or field, (field,), unique, ((field,),))


@pytest.fixture
async def engines(postgres_server: PostgresServer) -> AsyncIterator[Engines]:
    """One database as two processes have it, each with what it knows of the stores; ``check`` finds it sound."""
    name = postgres_server.new_schema()
    servers = [PgServer(postgres_server.dsn, LIMITS) for _ in range(2)]
    opened = [await server.open(name) for server in servers]
    yield opened[0], opened[1]
    for database in opened:
        await database.close()
    for server in servers:
        await server.close()
    assert (await check_server(postgres_server.dsn))[name] == []


class Gate:
    """Lets a number of batches pass, and then holds the one who builds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 1
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()
        batch = PgIndexBuild.batch

        async def gated(build: PgIndexBuild, *arguments: Any) -> bytes:
            if not self.left:
                self.reached.set()
                await self.opened.wait()
            self.left = max(0, self.left - 1)
            return await batch(build, *arguments)

        monkeypatch.setattr(PgIndexBuild, "batch", gated)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def filled(database: PostgresDatabase, *indexes: tuple[str, bool], rows: int = 500) -> PgStore:
    store = await make(database, *indexes)
    await asyncio.gather(*(put(database, store, id=f"k{n:04}", n=n, m=n % 5) for n in range(rows)))
    return store


async def ended(database: PostgresDatabase) -> str:
    async def over() -> str | None:
        state = (await database.migration("s")).state
        return None if state == "running" else state

    return await eventually(over, within_s=30)


async def ids(database: PostgresDatabase, name: str) -> list[Any]:
    store = database.store("s")
    return [decode(key) for key in await database.keys(Walk(store, EVERYTHING, store.index(name), keys_only=True))]


async def expected(database: PostgresDatabase, field: str) -> list[str]:
    """What an index on an integer field must hold, from the records."""
    rows = [
        wire.Record.FromString(data).fields for data in await database.records(Walk(database.store("s"), EVERYTHING))
    ]
    pairs = [(row[field].int_value, row["id"].string_value) for row in rows if field in row]
    return [key for _, key in sorted(pairs)]


async def test_writes_of_a_process_that_knows_nothing_of_it_are_in_the_index(engines: Engines, gate: Gate) -> None:
    one, other = engines
    await filled(one)
    await other.refresh()
    known, version = other.store("s"), other.version
    early = await other.begin(["s"], readonly=False, relaxed=False)
    await early.write(write_of(known, record_bytes(id="k0001", n=9001)))
    await early.write(write_of(known, record_bytes(id="k0499", n=9002)))
    await one.change_indexes("s", [field_index("n")], [])
    await gate.reached.wait()
    await early.commit()  # it had written before the migration began, and sends it now
    await put(other, known, id="k0000", n=9003)
    await put(other, known, id="k0498", n=9004)
    await put(other, known, id="k0300")  # not in the index any more
    await put(other, known, id="zz", n=-1)
    for key in ("k0002", "k0497"):
        await other.delete(known, encode(key).order)
    entry = write_of(known, record_bytes(id="k0496", n=9005))
    (outcome,) = await other.apply(
        [ConditionalWrite(known, entry.primary_key, entry)], return_current=False, relaxed=False
    )
    assert outcome.code == 0
    span = Span(encode("k0100").order, encode("k0110").order)
    assert await other.delete_walk(Walk(known, span)) == 10
    reading = await other.begin(["s"], readonly=False, relaxed=False)
    assert await reading.count(Walk(known, EVERYTHING)) == 489
    await reading.write(write_of(known, record_bytes(id="k0495", n=9006)))
    await reading.commit()
    with pytest.raises(IndexNotFound):
        other.store("s").index("n")
    assert other.version == version, "its clients have the old schema"
    assert other.store("s") is known, "its clients have the old schema"
    gate.opened.set()
    assert await ended(one) == "done"
    assert await ids(one, "n") == await expected(one, "n")
    with pytest.raises(ObjectStoreNotFound):
        await other.get(known, encode("k0000").order)  # the service looks the store up again then
    assert other.version == version
    await put(other, known, id="k0000", n=-2)
    assert other.store("s") is not known
    assert other.version > version
    assert (await ids(other, "n"))[0] == "k0000"


async def test_all_records_are_deleted_while_the_index_is_built(engines: Engines, gate: Gate) -> None:
    one, other = engines
    await filled(one)
    await other.refresh()
    await one.change_indexes("s", [field_index("n")], [])
    await gate.reached.wait()
    await other.clear(other.store("s"))
    await put(other, other.store("s"), id="k0400", n=1)
    gate.opened.set()
    assert await ended(one) == "done"
    assert await ids(one, "n") == ["k0400"]


async def test_keys_longer_than_a_btree_takes_are_indexed(engines: Engines) -> None:
    one, _ = engines
    store = await make(one)
    long = "x" * (2 * LONGEST)
    await asyncio.gather(*(put(one, store, id=f"{long}{n:03}", u=f"{long}{n}", n=n) for n in range(300)))
    await put(one, store, id="twice", u=f"{long}7")
    await one.change_indexes("s", [field_index("u", unique=True), field_index("n")], [])
    assert await ended(one) == "failed"
    (conflict,) = (await one.migration("s")).conflicts
    assert sorted(map(key_text, conflict.primary_keys)) == ["twice", f"{long}007"]
    await one.delete(store, encode("twice").order)
    await one.change_indexes("s", [field_index("u", unique=True), field_index("n")], [])
    assert await ended(one) == "done"
    assert await ids(one, "n") == [f"{long}{n:03}" for n in range(300)]


async def test_doubles_made_elsewhere_meanwhile_are_found_and_mended_ones_are_not(engines: Engines, gate: Gate) -> None:
    one, other = engines
    store = await filled(one)
    await put(one, store, id="k0400", n=3)  # double from the beginning
    await other.refresh()
    known = other.store("s")
    await one.change_indexes("s", [field_index("n", unique=True)], [])
    await gate.reached.wait()
    await put(other, known, id="k0400", n=400)
    await put(other, known, id="k0001", n=450)
    await put(other, known, id="new", n=7)
    await other.delete(known, encode("new").order)
    gate.opened.set()
    assert await ended(other) == "failed"
    migration = await other.migration("s")
    assert "'n'" in migration.problem
    (conflict,) = migration.conflicts
    assert sorted(map(key_text, conflict.primary_keys)) == ["k0001", "k0450"]
    await put(other, known, id="again", n=450)  # nothing is enforced
    for key in ("again", "k0001"):
        await one.delete(one.store("s"), encode(key).order)
    gate.opened.clear()
    gate.reached.clear()
    gate.left = 1
    await other.change_indexes("s", [field_index("n", unique=True)], [])
    await gate.reached.wait()
    await put(one, store, id="k0000", n=450)
    await put(one, store, id="k0000", n=0)
    gate.opened.set()
    assert await ended(one) == "done"
    with pytest.raises(UniqueConflict):
        await put(other, known, id="again", n=450)
    with pytest.raises(UniqueConflict):
        await put(one, store, id="again", n=450)


async def test_a_transaction_begun_elsewhere_meets_the_new_schema(engines: Engines) -> None:
    """It has read nothing yet: what can go on does, the rest is aborted and can be tried again."""
    one, other = engines
    await filled(one, ("m", False), ("n", False))
    await other.refresh()
    known = other.store("s")

    async def begun(*values: dict[str, Any]) -> Any:
        transaction = await other.begin(["s"], readonly=False, relaxed=False)
        for row in values:
            await transaction.write(write_of(known, record_bytes(**row)))
        return transaction

    writing, walking, kept, lost = [await begun(*rows) for rows in ([{"id": "k0000", "n": 1}], [], [], [])]
    readonly = await other.begin(["s"], readonly=True, relaxed=False)
    assert await readonly.count(Walk(known, EVERYTHING, known.index("m"))) == 500
    snapshot = await other.snapshot()
    page = await snapshot.page(Walk(known, EVERYTHING, known.index("m")), None, 3)
    await one.change_indexes("s", [field_index("m", name="by_m"), field_index("o")], ["m"])
    assert await ended(one) == "done"
    await writing.commit()
    assert await walking.count(Walk(known, EVERYTHING)) == 500
    await walking.write(write_of(known, record_bytes(id="k0001", n=1, o=5)))
    await walking.commit()
    assert await kept.count(Walk(known, EVERYTHING, known.index("n"))) == 500
    await kept.delete_walk(Walk(known, EVERYTHING, known.index("n")))
    kept.abort()
    with pytest.raises(TransactionAborted, match="'m'"):
        await lost.keys(Walk(known, EVERYTHING, known.index("m"), keys_only=True))
    lost.abort()
    assert await readonly.count(Walk(known, EVERYTHING, known.index("m"))) == 500
    await readonly.commit()
    assert (await snapshot.page(Walk(known, EVERYTHING, known.index("m")), None, 3)) == page
    snapshot.close()
    assert await ids(other, "o") == ["k0001"]
    assert await ids(other, "n") == await expected(other, "n")
    known = other.store("s")
    judged, simple = await begun({"id": "a", "u": 1}), await begun()
    await one.change_indexes("s", [field_index("u", unique=True)], [])
    assert await ended(one) == "done"
    with pytest.raises(TransactionAborted, match="unique"):
        await judged.commit()
    await simple.write(write_of(known, record_bytes(id="a", u=1)))
    await simple.commit()
    with pytest.raises(UniqueConflict):
        await put(other, known, id="b", u=1)


async def test_one_builds_at_a_time(engines: Engines, gate: Gate, postgres_server: PostgresServer) -> None:
    one, other = engines
    await filled(one)
    gate.left = 0
    await one.change_indexes("s", [field_index("n")], [])
    await gate.reached.wait()
    assert (await other.migration("s")).state == "running"
    build, session = PgIndexBuild.claim, []

    async def noting(self: PgIndexBuild) -> bool:
        session.append(await build(self))
        return bool(session[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PgIndexBuild, "claim", noting)

        async def refused() -> bool | None:
            return bool(session) or None

        await eventually(refused)
    assert session[0] is False, "the other one stands by"
    gate.opened.set()
    assert await ended(other) == "done"


async def test_a_store_is_deleted_elsewhere_while_it_is_built(engines: Engines, gate: Gate) -> None:
    one, other = engines
    await filled(one)
    await other.refresh()
    await one.change_indexes("s", [field_index("n", unique=True)], [])
    await gate.reached.wait()
    await other.delete_store("s")
    await make(other, ("m", False))
    await put(other, other.store("s"), id="a", n=1)
    gate.opened.set()
    assert (await other.migration("s")).state == ""
    await one.refresh()
    assert [index.schema.name for index in one.store("s").indexes] == ["m"]

    async def over() -> bool | None:
        return not one._migrations._tasks or None

    await eventually(over)


async def test_a_record_that_cannot_be_read_ends_it(engines: Engines, postgres_server: PostgresServer) -> None:
    one, other = engines
    store = await filled(one, ("m", False))
    key = encode("k0300").order
    postgres_server.execute(f"UPDATE {one.core.db}.records_{store.data} SET value = '\\xff'::bytea WHERE key = %s", key)
    await one.change_indexes("s", [field_index("n")], ["m"])
    assert await ended(other) == "failed"
    migration = await other.migration("s")
    assert "cannot be indexed" in migration.problem
    assert migration.scanned < migration.total
    assert len(await ids(other, "m")) == 500, "the old schema stays"
    for table, column in ((f"records_{store.data}", "key"), (f"index_{store.data}_0", "pk")):
        postgres_server.execute(f"DELETE FROM {one.core.db}.{table} WHERE {column} = %s", key)
    await one.change_indexes("s", [field_index("n")], [])
    assert await ended(one) == "done"
    await one.change_indexes("s", [], ["m"])
    assert await ended(one) == "done"
    assert (await one.migration("s")).scanned == 0, "to remove an index no record need be read"
    assert len(await ids(one, "n")) == 499


async def test_what_is_no_longer_used_is_removed(engines: Engines, postgres_server: PostgresServer) -> None:
    one, _ = engines
    await filled(one, ("m", False))
    await one.change_indexes("s", [field_index("n", unique=True)], ["m"])
    assert await ended(one) == "done"

    async def tables() -> list[str] | None:
        rows = postgres_server.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", one.core.db)
        left = sorted(name for (name,) in rows if "_" in name)
        return left if len(left) == 3 else None

    number = one.store("s").data
    assert await eventually(tables) == [f"index_{number}_1", f"lock_{number}_2", f"records_{number}"]
    postgres_server.execute(f"INSERT INTO {one.core.db}.dropped VALUES ('doubles_{number}_1')")  # still to be swept up
    await one.delete_store("s")

    async def nothing() -> bool | None:
        rows = postgres_server.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", one.core.db)
        return not [name for (name,) in rows if "_" in name] or None

    await eventually(nothing)


async def test_a_database_of_format_1_is_migrated(postgres_server: PostgresServer, server: PgServer) -> None:
    name = postgres_server.new_schema()
    message = wire.ObjectStoreSchema()
    message.indexes.add(name="n", key_path=["n"])
    for sql in (
        f"CREATE SCHEMA {name}",
        f"CREATE TABLE {name}.facts (name bytea PRIMARY KEY, value bytea NOT NULL)",
        f"CREATE TABLE {name}.stores (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "name bytea NOT NULL UNIQUE, schema bytea NOT NULL)",
        f"CREATE TABLE {name}.dropped (id bigint PRIMARY KEY, indexes integer NOT NULL)",
        f"CREATE FUNCTION {name}.present(wanted bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM 1 "
        f"FROM {name}.stores WHERE id = wanted; IF NOT FOUND THEN RAISE EXCEPTION ''object store deleted'' USING "
        "ERRCODE = ''GS404''; END IF; RETURN true; END'",
        f"INSERT INTO {name}.facts VALUES ('format', '1'), ('db', '{name}')",
        f"INSERT INTO {name}.dropped VALUES (7, 2)",
        f"CREATE TABLE {name}.records_7 ()",
        f"CREATE TABLE {name}.index_7_1 ()",
    ):
        postgres_server.execute(sql)
    store = PgStore(f'"{name}"', 1, "s", StoreSchema.from_bytes(message.SerializeToString()))
    postgres_server.execute(f"INSERT INTO {name}.stores (name, schema) VALUES ('s', %s)", message.SerializeToString())
    for sql in store.create:
        postgres_server.execute(sql)
    database = await server.open(name)
    assert postgres_server.execute(f"SELECT value FROM {name}.facts WHERE name = 'format'") == [(b"%d" % FORMAT,)]
    await put(database, database.store("s"), id="a", n=1)
    assert await ids(database, "n") == ["a"]
    await database.change_indexes("s", [field_index("m")], ["n"])
    assert await ended(database) == "done"
    await put(database, database.store("s"), id="b", m=1)
    assert await ids(database, "m") == ["b"]

    async def swept() -> bool | None:
        return (
            not postgres_server.execute(f"SELECT 1 FROM pg_tables WHERE schemaname = '{name}' AND tablename ~ '_7'")
            or None
        )

    await eventually(swept)
    await database.close()
    assert (await check_server(postgres_server.dsn))[name] == []


@pytest.mark.parametrize("way", ["unary", "cursor", "page", "transaction"])
async def test_an_index_that_another_process_added_is_there_at_once(pair: Pair, way: str) -> None:
    one, other = pair
    await one.create("s")
    await one.put("s", id="a", n=1)
    assert (await other.call("Count", pb.ObjectStoreRangeRequest(store="s"))).count == 1, "it knows the store"
    await one.schemas.ChangeIndexes(schemas_pb2.ChangeIndexesRequest(store="s", add=[index("by_n", "n")]))

    async def done() -> bool | None:
        migration = await one.schemas.GetMigration(schemas_pb2.GetMigrationRequest(store="s"))
        return migration.state == DONE or None

    await eventually(done)
    if way == "unary":
        assert await other.index_keys("s", "by_n", 1) == ["a"]
    elif way == "cursor":
        cursor = await other.cursor("s", pb.OpenCursorRequest(index="by_n"))
        assert (await cursor.next()).entry.primary_key == "a"
    elif way == "page":
        page = await other.batch.GetPage(batch_pb2.GetPageRequest(store="s", index="by_n"))
        assert [entry.primary_key for entry in page.entries] == ["a"]
    else:
        request = pb.IndexQueryRequest(store="s", index="by_n")
        transaction = await other.transaction("s")
        answer = await transaction.attempt("index_get_all_keys", request)
        if answer.error.code:  # it began with the old indexes: the next one has the new ones
            assert answer.error.code == ABORTED
            assert "try again" in answer.error.message
            transaction = await other.transaction("s")
            answer = await transaction.attempt("index_get_all_keys", request)
        assert list(answer.keys.keys) == ["a"]


async def test_one_process_begins_is_killed_and_another_completes(
    pair: Pair, start: Start, shared_db: str, postgres_server: PostgresServer
) -> None:
    one, other = pair
    await one.create("s", index("old", "m"))
    total = 4000
    for first in range(0, total, 1000):
        entries = [
            batch_pb2.ApplyEntry(store="s", put=record(id=f"k{n:05}", n=n, m=n % 9)) for n in range(first, first + 1000)
        ]
        await one.batch.Apply(batch_pb2.ApplyRequest(entries=entries))
    doomed = start(schema=shared_db)
    service = Service(doomed.socket)
    assert await service.index_keys("s", "old", 3), "it has the schema cached"
    stop = asyncio.Event()
    writes = {"doomed": 0, "one": 0, "other": 0}

    async def client(name: str, target: Service, seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            writes[name] += 1
            key = f"k{chance.randrange(total):05}"
            try:
                if seed % 2:
                    await target.put("s", id=key, n=chance.randrange(total), m=1, by=name)
                    await target.call("Delete", pb.ObjectStoreRequest(store="s", id=f"k{chance.randrange(total):05}"))
                else:
                    for attempt in range(1, 6):
                        transaction = await target.transaction("s")
                        await transaction.put("s", id=key, n=chance.randrange(total), by=name)
                        await transaction.put("s", id=f"t{chance.randrange(50)}", n=7)
                        error = await transaction.commit()
                        if not error.code:
                            break
                        # The server may see a conflict where one transaction began just as the other had ended; the
                        # client tries again then, and must get through soon.
                        assert error.code == ABORTED, error
                        assert attempt < 5, error
            except (Broken, grpc.aio.AioRpcError):
                if target is not service:
                    raise
                return  # the process is gone

    clients = [
        asyncio.ensure_future(client(name, target, seed))
        for seed, (name, target) in enumerate(
            [("doomed", service), ("doomed", service), ("one", one), ("one", one), ("other", other), ("other", other)]
        )
    ]
    request = schemas_pb2.ChangeIndexesRequest(
        store="s", add=[index("by_n", "n"), index("by_both", "m", "n")], remove=["old"]
    )
    assert (await service.schemas.ChangeIndexes(request)).state == RUNNING
    look = schemas_pb2.GetMigrationRequest(store="s")

    async def midway() -> Any:
        migration = await other.schemas.GetMigration(look)
        assert migration.state == RUNNING
        return migration if migration.records_read >= 400 else None

    await eventually(midway, within_s=30)
    doomed.stop(signal.SIGKILL)
    left = await other.schemas.GetMigration(look)
    assert left.state == RUNNING
    assert left.records_read < total
    assert await one.refused("IndexCount", pb.IndexQueryRequest(store="s", index="by_n")) == (
        Code.NOT_FOUND,
        "index not found: by_n",
    )

    async def over() -> Any:
        migration = await one.schemas.GetMigration(look)
        return None if migration.state == RUNNING else migration

    try:
        migration = await eventually(over, within_s=60)
        assert migration.state == DONE
        for target in pair:
            await target.index_keys("s", "by_n", 5)
            code, text = await target.refused("IndexCount", pb.IndexQueryRequest(store="s", index="old"))
            assert (code, text) == (Code.NOT_FOUND, "index not found: old")
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*clients), 30)
        await service.close()
    assert all(writes.values())
    answer = await one.call("GetAll", pb.ObjectStoreRangeRequest(store="s"))
    rows = sorted((item.fields["n"].int_value, item.fields["id"].string_value) for item in answer.records)
    assert await other.index_keys("s", "by_n") == [key for _, key in rows]
    assert (await check_server(postgres_server.dsn))[shared_db] == []
