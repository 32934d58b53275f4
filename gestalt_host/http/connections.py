"""How many connections a listener keeps open, and which one gives way to a new one when they are at their limit.

Descriptors are what a process runs out of first. Without them no connection can be accepted, and no provider that has
ended can be started again, so connections have a share of them and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

BACKLOG = 2048
SHARE_OF_FILES = 2
"""Connections take no more than one in so many descriptors."""
AGAIN_BELOW = 3 / 4
"""The limit has to be met anew after there were fewer than this part of it before it is logged again."""
LIMIT_KEY = "server.public.maxConnections"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many connections there may be.

    Attributes:
        most: Open ones.
        closing: Those that have been answered and are about to end.
        backlog: Those that the system accepts before this process does.
    """

    most: int = 4096
    closing: int = 1024
    backlog: int = BACKLOG

    @classmethod
    def of(cls, wanted: int, files: int) -> Capacity:
        """Return the capacity for ``wanted`` connections in a process that may have ``files`` files open."""
        share = files // SHARE_OF_FILES
        backlog = max(1, min(BACKLOG, share // 4))
        most = max(1, min(wanted, (share - backlog) * 4 // 5))
        return cls(most, max(1, most // 4), backlog)


class Connection(Protocol):
    """A client's connection, as far as it gives way to others."""

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing is being done for it: it is idle, or its request is not complete."""
        ...

    def give_way(self, text: str) -> None:
        """Answer that the server has no room, where an answer is due, and close."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...


class Connections:
    """The connections of a listener, those first that were served longest ago."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.turned_away = 0
        """How many have given way to others, or were refused, so far."""
        self._open: dict[Connection, None] = {}
        self._closing: dict[Connection, None] = {}
        self._is_full = False

    @property
    def lack(self) -> str:
        """Return that connections are at their limit, for people; blank when they are not."""
        most = self.capacity.most
        return f"connections are at their limit of {most} ({LIMIT_KEY})" if self._is_full else ""

    def enter(self, connection: Connection) -> None:
        """Take in a new one. At the limit one that waits for its client gives way, else the new one itself."""
        if len(self._open) >= self.capacity.most:
            self._make_room(connection)
        else:
            self._open[connection] = None

    def served(self, connection: Connection) -> None:
        """Note that a request of it has just been answered."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def closes(self, connection: Connection) -> None:
        """Note that it has had its last answer and stays only until its client has read that."""
        if connection in self._open:
            del self._open[connection]
            self._closing[connection] = None
            self._end_surplus()

    def leave(self, connection: Connection) -> None:
        """Note that it has ended."""
        self._open.pop(connection, None)
        self._closing.pop(connection, None)
        if self._is_full and len(self._open) < self.capacity.most * AGAIN_BELOW:
            self._is_full = False
            log.info("there is room for connections again", event_name="http.room_again", turned_away=self.turned_away)

    def _make_room(self, newcomer: Connection) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning(
                "connections are at their limit; each new one takes the place of the one that waits longest for its "
                "client",
                set_by=f"{LIMIT_KEY}, and the limit of open files (RLIMIT_NOFILE)",
                event_name="http.connections_full",
                limit=self.capacity.most,
            )
        self.turned_away += 1
        leaving = next((item for item in self._open if item.waits_for_client), None)
        if leaving is not None:
            del self._open[leaving]
            self._open[newcomer] = None
        else:
            leaving = newcomer
        self._closing[leaving] = None
        leaving.give_way(f"the server has no room for more than {self.capacity.most} connections; try again")
        self._end_surplus()

    def _end_surplus(self) -> None:
        while len(self._closing) > self.capacity.closing:
            surplus = next(iter(self._closing))
            del self._closing[surplus]
            surplus.abort()
