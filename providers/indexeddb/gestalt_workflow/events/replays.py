"""Define replays of kept events: what one asks for, what it did, and what the event's record keeps of it, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Any

from gestalt_workflow.events.verdicts import VerdictKind, Verdicts, from_rows, shortened, to_rows
from gestalt_workflow.model.clock import from_micros, to_micros
from gestalt_workflow.model.objects import NOBODY, Actor, Event

KEPT = 20
RUNS_KEPT = 100
"""Verdicts with a run that are kept of a replay."""


class ReplayMode(IntEnum):
    """Which triggers get a run; numbers as in events.proto."""

    MISSING = 1
    FORCED = 2
    DRY_RUN = 3


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What a replay is to do; ``trigger_ids`` empty: every trigger of the event's type."""

    event_id: str
    id: str
    mode: ReplayMode = ReplayMode.MISSING
    trigger_ids: tuple[str, ...] = ()
    by: Actor = NOBODY


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay did, or in a dry run would do; ``runs`` counts the runs made, ``unfinished``: so far."""

    id: str
    mode: ReplayMode
    at: datetime
    by: Actor
    trigger_ids: tuple[str, ...]
    runs: int
    verdicts: Verdicts
    unfinished: bool = False

    @property
    def run_ids(self) -> list[str]:
        """Ids of the runs that it made, as far as they are listed."""
        made = (v.run_id for v in self.verdicts.listed if v.kind is VerdictKind.MATCHED and v.run_id)
        return list(made)[:RUNS_KEPT]


def noted(kept: tuple[Replay, ...], left_out: int, replay: Replay) -> tuple[tuple[Replay, ...], int]:
    """Return the replays with one more, and how many older ones are not kept."""
    shown = replace(replay, verdicts=shortened(replay.verdicts, RUNS_KEPT))
    surplus = max(len(kept) + 1 - KEPT, 0)
    return (*kept, shown)[surplus:], left_out + surplus


def finished(kept: tuple[Replay, ...], replay_id: str, runs: int) -> tuple[Replay, ...]:
    """Return the replays after all triggers were asked for that one."""
    return tuple(replace(r, runs=runs, unfinished=False) if r.id == replay_id else r for r in kept)


def to_row(replay: Replay, event: Event) -> list[object]:
    """Return what the event's record keeps of the replay."""
    actor = replay.by
    row: list[object] = [
        replay.id,
        int(replay.mode),
        to_micros(replay.at),
        [actor.subject_id, actor.subject_kind, actor.display_name, actor.auth_source],
        list(replay.trigger_ids),
        replay.runs,
        to_rows(replay.verdicts, event),
    ]
    return [*row, True] if replay.unfinished else row


def from_row(row: Sequence[Any], event: Event) -> Replay:
    """Return the replay that the row keeps."""
    replay_id, mode, at, actor, trigger_ids, runs, verdicts, *unfinished = row
    return Replay(
        replay_id,
        ReplayMode(mode),
        from_micros(at),
        Actor(*actor),
        tuple(trigger_ids),
        runs,
        from_rows(verdicts, event),
        bool(unfinished),
    )
