"""Bugs to be planted in the engine, to show that the simulation finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from unittest import mock

from gestalt_workflow.firing.scheduler import Scheduler
from gestalt_workflow.model.objects import Run
from gestalt_workflow.stored.records import EVENTS, FAN_OUTS, PERMITS, RUN_KEYS, RUNS, SCHEDULES
from gestalt_workflow.stored.storage import Storage, Write, WriteResult

_FENCE = {"revision", "owner", "epoch", "status"}


@contextmanager
def dropped_fence() -> Iterator[None]:
    """Writes of runs no longer name the claim, the state and the revision that they rely on."""
    with _writing(lambda entries: [_unfenced(entry) for entry in entries]):
        yield


def _unfenced(entry: Write) -> Write:
    if entry.store != RUNS or entry.op != "put":
        return entry
    return replace(
        entry, conditions=[c for c in entry.conditions if c.store not in ("", RUNS) or c.field not in _FENCE]
    )


@contextmanager
def advance_before_insert() -> Iterator[None]:
    """A firing moves the schedule in a commit of its own and makes the run in the next one."""
    write = Storage.write

    async def in_two_steps(self: Storage, entries: Sequence[Write], step: str) -> list[WriteResult]:
        moves = [place for place, entry in enumerate(entries) if entry.store == SCHEDULES and entry.op == "put"]
        if not moves or not any(entry.store == RUNS and entry.op == "add" for entry in entries):
            return await write(self, entries, step)
        moved = dict(zip(moves, await write(self, [entries[place] for place in moves], step), strict=True))
        advanced = {str((entries[place].record or {})["id"]) for place, outcome in moved.items() if outcome.ok}
        rest = [
            replace(e, conditions=[c for c in e.conditions if c.store != SCHEDULES or c.id not in advanced])
            for place, e in enumerate(entries)
            if place not in moved
        ]
        made = iter(await write(self, rest, step))
        return [moved[place] if place in moved else next(made) for place in range(len(entries))]

    with mock.patch.object(Storage, "write", in_two_steps):
        yield


@contextmanager
def unconditional_key_release() -> Iterator[None]:
    """The end of a run deletes the row of its workflow key, whichever run the row names by then."""

    def release(entry: Write) -> Write:
        return replace(entry, conditions=()) if entry.store == RUN_KEYS and entry.op == "delete" else entry

    with _writing(lambda entries: [release(entry) for entry in entries]):
        yield


@contextmanager
def runs_without_their_event() -> Iterator[None]:
    """The runs of an event are written whether its record is or not."""

    def loose(entry: Write) -> Write:
        return replace(entry, conditions=[condition for condition in entry.conditions if condition.store != EVENTS])

    with _writing(lambda entries: [loose(entry) for entry in entries]):
        yield


@contextmanager
def fan_out_ahead_of_its_runs() -> Iterator[None]:
    """A fan-out moves on in a commit of its own, and makes the runs of its page some time later."""
    write_alone = Storage.write_alone

    async def in_two_steps(self: Storage, entries: Sequence[Write], step: str) -> list[WriteResult]:
        runs = [entry for entry in entries if entry.store == RUNS]
        if not runs or not any(entry.store == FAN_OUTS for entry in entries):
            return await write_alone(self, entries, step)
        moved = await write_alone(self, [entry for entry in entries if entry.store != RUNS], step)
        await asyncio.sleep(5)
        made = await write_alone(self, runs, step) if all(result.ok for result in moved) else []
        return [*moved, *made]

    with mock.patch.object(Storage, "write_alone", in_two_steps):
        yield


@contextmanager
def permits_not_asked_for() -> Iterator[None]:
    """A claim takes permits without looking whether another run holds them."""

    def taken(entry: Write) -> Write:
        if entry.store == PERMITS and entry.op == "add":
            return replace(entry, op="put")
        return replace(entry, conditions=[condition for condition in entry.conditions if condition.store != PERMITS])

    with _writing(lambda entries: [taken(entry) for entry in entries]):
        yield


@contextmanager
def permits_not_given_back() -> Iterator[None]:
    """The end of a claim leaves its permits behind."""
    with _writing(
        lambda entries: [
            replace(entry, op="check") if entry.store == PERMITS and entry.op == "delete" else entry
            for entry in entries
        ]
    ):
        yield


@contextmanager
def _writing(change: Callable[[Sequence[Write]], list[Write]]) -> Iterator[None]:
    """Every write of the engine goes through ``change`` first."""
    commit = Storage._commit

    async def changed(self: Storage, entries: Sequence[Write]) -> list[WriteResult]:
        return await commit(self, change(entries))

    with mock.patch.object(Storage, "_commit", changed):
        yield


@contextmanager
def set_back_unnoticed() -> Iterator[None]:
    """A clock that was set back is not noticed: what was planned ahead of it stays."""

    async def nothing(self: Scheduler) -> None:
        """Look at no clock."""

    with mock.patch.object(Scheduler, "_check_clock", nothing):
        yield


@contextmanager
def one_queue_for_all() -> Iterator[None]:
    """Every run is of the same subject, so that they are claimed by rank alone."""
    with mock.patch.object(Run, "subject", property(lambda run: "")):
        yield


BUGS: dict[Callable[[], AbstractContextManager[None]], set[str]] = {
    dropped_fence: {
        "a run that has ended stays as it is",
        "canceled stays canceled",
        "no run is invoked twice",
    },
    advance_before_insert: {"no slot or event is forgotten"},
    fan_out_ahead_of_its_runs: {"no slot or event is forgotten"},
    runs_without_their_event: {"an event and its runs are one commit"},
    permits_not_asked_for: {"no more runs of a target run than its limit lets"},
    permits_not_given_back: {"a permit lasts as long as its claim"},
    one_queue_for_all: {"places go round by subject"},
    set_back_unnoticed: {"a schedule is planned by the clock as it is"},
    unconditional_key_release: {"a workflow key has one run that has not ended"},
}
"""Each with rules that it has to be found by."""
