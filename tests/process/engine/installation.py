"""Store and provider processes, the host, and the clock of one test; and what befalls the processes."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import grpc

from tests.process.engine.clock import VARIABLE, SharedClock
from tests.process.engine.journal import Journal, JournalHost
from tests.support.commands import STORE, serving
from tests.support.rigs.workflow import ProviderProcess, Workflow
from tests.support.waiting import eventually

T = TypeVar("T")

CLOCKED = serving("providers/indexeddb", "tests.process.engine.clock:provider", "workflow")
LONG_LEASE = {"runClaimTTL": "8760h"}
"""The clock leaps, so no lease may end by itself where only deaths are to end claims."""
UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
"""Statuses after which nobody knows whether the call was carried out."""
CALL_S = 30.0


class Unanswered(Exception):
    """The call met a process that was killed: it may or may not have been carried out."""


@dataclass(slots=True)
class Member:
    """One provider process, and the store process it talks to."""

    process: ProviderProcess
    store: ProviderProcess
    up: asyncio.Event = field(default_factory=asyncio.Event)
    deaths: list[datetime] = field(default_factory=list)
    """When it was killed: it has done nothing from then on."""

    @property
    def workflow(self) -> Workflow:
        return Workflow(self.process)

    @property
    def channel(self) -> grpc.aio.Channel:
        assert self.process.channel is not None
        return self.process.channel

    @property
    def store_channel(self) -> grpc.aio.Channel:
        assert self.store.channel is not None
        return self.store.channel

    async def kill(self, clock: SharedClock, *, provider: bool = True, store: bool = False) -> None:
        """SIGKILL, both in the same moment; returns when what was killed is gone."""
        if provider:
            self.up.clear()
        for process in (self.process,) * provider + (self.store,) * store:
            with suppress(ProcessLookupError):  # somebody else was faster
                process.send_signal(signal.SIGKILL)
        if provider:
            await self.process.end(signal.SIGKILL)
            self.deaths.append(clock())
        if store:
            await self.store.end(signal.SIGKILL)

    async def killed_while_it_starts(self, clock: SharedClock, after_s: float) -> None:
        """SIGKILL that long after it was launched, however far it has come."""
        launched = self.process.launches

        async def exists() -> bool | None:
            return True if self.process.launches > launched else None

        starting = asyncio.create_task(self.process.boot())
        await eventually(exists)
        await asyncio.wait((starting,), timeout=after_s)
        self.process.send_signal(signal.SIGKILL)
        await self.process.ended()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await self.process.end(signal.SIGKILL)
        self.deaths.append(clock())

    async def boot(self, *, provider: bool = True, store: bool = False) -> None:
        if store:
            await self.store.boot(start=False)
        if provider:
            await self.process.boot()
            self.up.set()


class Installation:
    """
    Attributes:
        members: Providers on one database.
    """

    def __init__(self, directory: Path, clock: SharedClock, host: JournalHost) -> None:
        self.directory = directory
        self.clock = clock
        self.host = host
        self.members: list[Member] = []
        self._turn = 0

    @property
    def journal(self) -> Path:
        return self.directory / "journal"

    def add(self, config: dict[str, Any], store: ProviderProcess, *, store_socket: Path | None = None) -> Member:
        """One more provider, not yet booted. ``store_socket``: what it is told the store's socket is."""
        environ = {
            VARIABLE: str(self.clock.path),
            "GESTALT_INDEXEDDB_SOCKET": str(store_socket or store.socket),
            "GESTALT_WORKFLOW_HOST_SOCKET": str(self.directory / "host.sock"),
        }
        name = f"provider{len(self.members) + 1}"
        member = Member(ProviderProcess(name, CLOCKED, self.directory, environ, config), store)
        self.members.append(member)
        return member

    def new_store(self, **config: Any) -> ProviderProcess:
        """A store process, by default on a file of this installation's; not yet booted."""
        name = f"store{len(self.members) + 1}"
        config = config or {"dsn": f"sqlite://{self.directory}/state.db"}
        return ProviderProcess(name, STORE.text, self.directory, {}, config)

    async def call(self, request: Callable[[Workflow], Awaitable[T]]) -> T:
        """Ask one provider, each in turn; waits while all are down.

        Raises:
            Unanswered
            grpc.aio.AioRpcError: it was refused.
        """
        self._turn += 1
        member = self.members[self._turn % len(self.members)]
        if not member.up.is_set():
            member = next((other for other in self.members if other.up.is_set()), member)
        async with asyncio.timeout(CALL_S):
            while not member.up.is_set():  # it may be down again before this task gets its turn
                await member.up.wait()
        try:
            async with asyncio.timeout(CALL_S):
                return await request(member.workflow)
        except grpc.aio.AioRpcError as error:
            if error.code() in UNKNOWN:
                raise Unanswered(error.details()) from error
            raise
        except (grpc.aio.UsageError, asyncio.InvalidStateError) as error:  # its channel was closed meanwhile
            raise Unanswered(str(error)) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Unanswered("its channel was closed") from None

    async def insist(self, request: Callable[[Workflow], Awaitable[T]]) -> T:
        """Ask until there is an answer: only for what may be repeated."""

        async def answered() -> tuple[T] | None:
            try:
                return (await self.call(request),)
            except Unanswered:
                return None

        return (await eventually(answered, within_s=120))[0]

    def logs(self) -> str:
        return "".join(member.process.log.read_text() for member in self.members)


@asynccontextmanager
async def open_installation(seed: int, *, stream: bool = True) -> AsyncIterator[Installation]:
    """``stream``: whether the host offers dispatch on one stream."""
    directory = Path(tempfile.mkdtemp(prefix="gwp-", dir="/tmp"))
    journal = Journal(directory / "journal")
    try:
        async with AsyncExitStack() as stack:
            clock = SharedClock(directory / "clock")
            host = JournalHost(journal, Random(f"{seed}/host"))
            await stack.enter_async_context(host.serving(directory / "host.sock", stream=stream))
            installation = Installation(directory, clock, host)
            try:
                yield installation
            finally:
                for member in installation.members:
                    for process in (member.process, member.store):
                        await process.end(signal.SIGKILL)
    finally:
        journal.close()
        shutil.rmtree(directory, ignore_errors=True)
