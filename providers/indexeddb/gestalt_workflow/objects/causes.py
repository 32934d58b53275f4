"""Count what runs cause, and say when it is too much: a loop of triggers ends by itself (decision 29).

Runs are counted for the subject that they belong to, those of the configuration for each of its triggers. So whoever
makes a loop, or has very many triggers, stops nothing of somebody else that goes back to the same root.

Each root has one small row, which is written in the commit of what it caused, so counting costs no message. A process
learns what others have counted when it cannot replace the row, and writes it once more. So the count may lack what is
on its way elsewhere, and after a start the first commit of a root is made without comparing. An hour begins with the
first run that is caused, and the next one when it is over.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from gestalt_sdk.common.printable import quoted
from gestalt_workflow.model.clock import Clock, from_micros, to_micros
from gestalt_workflow.model.errors import StateConflict, StorageFailed
from gestalt_workflow.model.objects import CONFIG_SUBJECT, Cause, Run
from gestalt_workflow.stored.records import CAUSES
from gestalt_workflow.stored.storage import Condition, Record, Storage, Write, WriteResult, absent

COUNTED_FOR = timedelta(hours=1)
KNOWN_ROOTS = 10_000
KNOWN_COUNTS = 200_000
"""Counts kept in memory, of all roots together."""
LOGGED_TRIGGERS = 10_000
ATTEMPTS = 4

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Excess:
    """How far a cause may go, and how far it would have gone; both for people."""

    allowed: str
    actual: str


@dataclass(slots=True)
class _Root:
    """What is known of a root.

    Attributes:
        since: Beginning of the hour that is counted.
        stored, stamp: The counts in its row, and the row's stamp; blank when there is none.
        unwritten: What this process has made beyond that, because another one had written the row.
    """

    since: datetime
    stored: Counter[str] = field(default_factory=Counter)
    stamp: str = ""
    unwritten: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Counting:
    """The write that counts runs, in the commit that makes them.

    Attributes:
        writes: It, or none without a cause.
        runs: How many it counts, for whom.
        earlier: What was unwritten before, and is counted with it.
    """

    cause: Cause | None
    runs: Counter[str]
    writes: Sequence[Write] = ()
    earlier: Counter[str] = field(default_factory=Counter)


def counted_for(subject_id: str, trigger_id: str = "") -> str:
    """Return for whom a run is counted: its subject, or of the configuration's the trigger."""
    subject = subject_id.strip()
    return f"{subject}\0{trigger_id}" if subject == CONFIG_SUBJECT else subject


def _counts(record: Record) -> Counter[str]:
    return Counter({str(whose): int(runs) for whose, runs in json.loads(record.get("by", "{}")).items()})


class Causes:
    """The causes that this process has met lately."""

    def __init__(self, storage: Storage, clock: Clock, max_chain: int, max_caused: int) -> None:
        """Take the configuration's limits."""
        self._storage = storage
        self._clock = clock
        self._max_chain = max_chain
        self._max_caused = max_caused
        self._roots: OrderedDict[str, _Root] = OrderedDict()
        self._known_counts = 0
        self._logged: OrderedDict[str, None] = OrderedDict()
        self.stopped = 0
        """Triggers that were not run, and runs that were not started, because a cause went too far."""
        self._last_stop: datetime | None = None

    @property
    def stopped_lately(self) -> bool:
        """Whether something was stopped within the last hour."""
        return self._last_stop is not None and self._clock() - self._last_stop < COUNTED_FOR

    def _stopped(self) -> None:
        self.stopped += 1
        self._last_stop = self._clock()

    def excess(self, cause: Cause | None, whose: str) -> Excess | None:
        """Return why no more runs that are counted for ``whose`` may come of the cause; None while they may."""
        if cause is None:
            return None
        if cause.chain > self._max_chain:
            return Excess(f"a chain of {self._max_chain} (maxChain)", str(cause.chain))
        root = self._root(cause)
        caused = root.stored[whose] + root.unwritten[whose]
        if caused >= self._max_caused:
            return Excess(f"{self._max_caused} runs of one subject and root within an hour (maxCaused)", str(caused))
        return None

    def require(self, cause: Cause | None, whose: str) -> None:
        """Raise ``StateConflict`` when no run that is counted for ``whose`` may be started for the cause."""
        excess = self.excess(cause, whose)
        if cause is not None and excess is not None:
            self._stopped()
            self._log(f"start of a run by {cause.root}", cause, excess)
            accepted = f"accepted are {excess.allowed}, this is {excess.actual}"
            raise StateConflict(f"a run caused by {quoted(cause.root)} was not started: {accepted}")

    def stop(self, trigger_id: str, cause: Cause, excess: Excess) -> None:
        """Take note of a trigger that is not run; the log says so once for each."""
        self._stopped()
        self._log(trigger_id, cause, excess)

    async def started(self, cause: Cause | None, whose: str) -> None:
        """Count a run that was started."""
        if cause is not None:
            self._root(cause).unwritten[whose] += 1
            await self._write(cause)

    def counting(self, cause: Cause | None, runs: Sequence[Run], conditions: Sequence[Condition] = ()) -> Counting:
        """Return the write that counts the runs, for the commit that makes them.

        Args:
            conditions: Under which the runs are made.
        """
        counts = Counter(counted_for(run.subject, run.trigger.trigger_id) for run in runs)
        return self._counting(cause, counts, conditions)

    def _counting(self, cause: Cause | None, runs: Counter[str], conditions: Sequence[Condition] = ()) -> Counting:
        if cause is None or not runs:
            return Counting(cause, runs)
        root = self._root(cause)
        counts = root.stored + root.unwritten + runs
        known = Condition.equals("stamp", root.stamp) if root.stamp else absent()
        record: Record = {
            "id": cause.root,
            "since_us": to_micros(root.since),
            "caused": counts.total(),
            "by": json.dumps(counts, ensure_ascii=False, separators=(",", ":")),
            "stamp": secrets.token_hex(8),
        }
        write = Write(CAUSES, "put", record, conditions=[known, *conditions])
        return Counting(cause, runs, [write], root.unwritten.copy())

    async def counted(self, counting: Counting, results: Sequence[WriteResult]) -> None:
        """Take note of runs that were made, and of what became of the write that counts them.

        When another process had written the row, it is written once more.
        """
        if counting.cause is not None and counting.runs:
            self._root(counting.cause).unwritten += counting.runs
            if not self._noted(counting, results[0]):
                await self._write(counting.cause)

    async def _write(self, cause: Cause) -> None:
        """Write what this process has counted."""
        for _ in range(ATTEMPTS):
            root = self._root(cause)
            if not root.unwritten:
                return
            runs, root.unwritten = root.unwritten, Counter()
            counting = self._counting(cause, runs)
            root.unwritten = runs
            try:
                results = await self._storage.write(counting.writes, "count what a run causes")
            except StorageFailed as error:  # what was caused is there all the same
                log.warning("not counted for others", event_name="cause.uncounted", root=cause.root, error=str(error))
                return
            if self._noted(counting, results[0]):
                return

    def _noted(self, counting: Counting, result: WriteResult) -> bool:
        """Take note of what became of the write; return whether it was made."""
        assert counting.cause is not None
        root = self._root(counting.cause)
        record = counting.writes[0].record
        if result.ok and record is not None:
            self._store(root, _counts(record), record["stamp"])
            root.unwritten = root.unwritten - counting.earlier - counting.runs
            return True
        current = result.current
        self._store(root, root.stored, current["stamp"] if current is not None else "")
        if current is not None:
            since = from_micros(current["since_us"])
            if timedelta() <= self._clock() - since < COUNTED_FOR:
                root.since = since
                self._store(root, _counts(current), root.stamp)
        return False

    def _store(self, root: _Root, stored: Counter[str], stamp: str) -> None:
        """Take note of a root's row, and forget the roots met longest ago when their counts are too many."""
        self._known_counts += len(stored) - len(root.stored)
        root.stored, root.stamp = stored, stamp
        while self._known_counts > KNOWN_COUNTS and len(self._roots) > 1:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, root = self._roots.popitem(last=False)
        self._known_counts -= len(root.stored)

    def _root(self, cause: Cause) -> _Root:
        now = self._clock()
        root = self._roots.get(cause.root)
        if root is None:
            root = self._roots[cause.root] = _Root(now)
            if len(self._roots) > KNOWN_ROOTS:
                self._forget_oldest()
        self._roots.move_to_end(cause.root)
        if not timedelta() <= now - root.since < COUNTED_FOR:
            root.since, root.unwritten = now, Counter()
            self._store(root, Counter(), root.stamp)
        return root

    def _log(self, what: str, cause: Cause, excess: Excess) -> None:
        if what in self._logged:
            return
        self._logged[what] = None
        if len(self._logged) > LOGGED_TRIGGERS:
            self._logged.popitem(last=False)
        log.warning(
            "a loop was ended: what caused this has gone too far",
            event_name="cause.stopped",
            trigger=what,
            root=cause.root,
            chain=cause.chain,
            allowed=excess.allowed,
            actual=excess.actual,
        )
