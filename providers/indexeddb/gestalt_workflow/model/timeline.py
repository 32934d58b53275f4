"""Keep what happened to a run as a short text on its record: one line a moment, bounded (``MOMENTS``).

A line is ``kind microseconds attempt status subject detail``, separated by tabs, so that noting a moment is an append
and reading costs only who asks. The creation has no line: the record tells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gestalt_sdk.common.texts import cut
from gestalt_workflow.model.clock import from_micros, to_micros
from gestalt_workflow.model.objects import Run, RunStatus

MOMENTS = 63
"""Lines kept: of a longer timeline the first ``HEAD`` and the last."""
HEAD = 8
DETAIL_BYTES = 200

CREATED, CLAIMED, ENDED, SIGNALED, CANCELED, RETURNED, REPLAYED = range(1, 8)

_LEFT_OUT = "..."
_SEPARATORS = str.maketrans("\t\n\r", "   ")


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened; fields as in ``RunMoment``, ``attempt`` and ``status`` are 0 where they mean nothing."""

    at: datetime
    kind: int
    attempt: int = 0
    status: int = 0
    detail: str = ""
    subject_id: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The moments of a run, oldest first; ``left_out``: how many are not kept."""

    moments: tuple[Moment, ...]
    left_out: int


def noted(
    lines: str,
    kind: int,
    at: datetime,
    *,
    attempt: int = 0,
    status: RunStatus | None = None,
    detail: str = "",
    subject_id: str = "",
) -> str:
    """Return the lines with one more moment."""
    text = cut(detail.translate(_SEPARATORS), DETAIL_BYTES)
    line = f"{kind}\t{to_micros(at)}\t{attempt}\t{int(status or 0)}\t{subject_id.translate(_SEPARATORS)}\t{text}"
    if not lines:
        return line
    lines = f"{lines}\n{line}"
    return lines if lines.count("\n") < MOMENTS else _shortened(lines)


def read(run: Run) -> Timeline:
    """Return the whole timeline of the run."""
    moments, left_out = [Moment(run.created_at, CREATED)], 0
    for line in run.timeline.split("\n") if run.timeline else ():
        if line.startswith(_LEFT_OUT):
            left_out = int(line.removeprefix(_LEFT_OUT))
            continue
        kind, at, attempt, status, subject_id, detail = line.split("\t")
        moment = from_micros(int(at))
        moments.append(Moment(moment, int(kind), int(attempt), int(status), detail, subject_id))
    return Timeline(tuple(moments), left_out)


def _shortened(text: str) -> str:
    lines = text.split("\n")
    dropped = 0
    if lines[HEAD].startswith(_LEFT_OUT):
        dropped = int(lines.pop(HEAD).removeprefix(_LEFT_OUT))
    surplus = len(lines) - MOMENTS + 1
    del lines[HEAD : HEAD + surplus]
    lines.insert(HEAD, f"{_LEFT_OUT}{dropped + surplus}")
    return "\n".join(lines)
