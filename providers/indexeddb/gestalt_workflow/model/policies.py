"""Define what a schedule, a trigger or a run may ask for beyond the plain behaviour, which is the default.

Plain values and the two computations that need nothing else: the jitter of a slot and the delay before an attempt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

SHORTEST_WINDOW = timedelta(seconds=10)
WINDOW_OF_NONE = timedelta(minutes=1)
LONGEST_JITTER = timedelta(hours=24)
DEFAULT_CAP = 100
LARGEST_CAP = 500
LONGEST_TIMEOUT = timedelta(days=7)
SHORTEST_TIMEOUT = timedelta(milliseconds=1)
MOST_ATTEMPTS = 100
DEFAULT_INITIAL_BACKOFF = timedelta(seconds=1)
DEFAULT_MAX_BACKOFF = timedelta(minutes=5)
LONGEST_BACKOFF = timedelta(days=1)
LONGEST_NOTE = 2000


class CatchUpMode(IntEnum):
    """What becomes of missed slots."""

    LATEST = 1
    ALL = 2
    NONE = 3


class Overlap(IntEnum):
    """What happens to a slot while a run of the schedule has not ended."""

    ALLOW = 1
    SKIP = 2
    QUEUE_ONE = 3
    CANCEL_PREVIOUS = 4


class RetryOn(IntEnum):
    """Kinds of failure that may lead to another attempt."""

    SERVER_ERROR = 1
    CLIENT_ERROR = 2
    CALL_FAILED = 3
    TIMEOUT = 4
    INTERRUPTED = 5


DEFAULT_RETRY_ON = frozenset({RetryOn.SERVER_ERROR, RetryOn.CALL_FAILED, RetryOn.TIMEOUT})


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Which missed slots fire; ``window`` None is without limit, ``cap`` counts with mode ``ALL`` only."""

    mode: CatchUpMode = CatchUpMode.LATEST
    window: timedelta | None = None
    cap: int = DEFAULT_CAP

    @property
    def reach(self) -> timedelta | None:
        """How late a slot may be and still fire; None: however late."""
        if self.window is None and self.mode is CatchUpMode.NONE:
            return WINDOW_OF_NONE
        return self.window


@dataclass(frozen=True, slots=True)
class Retry:
    """When and how often a failed attempt is repeated."""

    max_attempts: int
    initial_backoff: timedelta = DEFAULT_INITIAL_BACKOFF
    max_backoff: timedelta = DEFAULT_MAX_BACKOFF
    retry_on: frozenset[RetryOn] = DEFAULT_RETRY_ON

    def delay(self, attempt: int) -> timedelta:
        """Return how long to wait after that attempt, 1 for the first, before the next one."""
        doublings = min(attempt - 1, 60)
        seconds = self.initial_backoff.total_seconds() * 2.0**doublings
        return timedelta(seconds=min(seconds, self.max_backoff.total_seconds()))


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """How a run is invoked; ``timeout`` bounds each attempt."""

    retry: Retry | None = None
    timeout: timedelta | None = None


PLAIN_RUN = RunPolicy()


@dataclass(frozen=True, slots=True)
class SchedulePolicy:
    """How a schedule turns slots into runs, and how those are invoked."""

    catchup: CatchUp = CatchUp()
    overlap: Overlap = Overlap.ALLOW
    jitter: timedelta = timedelta()
    run: RunPolicy = PLAIN_RUN


PLAIN = SchedulePolicy()


@dataclass(frozen=True, slots=True)
class Pause:
    """Why something is paused. ``until``: it resumes by itself then; None: when it is resumed."""

    note: str = ""
    subject_id: str = ""
    display_name: str = ""
    until: datetime | None = None
    paused_at: datetime | None = None


def slot_delay(schedule_id: str, slot: datetime, jitter: timedelta, following: datetime | None) -> timedelta:
    """Return how much later than its slot a schedule with jitter fires: the same for the same slot in every process.

    Uniform over ``jitter``, but never as late as the following slot, so that slots keep their order.
    """
    if following is not None:
        jitter = min(jitter, following - slot)
    if jitter <= timedelta():
        return timedelta()
    digest = hashlib.sha256(f"{schedule_id}\0{slot.timestamp():.0f}".encode("utf-8", "surrogatepass")).digest()
    share = int.from_bytes(digest[:6], "big") / 2**48
    return timedelta(milliseconds=int(jitter.total_seconds() * 1000 * share))


def noted_pause(asked: Pause | None, known: Pause | None, now: datetime) -> Pause:
    """Return what is kept of a pause: what was asked for, else what was known; and since when."""
    kept = asked or known or Pause()
    since = known.paused_at if known is not None and known.paused_at is not None else now
    return replace(kept, paused_at=since)


def upserted_pause(paused: bool, asked: Pause | None, known: Pause | None, now: datetime) -> Pause | None:
    """Return what an upsert keeps of a pause: what it asks for, and of what was known only since when it is paused."""
    if not paused:
        return None
    since = known.paused_at if known is not None and known.paused_at is not None else now
    return replace(asked or Pause(), paused_at=since)
