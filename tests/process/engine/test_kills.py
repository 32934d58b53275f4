"""Kill -9 of the provider, of its store and of both, at random, under load of everything that makes runs."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.process.engine.evidence import all_runs
from tests.process.engine.installation import LONG_LEASE, Installation, Member, open_installation
from tests.process.engine.load import OUTAGE_S, Load
from tests.process.engine.proof import chosen_seed, judge, report
from tests.support.waiting import taking

MOST_S, NIGHTLY_S = 0.6, 5.0
"""Longest time between a start and the next kill."""
LOOK_EVERY = 5
KILLS = [
    pytest.param(10, MOST_S, True, id="some-streamed"),
    pytest.param(10, MOST_S, False, id="some-unary"),
    pytest.param(100, NIGHTLY_S, True, id="many-streamed", marks=pytest.mark.nightly),
    pytest.param(100, NIGHTLY_S, False, id="many-unary", marks=pytest.mark.nightly),
]


@pytest.mark.parametrize(("kills", "most_s", "stream"), KILLS)
@pytest.mark.timeout(1800)
async def test_whatever_is_killed_nothing_is_lost_repeated_or_forgotten(
    kills: int, most_s: float, stream: bool
) -> None:
    seed = chosen_seed()
    async with open_installation(seed, stream=stream) as installation:
        store = installation.new_store()
        member = installation.add({"pollInterval": "500ms", "workerCount": 8, **LONG_LEASE}, store)
        await member.boot(store=True)
        load = Load(installation, seed)
        await load.prepare()
        async with asyncio.TaskGroup() as tasks:
            load.begin(tasks, pause_s=0.1)
            chance = Random(f"{seed}/kills")
            for number in range(kills):
                if number % LOOK_EVERY == 0:
                    load.told.look_at(await all_runs(member.store_channel))
                await taking(chance.uniform(0, most_s) * chance.choice((0, 1, 1, 1)))
                await kill_one(chance, installation, member)
            load.stopping.set()
        load.expected.deaths = member.deaths
        evidence = await judge(installation, load.told, load.expected)
        report(f"seed {seed}, {kills} kills", evidence)
        assert any(run.stale for run in evidence.runs.values()), "nothing was under way when it was killed"


async def kill_one(chance: Random, installation: Installation, member: Member) -> None:
    """One kill and what follows it: a restart, perhaps after an outage of minutes, perhaps killed while it starts."""
    provider, store = chance.choice(((True, False), (True, False), (False, True), (True, True)))
    outage, early = chance.random() < 0.15, chance.random() < 0.2
    starting_s = chance.uniform(0, 0.3)
    await member.kill(installation.clock, provider=provider, store=store)
    if outage:
        installation.clock.advance(OUTAGE_S)
    if provider and early:
        await member.boot(provider=False, store=store)
        await member.killed_while_it_starts(installation.clock, starting_s)
        store = False
    await member.boot(provider=provider, store=store)
