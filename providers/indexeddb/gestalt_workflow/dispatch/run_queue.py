"""Keep the front of one part of the stored queue in memory, in its order: the runs of one subject.

The store's ``hot`` index is the queue. What this process commits it also keeps here, so a run that is created and
dispatched by the same process is never read back. When more runs are pending than the window holds, the rest is read a
page at a time. What is kept may be outdated, since other processes claim too; claiming is what decides.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from gestalt_workflow.model.objects import Run
from gestalt_workflow.stored.records import RUNS, run_from_record
from gestalt_workflow.stored.storage import Storage

WINDOW = 1024
WINDOW_BYTES = 64 * 1024 * 1024
PAGE = 512

Key = tuple[datetime, str]


class RunQueue:
    """One queue: ranks in order, and the runs that belong to them."""

    def __init__(self, storage: Storage, queue: str, *, unread: bool = True) -> None:
        """Take one part of the ``hot`` index.

        Args:
            queue: Name of that part.
            unread: Whether runs may be there that nobody has offered.
        """
        self._storage = storage
        self._queue = queue
        self._order: list[Key] = []
        self._runs: dict[str, Run] = {}
        self._bytes = 0
        self._more = unread
        self._edge: Key | None = None
        """Behind this key the store knows of runs that the window does not; None: the window knows nothing."""
        self._offered: list[Run] | None = None
        self._refreshing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._runs

    @property
    def may_have_more(self) -> bool:
        """Whether the store may have a run here that the window does not hold."""
        return self._more

    @property
    def may_hold(self) -> bool:
        """Whether a run may be here."""
        return self._more or bool(self._order)

    @property
    def runs(self) -> Collection[Run]:
        """The runs that are held."""
        return self._runs.values()

    @property
    def head(self) -> Key:
        """Rank and id of the first run; there must be one."""
        return self._order[0]

    @property
    def first(self) -> Run:
        """The first run; there must be one."""
        return self._runs[self._order[0][1]]

    def offer(self, run: Run, window: int = WINDOW) -> None:
        """Add a run that was just committed as pending; it replaces an older record of the same run.

        ``window`` is how many runs are kept at most, and as large a part of ``WINDOW_BYTES``; the first one always is.
        """
        if run.rank_at is None:
            return
        if self._offered is not None:
            self._offered.append(run)
        self.forget(run.id)
        key = (run.rank_at, run.id)
        if self._more and (self._edge is None or key > self._edge):
            return
        insort(self._order, key)
        self._runs[run.id] = run
        self._bytes += run.size_bytes
        most_bytes = WINDOW_BYTES * window // WINDOW
        while len(self._order) > window or (len(self._order) > 1 and self._bytes > most_bytes):
            _, dropped = self._order.pop()
            self._bytes -= self._runs.pop(dropped).size_bytes
            self._more, self._edge = True, self._order[-1]

    def forget(self, run_id: str) -> None:
        """Forget the run; it was claimed, canceled or moved."""
        run = self._runs.pop(run_id, None)
        if run is not None and run.rank_at is not None:
            self._bytes -= run.size_bytes
            self._order.remove((run.rank_at, run.id))

    def suspect(self) -> None:
        """Forget everything and read again: a write whose answer was lost may have put runs into the store."""
        self.take_over((), more=True)

    def take_over(self, runs: Sequence[Run], *, more: bool) -> None:
        """Hold these runs, the first that the store has here, and forget all others.

        Args:
            more: Whether the store may have others behind them.
        """
        self._order = sorted((run.rank_at, run.id) for run in runs if run.rank_at is not None)
        self._runs = {run.id: run for run in runs}
        self._bytes = sum(run.size_bytes for run in runs)
        self._more, self._edge = False, None
        if more:
            self.expect_more()

    def expect_more(self) -> None:
        """Take note that the store may have others behind the runs that are held."""
        self._more = True
        self._edge = self._order[-1] if self._order else None

    def pop(self) -> Run:
        """Take the first run; there must be one."""
        run = self._runs.pop(self._order.pop(0)[1])
        self._bytes -= run.size_bytes
        return run

    async def refresh(self, busy: Callable[[], Collection[str]], limit: int = PAGE) -> None:
        """Read the front of the stored queue again; one message on a store with pages.

        Args:
            busy: Gives the ids of the runs that this process is claiming or invoking: the store may still show them as
                pending.
            limit: How many runs are read.
        """
        async with self._refreshing:
            await self._refresh(busy, limit)

    async def _refresh(self, busy: Callable[[], Collection[str]], limit: int) -> None:
        self._offered = []
        try:
            fresh, more = await self._front(busy, limit)
            offered = self._offered
        finally:
            self._offered = None
        self.take_over(fresh, more=more)
        for run in offered:
            self.offer(run)

    async def _front(self, busy: Callable[[], Collection[str]], limit: int) -> tuple[list[Run], bool]:
        """Return the first runs that can be taken, and whether there are more behind them."""
        token = b""
        while True:
            page = await self._storage.page(RUNS, "hot", [self._queue], "read queue", limit=limit, token=token)
            runs = [run for _, run in self._storage.decoded(RUNS, page.records, run_from_record)]
            taken = busy()
            free = [run for run in runs if run.id not in taken and run.rank_at is not None]
            token = page.next_token
            if free or not token:
                return free, bool(token)
