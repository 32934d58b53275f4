"""Give out what may be claimed next, from the queue and from a lane beside it for each limit that is reached.

A run over the limit of its target is set aside: one commit moves it, and what else was met with it, from the queue
into the lane of the limit, which is a part of the same index. There it stands in nobody's way, keeps its rank, and is
claimed once a permit is free. Which limits there are is a matter of configuration, so a run that is met in a lane that
is not its own goes back to where it belongs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from gestalt_workflow.claims import transitions
from gestalt_workflow.dispatch.limits import Limit, Limits
from gestalt_workflow.dispatch.permits import Permits
from gestalt_workflow.dispatch.run_queue import RunQueue
from gestalt_workflow.model.objects import Run, RunStatus
from gestalt_workflow.stored.records import LANE, LANES_END, RUNS, run_to_record
from gestalt_workflow.stored.storage import Condition, KeyRange, Storage, Write, at_revision

ASIDE_AT_ONCE = 512
ASIDE_BYTES = 1024 * 1024
LOOKED_AT = 200


@dataclass(slots=True)
class Taken:
    """What is to be written next.

    Attributes:
        runs: Runs to be claimed, with the permits that each is to take.
        aside: Runs to be moved to another lane, or back into the queue: as they will be.
        aside_bytes: Roughly what moving them writes.
    """

    runs: list[tuple[Run, tuple[str, ...]]] = field(default_factory=list)
    aside: list[Run] = field(default_factory=list)
    aside_bytes: int = 0

    @property
    def full(self) -> bool:
        """Whether so much is to be moved that the claims must not wait for more."""
        return len(self.aside) >= ASIDE_AT_ONCE or self.aside_bytes >= ASIDE_BYTES

    def set_aside(self, run: Run, lane: str) -> None:
        """Add a run to be moved into that lane, or into the queue when it is blank."""
        self.aside.append(transitions.moved(run, lane))
        self.aside_bytes += len(run.target.data) + len(run.trigger.data) + len(run.result_body) + len(run.timeline)

    def __bool__(self) -> bool:
        return bool(self.runs or self.aside)

    def touched(self) -> dict[str, Run]:
        """Return by id the runs to be claimed, as they are, and those to be moved, as they will be."""
        return {run.id: run for run in (*(run for run, _ in self.runs), *self.aside)}


class Lanes:
    """The queue and the lanes, as far as this process knows them."""

    def __init__(self, storage: Storage, limits: Limits, permits: Permits) -> None:
        self.queue = RunQueue(storage)
        self.limits = limits
        self._storage = storage
        self._permits = permits
        self._lanes: dict[str, RunQueue] = {}
        self._looked_until = LANE

    def offer(self, run: Run) -> None:
        """Add a run that was just committed as pending; it replaces an older record of the same run."""
        for lane in self._lanes.values():
            lane.forget(run.id)
        if run.lane:
            self.queue.forget(run.id)
            self._lane(run.lane).offer(run)
        else:
            self.queue.offer(run)

    def forget(self, run_id: str) -> None:
        """Forget the run; it was claimed, canceled or moved."""
        self.queue.forget(run_id)
        for lane in self._lanes.values():
            lane.forget(run_id)

    def suspect(self) -> None:
        """Read again what is in the queue and the lanes: a write whose answer was lost may have moved runs."""
        self.queue.suspect()
        for lane in self._lanes.values():
            lane.suspect()
        self._permits.doubt()

    # Taking

    async def take(self, limit: int, busy: Callable[[], Collection[str]]) -> Taken:
        """Take up to ``limit`` runs that may be claimed, lowest rank first, and those met before them that may not.

        Args:
            busy: Gives the ids of the runs that this process is claiming or invoking: the store may still show them as
                pending.
        """
        await self.queue.fill(limit, busy)
        await self._fill_lanes(busy)
        taken = Taken()
        while len(taken.runs) < limit and not taken.full:
            found = self._first()
            if found is None:
                break
            run = found.pop()
            limits = self.limits.of(run.target)
            name = limits[-1].name if limits else ""
            if limits:
                await self._permits.end_doubt()
            if run.lane not in ("", name):
                taken.set_aside(run, "")
            elif not self._permits.has_capacity(limits) or (not run.lane and self._waits_in(name)):
                taken.set_aside(run, name)
            else:
                taken.runs.append((run, self._permits.take(limits, run.id)))
        self._lanes = {name: lane for name, lane in self._lanes.items() if lane.may_hold}
        return taken

    async def _fill_lanes(self, busy: Callable[[], Collection[str]]) -> None:
        if not self._lanes:
            return
        await self._permits.end_doubt()
        for name, lane in list(self._lanes.items()):
            if not len(lane) and lane.may_have_more and self._permits.has_capacity(self.limits.named(name)):
                await lane.refresh(busy)

    def _first(self) -> RunQueue | None:
        """Return the queue or the lane whose first run has the lowest rank of those that may be claimed."""
        best = self.queue if len(self.queue) else None
        for name, lane in self._lanes.items():
            if (
                len(lane)
                and (best is None or lane.head < best.head)
                and self._permits.has_capacity(self._holding(name))
            ):
                best = lane
        return best

    def _holding(self, name: str) -> Sequence[Limit]:
        """Return the limits that hold the first run of the lane back; none when it does not belong there."""
        limits = self.limits.of(self._lanes[name].first.target)
        return limits if limits and limits[-1].name == name else ()

    def _waits_in(self, name: str) -> bool:
        return name in self._lanes and self._lanes[name].may_hold

    def _lane(self, name: str) -> RunQueue:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = RunQueue(self._storage, f"{LANE}{name}", unread=False)
        return lane

    # Telling what became of them

    def move_writes(self, taken: Taken) -> list[Write]:
        """Return the writes that move what is to be set aside, one for each run."""
        conditions = [Condition.equals("status", int(RunStatus.PENDING))]
        return [
            Write(RUNS, "put", run_to_record(run), conditions=[at_revision(run.revision - 1), *conditions])
            for run in taken.aside
        ]

    def refused(self, run: Run, permits: Sequence[str]) -> None:
        """Take note that the claim of the run was refused, so that it holds no permits."""
        if permits:
            self._permits.freed(run.id)
            self._permits.doubt()

    def freed(self, run_id: str) -> bool:
        """Take note that the run, or its claim, is over; return whether it held permits, so that others may go on."""
        return self._permits.freed(run_id)

    # What other processes left

    async def look(self) -> bool:
        """Look for lanes in which runs wait, the next ones at every call; return whether there are any. One message."""
        step = "look for limited runs"
        span = KeyRange(lower=[self._looked_until], upper=[LANES_END], upper_open=True)
        if not self._storage.batched and await self._storage.first_key(RUNS, "hot", [], step, range=span) is None:
            self._looked_until = LANE
            return False
        page = await self._storage.page(RUNS, "hot", [], step, range=span, limit=LOOKED_AT, keys_only=True)
        names = dict.fromkeys(str(row.key[0]).removeprefix(LANE) for row in page.entries)
        for name in names:
            self._lane(name).suspect()
        self._looked_until = f"{LANE}{list(names)[-1]}\0" if page.next_token else LANE
        if names:
            self._permits.doubt()
        return bool(names)

    def stuck(self, ours: Collection[str]) -> bool:
        """Return whether runs wait for permits that other processes hold: nobody tells when those are free.

        ``ours`` are the ids of this process's own runs.
        """
        return any(
            self._permits.held_by_others(self._holding(name) if len(lane) else self.limits.named(name), ours)
            for name, lane in self._lanes.items()
            if lane.may_hold
        )

    def look_again(self) -> None:
        """Read the permits again before the next claim: others may have freed some."""
        self._permits.doubt()
