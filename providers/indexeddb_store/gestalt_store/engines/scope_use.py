"""What the clients of one scope hold in the store at once, and how much of it they may hold.

A scope is known by the socket that a call came in on (``edge.service``), which sets it for all that the call does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar

from gestalt_store.engines.limits import StoreLimits
from gestalt_store.errors import LimitReached

MIB = 1024 * 1024
STREAM_BYTES = 64 * 1024
"""What a cursor or transaction takes besides records: its call, its task, its buffers."""
SNAPSHOT_BYTES = 512 * 1024
"""What the snapshot of a cursor or read-only transaction takes: a connection, its cache, its statements."""


class ScopeUse:
    """What one scope holds: open streams and their memory. For the event loop."""

    def __init__(self, limits: StoreLimits | None, freed: Callable[[int], None] | None = None) -> None:
        """Hold nothing.

        Args:
            limits: None for the store itself, whose own work is not limited.
            freed: Told of each number of bytes that is given back.
        """
        self.limits = limits
        self._freed = freed
        self.streams = 0
        self.memory = 0
        """Bytes."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def open_stream(self) -> StreamUse:
        """Count one more cursor or transaction; ``close`` what is returned in any case.

        Raises:
            LimitReached
        """
        if self.limits is not None and self.streams >= self.limits.open_streams:
            raise LimitReached(
                f"limits.open_streams is {self.limits.open_streams}: that many cursors and transactions are open in "
                "this scope; close some, or raise it"
            )
        use = StreamUse(self)
        use.hold(STREAM_BYTES)
        self.streams += 1
        return use

    def take(self, size: int) -> None:
        """Count bytes until ``give_back``.

        Raises:
            LimitReached
        """
        if not self._fits(size):
            raise self._exceeded(size)
        self.memory += size

    async def take_in_turn(self, size: int, within_s: float) -> None:
        """Do the same, and wait for bytes that are given back meanwhile: for calls, which end by themselves.

        Raises:
            LimitReached: they were not given back in time.
        """
        if not self._waiting and self._fits(size):
            self.memory += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(within_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            else:
                with suppress(ValueError):
                    self._waiting.remove((size, turn))
                self._serve_waiting()
            if isinstance(error, TimeoutError):
                raise self._exceeded(size) from None
            raise

    def give_back(self, size: int) -> None:
        """Count bytes no more."""
        self.memory -= size
        if self._freed is not None:
            self._freed(size)
        if self._waiting:
            self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if not self._fits(size):
                    return
                self.memory += size
                turn.set_result(None)
            self._waiting.popleft()

    def _fits(self, size: int) -> bool:
        return self.limits is None or self.memory + size <= self.limits.stream_memory_mib * MIB

    def _exceeded(self, size: int) -> LimitReached:
        assert self.limits is not None
        return LimitReached(
            f"limits.stream_memory_mib is {self.limits.stream_memory_mib}: the open cursors, transactions and large "
            f"answers of this scope hold {_mib(self.memory)} MiB, and {_mib(size)} MiB more are needed; "
            "close some, or raise it"
        )


class StreamUse:
    """What one cursor or transaction holds of what its scope may hold."""

    __slots__ = ("_closed", "_held", "_scope")

    def __init__(self, scope: ScopeUse) -> None:
        self._scope = scope
        self._held = 0
        self._closed = False

    def hold(self, change: int) -> None:
        """Count so many bytes more, or with a negative number less.

        Raises:
            LimitReached: nothing has changed then.
        """
        if change > 0:
            self._scope.take(change)
        elif change < 0:
            self._scope.give_back(-change)
        self._held += change

    def close(self) -> None:
        """Count nothing of it any more; safe to call twice."""
        if not self._closed:
            self._closed = True
            self._scope.streams -= 1
            self.hold(-self._held)


class Held:
    """A number of bytes that one part of a stream holds, and that changes: a page, a frame, the writes so far."""

    __slots__ = ("_use", "size")

    def __init__(self, use: StreamUse | None = None) -> None:
        """``use`` is None where nobody counts."""
        self._use = use
        self.size = 0

    def set(self, size: int) -> None:
        """Hold exactly so many bytes; few, which each stream counts for anyway, count as none.

        Raises:
            LimitReached: it holds what it has held before.
        """
        if size <= STREAM_BYTES:
            size = 0
        if size != self.size:
            if self._use is not None:
                self._use.hold(size - self.size)
            self.size = size


STORE_ITSELF = ScopeUse(None)
SERVED: ContextVar[ScopeUse] = ContextVar("scope", default=STORE_ITSELF)
"""The scope whose call is being served; the store itself where it works for nobody in particular."""


class Shares:
    """A fixed number of things, such as connections; no scope may hold more of them than are left for the others.

    One scope alone can thus have half of them, two a third each: whoever comes next finds some.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.out = 0
        self._held: dict[ScopeUse, int] = {}

    def may_take(self, scope: ScopeUse) -> bool:
        """Return whether the scope may take one more."""
        left = self.number - self.out
        return left > 0 and (scope.limits is None or self._held.get(scope, 0) < left)

    def held(self, scope: ScopeUse) -> int:
        """Return how many the scope holds."""
        return self._held.get(scope, 0)

    def take(self, scope: ScopeUse) -> None:
        """Count one more as taken; see ``may_take``."""
        self.out += 1
        self._held[scope] = self._held.get(scope, 0) + 1

    def give_back(self, scope: ScopeUse) -> None:
        """Count one less."""
        self.out -= 1
        self._held[scope] -= 1
        if not self._held[scope]:
            del self._held[scope]


class Turns:
    """Who waits for one of a few places: scopes take turns, and within a scope who came first is served first."""

    def __init__(self) -> None:
        self._queues: dict[ScopeUse, deque[asyncio.Future[None]]] = {}

    def wait(self, scope: ScopeUse) -> asyncio.Future[None]:
        """Queue up; the future ends when it is the scope's turn. ``leave`` when it is canceled."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(scope, deque()).append(turn)
        return turn

    def leave(self, scope: ScopeUse, turn: asyncio.Future[None]) -> None:
        """Wait no more; one that does not wait is fine."""
        queue = self._queues.get(scope)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[scope]

    def next(self, may: Callable[[ScopeUse], bool]) -> tuple[ScopeUse, asyncio.Future[None]] | None:
        """Take who comes next out of the queues, of those scopes that ``may`` have a place; None when nobody does."""
        for scope in list(self._queues):
            if not may(scope):
                continue
            queue = self._queues.pop(scope)
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    if queue:
                        self._queues[scope] = queue  # behind all the others
                    return scope, turn
        return None


def _mib(size: int) -> str:
    return f"{size / MIB:.1f}".removesuffix(".0")
