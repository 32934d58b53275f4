"""Faults at random, of providers of all kinds under load: told, mended, and nothing lost, doubled or left behind."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from pathlib import Path
from random import Random

import grpc
import pytest
from gestalt_workflow.claims.transitions import INTERRUPTED
from gestalt_workflow.model.objects import RunStatus

from gestalt_host.supervisor.groups import LOOP
from gestalt_sdk.gen.extension.v1.slots_pb2 import SLOT_STATE_DUE
from tests.process.engine.evidence import Evidence, all_runs, ledger, some_run_waits
from tests.process.engine.invariants import BUGS, Violation, violations
from tests.process.engine.journal import Invocation
from tests.process.engine.proof import REST_S, SEED, chosen_seed
from tests.process.providers.faults import deck
from tests.process.providers.installation import (
    WORKFLOW,
    Installation,
    descriptors,
    left_of,
    open_installation,
)
from tests.process.providers.load import Load
from tests.support.nightly import NIGHTLY, at_night
from tests.support.waiting import eventually, taking, until

FAULTS = at_night(60, otherwise=6)
FIXED_SEED = 13
OUTCOME = "an outcome is what the host answered"
"""Here the plugin's journal is known, not what the host made of it: judged by ``outcomes`` instead."""
INVOKE = "rpc error: code = Unavailable desc = workflow invoke operation: "
DECIDED = (INTERRUPTED, f'{INVOKE}integration "odd" is not available')
"""How the message of a run begins that was in flight, or could not begin, when something was away."""


@pytest.mark.timeout(at_night(3600, otherwise=600))
def test_whatever_befalls_providers_is_told_mended_and_costs_nothing_else(tmp_path: Path) -> None:
    seed = chosen_seed() if NIGHTLY or SEED in os.environ else FIXED_SEED
    chance = Random(f"{seed}/faults")
    with open_installation(tmp_path) as installation:
        load = Load(installation, seed)
        load.prepare()
        before = descriptors(installation.host.pid)
        with load.going_on():
            for number, (fault, target) in enumerate(islice(deck(chance), FAULTS)):
                print(f"{number}: {fault.name}: {target}", flush=True)
                asyncio.run(taking(chance.uniform(0, 1)))
                with fault.begin(installation, target, chance):
                    installation.wait_true(may_be_unready=fault.unwell)
                    asyncio.run(taking(chance.uniform(0, fault.longest_s)))
                installation.wait_true(may_be_unready=fault.unwell)
                installation.wait_well()
        evidence = asyncio.run(collected(installation, load))
        wrong = [*judged(evidence), *direct_calls(load, evidence)]
        assert not wrong, "\n".join((*(f"{rule}: {text}" for rule, text in wrong[:30]), *unexpected(evidence.log)[:10]))
        report(seed, load, evidence)
        until(
            lambda: not grown(before, descriptors(installation.host.pid)),
            within_s=30,
            what=lambda: f"open descriptors {grown(before, descriptors(installation.host.pid))}",
        )
        installation.born |= {child.pid for child in (*installation.host.children(), *installation.host.helpers())}
        installation.host.signal(15)
        assert installation.host.wait() == 0
        until(lambda: not left_of(installation), within_s=10, what=lambda: left_of(installation))


def grown(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Kinds of descriptors of which there are more than before, and how many more."""
    return {kind: count - before.get(kind, 0) for kind, count in now.items() if count > before.get(kind, 0)}


async def collected(installation: Installation, load: Load) -> Evidence:
    """Wait until all has come to rest, no new minute begins, and look."""
    clock = installation.clock
    clock.advance(62.0 - clock().timestamp() % 60.0)
    until_moment = load.expected.until = clock() - timedelta(seconds=1)
    workflow = installation.running(WORKFLOW)
    scope = workflow.sockets["GESTALT_INDEXEDDB_SOCKET"]
    async with (
        grpc.aio.insecure_channel(f"unix:{workflow.socket}") as provider,
        grpc.aio.insecure_channel(f"unix:{scope}") as store,
    ):

        async def at_rest() -> bool | None:
            for schedule_id in load.expected.schedules:
                seen = await ledger(provider, schedule_id)
                if not seen or any(slot.state == SLOT_STATE_DUE and slot.first <= until_moment for slot in seen[-3:]):
                    return None
            return None if await some_run_waits(store) else True

        await eventually(at_rest, within_s=REST_S)
        log = without_killed_keepers(installation.host.log)
        runs = await all_runs(store)
        evidence = Evidence(load.told, load.expected, installation.journal(), runs, log=log)
        evidence.slots = {id: await ledger(provider, id) for id in load.expected.schedules}
    return evidence


def without_killed_keepers(log: str) -> str:
    """The log without what the host says when the keeper of groups was killed, which is one of the faults."""
    return "\n".join(line for line in log.splitlines() if f'"loop":"{LOOP}"' not in line)


def judged(evidence: Evidence) -> list[Violation]:
    found = [item for item in violations(without_direct_calls(evidence)) if item[0] != OUTCOME]
    by_run: dict[str, list[Invocation]] = defaultdict(list)
    for invocation in evidence.journal:
        by_run[invocation.run_id].append(invocation)
    for run in evidence.runs.values():
        answered = [(item.status, item.body) for item in by_run[run.id]]
        if run.status is RunStatus.SUCCEEDED and answered != [(200, run.result_body)]:
            found.append((OUTCOME, f"{run.id} succeeded with {run.result_body!r}, the plugin answered {answered}"))
        if run.status is RunStatus.FAILED and not run.status_message.startswith(DECIDED):
            found.append(("a run in flight ends as decided", f"{run.id}: {run.status_message!r} {run.result_body!r}"))
    return found


def unexpected(log: str) -> list[str]:
    """Lines of the log that say that somebody met a bug."""
    return [line[:2000] for line in log.splitlines() if any(f'"{name}"' in line for name in BUGS)]


def without_direct_calls(evidence: Evidence) -> Evidence:
    runs = [item for item in evidence.journal if not item.run_id.startswith("direct:")]
    return Evidence(evidence.told, evidence.expected, runs, evidence.runs, slots=evidence.slots, log=evidence.log)


def direct_calls(load: Load, evidence: Evidence) -> list[Violation]:
    """A call that succeeded ran once; no other ran more than once."""
    ran = Counter(item.run_id.removeprefix("direct:") for item in evidence.journal)
    rule = "a call runs once at most, and did run when it succeeded"
    return [
        (rule, f"{key}: answered {status}, ran {ran[key]} times")
        for key, status in load.answers.items()
        if ran[key] > 1 or (status == 200 and ran[key] != 1)
    ]


def report(seed: int, load: Load, evidence: Evidence) -> None:
    statuses = Counter(run.status.name.lower() for run in evidence.runs.values())
    messages = Counter(
        re.sub(r"\d+(\.\d+)?", "N", run.status_message[-90:]) for run in evidence.runs.values() if run.status_message
    )
    events = Counter(answered for _, answered in load.told.events.values())
    calls = Counter(load.answers.values())
    print(f"seed {seed}, {FAULTS} faults: runs {dict(statuses)} {dict(messages)}")
    print(f"events {dict(events)}, calls {dict(calls)}, slots {sum(map(len, evidence.slots.values()))}")
    assert evidence.slots, "no slot was due"
    assert load.told.events, "nothing was published"
