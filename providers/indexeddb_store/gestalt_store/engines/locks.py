"""Locks by object store: fair, bounded in time, never held by the engine itself (decision 13).

A claim names everything it needs at once and is granted when nothing before it in the queue of any of these names
stands in its way, so claims cannot deadlock and nobody is overtaken. Used on the event loop only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable
from typing import TypeAlias

from gestalt_store.errors import TransactionAborted

Name: TypeAlias = Hashable

SCHEMA: Name = ("schema",)
"""Claimed shared by every transaction and alone by schema changes; stores are claimed by their names."""


class Claim:
    """A place in the queues of some names; ``granted`` once it holds them all."""

    __slots__ = ("exclusive", "granted", "names", "owner", "waiter", "waiting_for")

    def __init__(self, names: tuple[Name, ...], exclusive: bool, owner: str) -> None:
        self.names = names
        self.exclusive = exclusive
        self.owner = owner
        self.waiting_for = 0
        self.granted = False
        self.waiter: asyncio.Future[None] | None = None


class LockTable:
    """The queues of one database."""

    def __init__(self) -> None:
        self._queues: dict[Name, deque[Claim]] = {}

    def free(self, name: Name) -> bool:
        """Whether nobody holds or awaits the name."""
        return name not in self._queues

    def claim(self, names: Iterable[Name], *, exclusive: bool, owner: str) -> Claim:
        """Queue up for all names. ``owner`` says in error texts who is in the way. Release it in any case."""
        claim = Claim(tuple(dict.fromkeys(names)), exclusive, owner)
        for name in claim.names:
            queue = self._queues.setdefault(name, deque())
            queue.append(claim)
            if not self._passes(queue, claim):
                claim.waiting_for += 1
        claim.granted = claim.waiting_for == 0
        return claim

    async def granted(self, claim: Claim, within_s: float) -> None:
        """Wait for the claim.

        Raises:
            TransactionAborted: it was not granted in time; the claim is released.
        """
        if claim.granted:
            return
        claim.waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                await claim.waiter
        except TimeoutError:
            holder = self._in_the_way(claim)
            self.release(claim)
            raise TransactionAborted(
                f"waited {within_s:g} s for {holder}, which has not ended; nothing was done, try again"
            ) from None
        except BaseException:
            self.release(claim)
            raise

    def release(self, claim: Claim) -> None:
        """Give up the claim, granted or not. Releasing it again does nothing."""
        for name in claim.names:
            queue = self._queues[name]
            waiting = [other for other in queue if other is not claim and not self._passes(queue, other)]
            queue.remove(claim)
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
        claim.names = ()
        claim.granted = False

    @staticmethod
    def _passes(queue: deque[Claim], claim: Claim) -> bool:
        if claim.exclusive:
            return queue[0] is claim
        for other in queue:
            if other is claim:
                return True
            if other.exclusive:
                return False
        return False

    def _in_the_way(self, claim: Claim) -> str:
        for name in claim.names:
            queue = self._queues[name]
            if not self._passes(queue, claim):
                return queue[0].owner
        return "another transaction"
