"""Runs newest first, those of one moment by id (http-api.md 8.10), from streams that are read as they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, TypeVar

from gestalt_host.workflows.model import Run

MOMENT_BYTES = 2 << 20
"""Of the runs of one moment so many bytes are put in order at once; more come in several parts, each by id."""

T = TypeVar("T")
Place: TypeAlias = tuple[timedelta, str]
"""What runs are sorted by: the later ones first, then by id; those without a time last."""

_LATEST = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def place_of(run: Run) -> Place:
    """Return the run's place among all."""
    return place_at(run.created_at, run.id)


def place_at(created_at: datetime | None, run_id: str) -> Place:
    """Return the place of a run that was created then."""
    return (_LATEST - (created_at or _EARLIEST), run_id)


async def by_id_within_a_moment(
    runs: AsyncIterator[T], place: Callable[[T], Place], size_bytes: Callable[[T], int]
) -> AsyncIterator[T]:
    """Yield runs that come newest first, those with the same creation time by id."""
    moment: list[tuple[Place, T]] = []
    held_bytes = 0

    def sort() -> list[T]:
        return [run for _, run in sorted(moment, key=lambda item: item[0])]

    async for run in runs:
        here = place(run)
        if moment and (here[0] != moment[0][0][0] or held_bytes >= MOMENT_BYTES):
            for earlier in sort():
                yield earlier
            moment, held_bytes = [], 0
        moment.append((here, run))
        held_bytes += size_bytes(run)
    for run in sort():
        yield run


async def merged(streams: Sequence[AsyncIterator[T]], place: Callable[[T], Place]) -> AsyncIterator[T]:
    """Yield the runs of sorted streams in the order of all; the first ones are asked for at the same time."""
    heads = await asyncio.gather(*(_next(stream) for stream in streams))
    waiting = {number: head[0] for number, head in enumerate(heads) if head}
    while waiting:
        first = min(waiting, key=lambda number: place(waiting[number]))
        yield waiting.pop(first)
        if head := await _next(streams[first]):
            waiting[first] = head[0]


async def _next(stream: AsyncIterator[T]) -> tuple[T] | None:
    async for item in stream:
        return (item,)
    return None
