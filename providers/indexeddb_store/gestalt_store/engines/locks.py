"""Locks by object store: fair, bounded in time, never held by the engine itself (decision 13).

A request names everything it needs at once and is granted when nothing before it in the queue of any of these names
stands in its way, so requests cannot deadlock and nobody is overtaken. Used on the event loop only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable
from typing import TypeAlias

from gestalt_store.errors import TransactionAborted

Name: TypeAlias = Hashable

SCHEMA: Name = ("schema",)
"""Locked shared by every transaction and exclusively by schema changes; stores are locked by their names."""


class LockRequest:
    """A place in the queues of some names; ``granted`` once it holds them all."""

    __slots__ = ("exclusive", "granted", "holder", "names", "waiter", "waiting_for")

    def __init__(self, names: tuple[Name, ...], exclusive: bool, holder: str) -> None:
        self.names = names
        self.exclusive = exclusive
        self.holder = holder
        self.waiting_for = 0
        self.granted = False
        self.waiter: asyncio.Future[None] | None = None


class LockTable:
    """The queues of one database."""

    def __init__(self) -> None:
        self._queues: dict[Name, deque[LockRequest]] = {}

    def free(self, name: Name) -> bool:
        """Return whether nobody holds or awaits the name."""
        return name not in self._queues

    def request(self, names: Iterable[Name], *, exclusive: bool, holder: str) -> LockRequest:
        """Queue up for all names; ``release`` the request in any case.

        Args:
            holder: Says in the error texts of others who is in the way.
        """
        request = LockRequest(tuple(dict.fromkeys(names)), exclusive, holder)
        for name in request.names:
            queue = self._queues.setdefault(name, deque())
            queue.append(request)
            if not self._passes(queue, request):
                request.waiting_for += 1
        request.granted = request.waiting_for == 0
        return request

    @contextlib.asynccontextmanager
    async def held(
        self, names: Iterable[Name], *, exclusive: bool, holder: str, within_s: float
    ) -> AsyncIterator[None]:
        """Hold all names for the time of an ``async with``; see ``request`` and ``granted``."""
        request = self.request(names, exclusive=exclusive, holder=holder)
        await self.granted(request, within_s)
        try:
            yield
        finally:
            self.release(request)

    async def granted(self, request: LockRequest, within_s: float) -> None:
        """Wait until the request is granted.

        Raises:
            TransactionAborted: it was not granted in time; it is released.
        """
        if request.granted:
            return
        request.waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                await request.waiter
        except TimeoutError:
            holder = self._in_the_way(request)
            self.release(request)
            raise TransactionAborted(
                f"waited {within_s:g} s for {holder}, which has not ended; nothing was done, try again"
            ) from None
        except BaseException:
            self.release(request)
            raise

    def release(self, request: LockRequest) -> None:
        """Give up the request, granted or not. Releasing it again does nothing."""
        for name in request.names:
            queue = self._queues[name]
            waiting = [other for other in queue if other is not request and not self._passes(queue, other)]
            queue.remove(request)
            if not queue:
                del self._queues[name]
            for other in waiting:
                if not self._passes(queue, other):
                    break
                other.waiting_for -= 1
                if other.waiting_for == 0:
                    other.granted = True
                    if other.waiter is not None and not other.waiter.done():
                        other.waiter.set_result(None)
        request.names = ()
        request.granted = False

    @staticmethod
    def _passes(queue: deque[LockRequest], request: LockRequest) -> bool:
        if request.exclusive:
            return queue[0] is request
        for other in queue:
            if other is request:
                return True
            if other.exclusive:
                return False
        return False

    def _in_the_way(self, request: LockRequest) -> str:
        for name in request.names:
            queue = self._queues[name]
            if not self._passes(queue, request):
                return queue[0].holder
        return "another transaction"
