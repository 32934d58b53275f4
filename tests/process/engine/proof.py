"""The end of every proof: wait until all has come to rest, look, judge, and say what there was."""

from __future__ import annotations

import os
import signal
from collections import Counter
from datetime import timedelta
from random import SystemRandom

from gestalt_sdk.gen.extension.v1.slots_pb2 import SLOT_STATE_DUE, SlotState
from tests.process.engine.evidence import Evidence, Expected, Told, collect, ledger, some_run_waits
from tests.process.engine.installation import Installation
from tests.process.engine.invariants import violations
from tests.support.waiting import eventually

SEED = "GESTALT_TEST_SEED"
"""Set it to the seed that a failing proof printed to see the same kills and calls again."""
REST_S = 50.0
"""Runs end and slots are looked at within this, and no new minute begins."""


def chosen_seed() -> int:
    seed = int(os.environ.get(SEED) or SystemRandom().randrange(2**32))
    print(f"{SEED}={seed}")
    return seed


async def judge(installation: Installation, told: Told, expected: Expected) -> Evidence:
    """Fails with everything that is wrong."""
    member, clock = installation.members[0], installation.clock
    # From shortly after a full minute on, so that nothing fires any more while it is looked at.
    clock.advance(62.0 - clock().timestamp() % 60.0)
    until = clock() - timedelta(seconds=1)
    if expected.since is not None:
        expected.until = until

    async def at_rest() -> bool | None:
        for schedule_id in expected.schedules:
            seen = await ledger(member.channel, schedule_id)
            if not seen or any(slot.state == SLOT_STATE_DUE and slot.first <= until for slot in seen[-3:]):
                return None
        return None if await some_run_waits(member.store_channel) else True

    await eventually(at_rest, within_s=REST_S)
    for other in installation.members:
        assert await other.process.end(signal.SIGTERM) == 0
    await member.process.boot(start=False)
    evidence = await collect(
        told, expected, installation.journal, member.store_channel, member.channel, installation.logs()
    )
    found = violations(evidence)
    assert not found, "\n".join(f"{rule}: {text}" for rule, text in found[:30])
    return evidence


def report(title: str, evidence: Evidence) -> None:
    """What there was, so that a proof that has become empty is noticed."""
    statuses = Counter(run.status.name.lower() for run in evidence.runs.values())
    kinds = Counter(run.trigger.kind.name.lower() for run in evidence.runs.values())
    interrupted = sum(run.stale for run in evidence.runs.values())
    slots: Counter[str] = Counter()
    for seen in evidence.slots.values():
        for slot in seen:
            slots[SlotState.Name(slot.state).removeprefix("SLOT_STATE_").lower()] += slot.count
    signals = sum(map(len, evidence.signals.values()))
    acknowledged = {
        "runs": sum(map(len, evidence.told.runs.values())),
        "events": sum(answered for _, answered in evidence.told.events.values()),
        "signals": len(evidence.told.signals),
        "cancellations": sum(evidence.told.cancellations.values()),
    }
    print(
        f"{title}: {len(evidence.journal)} invocations of {len(evidence.runs)} runs {dict(kinds)} {dict(statuses)}, "
        f"{interrupted} interrupted; {signals} signals; slots {dict(slots)}; acknowledged {acknowledged}"
    )
