"""Writes that fail because of the storage itself: a full disk, an input/output error, a database set read-only."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from gestalt_store.errors import StorageUnavailable

QUIET_S = 2.0
"""Seconds without a failed write after which a small write may show that the trouble is over."""


class WriteTrouble:
    """Remembers the last such failure until a write has shown that it is over. For the health check."""

    def __init__(self) -> None:
        self._reason = ""
        self._failed_at = 0.0

    def failed(self, reason: str) -> None:
        """Take in that a write has failed. May be called from any thread."""
        self._failed_at = time.monotonic()
        self._reason = reason

    async def require_over(self, write: Callable[[], Awaitable[object]]) -> None:
        """Return when there is no trouble, or when ``write``, which changes nothing, has just been made durable.

        Raises:
            StorageUnavailable: with the reason of the last failure.
        """
        if not self._reason:
            return
        if time.monotonic() - self._failed_at < QUIET_S:
            raise StorageUnavailable(self._reason)
        await write()
        self._reason = ""
