"""Changes of the indexes of a store that holds records and serves meanwhile (``IndexedDBSchemas``)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from gestalt_host.verification.suites.indexeddb.client import Code, Refused
from gestalt_host.verification.suites.indexeddb.messages import bounds, index
from gestalt_sdk.gen.extension.v1 import schemas_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import runtime_pb2_grpc
from gestalt_sdk.indexeddb import (
    IndexedDB,
    IndexSchema,
    MigrationFailed,
    MigrationsNotOffered,
    ObjectStoreSchema,
    StoreRefused,
)
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.store import LIMITS, Service, StoreProcess, command, short_folder
from tests.support.waiting import eventually

pytestmark = pytest.mark.ours("store")
BY_N = index("by_n", "n")
UNIQUE_N = index("unique_n", "n", unique=True)
RUNNING, DONE, FAILED = 1, 2, 3


@pytest.fixture(params=["sqlite", "postgres"])
def own_process(request: pytest.FixtureRequest) -> Iterator[StoreProcess]:
    """A store of the test's own on either engine, not started."""
    with short_folder() as folder:
        config: dict[str, Any] = {"dsn": f"sqlite://{folder}/store.db", "limits": LIMITS}
        if request.param == "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            config |= {"dsn": server.dsn, "schema": server.new_schema()}
        store = StoreProcess(Path(folder), config)
        yield store
        if store.process is not None:
            store.stop()


@pytest.fixture
async def service(own_process: StoreProcess) -> Any:
    own_process.start()
    made = Service(own_process.socket)
    yield made
    await made.close()


async def change(service: Service, store: str, *add: pb.IndexSchema, remove: tuple[str, ...] = ()) -> Any:
    return await service.schemas.ChangeIndexes(
        schemas_pb2.ChangeIndexesRequest(store=store, add=add, remove=remove), timeout=30
    )


async def look(service: Service, store: str) -> Any:
    return await service.schemas.GetMigration(schemas_pb2.GetMigrationRequest(store=store), timeout=30)


async def ended(service: Service, store: str) -> Any:
    async def over() -> Any:
        migration = await look(service, store)
        return None if migration.state == RUNNING else migration

    return await eventually(over, within_s=60)


async def fill(service: Service, store: str, number: int) -> None:
    for first in range(0, number, 50):
        await asyncio.gather(
            *(service.put(store, id=f"k{n:05}", n=n, group=n % 7) for n in range(first, min(first + 50, number)))
        )


async def matches(service: Service, store: str, *indexes: pb.IndexSchema) -> bool:
    try:
        await service.create(store, *indexes)
    except Refused as error:
        assert error.code() is Code.FAILED_PRECONDITION
        return False
    return True


def checked(store: StoreProcess) -> None:
    done = command("check", store.config["dsn"])
    name = store.config.get("schema")
    if name is None:
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        # Other tests have their databases on the same server.
        assert f"database {name}: sound\n" in done.stdout, done.stdout + done.stderr


async def test_an_added_index_is_filled_and_then_in_force(service: Service, own_process: StoreProcess) -> None:
    identity = await runtime_pb2_grpc.ProviderLifecycleStub(service.channel).GetProviderIdentity(Empty())
    assert "indexeddb.migrations" in identity.capabilities
    store = await service.new_store(index("by_group", "group"))
    await fill(service, store, 500)
    await service.put(store, id="without")
    assert (await look(service, store)).state == 0
    await change(service, store, BY_N)
    migration = await ended(service, store)
    assert migration.state == DONE
    assert migration.records == 501 == migration.records_read
    assert [item.name for item in migration.schema.indexes] == ["by_group", "by_n"]
    assert await service.index_keys(store, "by_n", key_range=bounds(10, 12)) == ["k00010", "k00011", "k00012"]
    assert len(await service.index_keys(store, "by_n")) == 500
    assert await matches(service, store, index("by_group", "group"), BY_N)
    assert not await matches(service, store, index("by_group", "group"))
    assert (await change(service, store, BY_N)).state == DONE
    await service.put(store, id="k00010", n=-1)
    assert (await service.index_keys(store, "by_n"))[0] == "k00010"
    checked(own_process)


async def test_writes_while_it_is_built_are_in_it(service: Service, own_process: StoreProcess) -> None:
    store = await service.new_store()
    await fill(service, store, 1500)
    stop = asyncio.Event()
    slowest = 0.0

    async def unary(name: str) -> None:
        nonlocal slowest
        number = 0
        while not stop.is_set():
            number += 1
            start = asyncio.get_running_loop().time()
            await service.put(store, id=f"k{number * 37 % 1500:05}", n=number, by=name)
            slowest = max(slowest, asyncio.get_running_loop().time() - start)
            await service.call("Delete", pb.ObjectStoreRequest(store=store, id=f"k{number * 53 % 1500:05}"))

    async def transactions() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            transaction = await service.transaction(store)
            await transaction.put(store, id=f"t{number % 100}", n=number)
            await transaction.attempt("delete", pb.ObjectStoreRequest(store=store, id=f"k{number * 11 % 1500:05}"))
            assert not (await transaction.commit()).code

    clients = [asyncio.ensure_future(unary("a")), asyncio.ensure_future(unary("b"))]
    clients.append(asyncio.ensure_future(transactions()))
    try:
        assert (await change(service, store, BY_N)).state == RUNNING
        assert (await ended(service, store)).state == DONE
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*clients), 30)
    answer = await service.call("GetAll", pb.ObjectStoreRangeRequest(store=store))
    expected = sorted((item.fields["n"].int_value, item.fields["id"].string_value) for item in answer.records)
    assert await service.index_keys(store, "by_n") == [key for _, key in expected]
    assert slowest < 5
    checked(own_process)


async def test_until_it_is_done_the_old_schema_is_in_force(service: Service) -> None:
    store = await service.new_store()
    await fill(service, store, 50)
    reader = await service.transaction(store, mode=0)
    await change(service, store, BY_N)
    # An open transaction holds up the last step only, and nobody else.
    request = pb.IndexQueryRequest(store=store, index="by_n")
    assert await service.refused("IndexCount", request) == (Code.NOT_FOUND, "index not found: by_n")
    assert await matches(service, store)
    await service.put(store, id="new", n=1000)
    other = await service.transaction(store)
    await other.put(store, id="newer", n=1001)
    assert not (await other.commit()).code
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await change(service, store, index("other", "o"))
    assert refused.value.code() is Code.FAILED_PRECONDITION
    assert (await change(service, store, BY_N)).state == RUNNING
    await reader.abort()
    assert (await ended(service, store)).state == DONE
    assert (await service.index_keys(store, "by_n"))[-2:] == ["new", "newer"]


async def test_records_with_one_key_forbid_a_unique_index(service: Service, own_process: StoreProcess) -> None:
    store = await service.new_store()
    await fill(service, store, 30)
    await service.put(store, id="double", n=7)
    await service.put(store, id="float", n=8.0)
    await change(service, store, UNIQUE_N, BY_N)
    migration = await ended(service, store)
    assert migration.state == FAILED
    assert "unique_n" in migration.problem
    (conflict,) = migration.conflicts
    assert conflict.index == "unique_n"
    assert conflict.key[0].scalar.int_value == 7
    assert sorted(conflict.primary_keys) == ["double", "k00007"]
    assert await matches(service, store)
    await service.put(store, id="double too", n=7)  # nothing is enforced
    own_process.stop(signal.SIGKILL)
    own_process.start()
    again = Service(own_process.socket)
    assert (await look(again, store)) == migration
    for key in ("double", "double too"):
        await again.call("Delete", pb.ObjectStoreRequest(store=store, id=key))
    await change(again, store, UNIQUE_N, BY_N)
    assert (await ended(again, store)).state == DONE
    request = pb.RecordRequest(store=store)
    request.record.fields["id"].string_value, request.record.fields["n"].int_value = "double", 7
    assert (await again.refused("Put", request))[0] is Code.ALREADY_EXISTS
    transaction = await again.transaction(store)
    assert (await transaction.attempt("put", request)).error.code == 6
    await again.close()
    checked(own_process)


async def test_indexes_are_removed_and_replaced(service: Service, own_process: StoreProcess) -> None:
    store = await service.new_store(index("a", "n"), index("b", "n", unique=True))
    await fill(service, store, 300)
    walked = await service.cursor(store, pb.OpenCursorRequest(index="a"))
    assert (await walked.next()).entry.primary_key == "k00000"
    await change(service, store, index("b", "group"), remove=("a", "b"))
    assert (await ended(service, store)).state == DONE
    assert len(await walked.keys()) == 299, "a cursor keeps what it was opened on"
    assert len(await service.index_keys(store, "b", 3)) == 43
    code, text = await service.refused("IndexCount", pb.IndexQueryRequest(store=store, index="a"))
    assert (code, text) == (Code.NOT_FOUND, "index not found: a")
    await service.put(store, id="same n", n=1)
    assert await matches(service, store, index("b", "group"))
    checked(own_process)


async def test_it_goes_on_after_a_kill(own_process: StoreProcess) -> None:
    own_process.start()
    service = Service(own_process.socket)
    store = await service.new_store(index("a", "n"))
    await fill(service, store, 3000)
    await change(service, store, BY_N, index("by_group", "group", "n"), remove=("a",))
    kills = 0
    for goal in (200, 1200, 2400):

        async def reached(goal: int = goal, service: Service = service) -> Any:
            migration = await look(service, store)
            return migration if migration.records_read >= goal or migration.state != RUNNING else None

        if (await eventually(reached, within_s=30)).state != RUNNING:
            break
        own_process.stop(signal.SIGKILL)
        kills += 1
        await service.close()
        own_process.start()
        service = Service(own_process.socket)
        await service.put(store, id=f"k{goal:05}", n=-goal, group=0)
        await service.put(store, id=f"after kill {goal}", n=10_000 + goal, group=0)
    assert kills
    migration = await ended(service, store)
    assert migration.state == DONE
    assert migration.records_read == migration.records == 3000
    assert len(await service.index_keys(store, "by_n")) == 3000 + kills
    assert await matches(service, store, BY_N, index("by_group", "group", "n"))
    await service.close()
    own_process.stop()
    checked(own_process)


async def test_a_store_is_deleted_while_it_is_migrated(service: Service, own_process: StoreProcess) -> None:
    store = await service.new_store()
    await fill(service, store, 1000)
    await change(service, store, BY_N)
    await service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=store))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await look(service, store)
    assert refused.value.code() is Code.NOT_FOUND
    await service.create(store)
    assert (await look(service, store)).state == 0
    await service.put(store, id="a", n=1)
    checked(own_process)


@pytest.mark.parametrize(
    ("add", "remove", "text"),
    [
        ([], (), "nothing to change"),
        ([pb.IndexSchema(name="x")], (), "key path"),
        ([index("x", "n"), index("x", "m")], (), "twice"),
        ([index("a", "other")], (), "another definition"),
    ],
)
async def test_bad_changes_are_refused(
    service: Service, add: list[pb.IndexSchema], remove: tuple[str, ...], text: str
) -> None:
    store = await service.new_store(index("a", "n"))
    with pytest.raises(grpc.aio.AioRpcError, match=text) as refused:
        await change(service, store, *add, remove=remove)
    assert refused.value.code() is Code.INVALID_ARGUMENT
    assert (await look(service, store)).state == 0


async def test_the_client_waits_for_the_end_and_says_what_went_wrong(service: Service) -> None:
    db = IndexedDB.over(service.channel)
    await db.create_object_store("s")
    for number in range(20):
        await db.store("s").put({"id": f"k{number}", "n": number, "m": number % 2})
    schema = ObjectStoreSchema((IndexSchema("by_n", ("n",)),))
    with pytest.raises(StoreRefused, match="schema does not match"):
        await db.create_object_store("s", schema)
    migration = await db.change_indexes("s", schema.indexes)
    assert migration.state == "done"
    assert migration.schema == schema
    await db.create_object_store("s", schema)
    assert await db.store("s").index("by_n").get_key(7) == "k7"
    with pytest.raises(MigrationFailed, match="unique"):
        await db.change_indexes("s", [IndexSchema("u", ["m"], unique=True)])
    assert {conflict.key for conflict in (await db.migration("s")).conflicts} == {(0,), (1,)}


async def test_a_store_that_does_not_offer_it_is_named(own_process: StoreProcess) -> None:
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{own_process.folder}/none.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{own_process.folder}/none.sock") as channel:
        with pytest.raises(MigrationsNotOffered, match=r"indexeddb\.migrations") as refused:
            await IndexedDB.over(channel).change_indexes("s", [IndexSchema("by_n", ["n"])])
        assert refused.value.code == "UNIMPLEMENTED"
    await server.stop(0)
