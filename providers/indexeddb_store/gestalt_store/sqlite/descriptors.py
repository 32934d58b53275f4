"""How many reading connections the limit of open files allows, over all databases of this process."""

from __future__ import annotations

from gestalt_sdk.common.open_files import open_files
from gestalt_store.engines.scope_use import ScopeUse, Shares
from gestalt_store.errors import LimitReached, StorageUnavailable

FILES_EACH = 2
"""A connection has the database and its log open."""
LEAST_RESERVED = 128
"""Open files that are left for databases being opened, their writers and single reads, and for sockets; at least a
quarter of all."""
MOST_IDLE = 1024


class Descriptors:
    """Counts the connections that snapshots hold, and those kept for the next ones. For the event loop."""

    def __init__(self) -> None:
        """Take the limit as it is now."""
        self._files = open_files()
        usable = self._files - max(LEAST_RESERVED, self._files // 4)
        connections = max(2, usable // FILES_EACH)
        self._idle_limit = min(MOST_IDLE, connections // 4)
        self._idle = 0
        self._shares = Shares(connections - self._idle_limit)

    def take(self, scope: ScopeUse) -> None:
        """Count a snapshot of the scope; ``give_back`` it in any case.

        Raises:
            LimitReached: the scope holds as many as are left for all others.
            StorageUnavailable: there are none left.
        """
        if not self._shares.may_take(scope):
            if self._shares.out >= self._shares.number:
                raise StorageUnavailable(
                    f"{self._shares.number} cursors and read-only transactions are open, as many as the limit of open "
                    f"files (RLIMIT_NOFILE, {self._files}) allows; close some, or raise it"
                )
            raise LimitReached(
                f"RLIMIT_NOFILE is {self._files}: of the {self._shares.number} cursors and read-only transactions that "
                f"it allows in all, this scope has {self._shares.held(scope)} open, and no scope may have more than "
                "are left for others; close some, or raise the limit of open files"
            )
        self._shares.take(scope)

    def give_back(self, scope: ScopeUse) -> None:
        """Count the snapshot no more."""
        self._shares.give_back(scope)

    def keep_idle(self) -> bool:
        """Return whether a connection may be kept for the next snapshot, and count it then."""
        if self._idle >= self._idle_limit:
            return False
        self._idle += 1
        return True

    def no_longer_idle(self, number: int = 1) -> None:
        """Count so many fewer of those."""
        self._idle -= number
