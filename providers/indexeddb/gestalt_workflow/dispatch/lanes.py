"""Give out what may be claimed next, from the queue and from a lane beside it for each limit that is reached.

Places go round by subject (decision 24): the queue and each lane give every subject its turn, and among those of them
from which a run may be claimed it is the turn of the subject that had none for longest. Within its turn a subject's run
of the lowest rank goes first.

A run over the limit of its target is set aside: one commit moves it, and what else was met with it, from the queue
into the lane of the limit, which is a part of the same index. There it stands in nobody's way, keeps its rank, and is
claimed once a permit is free. Which limits there are is a matter of configuration, so a run that is met in a lane that
is not its own goes back to where it belongs. So does a run that a process of an earlier version queued, which knew of
no turns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gestalt_workflow.claims import transitions
from gestalt_workflow.dispatch.limits import Limit, Limits
from gestalt_workflow.dispatch.permits import Permits
from gestalt_workflow.dispatch.run_queue import RunQueue
from gestalt_workflow.dispatch.turns import Turns
from gestalt_workflow.model.objects import Run, RunStatus
from gestalt_workflow.stored.records import LANE, LANES_END, READY, RUNS, run_to_record, turn_of_key, turns_of
from gestalt_workflow.stored.storage import Condition, KeyRange, Storage, Write, at_revision

ASIDE_AT_ONCE = 512
ASIDE_BYTES = 1024 * 1024
CLAIM_BYTES = 8 * 1024 * 1024
"""Bytes of runs that one claim writes; a run that has more is claimed alone. A message carries 64 MiB."""
LOOKED_AT = 200
REMEMBERED = 10_000
"""Subjects of which it is known when they had their last turn, for choosing between the queue and lanes."""
_LANES_BEGIN = turns_of("")[1]


@dataclass(slots=True)
class Taken:
    """What is to be written next.

    Attributes:
        runs: Runs to be claimed, with the permits that each is to take.
        run_bytes: Roughly what claiming them writes.
        aside: Runs to be moved to another lane, or back into the queue: as they will be.
        aside_bytes: Roughly what moving them writes.
    """

    runs: list[tuple[Run, tuple[str, ...]]] = field(default_factory=list)
    run_bytes: int = 0
    aside: list[Run] = field(default_factory=list)
    aside_bytes: int = 0

    @property
    def full(self) -> bool:
        """Whether so much is to be moved that the claims must not wait for more."""
        return len(self.aside) >= ASIDE_AT_ONCE or self.aside_bytes >= ASIDE_BYTES

    def takes(self, run: Run) -> bool:
        """Return whether the commit takes the claim of this run too."""
        return not self.runs or self.run_bytes + run.size_bytes <= CLAIM_BYTES

    def claim(self, run: Run, permits: tuple[str, ...]) -> None:
        """Add a run to be claimed."""
        self.runs.append((run, permits))
        self.run_bytes += run.size_bytes

    def set_aside(self, run: Run, lane: str) -> None:
        """Add a run to be moved into that lane, or into the queue when it is blank."""
        self.aside.append(transitions.moved(run, lane))
        self.aside_bytes += run.size_bytes

    def __bool__(self) -> bool:
        return bool(self.runs or self.aside)

    def touched(self) -> dict[str, Run]:
        """Return by id the runs to be claimed, as they are, and those to be moved, as they will be."""
        return {run.id: run for run in (*(run for run, _ in self.runs), *self.aside)}


class Lanes:
    """The queue and the lanes, as far as this process knows them."""

    def __init__(self, storage: Storage, limits: Limits, permits: Permits) -> None:
        self.queue = Turns(storage)
        self.limits = limits
        self._storage = storage
        self._permits = permits
        self._lanes: dict[str, Turns] = {}
        self._without_turns = {READY: RunQueue(storage, READY)}
        """Parts of the index in which processes of earlier versions queue runs."""
        self._turns: dict[str, int] = {}
        """Number of the last turn of each subject, in that order; the subjects of long ago are left out."""
        self._turn = 0
        self._looked_until = _LANES_BEGIN

    def offer(self, run: Run) -> None:
        """Add a run that was just committed as pending; it replaces an older record of the same run."""
        for queue in self._without_turns.values():
            queue.forget(run.id)
        for name, lane in self._lanes.items():
            if name != run.lane:
                lane.forget(run.id, run.subject)
        if run.lane:
            self.queue.forget(run.id, run.subject)
            self._lane(run.lane).offer(run)
        else:
            self.queue.offer(run)

    def forget(self, run_id: str) -> None:
        """Forget the run; it was claimed, canceled or moved."""
        for queue in self._without_turns.values():
            queue.forget(run_id)
        self.queue.forget(run_id)
        for lane in self._lanes.values():
            lane.forget(run_id)

    def suspect(self) -> None:
        """Read again what is in the queue and the lanes: a write whose answer was lost may have moved runs."""
        for queue in self._without_turns.values():
            queue.suspect()
        self.queue.suspect()
        for lane in self._lanes.values():
            lane.suspect()
        self._permits.doubt()

    def longest_wait(self, now: datetime) -> timedelta:
        """Return how long the run has waited that has waited longest, of those in memory."""
        waited = [now - transitions.queued_since(run) for queue in self._queues() for run in queue.runs]
        return max([timedelta(), *waited])

    async def count(self) -> int:
        """Return how many runs wait here, or behind a limit.

        Nothing is read where all of them are in memory, else they are counted by one message, and by another one those
        that processes of an earlier version have queued.
        """
        ready = self._without_turns[READY]
        if any(part.may_have_more for part in (self.queue, *self._lanes.values())):
            span = KeyRange(lower=[LANE], upper=[LANES_END], upper_open=True)
            count = await self._storage.count(RUNS, "hot", [], "count queue", range=span)
        else:
            count = sum(len(queue) for queue in self._queues()) - len(ready)
        if ready.may_have_more:
            return count + await self._storage.count(RUNS, "hot", [READY], "count queue")
        return count + len(ready)

    def _queues(self) -> list[RunQueue]:
        turns = (self.queue, *self._lanes.values())
        return [*(queue for part in turns for queue in part), *self._without_turns.values()]

    # Taking

    async def take(self, limit: int, busy: Callable[[], Collection[str]]) -> Taken:
        """Take up to ``limit`` runs that may be claimed, turn by turn, and those met before them that may not.

        Runs that are large together are left for the next call.

        Args:
            busy: Gives the ids of the runs that this process is claiming or invoking: the store may still show them as
                pending.
        """
        await self.queue.fill(limit, busy)
        await self._fill_lanes(limit, busy)
        taken = Taken()
        await self._give_turns(taken, busy)
        passed_over: dict[Turns, set[str]] = {}
        while len(taken.runs) < limit:
            found = self._next(passed_over)
            if found is None:
                break
            turns, subject, due = found
            run = turns.first(subject)
            if not taken.takes(run):
                break
            limits = self.limits.of(run.target)
            name = limits[-1].name if limits else ""
            if limits and self._permits.in_doubt:
                await self._permits.end_doubt()
                continue
            astray = run.lane not in ("", name)
            if not astray and self._permits.has_capacity(limits) and (run.lane or not self._waits_in(name)):
                taken.claim(turns.pop(subject), self._permits.take(limits, run.id))
                self._had_turn(subject, due)
            elif taken.full:
                passed_over.setdefault(turns, set()).add(subject)
            else:
                taken.set_aside(turns.pop(subject), "" if astray else name)
        self._lanes = {name: lane for name, lane in self._lanes.items() if lane.may_hold}
        return taken

    async def _fill_lanes(self, limit: int, busy: Callable[[], Collection[str]]) -> None:
        if not self._lanes:
            return
        await self._permits.end_doubt()
        for name, lane in list(self._lanes.items()):
            if self._permits.has_capacity(self.limits.named(name)):
                await lane.fill(limit, busy)

    async def _give_turns(self, taken: Taken, busy: Callable[[], Collection[str]]) -> None:
        """Bring runs that were queued without a turn to where they belong."""
        for part, queue in list(self._without_turns.items()):
            if not len(queue) and queue.may_have_more:
                await queue.refresh(busy)
            while len(queue) and not taken.full:
                run = queue.pop()
                taken.set_aside(run, run.lane)
            if part != READY and not queue.may_hold:
                del self._without_turns[part]

    def _next(self, passed_over: Mapping[Turns, Collection[str]]) -> tuple[Turns, str, list[Turns]] | None:
        """Return where the next run is to be taken from, whose turn it is, and where it is that subject's turn."""
        candidates: list[tuple[Turns, str]] = []
        for name, turns in self._parts():
            subject = turns.next(passed_over.get(turns, ()))
            if subject is not None and self._may_claim(name, turns, subject):
                candidates.append((turns, subject))
        if not candidates:
            return None
        ranks = {subject: (self._turns.get(subject, 0), turns.head(subject)) for turns, subject in reversed(candidates)}
        subject = min(ranks, key=lambda name: ranks[name])
        parts = [
            turns
            for name, turns in self._parts()
            if turns.of(subject) is not None
            and subject not in passed_over.get(turns, ())
            and self._may_claim(name, turns, subject)
        ]
        due = [turns for turns, name in candidates if name == subject]
        return min(parts, key=lambda turns: turns.head(subject)), subject, due

    def _parts(self) -> Iterator[tuple[str, Turns]]:
        """Yield the queue under a blank name, and each lane under that of its limit."""
        yield "", self.queue
        yield from self._lanes.items()

    def _may_claim(self, name: str, turns: Turns, subject: str) -> bool:
        return not name or self._permits.has_capacity(self._holding(name, turns.first(subject)))

    def _had_turn(self, subject: str, due: Sequence[Turns]) -> None:
        """Take note that the subject has had its turn, also where it could have taken another run in it."""
        for turns in due:
            turns.had_turn(subject)
        self._turn += 1
        self._turns.pop(subject, None)
        self._turns[subject] = self._turn
        if len(self._turns) > REMEMBERED:
            del self._turns[next(iter(self._turns))]

    def _holding(self, name: str, first: Run) -> Sequence[Limit]:
        """Return the limits that hold the first run of a lane back; none when it does not belong there."""
        limits = self.limits.of(first.target)
        return limits if limits and limits[-1].name == name else ()

    def _waits_in(self, name: str) -> bool:
        return name in self._lanes and self._lanes[name].may_hold

    def _lane(self, name: str) -> Turns:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Turns(self._storage, name, unread=False)
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

    async def look_for_runs(self, busy: Callable[[], Collection[str]]) -> bool:
        """Look whether the queue has runs; one message."""
        if not self._storage.batched and not self.queue.may_hold:
            lower, upper = turns_of("")
            span = KeyRange(lower=[lower], upper=[upper], upper_open=True)
            if await self._storage.first_key(RUNS, "hot", [], "look for runs", range=span) is None:
                return False
            self.queue.suspect()
        await self.queue.refresh(busy)
        return self.queue.may_hold

    async def look_for_runs_without_turns(self, busy: Callable[[], Collection[str]]) -> bool:
        """Look whether processes of an earlier version have queued runs; one message."""
        queue = self._without_turns[READY]
        if self._storage.batched:
            await queue.refresh(busy)
        elif not queue.may_hold and await self._storage.first_key(RUNS, "hot", [READY], "look for runs") is not None:
            queue.suspect()
        return queue.may_hold

    async def look(self) -> bool:
        """Look for lanes in which runs wait, the next ones at every call; return whether there are any. One message."""
        step = "look for limited runs"
        span = KeyRange(lower=[self._looked_until], upper=[LANES_END], upper_open=True)
        if not self._storage.batched and await self._storage.first_key(RUNS, "hot", [], step, range=span) is None:
            self._looked_until = _LANES_BEGIN
            return False
        page = await self._storage.page(RUNS, "hot", [], step, range=span, limit=LOOKED_AT, keys_only=True)
        keys = dict.fromkeys(str(row.key[0]) for row in page.entries)
        names = {turn_of_key(key)[0] for key in keys}
        for name in names:
            self._lane(name).suspect()
        for key in keys:
            if turn_of_key(key)[1] is None:
                self._without_turns.setdefault(key, RunQueue(self._storage, key)).suspect()
        self._looked_until = turns_of(turn_of_key(list(keys)[-1])[0])[1] if page.next_token else _LANES_BEGIN
        if names:
            self._permits.doubt()
        return bool(names)

    def stuck(self, ours: Collection[str]) -> bool:
        """Return whether runs wait for permits that other processes hold: nobody tells when those are free.

        ``ours`` are the ids of this process's own runs.
        """
        return any(
            self._permits.held_by_others(self._held(name, lane), ours)
            for name, lane in self._lanes.items()
            if lane.may_hold
        )

    def _held(self, name: str, lane: Turns) -> Sequence[Limit]:
        subject = lane.next(())
        return self.limits.named(name) if subject is None else self._holding(name, lane.first(subject))

    def look_again(self) -> None:
        """Read the permits again before the next claim: others may have freed some."""
        self._permits.doubt()
