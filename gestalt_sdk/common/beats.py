"""Notice loops that stand still: each counts its rounds, and somebody else looks whether the numbers grow.

A loop pays one addition a round. Time passes only for who looks, and no more of it at a glance than
``LONGEST_GLANCE_S``: a process that was stopped for an hour has not stood still for an hour.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gestalt_sdk.errors import GestaltError

SILENT_AFTER_S = 60.0
HUNG_TIMES = 5
"""A loop that has been silent so many times as long as it may be does not come back: it is hung."""
LONGEST_GLANCE_S = 5.0


class LoopSilent(GestaltError):
    """Report that a loop has made no round for longer than it may."""


class Beat:
    """The sign of life of one loop. For the loop: ``beat`` every round, ``rest`` before it waits for work."""

    __slots__ = ("count", "hung_after_s", "name", "quiet_s", "resting", "seen", "silent_after_s")

    def __init__(self, name: str, silent_after_s: float, hung_after_s: float) -> None:
        self.name = name
        self.silent_after_s = silent_after_s
        self.hung_after_s = hung_after_s
        self.count = self.seen = 0
        self.resting = False
        self.quiet_s = 0.0
        """How long it has been silent, as far as somebody has looked."""

    def beat(self) -> None:
        """Say that a round begins, or that a long one goes on."""
        self.count += 1
        self.resting = False

    def rest(self) -> None:
        """Say that there is nothing to do until the next ``beat``, however long that takes."""
        self.resting = True

    @property
    def silent(self) -> bool:
        """Whether it has made no round for longer than it may."""
        return self.quiet_s > self.silent_after_s

    @property
    def hung(self) -> bool:
        """Whether it has been silent for so long that it will not come back."""
        return self.quiet_s > self.hung_after_s

    def describe(self) -> str:
        """Say for how long it has been silent, in whole seconds."""
        return f"loop {self.name!r} has not moved for {self.quiet_s:.0f} s"


class Beats:
    """The beats of one process. ``look`` may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds that never go back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._beats: set[Beat] = set()
        self._looked = clock()

    def add(self, name: str, silent_after_s: float = SILENT_AFTER_S, hung_after_s: float | None = None) -> Beat:
        """Return the beat of a loop that begins now; ``remove`` it when the loop has ended as it should."""
        hung_after_s = HUNG_TIMES * silent_after_s if hung_after_s is None else hung_after_s
        beat = Beat(name, silent_after_s, hung_after_s)
        with self._lock:
            self._beats.add(beat)
        return beat

    def remove(self, beat: Beat) -> None:
        """Ask for this beat no more."""
        with self._lock:
            self._beats.discard(beat)

    def look(self) -> list[Beat]:
        """See which loops have moved since the last look, and return those that are silent, by name."""
        with self._lock:
            now = self._clock()
            passed_s, self._looked = min(now - self._looked, LONGEST_GLANCE_S), now
            for beat in self._beats:
                count = beat.count
                if beat.resting or count != beat.seen:
                    beat.seen, beat.quiet_s = count, 0.0
                else:
                    beat.quiet_s += passed_s
            return sorted((beat for beat in self._beats if beat.silent), key=lambda beat: beat.name)

    def require(self) -> None:
        """Look, and return when every loop moves.

        Raises:
            LoopSilent: naming each one that does not.
        """
        silent = self.look()
        if silent:
            raise LoopSilent("; ".join(beat.describe() for beat in silent))
