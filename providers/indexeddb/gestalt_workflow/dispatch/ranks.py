"""Rank pending runs anew that came while the clock was ahead: they would stand behind all that come after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from gestalt_workflow.claims.transitions import rank
from gestalt_workflow.model.clock import SLACK
from gestalt_workflow.model.objects import Run
from gestalt_workflow.model.run_news import RunNews
from gestalt_workflow.stored.records import LANE, LANES_END, READY, RUNS, run_from_record, run_to_record
from gestalt_workflow.stored.storage import IndexValue, KeyRange, Storage, Write, at_revision

STEP = "rank runs anew"
PAGE = 500
_TURNS = KeyRange(lower=[LANE], upper=[LANES_END], upper_open=True)
"""The queue and the lanes, of all subjects: a rank that is ahead may stand in each turn."""


async def rank_anew(storage: Storage, news: RunNews, clock: Callable[[], datetime]) -> None:
    """Give each run whose rank lies further ahead than it can the rank that it would have if it came now.

    Raises:
        StorageFailed: it has to be done again; what is done stays done.
    """
    queues: Sequence[tuple[list[IndexValue], KeyRange | None]] = ([READY], None), ([], _TURNS)
    for values, span in queues:
        token = b""
        while True:
            page = await storage.page(RUNS, "hot", values, STEP, range=span, limit=PAGE, token=token, direction="prev")
            runs = [run for _, run in storage.decoded(RUNS, page.records, run_from_record)]
            await _write(storage, news, [anew for run in runs if (anew := _anew(run, clock())) is not None])
            token = page.next_token
            first = runs[-1].rank_at if runs else None
            if not token or (values and first is not None and first <= clock()):
                break


def _anew(run: Run, now: datetime) -> Run | None:
    latest = rank(run.target, run.trigger, keyed=run.keyed, since=now)
    if run.rank_at is None or run.rank_at - latest <= SLACK:
        return None
    return replace(run, rank_at=latest, revision=run.revision + 1)


async def _write(storage: Storage, news: RunNews, runs: Sequence[Run]) -> None:
    if not runs:
        return
    writes = [Write(RUNS, "put", run_to_record(run), conditions=[at_revision(run.revision - 1)]) for run in runs]
    results = await storage.write(writes, STEP)
    for run, result in zip(runs, results, strict=True):
        if result.ok:
            news.committed(run)
