"""Time jumps, killed processes stop at once, suspended ones go on later."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation.loop import SPINS, Process, Spinning, VirtualLoop


def test_a_day_passes_at_once() -> None:
    loop = VirtualLoop()
    loop.run_until_complete(asyncio.sleep(86400))
    assert loop.time() == pytest.approx(86400)
    loop.end()


def test_timers_fire_in_their_order_and_timeouts_hold() -> None:
    seen: list[float] = []

    async def main() -> None:
        async def note(after: float) -> None:
            await asyncio.sleep(after)
            seen.append(asyncio.get_running_loop().time())

        await asyncio.gather(note(3), note(1), note(2))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.sleep(11)

    loop = VirtualLoop()
    loop.run_until_complete(main())
    assert (seen, loop.time()) == ([1, 2, 3], 13)
    loop.end()


def test_a_killed_process_does_nothing_any_more_not_even_cleaning_up() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(5)
            seen.append("worked")
        finally:
            seen.append("cleaned up")

    async def main() -> None:
        process = Process("p")
        process.spawn(work())
        await asyncio.sleep(1)
        process.dead = True
        await asyncio.sleep(10)
        assert seen == []

    loop = VirtualLoop()
    loop.run_until_complete(main())
    loop.end()


def test_a_suspended_process_goes_on_where_it_was() -> None:
    seen: list[float] = []

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append(asyncio.get_running_loop().time())

    async def main() -> None:
        process = Process("p")
        process.spawn(work())
        await asyncio.sleep(1.5)
        process.paused = True
        await asyncio.sleep(10)
        loop.resume(process)
        await asyncio.sleep(5)

    loop = VirtualLoop()
    loop.run_until_complete(main())
    assert seen == [1, 11.5, 12.5]
    loop.end()


def test_what_never_waits_is_noticed() -> None:
    async def spin() -> None:
        while loop.callbacks < 10 * SPINS:
            await asyncio.sleep(0)

    loop = VirtualLoop()
    with pytest.raises(Spinning):
        loop.run_until_complete(spin())
    loop.end()
