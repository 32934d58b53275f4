"""Decide what each trigger near an event says to it, and what the event's record keeps of that.

A trigger is near when it is one of the event's type. Those whose source and subject the event meets are found without
a look at the others (``KnownType``), so a publish costs no more with ten thousand of them; of the others some are
named, and the rest is counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Any

from gestalt_sdk.common.texts import cut
from gestalt_workflow.model import ids
from gestalt_workflow.model.objects import Event, EventTrigger

WITH_RUN_LISTED = 1000
OTHERS_LISTED = 20
TEXT_BYTES = 200
"""Longest ``expected`` and ``actual``."""


class VerdictKind(IntEnum):
    """What a trigger says to an event; numbers as in events.proto."""

    MATCHED = 1
    DUPLICATE = 2
    PAUSED = 3
    SOURCE_DIFFERS = 4
    SUBJECT_DIFFERS = 5
    PLUGIN_DIFFERS = 6
    TYPE_DIFFERS = 7
    LOOP = 8

    @property
    def with_run(self) -> bool:
        """Whether there is a run of the trigger for the event."""
        return self <= VerdictKind.DUPLICATE


_UNFITTING = (VerdictKind.SOURCE_DIFFERS, VerdictKind.SUBJECT_DIFFERS, VerdictKind.TYPE_DIFFERS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one trigger says: ``run_id`` where there is a run; ``expected`` and ``actual`` where a field differs."""

    trigger_id: str
    kind: VerdictKind
    run_id: str = ""
    expected: str = ""
    actual: str = ""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the triggers near an event say; ``left_out``: how many there are beyond those that are listed."""

    listed: tuple[Verdict, ...] = ()
    left_out: int = 0

    @property
    def runs(self) -> dict[str, str]:
        """Id of the run of each listed trigger that has one."""
        return {verdict.trigger_id: verdict.run_id for verdict in self.listed if verdict.kind.with_run}


NONE_NEAR = Verdicts()


def judge(trigger: EventTrigger, event: Event, plugin: str, now: datetime) -> Verdict:
    """Return the verdict of one trigger as far as trigger and event decide it.

    Source and subject are exact and case-sensitive; blank ones of the trigger match any.

    Args:
        plugin: Only triggers whose target is of this plugin are asked; blank for all.
    """
    match = trigger.match
    if match.type != event.type:
        return _differing(trigger, VerdictKind.TYPE_DIFFERS, match.type, event.type)
    if match.source not in ("", event.source):
        return _differing(trigger, VerdictKind.SOURCE_DIFFERS, match.source, event.source)
    if match.subject not in ("", event.subject):
        return _differing(trigger, VerdictKind.SUBJECT_DIFFERS, match.subject, event.subject)
    if plugin not in ("", trigger.target.plugin):
        return _differing(trigger, VerdictKind.PLUGIN_DIFFERS, trigger.target.plugin, plugin)
    return Verdict(trigger.id, VerdictKind.PAUSED if trigger.at(now).paused else VerdictKind.MATCHED)


def fits(trigger: EventTrigger, event: Event) -> bool:
    """Return whether the event meets the trigger's type, source and subject."""
    match = trigger.match
    return match.type == event.type and match.source in ("", event.source) and match.subject in ("", event.subject)


def _differing(trigger: EventTrigger, kind: VerdictKind, expected: str, actual: str) -> Verdict:
    return Verdict(trigger.id, kind, "", cut(expected, TEXT_BYTES), cut(actual, TEXT_BYTES))


def judged(
    near: Sequence[EventTrigger],
    fitting: Sequence[EventTrigger],
    event: Event,
    plugin: str,
    now: datetime,
    had: Mapping[str, str],
) -> tuple[list[EventTrigger], Verdicts]:
    """Return the triggers that are to have a run, and the verdicts of all.

    Args:
        near: Triggers that are asked, in their order.
        fitting: Those of them whose type, source and subject the event meets.
        had: Id of the run of each trigger that has one for the event, near or not.
    """
    met: list[EventTrigger] = []
    with_run = [Verdict(trigger_id, VerdictKind.DUPLICATE, run_id) for trigger_id, run_id in had.items()]
    others: list[Verdict] = []
    for trigger in fitting:
        if trigger.id in had:
            continue
        verdict = judge(trigger, event, plugin, now)
        if verdict.kind is VerdictKind.MATCHED:
            met.append(trigger)
            with_run.append(verdict)
        elif len(others) < OTHERS_LISTED:
            others.append(verdict)
    if len(fitting) < len(near):
        for trigger in near:
            if len(others) >= OTHERS_LISTED:
                break
            verdict = judge(trigger, event, plugin, now)
            if verdict.kind in _UNFITTING and trigger.id not in had:
                others.append(verdict)
    gone = len(had.keys() - {trigger.id for trigger in near}) if had else 0
    listed = (*with_run[:WITH_RUN_LISTED], *others)
    return met, Verdicts(listed, len(near) + gone - len(listed))


def with_runs(verdicts: Verdicts, run_ids: Mapping[str, str]) -> Verdicts:
    """Return the verdicts with the runs that were made for triggers that matched."""
    listed = (replace(v, run_id=run_ids[v.trigger_id]) if v.kind is VerdictKind.MATCHED else v for v in verdicts.listed)
    return replace(verdicts, listed=tuple(listed))


def stopped(verdicts: Verdicts, excesses: Mapping[str, tuple[str, str]]) -> Verdicts:
    """Return the verdicts when these triggers get no run, as too much has come of what caused the event already.

    Args:
        excesses: What is allowed, and what there would have been, by the id of the trigger.
    """
    with_run = [v for v in verdicts.listed if v.kind.with_run and v.trigger_id not in excesses]
    loops = [
        Verdict(v.trigger_id, VerdictKind.LOOP, "", *excesses[v.trigger_id])
        for v in verdicts.listed
        if v.trigger_id in excesses
    ]
    others = [*loops, *(v for v in verdicts.listed if not v.kind.with_run)]
    surplus = max(len(others) - OTHERS_LISTED, 0)
    return Verdicts((*with_run, *others[:OTHERS_LISTED]), verdicts.left_out + surplus)


def as_duplicates(verdicts: Verdicts, trigger_ids: Collection[str]) -> Verdicts:
    """Return the verdicts after these triggers turned out to have had their run before."""
    listed = (
        replace(v, kind=VerdictKind.DUPLICATE) if v.kind.with_run and v.trigger_id in trigger_ids else v
        for v in verdicts.listed
    )
    return replace(verdicts, listed=tuple(listed))


def adding_runs(verdicts: Verdicts, run_ids: Mapping[str, str]) -> Verdicts:
    """Return the verdicts of an event whose triggers got these runs later; those that had one keep it."""
    return adding(verdicts, [Verdict(id, VerdictKind.DUPLICATE, run_id) for id, run_id in run_ids.items()])


def adding(verdicts: Verdicts, more: Sequence[Verdict]) -> Verdicts:
    """Return the verdicts with those of further triggers; a trigger that has a run keeps it."""
    had = verdicts.runs
    more = [verdict for verdict in more if verdict.trigger_id not in had]
    if not more:
        return verdicts
    with_run = [v for v in (*verdicts.listed, *more) if v.kind.with_run]
    without = {v.trigger_id: v for v in (*verdicts.listed, *more) if not v.kind.with_run}
    for verdict in with_run:
        without.pop(verdict.trigger_id, None)
    others = list(without.values())[:OTHERS_LISTED]
    left_out = verdicts.left_out + len(without) - len(others)
    return shortened(Verdicts((*with_run, *others), left_out), WITH_RUN_LISTED)


def shortened(verdicts: Verdicts, with_run: int) -> Verdicts:
    """Return the verdicts with at most so many that have a run, and all others."""
    listed = [v for v in verdicts.listed if v.kind.with_run]
    surplus = max(len(listed) - with_run, 0)
    others = (v for v in verdicts.listed if not v.kind.with_run)
    return Verdicts((*listed[:with_run], *others), verdicts.left_out + surplus)


def to_rows(verdicts: Verdicts, event: Event) -> list[object]:
    """Return what the event's record keeps: ``[left out, [kind, trigger, run or expected, actual], ...]``.

    Each row is without what it need not say: the id of a publish's run follows from trigger and event.
    """
    rows: list[object] = [verdicts.left_out]
    for v in verdicts.listed:
        if v.kind >= VerdictKind.SOURCE_DIFFERS:
            rows.append([int(v.kind), v.trigger_id, v.expected, v.actual])
        elif v.run_id and v.run_id != ids.event_run(v.trigger_id, event.source, event.id):
            rows.append([int(v.kind), v.trigger_id, v.run_id])
        else:
            rows.append([int(v.kind), v.trigger_id])
    return rows


def from_rows(rows: Sequence[Any], event: Event) -> Verdicts:
    """Return the verdicts that the rows keep."""
    left_out, *listed = rows
    return Verdicts(tuple(_from_row(row, event) for row in listed), int(left_out))


def _from_row(row: Sequence[Any], event: Event) -> Verdict:
    kind, trigger_id = VerdictKind(row[0]), str(row[1])
    if kind >= VerdictKind.SOURCE_DIFFERS:
        return Verdict(trigger_id, kind, "", row[2], row[3])
    if not kind.with_run:
        return Verdict(trigger_id, kind)
    return Verdict(trigger_id, kind, row[2] if len(row) > 2 else ids.event_run(trigger_id, event.source, event.id))
