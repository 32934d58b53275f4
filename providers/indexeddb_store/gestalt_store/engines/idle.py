"""Transactions and snapshots that a client opened and forgot are ended when they have been idle for too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from gestalt_sdk.common.beats import SILENT_AFTER_S, Beats

log = structlog.get_logger()


class Expirable:
    """Something that a client may leave open and forget; ``IdleWatch`` ends it then."""

    def __init__(self, idle_limit_s: float) -> None:
        self.idle_limit_s = idle_limit_s
        self.last_used = time.monotonic()
        self.busy = 0
        """Operations that run now; while there are any, the limit does not apply."""
        self.on_expiry: Callable[[str], None] | None = None
        """Called with the reason when the limit ends it, so that whoever awaits the client's next frame learns it."""
        self.expired = False

    @property
    def reason(self) -> str:
        """Say why it was ended, for the text of the error."""
        return f"left idle for more than {self.idle_limit_s:g} s and ended by the store; begin again"

    def in_use(self) -> InUse:
        """Suspend the idle limit for the time of a ``with``."""
        return InUse(self)

    def expire(self) -> None:
        """Release everything."""
        raise NotImplementedError


class InUse:
    """Suspends the idle limit of an ``Expirable`` while an operation runs."""

    __slots__ = ("_item",)

    def __init__(self, item: Expirable) -> None:
        self._item = item

    def __enter__(self) -> None:
        self._item.busy += 1

    def __exit__(self, *_: object) -> None:
        self._item.busy -= 1
        self._item.last_used = time.monotonic()


class IdleWatch:
    """Ends what was left idle longer than its limit. One timer, and none while nothing is open."""

    def __init__(self, interval_s: float, beats: Beats | None = None) -> None:
        """Look every ``interval_s`` seconds while something is open, and give a beat to ``beats`` each time."""
        self._interval_s = interval_s
        self._beats = beats or Beats()
        self._beat = self._beats.add("idle watch", SILENT_AFTER_S + interval_s)
        self._beat.rest()
        self._open: set[Expirable] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: Expirable) -> None:
        """Watch the item until it is removed or has expired."""
        self._open.add(item)
        if self._timer is None:
            self._beat.beat()
            self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._look)

    def remove(self, item: Expirable) -> None:
        """Stop watching the item; it was closed by its client."""
        self._open.discard(item)

    def close(self) -> None:
        """End everything that is still open."""
        if self._timer is not None:
            self._timer.cancel()
        self._beats.remove(self._beat)
        for item in list(self._open):
            self._end(item)

    def _look(self) -> None:
        self._timer = None
        self._beat.beat()
        now = time.monotonic()
        for item in list(self._open):
            if not item.busy and now - item.last_used > item.idle_limit_s:
                self._end(item)
        if self._open:
            self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._look)
        else:
            self._beat.rest()

    def _end(self, item: Expirable) -> None:
        self._open.discard(item)
        item.expired = True
        try:
            item.expire()
            if item.on_expiry is not None:
                item.on_expiry(item.reason)
        except Exception:  # the others must still be ended, and the watch must go on
            with suppress(Exception):
                log.exception("an idle client could not be ended", event_name="store.expiry_failed")
