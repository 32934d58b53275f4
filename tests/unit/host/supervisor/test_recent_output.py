"""The last of what a provider wrote: bounded, in order, with the ends of its processes, for readers at any pace."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator, Sequence

from gestalt_host.config.model import OutputLimits
from gestalt_host.supervisor.launching.child import Child
from gestalt_host.supervisor.output import ProviderOutput
from gestalt_host.supervisor.output.recent import (
    ENTRY_OVERHEAD_BYTES,
    Ended,
    Entry,
    LeftOut,
    Line,
    RecentOutput,
    Started,
    What,
    read,
)
from tests.support.waiting import one_turn


def whats(entries: Sequence[Entry]) -> list[What]:
    return [entry.what for entry in entries]


async def taken(entries: AsyncIterator[Entry], count: int) -> list[Entry]:
    async with asyncio.timeout(10):
        return [await anext(entries) for _ in range(count)]


def lines(*texts: str) -> list[What]:
    return [Line("stdout", text.encode()) for text in texts]


async def test_lines_lie_between_the_marks_of_their_processes() -> None:
    output = ProviderOutput("a", "integration", write=lambda line: True)
    pids = []
    for source in ("print('one'); print('two')", "import sys; print('three'); sys.exit(3)"):
        child = await Child.spawn([sys.executable, "-c", source], dict(os.environ), output)
        await child.wait()
        pids.append(child.pid)
    kept = output.recent.kept
    assert whats(kept) == [
        *(Started(), *lines("one", "two"), Ended("exit status 0")),
        *(Started(), *lines("three"), Ended("exit status 3")),
    ]
    assert [entry.pid for entry in kept] == [*[pids[0]] * 4, *[pids[1]] * 3]


async def test_a_program_that_cannot_be_executed_leaves_no_mark() -> None:
    output = ProviderOutput("a", "integration", write=lambda line: True)
    pipes = output.begin()
    pipes.close_writers()
    pipes.end()
    assert output.recent.kept == ()


async def test_lines_that_were_dropped_are_counted_where_they_are_missing() -> None:
    output = ProviderOutput("a", "integration", OutputLimits(burst_bytes=300), write=lambda line: True)
    output.take("stderr", b"kept")
    for _ in range(5):
        output.take("stderr", b"x" * 100)
    output.say_dropped()
    assert whats(output.recent.kept) == [Line("stderr", b"kept"), LeftOut(5)]


def test_the_oldest_entries_go_first_by_count_and_by_bytes() -> None:
    few = RecentOutput(most_entries=3)
    for number in range(5):
        few.add(Line("stdout", str(number).encode()))
    assert whats(few.kept) == lines("2", "3", "4")
    small = RecentOutput(most_bytes=2 * (ENTRY_OVERHEAD_BYTES + 10))
    for number in range(5):
        small.add(Line("stdout", str(number).encode() * 10))
    assert whats(small.kept) == lines("3" * 10, "4" * 10)
    small.add(Line("stdout", b"y" * 10000))
    assert whats(small.kept) == lines("y" * 10000)


async def test_a_reader_gets_the_last_ones_and_then_what_comes() -> None:
    recent = RecentOutput()
    for what in lines("1", "2", "3"):
        recent.add(what)
    entries = read([recent], 2, follow=True)
    assert whats(await taken(entries, 2)) == lines("2", "3")
    waiting = asyncio.ensure_future(taken(entries, 2))
    for what in lines("4", "5"):
        recent.add(what)
    assert whats(await waiting) == lines("4", "5")
    await entries.aclose()
    assert not recent.wakes


async def test_a_reader_that_does_not_follow_ends() -> None:
    recent = RecentOutput()
    for what in lines("1", "2"):
        recent.add(what)
    assert [entry.what async for entry in read([recent], -1, follow=False)] == lines("1", "2")
    assert [entry.what async for entry in read([recent], 0, follow=False)] == []


async def test_a_slow_reader_is_told_how_much_it_missed() -> None:
    recent = RecentOutput(most_entries=2)
    entries = read([recent], 0, follow=True)
    waiting = asyncio.ensure_future(taken(entries, 1))
    await one_turn()
    recent.add(Line("stdout", b"0"))
    assert whats(await waiting) == lines("0")
    for number in range(1, 6):
        recent.add(Line("stdout", str(number).encode()))
    assert whats(await taken(entries, 3)) == [LeftOut(3), *lines("4", "5")]
    await entries.aclose()


async def test_followers_end_when_nothing_more_can_come() -> None:
    outputs = [RecentOutput(), RecentOutput()]
    entries = read(outputs, -1, follow=True)
    waiting = asyncio.ensure_future(taken(entries, 1))
    await one_turn()
    outputs[0].close()
    outputs[1].add(Line("stdout", b"last"))
    outputs[1].close()
    assert whats(await waiting) == lines("last")
    assert [entry async for entry in entries] == []


async def test_several_outputs_are_read_in_the_order_of_time() -> None:
    ticks = itertools.count()
    first, second = (RecentOutput(clock=lambda: float(next(ticks))) for _ in range(2))
    for output, text in ((first, "1"), (second, "2"), (first, "3")):
        output.add(Line("stdout", text.encode()))
    entries = read([first, second], -1, follow=True)
    assert whats(await taken(entries, 3)) == lines("1", "2", "3")
    second.add(Line("stdout", b"4"))
    first.add(Line("stdout", b"5"))
    assert whats(await taken(entries, 2)) == lines("4", "5")
    await entries.aclose()


async def test_lines_keep_their_order_when_the_clock_is_set_back() -> None:
    times = iter((5.0, 1.0, 2.0))
    output = RecentOutput(clock=lambda: next(times))
    for text in ("1", "2", "3"):
        output.add(Line("stdout", text.encode()))
    assert whats([entry async for entry in read([output], -1, follow=False)]) == lines("1", "2", "3")
