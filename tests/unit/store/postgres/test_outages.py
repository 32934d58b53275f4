"""The server goes away and comes back; connections die, run out, or are refused. Nothing secret is ever shown."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from gestalt_store.config import read_config
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.errors import ConfigInvalid, DatabaseUnusable, StorageUnavailable
from gestalt_store.postgres.formats import FORMAT, schema_name
from gestalt_store.postgres.pool import describe
from gestalt_store.postgres.server import PgServer

from gestalt_host.verification.suites.indexeddb.client import Code, Refused
from gestalt_host.verification.suites.indexeddb.messages import record
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.postgres import PASSWORD, PostgresServer
from tests.support.rigs.postgres_store import LIMITS, Start
from tests.support.rigs.store import Service
from tests.support.waiting import eventually


async def test_calls_fail_while_the_server_is_away_and_work_when_it_is_back(
    postgres_server: PostgresServer, start: Start
) -> None:
    service = Service(start().socket)
    await service.create("s")
    await service.create("other")
    await service.put("s", id="a", n=1)
    cursor = await service.cursor("s")
    for number in range(20):
        await service.put("s", id=f"b{number:02}", n=1)
    walking = await service.cursor("s")
    transaction = await service.transaction("s")
    await transaction.put("s", id="lost")
    await transaction.all("s")
    postgres_server.stop("immediate")
    try:
        code, text = await service.refused("Get", pb.ObjectStoreRequest(store="s", id="a"))
        assert code == Code.UNAVAILABLE
        assert "PostgreSQL" in text
        code, _ = await service.refused("Put", pb.RecordRequest(store="other", record=record(id="b")))
        assert code == Code.UNAVAILABLE
        answer = await transaction.attempt("get_all", pb.ObjectStoreRangeRequest(store="s"))
        assert answer.error.code == Code.UNAVAILABLE.value[0]
        assert "nothing was written" in answer.error.message
    finally:
        postgres_server.start()

    async def back() -> bool | None:
        try:
            return (await service.get("s", "a"))["n"] == 1
        except Refused as error:
            assert error.code() == Code.UNAVAILABLE
            return None

    await eventually(back)
    assert "lost" not in await service.keys("s")
    assert (await cursor.next()).entry.primary_key == "a", "it has all its entries already"
    for _ in range(8):
        assert (await walking.next()).WhichOneof("result") == "entry"
    await walking.send(pb.CursorClientMessage(command=pb.CursorCommand(next=True)))
    assert (await walking.ended())[0] == Code.ABORTED
    await service.put("s", id="after")
    await service.close()


async def test_connections_that_died_while_idle_are_replaced_unseen(
    postgres_server: PostgresServer, start: Start
) -> None:
    service = Service(start().socket)
    await service.create("s")
    await service.put("s", id="a", n=1)

    async def gone() -> bool | None:
        ours = "FROM pg_stat_activity WHERE application_name = 'gestalt indexeddb'"
        return None if postgres_server.execute(f"SELECT pg_terminate_backend(pid) {ours}") else True

    async def kill() -> None:
        await eventually(gone)

    await kill()
    assert (await service.get("s", "a"))["n"] == 1
    await kill()
    await service.put("s", id="b", n=2)
    await kill()
    transaction = await service.transaction("s")
    assert len(await transaction.all("s")) == 2
    assert not (await transaction.commit()).code
    await kill()
    assert await (await service.cursor("s")).keys() == ["a", "b"]
    await kill()
    readonly = await service.transaction("s", mode=0)
    assert len(await readonly.all("s")) == 2
    await service.close()


async def test_a_read_only_server_refuses_writes_and_serves_reads(
    postgres_server: PostgresServer, start: Start
) -> None:
    service = Service(start().socket)
    await service.create("s")
    await service.put("s", id="a")
    postgres_server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    postgres_server.execute("SELECT pg_reload_conf()")

    async def refused() -> str | None:
        try:
            await service.put("s", id="b")
        except Refused as error:
            assert error.code() == Code.UNAVAILABLE
            return error.details()
        return None

    try:
        assert "read-only" in await eventually(refused)
        assert await service.keys("s") in (["a"], ["a", "b"])
    finally:
        postgres_server.execute("ALTER SYSTEM RESET ALL")
        postgres_server.execute("SELECT pg_reload_conf()")

    async def accepted() -> bool | None:
        return None if await refused() else True

    await eventually(accepted)
    await service.close()


async def test_too_many_open_transactions_leave_single_calls_their_connections(
    postgres_server: PostgresServer, start: Start
) -> None:
    process = start(limits={"connections": 8, "lock_wait_s": 0.5})  # of the four to be kept, half for one scope
    service = Service(process.socket)
    for number in range(3):
        await service.create(f"s{number}")
    held = []
    for number in range(2):
        held.append(await service.transaction(f"s{number}"))
        await held[-1].all(f"s{number}")
    third = await service.transaction("s2")
    answer = await third.attempt("get_all", pb.ObjectStoreRangeRequest(store="s2"))
    assert answer.error.code == Code.RESOURCE_EXHAUSTED.value[0]
    assert "limits.connections is 8" in answer.error.message
    await service.put("s2", id="a")
    assert await service.keys("s2") == ["a"]
    await held[0].abort()
    again = await service.transaction("s2")
    assert len(await again.all("s2")) == 1
    await service.close()


async def test_a_wrong_password_is_refused_and_never_shown(postgres_server: PostgresServer, start: Start) -> None:
    secret = "open-sesame-4711"
    process = start(configure=False, dsn=postgres_server.tcp_dsn(secret))
    with pytest.raises(grpc.RpcError) as refused:
        process.configure(process.config)
    text = refused.value.details()
    assert "authentication failed" in text
    assert "127.0.0.1" in text
    assert secret not in text
    process.configure({"dsn": postgres_server.tcp_dsn(), "schema": postgres_server.new_schema()})
    service = Service(process.socket)
    await service.create("s")
    await service.put("s", id="a")
    for bad in (f"postgresql://u:{secret}@h/x?nonsense=1", f"postgresql://u:{secret}@[h/x", {"dsn": secret}):
        with pytest.raises(grpc.RpcError) as refused:
            process.configure({"dsn": bad})
        text = refused.value.details()
        assert "postgresql://[USER[:PASSWORD]@]" in text
        assert secret not in text
        assert await service.keys("s") == ["a"], "the earlier configuration stays in force"
    await service.close()
    process.stop()
    assert secret not in process.log()
    assert PASSWORD not in process.log()


async def test_a_refused_configuration_leaves_the_earlier_one_in_force(
    postgres_server: PostgresServer, start: Start
) -> None:
    process = start()
    service = Service(process.socket)
    await service.create("s")
    await service.put("s", id="a")
    refused: list[dict[str, object]] = [
        {"dsn": "postgresql://nobody@/none?host=/nowhere"},
        {"dsn": postgres_server.tcp_dsn("wrong")},
        {"dsn": "postgresql://%%%"},
        {**process.config, "limits": {"connections": 1}},
        {**process.config, "schema": 7},
    ]
    for config in refused:
        with pytest.raises(grpc.RpcError, match="configure provider: "):
            process.configure(config)
        assert await service.keys("s") == ["a"]
    await service.close()


async def test_an_unknown_database_and_an_absent_server_are_told_apart(postgres_server: PostgresServer) -> None:
    server = PgServer(postgres_server.dsn.replace("/postgres?", "/nowhere?"), LIMITS)
    with pytest.raises(DatabaseUnusable, match="nowhere"):
        await server.open("x")
    await server.close()
    server = PgServer("postgresql://u:secret@127.0.0.1:1/x", LIMITS)
    with pytest.raises(StorageUnavailable) as refused:
        await server.open("x")
    assert "127.0.0.1:1" in str(refused.value)
    assert "secret" not in str(refused.value)
    await server.close()


def test_a_configuration_keeps_its_dsn_out_of_its_text() -> None:
    config, _ = read_config({"dsn": "postgresql://me:hidden@db.example:5433/state", "limits": {"connections": 20}})
    assert config.conninfo is not None
    assert "hidden" not in repr(config)
    assert config.limits == StoreLimits(connections=20)
    assert describe(config.conninfo) == "PostgreSQL database 'state' on db.example:5433"
    for connections in (5, 2000, 7.5, True, "10"):
        with pytest.raises(ConfigInvalid, match=r"limits\.connections"):
            read_config({"dsn": "postgresql:///x", "limits": {"connections": connections}})


def test_every_name_of_a_database_gives_a_schema_of_its_own() -> None:
    names = ["", "roadmap", "pg_catalog", "information_schema", "x" * 63, "x" * 64, "x" * 65, "ü" * 40, 'a"b', "50%"]
    schemas = [schema_name(name) for name in names]
    assert len(set(schemas)) == len(names)
    assert all(len(schema.encode()) <= 63 and not schema.startswith("pg_") for schema in schemas)
    assert schema_name("roadmap") == "roadmap"
    with pytest.raises(DatabaseUnusable, match="NUL"):
        schema_name("a\x00b")


async def test_databases_are_schemas_and_share_nothing(postgres_server: PostgresServer, server: PgServer) -> None:
    names = ['quote " and $gestalt$ 50% %s', "pg_temp_like", "x" * 80]
    databases = await asyncio.gather(*(server.open(name) for name in names))
    from gestalt_store.values.schema import StoreSchema

    for database in databases:
        await database.create_store("same", StoreSchema((), (), "id", None))
        await database.delete_store("other")
    for database in databases:
        await database.close()
    found = {name for (name,) in postgres_server.execute("SELECT nspname FROM pg_namespace")}
    assert {schema_name(name) for name in names} <= found


async def test_schemas_of_others_and_of_newer_versions_are_refused(
    postgres_server: PostgresServer, server: PgServer
) -> None:
    foreign, ours = postgres_server.new_schema(), postgres_server.new_schema()
    postgres_server.execute(f"CREATE SCHEMA {foreign}")
    postgres_server.execute(f"CREATE TABLE {foreign}.customers (id integer)")
    with pytest.raises(DatabaseUnusable, match="another program"):
        await server.open(foreign)
    await (await server.open(ours)).close()
    postgres_server.execute(f"UPDATE {ours}.facts SET value = 'someone else' WHERE name = 'db'")
    with pytest.raises(DatabaseUnusable, match="'someone else'"):
        await server.open(ours)
    postgres_server.execute(f"UPDATE {ours}.facts SET value = '{FORMAT + 1}' WHERE name = 'format'")
    with pytest.raises(DatabaseUnusable, match=f"format {FORMAT + 1}, this version reads up to {FORMAT}"):
        await server.open(ours)


async def test_two_processes_may_create_a_schema_at_the_same_time(postgres_server: PostgresServer) -> None:
    servers = [PgServer(postgres_server.dsn, LIMITS) for _ in range(4)]
    name = postgres_server.new_schema()
    databases = await asyncio.gather(*(server.open(name) for server in servers))
    for database in databases:
        await database.close()
    for server in servers:
        await server.close()
