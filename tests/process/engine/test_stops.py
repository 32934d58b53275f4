"""Three providers, each with a store process of its own, on one PostgreSQL: stopped for longer than their leases."""

from __future__ import annotations

import asyncio
import signal
from random import Random

import pytest

from tests.process.engine.evidence import all_runs
from tests.process.engine.installation import Installation, open_installation
from tests.process.engine.load import Load
from tests.process.engine.proof import chosen_seed, judge, report
from tests.support.rigs.postgres import PostgresServer
from tests.support.waiting import taking

PROVIDERS = 3
SHORT_LEASE = {"runClaimTTL": "90s", "runClaimRenewEvery": "300ms", "pollInterval": "500ms", "workerCount": 4}
"""Two seconds, at the speed at which the clock of these tests leaps."""
STOPS_S = ((0.1, 1.0), (2.0, 3.2))
"""Shorter than a lease, or longer."""
ROUNDS = [pytest.param(20, id="some"), pytest.param(150, id="many", marks=pytest.mark.nightly)]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.timeout(1800)
async def test_a_process_that_comes_back_repeats_nothing_and_settles_nothing_anew(
    rounds: int, postgres_server: PostgresServer
) -> None:
    seed = chosen_seed()
    async with open_installation(seed) as installation:
        schema = postgres_server.new_schema()
        for _ in range(PROVIDERS):
            store = installation.new_store(dsn=postgres_server.dsn, schema=schema)
            await installation.add(SHORT_LEASE, store).boot(store=True)
        load = Load(installation, seed, repeated=False)
        await load.prepare()
        async with asyncio.TaskGroup() as tasks:
            load.begin(tasks, pause_s=0.15)
            chance = Random(f"{seed}/stops")
            for _ in range(rounds):
                await taking(chance.uniform(0, 0.5))
                await disturb(chance, installation, load)
            load.stopping.set()
        evidence = await judge(installation, load.told, load.expected)
    report(f"seed {seed}, {rounds} rounds", evidence)
    assert any(run.stale for run in evidence.runs.values()), "no claim ended while its process was stopped"


async def disturb(chance: Random, installation: Installation, load: Load) -> None:
    """One process is stopped for a while, or killed; what has ended by the time it comes back has to stay so."""
    member, other = chance.sample(installation.members, 2)
    what = chance.choice(("stop", "stop", "stop", "stop the store", "kill"))
    length_s = chance.uniform(*chance.choice(STOPS_S))
    if what == "kill":
        store = chance.random() < 0.3
        await member.kill(installation.clock, store=store)
        await member.boot(store=store)
        return
    stopped = member.store if what == "stop the store" else member.process
    stopped.send_signal(signal.SIGSTOP)
    await taking(length_s)
    load.told.look_at(await all_runs(other.store_channel))
    stopped.send_signal(signal.SIGCONT)
