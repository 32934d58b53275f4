"""What one scope may hold open, in streams, memory, files and connections; and that others go on meanwhile."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from gestalt_host.verification.suites.indexeddb.client import Code, Cursor, Refused
from gestalt_host.verification.suites.indexeddb.messages import record
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.nightly import at_night
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.store import Service, StoreProcess, short_folder
from tests.support.waiting import eventually

pytestmark = pytest.mark.ours("store")

MIB = 1024 * 1024
LARGE = 16 * MIB
LEAST_MIB = 200
Start: TypeAlias = Callable[..., StoreProcess]


@pytest.fixture(params=["sqlite", "postgres"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """A store of the test's own on either engine, with the limits it gives, and two scopes: ``a.sock``, ``b.sock``."""
    with ExitStack() as stack:

        def start_one(*, files: int = 0, **limits: Any) -> StoreProcess:
            folder = Path(stack.enter_context(short_folder()))
            config: dict[str, Any] = {"dsn": f"sqlite://{folder}/store.db", "limits": limits}
            if request.param == "postgres":
                server: PostgresServer = request.getfixturevalue("postgres_server")
                config |= {"dsn": server.dsn, "schema": server.new_schema()}
            store = StoreProcess(folder, config)
            stack.callback(lambda: store.process is None or store.stop())
            store.start(configure=False)
            if files:
                assert store.process is not None
                resource.prlimit(store.process.pid, resource.RLIMIT_NOFILE, (files, files))
            store.configure(config)
            for name in "ab":
                store.open_scope(f"{name}{config.get('schema', '')}", folder / f"{name}.sock")
            return store

        yield start_one


def resident(store: StoreProcess) -> int:
    """MiB of memory that the process has."""
    assert store.process is not None
    pages = int(Path(f"/proc/{store.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() // MIB


async def opened(service: Service, store: str, number: int) -> tuple[list[Cursor], list[tuple[Code, str]]]:
    """As many cursors, one after the other; and how those ended that were refused."""
    cursors: list[Cursor] = []
    refusals: list[tuple[Code, str]] = []
    for _ in range(number):
        try:
            cursors.append(await service.cursor(store))
        except Refused as error:
            refusals.append((error.code(), error.details() or ""))
    return cursors, refusals


async def both(store: StoreProcess) -> tuple[Service, Service]:
    services = Service(store.folder / "a.sock"), Service(store.folder / "b.sock")
    for service in services:
        await service.create("s")
    return services


async def fill(service: Service, number: int) -> None:
    """More records than the first page of a cursor has, so that each cursor keeps its snapshot."""
    for position in range(number):
        await service.put("s", id=f"k{position:02}")


async def used(service: Service) -> None:
    """Everything that a client does works."""
    await fill(service, 12)
    assert len(await (await service.cursor("s")).keys()) == 12
    transaction = await service.transaction("s")
    await transaction.put("s", id="t")
    assert len(await transaction.all("s")) == 13
    assert not (await transaction.commit()).code
    reader = await service.transaction("s", mode=0)
    assert len(await reader.all("s")) == 13
    await service.call("Delete", pb.ObjectStoreRequest(store="s", id="t"))
    assert len(await service.keys("s")) == 12


async def test_the_memory_of_the_open_streams_of_one_scope_is_bounded(start: Start) -> None:
    """The figures of the night: 500 cursors on a record of 16 MiB, with the usual limits, once took 8 GB."""
    most, number = at_night((256, 500), otherwise=(LEAST_MIB, 24))
    store = start(stream_memory_mib=most, open_streams=1000)
    one, other = await both(store)
    await one.put("s", id="large", v=b"x" * LARGE)
    await other.put("s", id="large", v=b"y" * LARGE)
    before = resident(store)
    cursors, refusals = await opened(one, "s", number)
    each = 32 if "schema" in store.config else 16  # libpq has a buffer of its own
    assert most // each - 2 <= len(cursors) < most / each
    assert {code for code, _ in refusals} == {Code.RESOURCE_EXHAUSTED}
    for _, text in refusals:
        assert f"limits.stream_memory_mib is {most}" in text
    assert resident(store) - before < most + 64
    assert await (await other.cursor("s")).keys() == ["large"]
    assert (await other.get("s", "large"))["v"] == b"y" * LARGE
    for cursor in cursors:
        cursor.call.cancel()

    async def given_back() -> bool | None:
        return True if resident(store) - before < 48 else None

    await eventually(given_back)
    assert await (await one.cursor("s")).keys() == ["large"]
    for service in (one, other):
        await service.close()


async def test_what_transactions_write_and_send_ahead_counts_as_memory(start: Start) -> None:
    store = start(stream_memory_mib=LEAST_MIB)
    one, other = await both(store)
    before = resident(store)
    wanted = pb.TransactionOperation(
        request_id=1, put=pb.RecordRequest(store="s", record=record(id="x", v=b"x" * LARGE))
    )
    begin = pb.TransactionClientMessage(begin=pb.BeginTransactionRequest(stores=["s"], mode=pb.TRANSACTION_READWRITE))
    holder = await one.transaction("s")
    await holder.all("s")
    waiting = [one.opening_transaction() for _ in range(30)]
    for stream in waiting:  # each waits for the holder's lock, with a frame of 16 MiB in hand
        await stream.send(
            begin,
            pb.TransactionClientMessage(
                operation=pb.TransactionOperation(request_id=1, get_all=pb.ObjectStoreRangeRequest(store="s"))
            ),
        )
        await stream.send(pb.TransactionClientMessage(operation=wanted))
    ended = await asyncio.wait_for(_first_refusals(waiting, 10), 30)
    assert {code for code, _ in ended} == {Code.RESOURCE_EXHAUSTED}
    assert all("limits.stream_memory_mib" in text for _, text in ended)

    async def only_what_is_counted() -> bool | None:  # 30 frames would be 480 MiB; those refused are let go soon after
        return True if resident(store) - before < LEAST_MIB + 128 else None

    await eventually(only_what_is_counted, within_s=30)
    await used(other)
    for service in (one, other):
        await service.close()


async def _first_refusals(streams: list[Any], number: int) -> list[tuple[Code, str]]:
    tasks = [asyncio.ensure_future(stream.ended()) for stream in streams]
    ended = []
    for task in asyncio.as_completed(tasks):
        ended.append(await task)
        if len(ended) == number:
            break
    for waiting in tasks:
        waiting.cancel()
    return ended


async def test_the_largest_record_passes_through_a_cursor_and_a_transaction_under_the_least_limit(start: Start) -> None:
    store = start(stream_memory_mib=LEAST_MIB)
    one, other = await both(store)
    size = 63 * MIB
    await one.put("s", id="a", v=b"x" * size)
    answer = await (await one.cursor("s")).next()
    assert len(answer.entry.record.fields["v"].bytes_value) == size
    del answer
    transaction = await one.transaction("s")
    await transaction.put("s", id="a", v=b"y" * size)
    assert not (await transaction.commit()).code
    assert (await one.get("s", "a"))["v"] == b"y" * size
    for service in (one, other):
        await service.close()


async def test_a_scope_has_a_limit_of_open_streams(start: Start) -> None:
    store = start(open_streams=20)
    one, other = await both(store)
    cursors, refusals = await opened(one, "s", 15)
    transactions = [await one.transaction("s", mode=0) for _ in range(5)]
    assert not refusals
    for stream in (one.opening_cursor(), one.opening_transaction()):
        code, text = await stream.ended()
        assert code is Code.RESOURCE_EXHAUSTED
        assert "limits.open_streams is 20" in text
    await used(other)
    await one.put("s", id="calls go on")
    cursors[0].call.cancel()

    async def place() -> bool | None:
        try:
            return bool(await one.cursor("s"))
        except Refused:
            return None

    await eventually(place)
    for transaction in transactions:
        await transaction.abort()
    for service in (one, other):
        await service.close()


async def test_whatever_a_client_leaves_open_ends_when_it_has_been_idle(start: Start) -> None:
    """Once only snapshots and read-write transactions did: a short cursor, a failed or a silent stream stayed."""
    store = start(transaction_idle_s=0.3, snapshot_idle_s=0.3)
    one, other = await both(store)
    short = await one.cursor("s")
    await short.next()
    await fill(one, 20)
    cursor = await one.cursor("s")
    await cursor.next()
    writer = await one.transaction("s")
    await writer.put("s", id="never")
    failed = await one.transaction("s", mode=0)
    answer = await failed.ask(failed.operation("put", pb.RecordRequest(store="s", record=record(id="x"))))
    assert answer.operation.error.code
    left: list[Any] = [
        short,
        cursor,
        writer,
        failed,
        await one.transaction("s", mode=0),
        one.opening_cursor(),
        one.opening_transaction(),
    ]
    for stream in left:
        code, text = await stream.ended()
        assert code is Code.ABORTED
        assert "idle for more than 0.3 s" in text
    assert "never" not in await one.keys("s")
    for service in (one, other):
        await service.close()


async def test_a_client_that_does_not_take_its_answers_is_ended_when_it_has_been_idle(start: Start) -> None:
    store = start(transaction_idle_s=0.5, snapshot_idle_s=0.5, open_streams=3)
    one, other = await both(store)
    for position in range(3):
        await one.put("s", id=f"k{position}", v=b"x" * LARGE)
    stuck = []
    for _ in range(3):
        cursor = await one.cursor("s")
        for _ in range(3):
            await cursor.send(pb.CursorClientMessage(command=pb.CursorCommand(next=True)))
        stuck.append(cursor)

    async def places() -> bool | None:
        try:
            return bool(await one.cursor("s"))
        except Refused:
            return None

    await eventually(places, within_s=20)
    await used(other)
    for service in (one, other):
        await service.close()


async def test_descriptors_and_connections_are_left_for_other_scopes(start: Start) -> None:
    """The figures of the night: 1 000 cursors and transactions once took every descriptor from everybody."""
    number, files = at_night((1000, 1024), otherwise=(120, 256))
    store = start(files=files, connections=10, lock_wait_s=0.5, open_streams=2000, stream_memory_mib=2000)
    one = Service(store.folder / "a.sock")
    await one.create("s")
    await fill(one, 20)
    refusals = []
    for position in range(number):
        try:
            if position % 2:
                await one.cursor("s")
            else:
                await one.transaction("s", mode=0)
        except Refused as error:
            refusals.append((error.code(), error.details() or ""))
            if len(refusals) > at_night(200, otherwise=5):
                break
    assert refusals
    key = "limits.connections is 10" if "schema" in store.config else f"RLIMIT_NOFILE is {files}"
    for code, text in refusals:
        assert code is Code.RESOURCE_EXHAUSTED
        assert key in text
        assert "left for others" in text
    other = Service(store.folder / "b.sock")  # its database is opened only now
    await other.create("s")
    await used(other)
    await used(await _third_scope(store))
    await one.put("s", id="calls go on")
    assert len(await one.keys("s")) == 21
    for service in (one, other):
        await service.close()


async def _third_scope(store: StoreProcess) -> Service:
    path = store.folder / "c.sock"
    store.open_scope(f"c{store.config.get('schema', '')}", path)
    service = Service(path)
    await service.create("s")
    return service


async def test_a_scope_that_floods_the_store_with_calls_does_not_hold_up_another(start: Start) -> None:
    """Scans take turns by scope: with one queue for all, a call of the other scope would come last."""
    store = start(connections=6, stream_memory_mib=2000)
    one, other = await both(store)
    for position in range(2):
        await one.put("s", id=f"k{position}", v=b"x" * 2 * MIB)
    await used(other)
    answered = 0

    async def flood() -> None:
        nonlocal answered
        await one.call("GetAll", pb.ObjectStoreRangeRequest(store="s"))
        answered += 1

    floods = [asyncio.ensure_future(flood()) for _ in range(60)]

    async def under_way() -> bool | None:
        return True if answered else None

    await eventually(under_way, within_s=30)
    assert len(await other.keys("s")) == 12
    assert answered < 60
    await asyncio.gather(*floods)
    for service in (one, other):
        await service.close()
