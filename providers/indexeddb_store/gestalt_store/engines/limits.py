"""What clients may ask for and how long they may keep others waiting; the same for both engines."""

from __future__ import annotations

from dataclasses import dataclass

from gestalt_store.errors import AnswerTooLarge

LIST_LIMIT_BYTES = 64 * 1024 * 1024 - 4096
"""Most bytes of records in one answer; what is left of 64 MiB is for the message around them."""
RECORD_OVERHEAD = 6
"""Bytes that a record or key takes in a message besides its own: the tag and the length."""


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Bound how long clients may keep others waiting, in seconds, and how much of the store they may take."""

    lock_wait_s: float = 15.0
    transaction_idle_s: float = 30.0
    snapshot_idle_s: float = 120.0
    connections: int = 48
    """Only for PostgreSQL: most connections of this process, over all its databases."""
    open_streams: int = 256
    """Most cursors and transactions that one scope may have open."""
    stream_memory_mib: int = 256
    """Most MiB that those, and large requests and answers, may hold for one scope."""

    @property
    def idle_check_s(self) -> float:
        """Return the seconds between two looks for transactions and snapshots that were left idle for too long."""
        return min(1.0, max(0.05, min(self.transaction_idle_s, self.snapshot_idle_s) / 4))


def too_large(what: str) -> AnswerTooLarge:
    """Return the error for a list of ``what`` ("records", "keys") that exceeds ``LIST_LIMIT_BYTES``."""
    return AnswerTooLarge(
        f"the {what} asked for exceed 64 MiB, the most that one message carries; "
        "read them by pages: a cursor, or IndexedDBBatch/GetPage"
    )
