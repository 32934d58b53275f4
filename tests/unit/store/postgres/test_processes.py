"""Two store processes on one database answer as one would: stores, locks, lost updates, serial order, conditions."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from typing import Any

import grpc
import pytest
from gestalt_store.postgres.check import check_server

from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.suites.indexeddb.client import Code, Refused
from gestalt_host.verification.suites.indexeddb.messages import fields, index, record
from gestalt_sdk.gen.extension.v1 import batch_pb2, schemas_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.nightly import at_night
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.postgres_store import Start
from tests.support.rigs.store import Service
from tests.support.serial_order import Committed, serial_order
from tests.support.waiting import eventually, observed_for

Pair = tuple[Service, Service]
ABORTED = Code.ABORTED.value[0]
TRANSACTIONS = at_night(150, otherwise=15)


async def test_stores_made_elsewhere_are_there_at_once(pair: Pair) -> None:
    one, other = pair
    await one.create("made", index("n", "n"))
    await other.put("made", id="a", n=1)
    assert await one.index_keys("made", "n", 1) == ["a"]
    await other.create("made", index("n", "n"))
    code, text = await other.refused("CreateObjectStore", pb.CreateObjectStoreRequest(name="made"))
    assert code == Code.FAILED_PRECONDITION
    assert "schema does not match" in text
    await one.create("walked")
    await one.put("walked", id="x")
    assert await (await other.cursor("walked")).keys() == ["x"]
    await one.create("in a transaction")
    transaction = await other.transaction("in a transaction")
    await transaction.put("in a transaction", id="t")
    assert not (await transaction.commit()).code
    assert await one.keys("in a transaction") == ["t"]


@pytest.mark.parametrize("method", ["Get", "GetAll", "Count", "Put", "Delete", "Clear", "OpenCursor", "Transaction"])
async def test_stores_deleted_elsewhere_are_gone_at_once(pair: Pair, method: str) -> None:
    one, other = pair
    await one.create("s")
    await other.put("s", id="a")
    await one.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name="s"))
    if method == "OpenCursor":
        stream = other.opening_cursor()
        await stream.send(pb.CursorClientMessage(open=pb.OpenCursorRequest(store="s")))
        code, text = await stream.ended()
    elif method == "Transaction":
        transaction = other.opening_transaction()
        begin = pb.BeginTransactionRequest(stores=["s"])
        await transaction.send(pb.TransactionClientMessage(begin=begin))
        code, text = await transaction.ended()
    else:
        requests: dict[str, Any] = {
            "Put": pb.RecordRequest(store="s", record=record(id="b")),
            "Clear": pb.ObjectStoreNameRequest(store="s"),
            "GetAll": pb.ObjectStoreRangeRequest(store="s"),
            "Count": pb.ObjectStoreRangeRequest(store="s"),
        }
        code, text = await other.refused(method, requests.get(method, pb.ObjectStoreRequest(store="s", id="a")))
    assert code == Code.NOT_FOUND
    assert "object store not found: s" in text


async def test_a_store_made_again_elsewhere_is_the_new_one(pair: Pair) -> None:
    one, other = pair
    await one.create("s", index("n", "n"))
    await other.put("s", id="old", n=1)
    await one.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name="s"))
    await one.create("s", index("m", "m"))
    assert await other.keys("s") == []
    await one.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name="s"))
    await one.create("s", index("m", "m"))
    await other.put("s", id="new", m=2)
    assert await one.index_keys("s", "m", 2) == ["new"]
    await one.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name="s"))
    await one.create("s", index("m", "m"))
    transaction = await other.transaction("s")
    answer = await transaction.attempt("put", pb.RecordRequest(store="s", record=record(id="newer", m=3)))
    error = answer.error if answer.error.code else await transaction.commit()
    # A read-write transaction learns of it with its first statement, too late to begin again unseen.
    assert error.code == Code.NOT_FOUND.value[0]
    transaction = await other.transaction("s")
    await transaction.put("s", id="newer", m=3)
    assert not (await transaction.commit()).code


async def test_cursors_outlive_the_store_that_another_process_deletes(pair: Pair) -> None:
    one, other = pair
    await one.create("s")
    for number in range(40):
        await one.put("s", id=f"k{number:02}")
    cursor = await other.cursor("s")
    assert (await cursor.next()).entry.primary_key == "k00"
    await one.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name="s"))
    await one.create("s")
    assert len(await cursor.keys()) == 39


async def test_an_open_writer_keeps_others_of_its_stores_waiting_and_nobody_else(pair: Pair) -> None:
    one, other = pair
    for name in ("busy", "free"):
        await one.create(name)
        await one.put(name, id="a", n=0)
    transaction = await one.transaction("busy")
    await transaction.put("busy", id="a", n=1)
    await transaction.all("busy")
    assert (await other.get("busy", "a"))["n"] == 0, "readers see what is committed"
    await other.put("free", id="b", n=1)
    second = await other.transaction("free")
    await second.put("free", id="c", n=1)
    assert not (await second.commit()).code
    waiting = asyncio.ensure_future(other.put("busy", id="a", n=2))
    behind = await other.transaction("busy")
    reading = asyncio.ensure_future(behind.attempt("get", pb.ObjectStoreRequest(store="busy", id="a")))
    await observed_for(0.3)
    assert not waiting.done()
    assert not reading.done()
    assert not (await transaction.commit()).code
    assert fields((await reading).record.record)["n"] in (1, 2)
    await behind.abort()
    await waiting
    assert (await one.get("busy", "a"))["n"] == 2


async def test_waiting_for_another_process_ends_with_aborted(pair: Pair) -> None:
    one, other = pair
    await one.create("s")
    transaction = await one.transaction("s")
    await transaction.put("s", id="a")
    await transaction.all("s")
    code, text = await other.refused("Put", pb.RecordRequest(store="s", record=record(id="b")))
    assert code == Code.ABORTED
    assert "try again" in text
    second = await other.transaction("s")
    answer = await second.attempt("get_all", pb.ObjectStoreRangeRequest(store="s"))
    assert answer.error.code == ABORTED
    assert not (await transaction.commit()).code
    await other.put("s", id="b")
    assert await one.keys("s") == ["a", "b"]


async def test_a_killed_process_leaves_nothing_locked(pair: Pair, start: Start, shared_db: str) -> None:
    one, _ = pair
    await one.create("s")
    doomed = start(schema=shared_db)
    service = Service(doomed.socket)
    transaction = await service.transaction("s")
    await transaction.put("s", id="half")
    await transaction.all("s")
    doomed.stop(signal.SIGKILL)
    await one.put("s", id="whole")
    assert await one.keys("s") == ["whole"]
    await service.close()


async def test_no_update_is_lost_between_processes(pair: Pair) -> None:
    await pair[0].create("counters")
    for key in "abc":
        await pair[0].put("counters", id=key, n=0)
    added = dict.fromkeys("abc", 0)

    async def client(seed: int) -> None:
        chance = random.Random(seed)
        service = pair[seed % 2]
        for _ in range(TRANSACTIONS):
            key = chance.choice("abc")
            while True:
                transaction = await service.transaction("counters")
                answer = await transaction.attempt("get", pb.ObjectStoreRequest(store="counters", id=key))
                error = answer.error
                if not error.code:
                    n = answer.record.record.fields["n"].int_value
                    await transaction.put("counters", id=key, n=n + 1)
                    error = await transaction.commit()
                if not error.code:
                    break
                assert error.code == ABORTED, error
            added[key] += 1

    await asyncio.gather(*(client(seed) for seed in range(8)))
    assert {key: (await pair[1].get("counters", key))["n"] for key in "abc"} == added


async def change_back_and_forth(service: Service, store: str) -> None:
    """Give the store an index and take it away, until canceled."""
    unique = index("version", "never", unique=True)
    for number in itertools.count():
        request = schemas_pb2.ChangeIndexesRequest(store=store)
        if number % 2:
            request.remove.append("version")
        else:
            request.add.append(unique)
        await service.schemas.ChangeIndexes(request)

        async def over() -> bool | None:
            migration = await service.schemas.GetMigration(schemas_pb2.GetMigrationRequest(store=store))
            return None if migration.state == schemas_pb2.MIGRATION_STATE_RUNNING else True

        await eventually(over)


@pytest.mark.parametrize("migrating", [False, True])
async def test_transactions_of_two_processes_have_a_serial_order(pair: Pair, migrating: bool) -> None:
    stores = ["left", "right"]
    keys = [(store, f"k{number}") for store in stores for number in range(2)]
    for store in stores:
        await pair[0].create(store)
    for store, key in keys:
        await pair[0].put(store, id=key, version=0)
    history: list[Committed] = []
    numbers = iter(range(1, 1_000_000))

    async def attempt(service: Service, chance: random.Random) -> None:
        done = Committed(next(numbers))
        chosen = chance.sample(keys, chance.randint(1, 4))
        readonly = chance.random() < 0.25
        transaction = await service.transaction(*{store for store, _ in chosen}, mode=0 if readonly else 1)
        for store, key in chosen:
            answer = await transaction.attempt("get", pb.ObjectStoreRequest(store=store, id=key))
            if answer.error.code:
                assert answer.error.code == ABORTED, answer.error
                return
            done.read[store + key] = answer.record.record.fields["version"].int_value
        for store, key in chosen:
            if not readonly and chance.random() < 0.6:
                await transaction.put(store, id=key, version=done.id)
                done.wrote.add(store + key)
        error = await transaction.commit()
        assert error.code in (0, ABORTED), error
        if not error.code:
            history.append(done)

    async def client(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(TRANSACTIONS):
            await attempt(pair[seed % 2], chance)

    changing = [
        asyncio.ensure_future(change_back_and_forth(service, store))
        for service, store in zip(pair, stores, strict=True)
        if migrating
    ]
    await asyncio.gather(*(client(seed) for seed in range(8)))
    for task in changing:
        assert not task.done(), task.exception()
        task.cancel()
    assert len(history) > 4 * TRANSACTIONS
    order = serial_order(history)
    state = {store + key: 0 for store, key in keys}
    by_id = {transaction.id: transaction for transaction in history}
    for number in order:
        assert by_id[number].read == {key: state[key] for key in by_id[number].read}
        state.update(dict.fromkeys(by_id[number].wrote, number))


async def test_of_conditional_writes_in_two_processes_one_wins(pair: Pair) -> None:
    await pair[0].create("claims", index("slot", "slot", unique=True))

    async def claim(service: Service, key: str, owner: str) -> int:
        absent = batch_pb2.ApplyCondition(absent=True)
        entry = batch_pb2.ApplyEntry(store="claims", put=record(id=key, slot=key, owner=owner), conditions=[absent])
        answer = await service.batch.Apply(batch_pb2.ApplyRequest(entries=[entry]))
        return int(answer.outcomes[0].code)

    for number in range(20):
        codes = await asyncio.gather(*(claim(pair[side], f"k{number}", f"o{side}") for side in (0, 1, 0, 1)))
        assert sorted(codes) == [0, ABORTED, ABORTED, ABORTED]

    async def take(service: Service, key: str, slot: str) -> bool:
        try:
            await service.add("claims", id=key, slot=slot)
        except Refused as error:
            assert error.code() == Code.ALREADY_EXISTS
            return False
        return True

    for number in range(20):
        won = await asyncio.gather(*(take(pair[side], f"u{number}-{side}", f"u{number}") for side in (0, 1)))
        assert sorted(won) == [False, True]


async def test_what_two_processes_acknowledged_survives_their_end(
    postgres_server: PostgresServer, pair: Pair, start: Start, shared_db: str
) -> None:
    """SIGKILL under load: acknowledged commits are there, none by half, and every index agrees with its records."""
    await pair[0].create("pairs", index("n", "n"), index("u", "u", unique=True))
    acknowledged: dict[str, int] = {}
    attempted: dict[str, int] = {}
    for number in range(at_night(40, otherwise=4)):
        process = start(schema=shared_db)
        service = Service(process.socket)

        async def client(name: str, service: Service = service) -> None:
            while True:
                value = attempted[name] = attempted.get(name, 0) + 1
                rows = [{"id": f"{name}-{half}", "n": value, "u": f"{name}{half}{value}"} for half in "ab"]
                try:
                    if value % 2:
                        entries = [
                            batch_pb2.ApplyEntry(store="pairs", put=record(**row), required=True) for row in rows
                        ]
                        await service.batch.Apply(batch_pb2.ApplyRequest(entries=entries))
                    else:
                        transaction = await service.transaction("pairs")
                        for row in rows:
                            await transaction.put("pairs", **row)
                        assert not (await transaction.commit()).code
                except (Broken, grpc.aio.AioRpcError):
                    return  # the process is gone
                acknowledged[name] = value

        clients = [asyncio.ensure_future(client(f"c{position}")) for position in range(6)]
        goal = sum(acknowledged.values()) + 20 + number * 3

        async def enough(goal: int = goal) -> bool | None:
            return True if sum(acknowledged.values()) >= goal else None

        await eventually(enough, within_s=30)
        process.stop(signal.SIGKILL)
        await asyncio.wait_for(asyncio.gather(*clients), 30)
        await service.close()
        # A commit that was on its way when the process died may still be landing.
        await pair[1].put("pairs", id="settled", n=0, u=f"settled{number}")
        answer = await pair[1].call("GetAll", pb.ObjectStoreRangeRequest(store="pairs"))
        present = {item.fields["id"].string_value: item.fields["n"].int_value for item in answer.records}
        for name, value in acknowledged.items():
            assert present[f"{name}-a"] == present[f"{name}-b"], "half a transaction"
            assert value <= present[f"{name}-a"] <= attempted[name], "an acknowledged commit is missing"
    assert (await check_server(postgres_server.dsn))[shared_db] == []
