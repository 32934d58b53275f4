"""Kills at a chosen message: right before, or right after, the n-th one between a provider and its store or host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import grpc

from tests.support.rigs.workflow import CountingStore

Place: TypeAlias = Literal["before", "after"]


class Trap:
    """Counts messages while it is armed.

    Attributes:
        sprung: Set once it has killed; ``at`` then names the message.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._number = self._count = 0
        self._place: Place = "before"
        self._only = ""
        self.sprung = asyncio.Event()
        self.at = ""

    def arm(self, number: int, place: Place, *, only: str = "") -> None:
        """``only``: count messages of this name alone."""
        self._number, self._place, self._only, self._count, self.at = number, place, only, 0, ""
        self.sprung.clear()

    def disarm(self) -> tuple[int, Place]:
        """Returns what it was set to."""
        number, self._number = self._number, 0
        return number, self._place

    @property
    def passed_by(self) -> bool:
        """It is armed, and there were too few messages for it."""
        return self._number > 0 and self._count < self._number

    def begins(self, name: str) -> int:
        """A message is on its way; its number, 0 for one that does not count."""
        if self._only not in name:
            return 0
        self._count += 1
        return self._count

    def springs(self, message: int, place: Place, name: str) -> bool:
        """Whether this is the one: what was to be killed is dead now."""
        if not message or (message, place) != (self._number, self._place):
            return False
        self.disarm()
        self.at = f"{place} message {message}, {name}"
        self._kill()
        self.sprung.set()
        return True

    @asynccontextmanager
    async def around_invocation(self, name: str) -> AsyncIterator[None]:
        """For the host: an invocation that was cut off before never arrives."""
        message = self.begins(name)
        if self.springs(message, "before", name):
            await asyncio.Event().wait()  # until its connection is gone
        try:
            yield
        finally:  # given up by the provider counts as over too
            self.springs(message, "after", name)


class CutStore(CountingStore):
    """The store as a provider reaches it: what was cut off before never arrives, what was cut off after was done."""

    def __init__(self, target: str, trap: Trap) -> None:
        super().__init__(target)
        self._trap = trap

    async def _unary(self, path: str, request: bytes, context: Any) -> bytes:
        name = path.rpartition("/")[2]
        message = self._trap.begins(name)
        if self._trap.springs(message, "before", name):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut off")
        cut = False
        try:
            response = await super()._unary(path, request, context)
        finally:  # a refusal is an answer too
            cut = self._trap.springs(message, "after", name)
        if cut:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut off")
        return response
