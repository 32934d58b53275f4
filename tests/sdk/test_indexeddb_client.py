"""The IndexedDB client against a store without extensions: the plain service and every fallback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gestalt_sdk.environment import Address
from gestalt_sdk.indexeddb import (
    AlreadyExists,
    Condition,
    Entry,
    IndexedDB,
    IndexSchema,
    KeyRange,
    NotFound,
    ObjectStoreSchema,
    StoreRefused,
    StoreUnavailable,
    TransactionFailed,
)
from tests.support.memory_store import MemoryStore, serve_memory_store


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def db(memory: MemoryStore, tmp_path: Path) -> AsyncIterator[IndexedDB]:
    server = await serve_memory_store(memory, tmp_path / "s")
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 's'}"), timeout_s=5) as client:
        schema = ObjectStoreSchema([IndexSchema("by_kind", ["kind"]), IndexSchema("by_mail", ["mail"], unique=True)])
        await client.create_object_store("items", schema)
        await client.create_object_store("other")
        memory.calls.clear()
        yield client
    await server.stop(0)


async def fill(db: IndexedDB, count: int) -> None:
    async with db.transaction(["items"], "readwrite") as tx:
        for n in range(count):
            tx.store("items").put({"id": f"{n:03d}", "kind": "odd" if n % 2 else "even", "n": n})


async def test_unary_calls_read_back_what_they_wrote(db: IndexedDB) -> None:
    items = db.store("items")
    await items.put({"id": "a", "kind": "x", "n": 1, "f": 1.0, "none": None, "list": [1, {"b": True}]})
    record = await items.get("a")
    assert record == {"id": "a", "kind": "x", "n": 1, "f": 1.0, "none": None, "list": [1, {"b": True}]}
    assert type(record["n"]) is int and type(record["f"]) is float
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


async def test_a_transaction_sends_its_frames_without_waiting(db: IndexedDB, memory: MemoryStore) -> None:
    async with db.transaction(["items", "other"], "readwrite") as tx:
        items = tx.store("items")
        answers = [items.put({"id": str(n), "kind": "k"}) for n in range(3)]
        count, found, absent = items.count(), items.find("1"), tx.store("other").find("1")
        keys = items.index("by_kind").get_all_keys("k")
        await asyncio.gather(*answers)
        assert (await count, (await found or {})["id"], await absent, await keys) == (3, "1", None, ["0", "1", "2"])
    assert memory.frames == ["begin", *["operation"] * 7, "commit"]
    assert await db.store("items").count() == 3


async def test_a_failed_operation_fails_everything_behind_it_and_the_commit(db: IndexedDB) -> None:
    await db.store("items").put({"id": "taken"})
    with pytest.raises(AlreadyExists):
        async with db.transaction(["items"], "readwrite") as tx:
            items = tx.store("items")
            before, failing, behind = items.put({"id": "x"}), items.add({"id": "taken"}), items.put({"id": "y"})
            await before
            with pytest.raises(AlreadyExists):
                await failing
            with pytest.raises(TransactionFailed, match="already finished: already exists"):
                await behind
            with pytest.raises(TransactionFailed):
                await items.count()
    assert await db.store("items").get_all_keys() == ["taken"]


async def test_an_unawaited_failure_surfaces_at_commit(db: IndexedDB) -> None:
    with pytest.raises(NotFound):
        async with db.transaction(["items"], "readonly") as tx:
            tx.store("items").get("absent")
    with pytest.raises(TransactionFailed) as failed:
        async with db.transaction(["items"], "readonly") as tx:
            tx.store("items").put({"id": "x"})
    assert failed.value.code == "FAILED_PRECONDITION"


async def test_a_block_that_raises_rolls_back(db: IndexedDB, memory: MemoryStore) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        async with db.transaction(["items"], "readwrite") as tx:
            await tx.store("items").put({"id": "x"})
            raise RuntimeError("stop")
    assert memory.frames[-1] == "abort"
    assert await db.store("items").count() == 0


async def test_a_missing_store_at_begin_is_not_found(db: IndexedDB) -> None:
    with pytest.raises(NotFound, match="object store not found: nowhere"):
        async with db.transaction(["nowhere"]) as tx:
            await tx.store("nowhere").count()
    with pytest.raises(NotFound):
        async with db.transaction(["nowhere"]):
            pass


async def test_a_finished_transaction_refuses_calls(db: IndexedDB) -> None:
    async with db.transaction(["items"]) as tx:
        await tx.commit()
        with pytest.raises(TransactionFailed, match="already finished"):
            tx.store("items").count()
    with pytest.raises(TransactionFailed, match="has not begun"):
        db.transaction(["items"]).store("items").count()


async def test_a_commit_error_is_transaction_failed(db: IndexedDB, memory: MemoryStore) -> None:
    memory.commit_error = (10, "conflict")
    with pytest.raises(TransactionFailed, match="conflict") as failed:
        async with db.transaction(["items"], "readwrite") as tx:
            await tx.store("items").put({"id": "x"})
    assert failed.value.code == "ABORTED"


async def test_a_silent_store_is_unavailable_after_the_deadline(memory: MemoryStore, tmp_path: Path) -> None:
    server = await serve_memory_store(memory, tmp_path / "s")
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 's'}"), timeout_s=0.3) as client:
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
    await server.stop(0)


async def test_no_store_is_unavailable_at_once(tmp_path: Path) -> None:
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 'none'}")) as client:
        with pytest.raises(StoreUnavailable):
            await client.store("items").get("x")
        with pytest.raises(StoreUnavailable):
            async with client.transaction(["items"]) as tx:
                await tx.store("items").count()
        with pytest.raises(StoreUnavailable):
            async with client.store("items").cursor():
                pass


async def test_cancelling_the_caller_rolls_back(db: IndexedDB, memory: MemoryStore) -> None:
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
async def test_a_cursor_gives_every_entry_in_order(db: IndexedDB, memory: MemoryStore, prefetch: int) -> None:
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


async def test_cursor_commands(db: IndexedDB) -> None:
    await fill(db, 8)
    async with db.store("items").cursor() as cursor:
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
    assert await db.store("items").find("004") is None
    with pytest.raises(NotFound):
        async with db.store("items").index("nope").cursor():
            pass
    async with db.store("items").cursor(prefetch=2) as cursor:
        with pytest.raises(ValueError, match="moves by next only"):
            await cursor.advance(1)


async def test_apply_on_a_plain_store_is_one_transaction(db: IndexedDB, memory: MemoryStore) -> None:
    await db.store("items").put({"id": "a", "n": 1})
    memory.calls.clear()
    outcomes = await db.apply(
        [
            Entry("items", "put", {"id": "a", "n": 2}, conditions=[Condition.equals("n", 1)]),
            Entry("items", "put", {"id": "a", "n": 3}, conditions=[Condition.equals("n", 1)]),
            Entry("items", "add", {"id": "a"}),
            Entry("items", "add", {"id": "b", "x": None}),
            Entry("items", "check", id="b", conditions=[Condition.equals("x", None), Condition(absent=False)]),
            Entry("other", "delete", id="z", conditions=[Condition(absent=True, store="items", id="zz")]),
        ],
        return_current=True,
    )
    assert [outcome.code for outcome in outcomes] == ["ok", "aborted", "already_exists", "ok", "ok", "ok"]
    assert outcomes[1].current == {"id": "a", "n": 2} and outcomes[2].current == {"id": "a", "n": 2}
    assert memory.calls == {"Transaction": 1} and not db.batched
    assert await db.get_many("items", ["b", "nope", "a"]) == {"b": {"id": "b", "x": None}, "a": {"id": "a", "n": 2}}
    with pytest.raises(AlreadyExists):
        outcomes[2].require()


async def test_a_required_entry_stops_all(db: IndexedDB) -> None:
    outcomes = await db.apply(
        [
            Entry("items", "put", {"id": "a"}),
            Entry("items", "check", id="lock", conditions=[Condition(absent=False)], required=True),
        ]
    )
    assert [outcome.code for outcome in outcomes] == ["aborted", "aborted"]
    assert await db.store("items").count() == 0


async def test_a_unique_conflict_fails_its_own_entry_only(db: IndexedDB) -> None:
    await db.store("items").put({"id": "a", "mail": "m1"})
    outcomes = await db.apply(
        [
            Entry("items", "put", {"id": "b", "mail": "m2"}),
            Entry("items", "put", {"id": "c", "mail": "m1"}),
            Entry("items", "add", {"id": "d", "mail": "m2"}),
            Entry("items", "add", {"id": "e", "mail": "m3"}),
        ]
    )
    assert [outcome.code for outcome in outcomes] == ["ok", "already_exists", "already_exists", "ok"]
    assert await db.store("items").get_all_keys() == ["a", "b", "e"]


@pytest.mark.parametrize("direction", ["next", "prev", "nextunique"])
async def test_pages_of_a_store_cover_it(db: IndexedDB, direction: str) -> None:
    await fill(db, 10)
    keys, token, sizes = [], b"", []
    while True:
        page = await db.store("items").page(limit=4, token=token, direction=direction)  # type: ignore[arg-type]
        keys += [entry.primary_key for entry in page.entries]
        sizes.append(len(page.entries))
        token = page.next_token
        if not token:
            break
        await db.store("items").delete(keys[-1])  # the next page does not need the record that the token names
    expected = [f"{n:03d}" for n in range(10)]
    assert keys == (expected[::-1] if direction == "prev" else expected)
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("direction", ["next", "prev"])
async def test_pages_of_an_index_split_equal_keys(db: IndexedDB, direction: str) -> None:
    await fill(db, 10)
    keys, token = [], b""
    while True:
        page = await db.store("items").index("by_kind").page(limit=3, token=token, direction=direction)  # type: ignore[arg-type]
        keys += [(entry.key, entry.primary_key) for entry in page.entries]
        token = page.next_token
        if not token:
            break
        await db.store("items").delete(keys[-1][1])
    expected = [(["even"], f"{n:03d}") for n in range(0, 10, 2)] + [(["odd"], f"{n:03d}") for n in range(1, 10, 2)]
    assert keys == (expected[::-1] if direction == "prev" else expected)


async def test_a_page_token_of_somebody_else_is_refused(db: IndexedDB) -> None:
    for token in (b"\xff\xff", b"\n"):
        with pytest.raises(StoreRefused, match="page_token"):
            await db.store("items").page(token=token)
