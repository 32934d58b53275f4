"""The IndexedDB client: against a scripted store in memory, and the same rules against the real one.

``any_db`` is the store in memory, which has no extensions, the SQLite store with its extensions, and the SQLite store
with the client's fallbacks: all three must behave alike. ``db`` is the one in memory, where a test looks at frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from gestalt_store.provider import StoreProvider

from gestalt_sdk.indexeddb import (
    AlreadyExists,
    Condition,
    ConditionFailed,
    IndexConflict,
    IndexedDB,
    IndexSchema,
    KeyRange,
    MigrationFailed,
    MigrationsNotOffered,
    NotFound,
    ObjectStoreSchema,
    StoreRefused,
    StoreUnavailable,
    TransactionFailed,
    Write,
    WriteResult,
)
from gestalt_sdk.indexeddb.convert import error_of_call
from gestalt_sdk.indexeddb.schema import Direction
from gestalt_sdk.transport.channels import SERVER_OPTIONS, open_channel
from gestalt_sdk.transport.environment import Address
from tests.support.fakes.store import ScriptedStore
from tests.support.waiting import eventually, taking


@pytest.fixture
def memory() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
async def db(memory: ScriptedStore, tmp_path: Path) -> AsyncIterator[IndexedDB]:
    async with (
        memory.serving(tmp_path / "s"),
        IndexedDB.connect(Address(f"unix:{tmp_path / 's'}"), timeout_s=5) as client,
    ):
        await create_stores(client)
        memory.calls.clear()
        yield client


SCHEMA = ObjectStoreSchema([IndexSchema("by_kind", ["kind"]), IndexSchema("by_mail", ["mail"], unique=True)])


@asynccontextmanager
async def sqlite_store(folder: Path, *, configured: bool = True) -> AsyncIterator[IndexedDB]:
    provider = StoreProvider()
    server = grpc.aio.server(options=SERVER_OPTIONS)
    provider.register(server)
    server.add_insecure_port(f"unix:{folder / 's'}")
    await server.start()
    if configured:
        await provider.configure("store", {"dsn": f"sqlite://{folder / 'state.db'}"})
    async with IndexedDB.connect(Address(f"unix:{folder / 's'}"), timeout_s=5) as client:
        yield client
    await server.stop(0)
    await provider.close()


@pytest.fixture(params=["memory", "sqlite", "sqlite without extensions"])
async def any_db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[IndexedDB]:
    if request.param == "memory":
        async with (
            ScriptedStore().serving(tmp_path / "s"),
            IndexedDB.connect(Address(f"unix:{tmp_path / 's'}"), timeout_s=5) as client,
        ):
            await create_stores(client)
            yield client
        return
    async with sqlite_store(tmp_path) as client:
        await create_stores(client)
        client._batch.served = request.param == "sqlite"
        yield client


async def create_stores(client: IndexedDB) -> None:
    await client.create_object_store("items", SCHEMA)
    await client.create_object_store("other")


async def fill(db: IndexedDB, count: int) -> None:
    async with db.transaction(["items"], "readwrite") as tx:
        for n in range(count):
            tx.store("items").put({"id": f"{n:03d}", "kind": "odd" if n % 2 else "even", "n": n})


async def test_unary_calls_read_back_what_they_wrote(any_db: IndexedDB) -> None:
    items = any_db.store("items")
    await items.put({"id": "a", "kind": "x", "n": 1, "f": 1.0, "none": None, "list": [1, {"b": True}]})
    record = await items.get("a")
    assert record == {"id": "a", "kind": "x", "n": 1, "f": 1.0, "none": None, "list": [1, {"b": True}]}
    assert type(record["n"]) is int
    assert type(record["f"]) is float
    with pytest.raises(AlreadyExists):
        await items.add({"id": "a"})
    with pytest.raises(NotFound):
        await items.get("b")
    assert await items.find("b") is None
    assert await items.get_key("a") == "a"
    await items.add({"id": "b", "kind": "y"})
    assert await items.get_all_keys(KeyRange(lower="a", lower_open=True)) == ["b"]
    assert [r["id"] for r in await items.index("by_kind").get_all("y")] == ["b"]
    assert await items.index("by_kind").find("z") is None
    assert await items.index("by_kind").get_key("x") == "a"
    assert await items.count() == 2
    assert await items.index("by_kind").delete("y") == 1
    assert await items.delete_range(KeyRange.only("a")) == 1
    await items.delete("gone")
    await items.clear()
    with pytest.raises(StoreRefused) as refused:
        await items.put({"id": " "})
    assert refused.value.code == "INVALID_ARGUMENT"


async def test_keys_and_counts_of_an_index(any_db: IndexedDB) -> None:
    items, by_kind = any_db.store("items"), any_db.store("items").index("by_kind")
    await fill(any_db, 5)
    assert await items.get_key("003") == "003"
    assert [await by_kind.get_key("odd"), await by_kind.get_all_keys("odd"), await by_kind.count()] == [
        "001",
        ["001", "003"],
        5,
    ]
    assert (await by_kind.get("odd"))["id"] == "001"
    assert await by_kind.find("none") is None
    for absent in (by_kind.get("none"), by_kind.get_key("none"), items.get_key("none")):
        with pytest.raises(NotFound):
            await absent
    async with by_kind.cursor("even", direction="prev", keys_only=True) as cursor:
        assert cursor.primary_key == ""
        assert await cursor.next() is not None
        assert (cursor.primary_key, cursor.key, cursor.value) == ("004", ["even"], None)
        await cursor.close()
        with pytest.raises(StoreUnavailable, match="not open"):
            await cursor.next()
    assert await by_kind.delete("even") == 3
    assert await items.get_all_keys() == ["001", "003"]
    await any_db.delete_object_store("items")
    await any_db.delete_object_store("items")
    with pytest.raises(NotFound):
        await items.count()


async def test_every_operation_of_a_transaction(any_db: IndexedDB) -> None:
    await fill(any_db, 4)
    async with any_db.transaction(["items"], "readwrite") as tx:
        items, by_kind = tx.store("items"), tx.store("items").index("by_kind")
        got = (items.get("000"), items.get_key("001"), items.find("none"), items.get_all(KeyRange(lower="002")))
        assert [await got[0], await got[1], await got[2]] == [{"id": "000", "kind": "even", "n": 0}, "001", None]
        assert [record["id"] for record in await got[3]] == ["002", "003"]
        found = (by_kind.get("odd"), by_kind.find("odd"), by_kind.find("none"), by_kind.get_key("odd"))
        assert [(await found[0])["id"], (await found[1] or {})["id"], await found[2], await found[3]] == [
            "001",
            "001",
            None,
            "001",
        ]
        assert [record["n"] for record in await by_kind.get_all("even")] == [0, 2]
        assert [await by_kind.get_all_keys("odd"), await by_kind.count("odd"), await items.count()] == [
            ["001", "003"],
            2,
            4,
        ]
        assert await by_kind.delete("odd") == 2
        assert await items.delete_range(KeyRange.bound("000", "002", upper_open=True)) == 1
        await items.delete("none")
        assert await items.get_all_keys() == ["002"]
        await items.clear()
        await items.add({"id": "new"})
    assert await any_db.store("items").get_all() == [{"id": "new"}]


async def test_a_record_that_a_transaction_gets_and_is_absent_aborts_it(any_db: IndexedDB) -> None:
    async def attempt(key: bool) -> None:
        async with any_db.transaction(["items"], "readwrite") as tx:
            await tx.store("items").put({"id": "x"})
            await (tx.store("items").get_key("none") if key else tx.store("items").get("none"))

    for key in (True, False):
        with pytest.raises(NotFound):
            await attempt(key)
    assert await any_db.store("items").count() == 0


async def test_a_client_over_a_channel_leaves_it_open(db: IndexedDB, tmp_path: Path) -> None:
    async with open_channel(Address(f"unix:{tmp_path / 's'}")) as channel:
        async with IndexedDB.over(channel) as client:
            await client.store("items").put({"id": "a"})
        assert await IndexedDB.over(channel).store("items").get_key("a") == "a"
        assert await client.reachable(5)


async def test_a_store_that_is_away_is_not_reachable(tmp_path: Path) -> None:
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 'none'}")) as client:
        with pytest.raises(StoreUnavailable):
            await client.store("items").count()
        assert not await client.reachable(0.05)


async def test_a_plain_store_is_not_batched_and_offers_no_migrations(db: IndexedDB) -> None:
    await db.apply([Write("items", "put", {"id": "a"})])
    assert not db.batched
    with pytest.raises(MigrationsNotOffered, match=r"does not offer indexeddb\.migrations"):
        await db.change_indexes("items", remove=["by_kind"])
    with pytest.raises(MigrationsNotOffered):
        await db.migration("items")


async def test_indexes_of_a_store_with_records_are_changed(tmp_path: Path) -> None:
    async with sqlite_store(tmp_path) as db:
        await create_stores(db)
        assert (await db.migration("items")).state == "none"
        await fill(db, 3)
        done = await db.change_indexes("items", [IndexSchema("by_n", ["n"], unique=True)], ["by_mail"])
        assert (done.state, done.records_read, done.records, done.conflicts) == ("done", 3, 3, ())
        assert [index.name for index in done.schema.indexes] == ["by_kind", "by_n"]
        assert await db.store("items").index("by_n").get_key(2) == "002"
        with pytest.raises(MigrationFailed, match="the indexes of object store 'items' stay as they were"):
            await db.change_indexes("items", [IndexSchema("one_a_kind", ["kind"], unique=True)])
        failed = await db.migration("items")
        assert failed.state == "failed"
        assert failed.conflicts == (IndexConflict("one_a_kind", ("even",), ("000", "002")),)
        begun = await db.change_indexes("items", remove=["by_n"], wait=False)
        assert begun.state in ("running", "done")


def test_what_cannot_be_a_condition_or_a_write_is_refused() -> None:
    for absent, field in ((None, ""), (True, "n")):
        with pytest.raises(ValueError, match="either absent=True/False or field=NAME"):
            Condition(absent, field)
    with pytest.raises(ValueError, match="names both its store and its id"):
        Condition(absent=True, store="other")
    with pytest.raises(ValueError, match="put needs a record"):
        Write("items", "put")
    with pytest.raises(ValueError, match="op is 'swap'; accepted are put, add, delete and check"):
        Write("items", "swap")  # type: ignore[arg-type]


def test_a_result_that_is_required_raises_what_became_of_it() -> None:
    WriteResult("ok").require()
    with pytest.raises(AlreadyExists, match="taken"):
        WriteResult("already_exists", "taken").require()
    with pytest.raises(ConditionFailed, match="does not hold"):
        WriteResult("aborted", "does not hold").require()


async def test_a_transaction_sends_its_frames_without_waiting(db: IndexedDB, memory: ScriptedStore) -> None:
    async with db.transaction(["items", "other"], "readwrite") as tx:
        items = tx.store("items")
        answers = [items.put({"id": str(n), "kind": "k"}) for n in range(3)]
        count, found, absent = items.count(), items.find("1"), tx.store("other").find("1")
        keys = items.index("by_kind").get_all_keys("k")
        await asyncio.gather(*answers)
        assert (await count, (await found or {})["id"], await absent, await keys) == (3, "1", None, ["0", "1", "2"])
    assert memory.frames == ["begin", *["operation"] * 7, "commit"]
    assert await db.store("items").count() == 3


async def test_a_failed_operation_fails_everything_behind_it_and_the_commit(any_db: IndexedDB) -> None:
    await any_db.store("items").put({"id": "taken"})

    async def attempt() -> None:
        async with any_db.transaction(["items"], "readwrite") as tx:
            items = tx.store("items")
            before, failing, behind = items.put({"id": "x"}), items.add({"id": "taken"}), items.put({"id": "y"})
            await before
            with pytest.raises(AlreadyExists):
                await failing
            with pytest.raises(TransactionFailed, match="already finished: already exists"):
                await behind
            with pytest.raises(TransactionFailed):
                await items.count()

    with pytest.raises(AlreadyExists):
        await attempt()
    assert await any_db.store("items").get_all_keys() == ["taken"]


async def test_an_unawaited_failure_surfaces_at_commit(any_db: IndexedDB) -> None:
    with pytest.raises(NotFound):
        async with any_db.transaction(["items"], "readonly") as tx:
            tx.store("items").get("absent")
    with pytest.raises(TransactionFailed) as failed:
        async with any_db.transaction(["items"], "readonly") as tx:
            tx.store("items").put({"id": "x"})
    assert failed.value.code == "FAILED_PRECONDITION"


async def test_a_block_that_raises_rolls_back(db: IndexedDB, memory: ScriptedStore) -> None:
    async def attempt() -> None:
        async with db.transaction(["items"], "readwrite") as tx:
            await tx.store("items").put({"id": "x"})
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await attempt()
    assert memory.frames[-1] == "abort"
    assert await db.store("items").count() == 0


async def test_a_missing_store_at_begin_is_not_found(any_db: IndexedDB) -> None:
    with pytest.raises(NotFound, match="object store not found: nowhere"):
        async with any_db.transaction(["nowhere"]) as tx:
            await tx.store("nowhere").count()
    with pytest.raises(NotFound):
        async with any_db.transaction(["nowhere"]):
            pass


async def test_a_finished_transaction_refuses_calls(any_db: IndexedDB) -> None:
    async with any_db.transaction(["items"]) as tx:
        await tx.commit()
        with pytest.raises(TransactionFailed, match="already finished"):
            tx.store("items").count()
    with pytest.raises(TransactionFailed, match="has not begun"):
        any_db.transaction(["items"]).store("items").count()


async def test_a_commit_error_is_transaction_failed(db: IndexedDB, memory: ScriptedStore) -> None:
    memory.commit_error = (10, "conflict")
    with pytest.raises(TransactionFailed, match="conflict") as failed:
        async with db.transaction(["items"], "readwrite") as tx:
            await tx.store("items").put({"id": "x"})
    assert failed.value.code == "ABORTED"


async def test_a_silent_store_is_unavailable_after_the_deadline(memory: ScriptedStore, tmp_path: Path) -> None:
    async with (
        memory.serving(tmp_path / "s"),
        IndexedDB.connect(Address(f"unix:{tmp_path / 's'}"), timeout_s=0.3) as client,
    ):
        await client.create_object_store("items")
        memory.hang = True
        with pytest.raises(StoreUnavailable):
            await client.store("items").get("x")
        with pytest.raises(StoreUnavailable, match="did not answer within"):
            async with client.transaction(["items"]) as tx:
                await tx.store("items").count()
        with pytest.raises(StoreUnavailable):
            async with client.transaction(["items"]) as tx:
                tx.store("items").count()


async def unary(client: IndexedDB) -> None:
    await client.create_object_store("items")


async def batched(client: IndexedDB) -> None:
    await client.apply([Write("items", "put", {"id": "x"})])


async def migrated(client: IndexedDB) -> None:
    with suppress(MigrationsNotOffered):
        await client.migration("items")


async def in_a_transaction(client: IndexedDB) -> None:
    async with client.transaction(["items"]) as tx:
        await tx.store("items").count()


async def walked(client: IndexedDB) -> None:
    async with client.store("items").cursor():
        pass


EVERY_KIND_OF_CALL = [unary, batched, migrated, in_a_transaction, walked]


@pytest.mark.parametrize("call", EVERY_KIND_OF_CALL)
async def test_a_store_that_does_not_listen_yet_is_waited_for(
    call: Callable[[IndexedDB], Coroutine[Any, Any, None]], memory: ScriptedStore, tmp_path: Path
) -> None:
    async with memory.serving(tmp_path / "first"), IndexedDB.connect(Address(f"unix:{tmp_path / 'first'}")) as client:
        await client.create_object_store("items")
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 'late'}")) as client:
        waiting = asyncio.create_task(call(client))
        await taking(1)
        assert not waiting.done()
        async with memory.serving(tmp_path / "late"):
            await waiting


@pytest.mark.parametrize("call", EVERY_KIND_OF_CALL)
async def test_no_store_is_unavailable_after_the_deadline(
    call: Callable[[IndexedDB], Awaitable[None]], tmp_path: Path
) -> None:
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 'none'}"), timeout_s=0.3) as client:
        with pytest.raises(StoreUnavailable):
            await call(client)


@pytest.mark.parametrize("call", EVERY_KIND_OF_CALL)
async def test_a_store_that_has_gone_is_not_waited_for(
    call: Callable[[IndexedDB], Awaitable[None]], memory: ScriptedStore, tmp_path: Path
) -> None:
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 's'}"), timeout_s=300) as client:
        async with memory.serving(tmp_path / "s"):
            await client.create_object_store("items")
            await client.create_object_store("items")
        (tmp_path / "s").unlink(missing_ok=True)
        with pytest.raises(StoreUnavailable) as gone:
            await call(client)
        assert str(gone.value) == "the store cannot be reached: No such file or directory"


async def test_a_store_that_is_not_configured_yet_is_unavailable_not_refusing(tmp_path: Path) -> None:
    async with sqlite_store(tmp_path, configured=False) as client:
        with pytest.raises(StoreUnavailable, match="not configured"):
            await client.store("items").get("x")
        with pytest.raises(StoreUnavailable, match="not configured"):
            await client.apply([Write("items", "delete", id="x")])
        # On a stream the store's own words may be lost: grpc.aio drops the status that meets a write.
        with pytest.raises(StoreUnavailable, match=r"not configured|ended the stream"):
            async with client.transaction(["items"]) as tx:
                await tx.store("items").count()
        with pytest.raises(StoreUnavailable, match=r"not configured|ended the stream"):
            async with client.store("items").cursor():
                pass


async def test_a_store_that_dies_fails_what_is_under_way(memory: ScriptedStore, tmp_path: Path) -> None:
    served = memory.serving(tmp_path / "s")
    await served.__aenter__()
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 's'}"), timeout_s=5) as client:
        await client.create_object_store("items")

        async def attempt() -> None:
            async with client.transaction(["items"], "readwrite") as tx:
                await tx.store("items").put({"id": "x"})
                await served.__aexit__(None, None, None)
                tx.store("items").put({"id": "y"})

        with pytest.raises(StoreUnavailable):
            await attempt()

        async def answered() -> bool | None:
            try:
                return await client.store("items").count() == 0
            except StoreUnavailable:
                return None

        async with memory.serving(tmp_path / "s"):
            assert await eventually(answered)


async def test_cancelling_the_caller_rolls_back(db: IndexedDB, memory: ScriptedStore) -> None:
    wrote = asyncio.Event()

    async def write() -> None:
        async with db.transaction(["items"], "readwrite") as tx:
            await tx.store("items").put({"id": "x"})
            wrote.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await wrote.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.transaction(["items"]) as tx:
        await tx.store("items").count()
    assert await db.store("items").count() == 0


@pytest.mark.parametrize("prefetch", [0, 1, 4, 100])
async def test_a_cursor_gives_every_entry_in_order(db: IndexedDB, memory: ScriptedStore, prefetch: int) -> None:
    await fill(db, 10)
    memory.frames.clear()
    async with db.store("items").cursor(prefetch=prefetch) as cursor:
        seen = [(entry.key, entry.primary_key, (entry.record or {})["n"]) async for entry in cursor]
        assert await cursor.next() is None
    assert seen == [(f"{n:03d}", f"{n:03d}", n) for n in range(10)]
    assert memory.frames.count("next") == -(-10 // (prefetch + 1)) + 2
    async with db.store("items").index("by_kind").cursor("odd", direction="prev", keys_only=True) as cursor:
        assert [entry.primary_key async for entry in cursor] == ["009", "007", "005", "003", "001"]
        assert cursor.value is None


async def test_cursor_commands(any_db: IndexedDB) -> None:
    await fill(any_db, 8)
    async with any_db.store("items").cursor() as cursor:
        assert (await cursor.advance(1) or cursor).primary_key == "001"
        assert (await cursor.continue_to("004") or cursor).primary_key == "004"
        await cursor.update({"n": 40})
        assert cursor.value == {"id": "004", "n": 40}
        await cursor.delete()
        assert (await cursor.next() or cursor).primary_key == "005"
        assert cursor.key == "005"
        with pytest.raises(StoreRefused, match="must be positive"):
            await cursor.advance(0)
        with pytest.raises(StoreUnavailable):
            await cursor.next()
    assert await any_db.store("items").find("004") is None
    with pytest.raises(NotFound):
        async with any_db.store("items").index("nope").cursor():
            pass
    async with any_db.store("items").cursor(prefetch=2) as cursor:
        with pytest.raises(ValueError, match="moves by next only"):
            await cursor.advance(1)


async def test_apply_on_a_plain_store_is_one_transaction(db: IndexedDB, memory: ScriptedStore) -> None:
    outcomes = await db.apply([Write("items", "add", {"id": str(n)}) for n in range(9)])
    assert {outcome.code for outcome in outcomes} == {"ok"}
    assert memory.calls == {"Transaction": 1}
    assert not db.batched
    assert await db.apply([]) == []
    await db.apply([Write("items", "check", id="9", conditions=[Condition(absent=True)])])
    assert memory.calls == {"Transaction": 2}


async def test_each_entry_of_apply_has_its_outcome(any_db: IndexedDB) -> None:
    await any_db.store("items").put({"id": "a", "n": 1})
    outcomes = await any_db.apply(
        [
            Write("items", "put", {"id": "a", "n": 2}, conditions=[Condition.equals("n", 1)]),
            Write("items", "put", {"id": "a", "n": 3}, conditions=[Condition.equals("n", 1)]),
            Write("items", "add", {"id": "a"}),
            Write("items", "add", {"id": "b", "x": None}),
            Write("items", "check", id="b", conditions=[Condition.equals("x", None), Condition(absent=False)]),
            Write("other", "delete", id="z", conditions=[Condition(absent=True, store="items", id="zz")]),
        ],
        return_current=True,
    )
    assert [outcome.code for outcome in outcomes] == ["ok", "aborted", "already_exists", "ok", "ok", "ok"]
    assert outcomes[1].current == {"id": "a", "n": 2}
    assert outcomes[2].current == {"id": "a", "n": 2}
    found = await any_db.get_many("items", ["b", "nope", "a"])
    assert found == {"b": {"id": "b", "x": None}, "a": {"id": "a", "n": 2}}
    assert list(found) == ["b", "a"]
    with pytest.raises(AlreadyExists):
        outcomes[2].require()


async def test_a_required_entry_stops_all(any_db: IndexedDB) -> None:
    outcomes = await any_db.apply(
        [
            Write("items", "put", {"id": "a"}),
            Write("items", "check", id="lock", conditions=[Condition(absent=False)], required=True),
        ]
    )
    assert [outcome.code for outcome in outcomes] == ["aborted", "aborted"]
    assert await any_db.store("items").count() == 0


async def test_a_unique_conflict_fails_its_own_entry_only(any_db: IndexedDB) -> None:
    await any_db.store("items").put({"id": "a", "mail": "m1"})
    outcomes = await any_db.apply(
        [
            Write("items", "put", {"id": "b", "mail": "m2"}),
            Write("items", "put", {"id": "c", "mail": "m1"}),
            Write("items", "add", {"id": "d", "mail": "m2"}),
            Write("items", "add", {"id": "e", "mail": "m3"}),
        ]
    )
    assert [outcome.code for outcome in outcomes] == ["ok", "already_exists", "already_exists", "ok"]
    assert await any_db.store("items").get_all_keys() == ["a", "b", "e"]


@pytest.mark.parametrize("direction", ["next", "prev", "nextunique"])
async def test_pages_of_a_store_cover_it(any_db: IndexedDB, direction: Direction) -> None:
    await fill(any_db, 10)
    keys, token, sizes = [], b"", []
    while True:
        page = await any_db.store("items").page(limit=4, token=token, direction=direction)
        keys += [entry.primary_key for entry in page.entries]
        assert [record["id"] for record in page.records] == keys[-len(page.entries) :]
        sizes.append(len(page.entries))
        token = page.next_token
        if not token:
            break
        await any_db.store("items").delete(keys[-1])  # the next page does not need the record that the token names
    expected = [f"{n:03d}" for n in range(10)]
    assert keys == (expected[::-1] if direction == "prev" else expected)
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("direction", ["next", "prev"])
async def test_pages_of_an_index_split_equal_keys(any_db: IndexedDB, direction: Direction) -> None:
    await fill(any_db, 10)
    keys, token = [], b""
    while True:
        page = await any_db.store("items").index("by_kind").page(limit=3, token=token, direction=direction)
        keys += [(entry.key, entry.primary_key) for entry in page.entries]
        token = page.next_token
        if not token:
            break
        await any_db.store("items").delete(keys[-1][1])
    expected = [(["even"], f"{n:03d}") for n in range(0, 10, 2)] + [(["odd"], f"{n:03d}") for n in range(1, 10, 2)]
    assert keys == (expected[::-1] if direction == "prev" else expected)


async def test_a_page_token_of_somebody_else_is_refused(any_db: IndexedDB) -> None:
    for token in (b"\xff\xff", b"\n"):
        with pytest.raises(StoreRefused, match="page_token"):
            await any_db.store("items").page(token=token)


@pytest.mark.parametrize("prefetch", [1, 3, 1000])
@pytest.mark.parametrize("direction", ["next", "prev"])
async def test_prefetching_changes_only_the_number_of_frames(
    any_db: IndexedDB, prefetch: int, direction: Direction
) -> None:
    await fill(any_db, 10)
    index = any_db.store("items").index("by_kind")
    async with index.cursor("odd", direction=direction) as cursor:
        plain = [entry async for entry in cursor]
    async with index.cursor("odd", direction=direction, prefetch=prefetch) as cursor:
        assert [entry async for entry in cursor] == plain
        assert await cursor.next() is None
    assert len(plain) == 5
    assert plain[0].key == ["odd"]


@pytest.mark.parametrize(
    ("stored", "expected", "holds"),
    [
        (1, 1, True),
        (1, 2, False),
        (1.5, 1.5, True),
        (1, True, False),
        ("1", 1, False),
        (None, None, True),
        ("x", None, False),
        (None, "x", False),
        (b"x", b"x", True),
        ([1, {"a": 2}], [1, {"a": 2}], True),
        ([1], [2], False),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), True),
    ],
)
async def test_when_a_condition_on_a_field_holds(any_db: IndexedDB, stored: Any, expected: Any, holds: bool) -> None:
    await any_db.store("items").put({"id": "a", "v": stored})
    [outcome] = await any_db.apply([Write("items", "check", id="a", conditions=[Condition.equals("v", expected)])])
    assert outcome.ok == holds
    [absent] = await any_db.apply([Write("items", "check", id="b", conditions=[Condition.equals("v", expected)])])
    assert not absent.ok


async def test_a_store_that_says_what_is_missing_makes_find_precise(tmp_path: Path) -> None:
    async with sqlite_store(tmp_path) as client:
        await create_stores(client)
        assert await client.store("items").find("absent") is None
        with pytest.raises(NotFound) as missing:
            await client.store("nowhere").find("absent")
        assert missing.value.reason == "OBJECT_STORE_NOT_FOUND"
        with pytest.raises(NotFound):
            await client.store("items").index("nope").find("x")
        with pytest.raises(NotFound):
            await client.apply([Write("nowhere", "delete", id="x")])
        with pytest.raises(StoreRefused) as refused:
            await client.create_object_store("items")
        assert refused.value.code == "FAILED_PRECONDITION"


async def test_transactions_over_the_same_store_queue(tmp_path: Path) -> None:
    async with sqlite_store(tmp_path) as client:
        await create_stores(client)
        await client.store("items").put({"id": "n", "value": 0})

        async def increment() -> None:
            async with client.transaction(["items"], "readwrite") as tx:
                record = await tx.store("items").get("n")
                tx.store("items").put({**record, "value": record["value"] + 1})

        await asyncio.gather(*(increment() for _ in range(20)))
        assert (await client.store("items").get("n"))["value"] == 20


def test_a_stream_whose_status_grpc_lost_is_a_store_that_did_not_answer() -> None:
    lost = grpc.aio.AioRpcError(
        grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), details="Internal error from Core"
    )
    assert isinstance(error_of_call(lost), StoreUnavailable)
