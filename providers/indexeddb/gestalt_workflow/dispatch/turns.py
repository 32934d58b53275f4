"""Give every subject its turn in the queue, or in a lane: the subjects stand in a ring, and each turn is one run.

The ring is the order of the subjects in the ``hot`` index, so nothing but the runs themselves is stored for it. A
stretch of it is known, with the first runs of each subject in memory; what lies behind is read when the turn comes
there. Where the subjects are few that stretch is the whole ring, and nothing is read that this process committed
itself. Where they are many, one page brings the next turns of hundreds.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterator
from itertools import groupby, islice

from gestalt_sdk.indexeddb import CursorEntry
from gestalt_workflow.dispatch.run_queue import PAGE, WINDOW, Key, RunQueue
from gestalt_workflow.model.objects import Run
from gestalt_workflow.stored.records import RUNS, run_from_record, turn_key, turn_of_key, turns_of
from gestalt_workflow.stored.storage import KeyRange, Page, Storage

LEAST_READ = 8
"""Runs of each subject, where many subjects have many."""
MOST_READ = 512
"""Turns ahead."""
STEP = "read queue"

Stretch = tuple[str | None, str | None]
"""Behind the first subject, up to the second one and with it. None: from the beginning, or to the end, of the index.
One whose end lies before its beginning goes on at the beginning of the index."""

Busy = Callable[[], Collection[str]]


class Turns:
    """The runs of the queue, or of one lane, by subject."""

    def __init__(self, storage: Storage, lane: str = "", *, unread: bool = True) -> None:
        """Take the lane, blank for the queue.

        Args:
            unread: Whether runs may be there that nobody has offered.
        """
        self._storage = storage
        self._lane = lane
        self._ring: list[str] = []
        """The known subjects that may have a run, in order."""
        self._queues: dict[str, RunQueue] = {}
        self._last: str | None = None
        """Whose turn was the last."""
        self._unread: Stretch | None = (None, None) if unread else None
        self._offered: list[Run] | None = None
        self._suspected = False
        self._wanted = 0
        self._looked_until: str | None = None
        self._reading = asyncio.Lock()

    @property
    def may_hold(self) -> bool:
        """Whether a run may be here."""
        return self._unread is not None or bool(self._ring)

    @property
    def may_have_more(self) -> bool:
        """Whether the store may have a run here that is not held."""
        return self._unread is not None or any(queue.may_have_more for queue in self._queues.values())

    @property
    def is_empty(self) -> bool:
        """Whether no run is known here."""
        return not self._ring

    def __iter__(self) -> Iterator[RunQueue]:
        """Yield the queue of each known subject, in the order of the turns."""
        at = 0 if self._last is None else bisect_right(self._ring, self._last)
        for subject in (*self._ring[at:], *self._ring[:at]):
            yield self._queues[subject]

    def of(self, subject: str) -> RunQueue | None:
        """Return the queue of the subject when it has a known run."""
        queue = self._queues.get(subject)
        return queue if queue is not None and len(queue) else None

    def first(self, subject: str) -> Run:
        """Return the first run of the subject; there must be one."""
        return self._queues[subject].first

    def head(self, subject: str) -> Key:
        """Return rank and id of that run."""
        return self._queues[subject].head

    def next(self, passed_over: Collection[str]) -> str | None:
        """Return whose turn it is, of those who are not passed over; None when that, or their run, has to be read."""
        at = 0 if self._last is None else bisect_right(self._ring, self._last)
        for place in range(at, at + len(self._ring)):
            subject = self._ring[place % len(self._ring)]
            if subject not in passed_over:
                return subject if len(self._queues[subject]) else None
        return None

    # What is known

    def offer(self, run: Run) -> None:
        """Add a run that was just committed as pending; it replaces an older record of the same run."""
        if self._offered is not None:
            self._offered.append(run)
        subject = run.subject
        queue = self._queues.get(subject)
        if queue is None:
            if self._is_unread(subject):
                return
            queue = RunQueue(self._storage, turn_key(self._lane, subject), unread=False)
            self._add(subject, queue)
        queue.offer(run, max(1, WINDOW // len(self._ring)))
        self._drop_if_empty(subject)
        if len(self._ring) > WINDOW:
            self._cut()

    def forget(self, run_id: str, subject: str | None = None) -> None:
        """Forget the run; it was claimed, canceled or moved. ``subject`` is whose it is, None: not known."""
        if subject is None:
            subject = next((name for name, queue in self._queues.items() if run_id in queue), None)
        if subject is not None and subject in self._queues:
            self._queues[subject].forget(run_id)
            self._drop_if_empty(subject)

    def suspect(self) -> None:
        """Forget everything and read again: a write whose answer was lost may have put runs into the store."""
        self._suspected = True
        self._forget_all()

    def pop(self, subject: str) -> Run:
        """Take the first run of the subject; there must be one."""
        run = self._queues[subject].pop()
        self._drop_if_empty(subject)
        return run

    def had_turn(self, subject: str) -> None:
        """Go on behind the subject, which has had its turn."""
        self._last = subject
        if self._unread is not None:
            # What is behind it now comes last, behind all that is not known: it is read again when its turn comes.
            self._unread = self._unread[0], subject
            for passed in [name for name in self._ring if self._is_unread(name)]:
                self._drop(passed)
        self._forget_last_turn()

    def _forget_last_turn(self) -> None:
        """Begin with the first subject again where nobody waits: the next look reads the ring from there."""
        if not self._ring and self._unread is None:
            self._last = self._looked_until = None

    def _is_unread(self, subject: str) -> bool:
        if self._unread is None:
            return False
        after, until = self._unread
        behind = after is None or subject > after
        before = until is None or subject <= until
        if after is not None and until is not None and after >= until:
            return behind or before
        return behind and before

    def _add(self, subject: str, queue: RunQueue) -> None:
        insort(self._ring, subject)
        self._queues[subject] = queue

    def _drop(self, subject: str) -> None:
        del self._ring[bisect_left(self._ring, subject)]
        del self._queues[subject]

    def _drop_if_empty(self, subject: str) -> None:
        if not self._queues[subject].may_hold:
            self._drop(subject)
            self._forget_last_turn()

    def _cut(self) -> None:
        """Forget the subject whose turn comes last."""
        at = 0 if self._last is None else bisect_right(self._ring, self._last)
        last, before = self._ring[at - 1], self._ring[at - 2]
        self._drop(last)
        self._unread = before, (self._last if self._unread is None else self._unread[1])

    def _forget_all(self) -> None:
        self._ring.clear()
        self._queues.clear()
        self._unread = self._last, self._last

    # Reading

    async def fill(self, wanted: int, busy: Busy) -> None:
        """Read until more turns are known than that, or all, with the first runs of each.

        Args:
            busy: Gives the ids of the runs that this process is claiming or invoking: the store may still show them as
                pending.
        """
        while True:
            await self._read_turns(wanted, busy)
            outdated = [queue for queue in islice(self, wanted) if not len(queue) and queue.may_have_more]
            if not outdated:
                return
            for queue in outdated:
                await queue.refresh(busy, self._share())
            self._drop_empty()

    async def refresh(self, busy: Busy) -> None:
        """Look what other processes left here; one message on a store with pages where there is nothing to find."""
        async with self._reading:
            if self._unread is None:
                await self._look(busy)
            else:  # what is known here is not old, and the rest is read when its turn comes
                while not self._ring and self._unread is not None:
                    await self._read_on(busy)

    async def _read_turns(self, wanted: int, busy: Busy) -> None:
        """Read until more turns are known than that, and more each time, so that all are known where they are few."""
        if self._unread is None:
            return
        self._wanted = min(max(wanted, 2 * self._wanted), MOST_READ)
        while self._unread is not None and len(self._ring) <= self._wanted:
            async with self._reading:
                if self._unread is not None and len(self._ring) <= self._wanted:
                    await self._read_on(busy)
        if self._unread is None:
            self._wanted = 0

    async def _read_on(self, busy: Busy) -> None:
        """Read one page of what is not known, from where it begins."""
        assert self._unread is not None
        after, until = self._unread
        to_end = until is None or (after is not None and after >= until)
        page = await self._read(after, None if to_end else until)
        if page is None or self._unread is None or self._unread[0] != after:
            self._offered = None
            return  # it has to be read again
        edge = self._take_over(page, after, None if to_end else until, busy())
        # Turns that passed meanwhile have moved the end of what is not known.
        until, earlier = self._unread[1], until
        if edge is not None and (to_end or edge != earlier):
            self._unread = edge, until
        elif to_end:
            self._unread = None if until is None else (None, until)
        else:
            self._unread = None if until == earlier else (earlier, until)
        self._offer_again()

    async def _look(self, busy: Busy) -> None:
        """Read a page of a ring that is known whole, the next one each time."""
        after = self._looked_until
        page = await self._read(after, None)
        if page is None or self._unread is not None:
            self._offered = None
            return
        self._looked_until = edge = self._take_over(page, after, None, busy())
        if edge is not None and self._ring[-1] == edge:
            self._unread = edge, None  # as many may be behind it as there were up to it
        self._offer_again()

    async def _read(self, after: str | None, until: str | None) -> Page | None:
        """Read the first page behind a subject, up to another; None when everything is to be read again."""
        lower, upper = turns_of(self._lane)
        span = KeyRange(
            lower=[lower if after is None else _behind(self._lane, after)],
            upper=[upper if until is None else _behind(self._lane, until)],
            upper_open=True,
        )
        self._offered, self._suspected = [], False
        try:
            page = await self._storage.page(RUNS, "hot", [], STEP, range=span, limit=self._share())
        except BaseException:
            self._offered = None
            raise
        return None if self._suspected else page

    def _take_over(self, page: Page, after: str | None, until: str | None, busy: Collection[str]) -> str | None:
        """Hold what the page has instead of what was known of that stretch.

        Returns:
            Whose the last run of the page is; None when the page reaches to the end of the stretch.
        """
        groups = [(turn_of_key(key)[1] or "", list(rows)) for key, rows in groupby(page.entries, key=_key)]
        edge = groups[-1][0] if page.next_token else None
        end = until if edge is None else edge
        for subject in list(self._ring):
            if (after is None or subject > after) and (end is None or subject <= end):
                self._drop(subject)
        for subject, rows in groups:
            records = [row.record for row in rows if row.record is not None]
            runs = [run for _, run in self._storage.decoded(RUNS, records, run_from_record)]
            queue = RunQueue(self._storage, turn_key(self._lane, subject))
            free = [run for run in runs if run.id not in busy and run.rank_at is not None]
            queue.take_over(free, more=subject == edge)
            if queue.may_hold:
                self._add(subject, queue)
        return edge

    def _offer_again(self) -> None:
        """Add what was committed while the page was read."""
        offered, self._offered = self._offered or [], None
        for run in offered:
            self.offer(run)
        while len(self._ring) > WINDOW:
            self._cut()
        self._forget_last_turn()

    def _share(self) -> int:
        """Return how many runs are read at once: fewer of each where many subjects have many."""
        full = sum(queue.may_have_more for queue in self._queues.values())
        return max(LEAST_READ, PAGE // (1 + full))

    def _drop_empty(self) -> None:
        for subject in [subject for subject, queue in self._queues.items() if not queue.may_hold]:
            self._drop(subject)
        self._forget_last_turn()


def _behind(lane: str, subject: str) -> str:
    """Return the least key that is greater than that of the subject."""
    return turn_key(lane, subject) + "\0"


def _key(entry: CursorEntry) -> str:
    """Return the first part of the index key."""
    assert isinstance(entry.key, list)
    return str(entry.key[0])
