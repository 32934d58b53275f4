"""Waiting longer after each failure."""

from __future__ import annotations

import asyncio

from gestalt_sdk.common import Backoff


def test_delays_double_up_to_the_limit_and_begin_again_after_a_reset() -> None:
    backoff = Backoff(first_s=1.0, limit_s=5.0)
    for full_s in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert full_s / 2 <= backoff.next_wait_s() <= full_s
    backoff.reset()
    assert 0.5 <= backoff.next_wait_s() <= 1.0


async def test_a_wait_takes_the_delay_and_makes_the_next_one_longer() -> None:
    backoff = Backoff(first_s=0.02, limit_s=5.0)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await backoff.wait()
    assert loop.time() - before >= 0.01
    assert 0.02 <= backoff.next_wait_s() <= 0.04
