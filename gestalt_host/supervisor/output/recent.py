"""The last of what the processes of a provider wrote, kept in memory, with where each of them began and ended."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import TypeAlias

MOST_ENTRIES = 1000
MOST_BYTES = 128 * 1024
ENTRY_OVERHEAD_BYTES = 64
"""What an entry counts beside its text, so that short ones are bounded by bytes too."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as the process wrote it; ``is_cut`` when its end is missing."""

    stream: str
    text: bytes
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The process was started."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The process has ended, and how: ``exit status 3``, ``signal SIGKILL: <why the host has ended it>``."""

    how: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """So many lines are missing here."""

    lines: int


What: TypeAlias = Line | Started | Ended | LeftOut


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, when in seconds since the epoch, and in which process."""

    at: float
    pid: int
    what: What


class RecentOutput:
    """Keeps the last entries, at most ``most_entries`` and about ``most_bytes`` of them, for any number of readers."""

    def __init__(
        self,
        most_entries: int = MOST_ENTRIES,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._most_entries, self._most_bytes, self._clock = most_entries, most_bytes, clock
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._pid = 0
        self.end = 0
        """Number of the entry that comes next."""
        self.wakes: set[asyncio.Event] = set()
        """Set with each new entry."""
        self.is_closed = False
        """Whether nothing more will come."""

    def started(self, pid: int) -> None:
        """Note that this process was started; what is added from now on is of it."""
        self._pid = pid
        self.add(Started())

    def add(self, what: What) -> None:
        """Add an entry, and forget the oldest ones that there is no room for."""
        self._entries.append(Entry(self._clock(), self._pid, what))
        self._bytes += _size(what)
        self.end += 1
        while len(self._entries) > 1 and (len(self._entries) > self._most_entries or self._bytes > self._most_bytes):
            self._bytes -= _size(self._entries.popleft().what)
        self._wake()

    def close(self) -> None:
        """Let readers that follow end when they have read the rest."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        for wake in self.wakes:
            wake.set()

    def since(self, number: int) -> list[Entry]:
        """Return the entries from that number on; the first says how many were forgotten, where some were."""
        first = self.end - len(self._entries)
        kept = list(self._entries)[max(0, number - first) :]
        if number >= first or not kept:
            return kept
        return [Entry(kept[0].at, 0, LeftOut(first - number)), *kept]

    @property
    def kept(self) -> Sequence[Entry]:
        """Everything that is kept."""
        return tuple(self._entries)


async def read(outputs: Sequence[RecentOutput], last: int, follow: bool) -> AsyncGenerator[Entry, None]:
    """Yield the last entries of all outputs together in the order of time, then with ``follow`` those to come.

    It ends when all outputs are closed.
    A reader that is too slow misses entries, and is told how many.

    Args:
        last: How many; negative: everything that is kept.
    """
    wake = asyncio.Event()
    for output in outputs:
        output.wakes.add(wake)
    try:
        places = [output.end for output in outputs]
        entries = _in_order([list(output.kept) for output in outputs])
        for entry in entries if last < 0 else entries[max(0, len(entries) - last) :]:
            yield entry
        while follow:
            wake.clear()
            found = [output.since(place) for output, place in zip(outputs, places, strict=True)]
            places = [output.end for output in outputs]
            follow = not all(output.is_closed for output in outputs)
            for entry in _in_order(found):
                yield entry
            if follow:
                await wake.wait()
    finally:
        for output in outputs:
            output.wakes.discard(wake)


def _in_order(lists: Sequence[Sequence[Entry]]) -> list[Entry]:
    """Return them all by time; those of one list stay in their order, also where the clock was set back."""
    return list(merge(*lists, key=lambda entry: entry.at))


def _size(what: What) -> int:
    return ENTRY_OVERHEAD_BYTES + (len(what.text) if isinstance(what, Line) else 0)
