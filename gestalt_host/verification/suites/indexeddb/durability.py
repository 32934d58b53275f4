"""What outlives a process, and a provider before it is configured: rules that need its life, not its socket alone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import grpc

from gestalt_host.supervisor.launching.strays import strays_of
from gestalt_host.verification.outcomes import Broken, NotOffered, require, require_equal
from gestalt_host.verification.rules import Rule, Stage, rule
from gestalt_host.verification.subject import LOOK_S, Subject
from gestalt_host.verification.suites.indexeddb.client import Answered, Asked, Code, StoreClient, Stream
from gestalt_host.verification.suites.indexeddb.messages import index, key_column, record
from gestalt_host.verification.suites.indexeddb.rules import STORES, client_of
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

INT = 1
NAME = "kept"
CLIENTS = 4
KILLS = 3
USES = 60
"""More than the threads and connections that a provider keeps for later."""
AT_ONCE_S = 0.5
ACKNOWLEDGED = 20
"""So many commits are acknowledged before each kill."""


async def _restarted(subject: Subject, number: signal.Signals) -> None:
    subject.signal(number)
    if await subject.ended_within(subject.patience.stop_s + subject.patience.alive_s) is None:
        raise Broken(f"its process to end on {number.name}", "it still runs")
    await subject.relaunch()
    await subject.require_configured()


async def _keeps(subject: Subject, number: signal.Signals) -> None:
    """Require that stores, indexes and records of plain writes and transactions are there after a restart."""
    indexes = (index("u", "u", unique=True), index("n", "n"))
    await subject.launch()
    await subject.require_configured()
    async with client_of(subject) as store:
        await store.create(NAME, *indexes, columns=[key_column(INT)])
        await store.put(NAME, k=7, u="x", n=1)
        await store.put(NAME, k=9, u="deleted")
        transaction = await store.transaction(NAME)
        await transaction.put(NAME, k=8, u="y", n=b"\x00")
        await transaction.do("delete", pb.ObjectStoreRequest(store=NAME, id="9"))
        await transaction.committed()
        left = await store.transaction(NAME)
        await left.put(NAME, k=10, u="never committed")
        await _restarted(subject, number)
    async with client_of(subject) as store:
        await store.create(NAME, *indexes, columns=[key_column(INT)])
        expected = [{"k": 7, "u": "x", "n": 1}, {"k": 8, "u": "y", "n": b"\x00"}]
        require_equal(expected, await store.rows(NAME), f"the records after {number.name}")
        require_equal(["7", "8"], await store.index_keys(NAME, "u"), f"the index after {number.name}")
        request = pb.RecordRequest(store=NAME, record=record(k=11, u="x"))
        await store.require_refused("Add", request, Code.ALREADY_EXISTS, "unique index conflict")
        request_of_other = pb.CreateObjectStoreRequest(name=NAME)
        await store.require_refused("CreateObjectStore", request_of_other, Code.FAILED_PRECONDITION)


@rule(
    "contract.md 5.7/kept-after-sigterm",
    "What was committed is there after SIGTERM, and what was not is not",
    kinds=STORES,
    needs=Stage.CONFIGURED,
)
async def kept_after_sigterm(subject: Subject) -> None:
    await _keeps(subject, signal.SIGTERM)


@rule(
    "contract.md 5.7/kept-after-kill",
    "What was committed is there after kill -9, and what was not is not",
    kinds=STORES,
    needs=Stage.CONFIGURED,
)
async def kept_after_kill(subject: Subject) -> None:
    await _keeps(subject, signal.SIGKILL)


@rule(
    "contract.md 5.7/killed-under-load",
    "Killed while clients write, it has every commit that it acknowledged, whole, and no half of another",
    kinds=STORES,
    needs=Stage.CONFIGURED,
)
async def killed_under_load(subject: Subject) -> None:
    progress = _Progress()
    await subject.launch()
    await subject.require_configured()
    for number in range(KILLS):
        async with client_of(subject) as store:
            await store.create(NAME, index("n", "n"))
            await _killed_while_written(subject, store, progress, (number + 1) * ACKNOWLEDGED)
        async with client_of(subject) as store:
            rows = {row["id"]: row["n"] for row in await store.rows(NAME)}
            require_equal(len(rows), len(await store.index_keys(NAME, "n")), "the number of entries in the index")
            for client, last in progress.begun.items():
                halves = rows.get(f"{client}-a"), rows.get(f"{client}-b")
                require(halves[0] == halves[1], "both records of a transaction to be there", f"{client} has {halves}")
                low = progress.acknowledged.get(client, 0)
                found = halves[0] if isinstance(halves[0], int) else 0
                expected = f"a commit between {low}, which was acknowledged, and {last}, which had begun"
                require(low <= found <= last, expected, f"{client} has {found}")


class _Progress:
    """How far each client has come: the last number whose transaction it began, and whose commit was acknowledged."""

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}
        self.acknowledged: dict[str, int] = {}
        self.stopping = False

    async def write(self, store: StoreClient, client: str) -> None:
        """Write pairs of records in transactions until the process is killed."""
        while not self.stopping:
            number = self.begun.get(client, 0) + 1
            self.begun[client] = number
            try:
                transaction = await store.transaction(NAME)
                for half in "ab":
                    await transaction.put(NAME, id=f"{client}-{half}", n=number)
                if not (await transaction.commit()).code:
                    self.acknowledged[client] = number
            except Broken:
                if not self.stopping:
                    raise

    async def until(self, total: int) -> None:
        """Wait until so many commits were acknowledged."""
        while sum(self.acknowledged.values()) < total:
            await asyncio.sleep(LOOK_S)


async def _killed_while_written(subject: Subject, store: StoreClient, progress: _Progress, total: int) -> None:
    progress.stopping = False
    clients = [asyncio.ensure_future(progress.write(store, f"c{number}")) for number in range(CLIENTS)]
    enough = asyncio.ensure_future(progress.until(total))
    try:
        await asyncio.wait((enough, *clients), timeout=subject.patience.call_s, return_when=asyncio.FIRST_COMPLETED)
        for failed in (task for task in clients if task.done()):
            failed.result()
        require(enough.done(), f"{total} commits within {subject.patience.call_s:g} s", progress.acknowledged)
        progress.stopping = True
        await _restarted(subject, signal.SIGKILL)
    finally:
        progress.stopping = True
        enough.cancel()
        await asyncio.gather(enough, *clients, return_exceptions=True)


@rule(
    "contract.md 5.5/not-configured",
    "Before it is configured every call is refused, and says so",
    kinds=STORES,
)
async def not_configured(subject: Subject) -> None:
    await subject.launch()
    code = Code.FAILED_PRECONDITION
    async with client_of(subject) as store:
        await store.require_refused("Get", pb.ObjectStoreRequest(store="a", id="b"), code, "not configured")
        await store.require_refused("CreateObjectStore", pb.CreateObjectStoreRequest(name="a"), code, "not configured")
        cursor, walk = store.opening_cursor(), pb.CursorClientMessage(open=pb.OpenCursorRequest(store="a"))
        require_equal(code, await _refusal(cursor, walk), "the status of OpenCursor")
        begin = pb.TransactionClientMessage(begin=pb.BeginTransactionRequest(stores=["a"]))
        require_equal(code, await _refusal(store.opening_transaction(), begin), "the status of Transaction")


async def _refusal(stream: Stream[Asked, Answered], frame: Asked) -> grpc.StatusCode:
    """Return the code of a stream that may be refused at once, or when its first frame is there.

    A frame that is sent to a stream while it is refused makes the client's library lose the code.
    """
    ended = asyncio.ensure_future(stream.ended())
    await asyncio.wait((ended,), timeout=AT_ONCE_S)
    if not ended.done():
        await stream.send(frame)
    return (await ended)[0]


@rule(
    "contract.md 5.7/left-open",
    "Calls, cursors and transactions that have ended leave nothing open in its process",
    kinds=STORES,
    needs=Stage.CONFIGURED,
)
async def left_open(subject: Subject) -> None:
    await subject.launch()
    await subject.require_configured()
    async with client_of(subject) as store:
        await store.create(NAME)
        await _used(store, USES)  # until its pools are as large as they become
        before = _open_now(subject)
        if not before:
            raise NotOffered("what its process has open, on this machine")
        await _used(store, USES * 2)
        most = before + USES // 2
        with contextlib.suppress(TimeoutError):  # the process may still be closing the last ones
            async with asyncio.timeout(subject.patience.alive_s):
                while _open_now(subject) > most:
                    await asyncio.sleep(LOOK_S)
        what = f"at most {most} open files, sockets and threads after {USES * 2} more uses of each kind"
        seen = _open_now(subject)
        require(seen <= most, what, f"{seen}; there were {before} after the first {USES}")


async def _used(store: StoreClient, times: int) -> None:
    """Make so many calls, cursors that are closed or left, and transactions that commit, fail or are left."""
    for number in range(times):
        await store.put(NAME, id="a", n=number)
        cursor = await store.cursor(NAME)
        await cursor.next()
        transaction = await store.transaction(NAME)
        await transaction.get(NAME, "a")
        for stream in (cursor, transaction):
            if number % 2:
                stream.call.cancel()
            else:
                await stream.half_close()
                await stream.ended()


def _open_now(subject: Subject) -> int:
    """Return how many files, sockets and threads the processes of the provider have; 0 where it is not told."""
    found = 0
    for process in strays_of(subject.directory):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found += sum(len(list(Path(f"/proc/{process.pid}/{each}").iterdir())) for each in ("fd", "task"))
    return found


RULES: tuple[Rule, ...] = (not_configured, left_open, kept_after_sigterm, kept_after_kill, killed_under_load)
