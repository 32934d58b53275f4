"""What a seed decides before anything runs: how many processes, how they are configured, and what befalls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

BEGINNINGS = (
    datetime(2026, 5, 4, 11, 58, 30, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 56, 10, tzinfo=UTC),  # Berlin goes to summer time at 01:00
    datetime(2026, 10, 25, 0, 55, 20, tzinfo=UTC),  # and back
    datetime(2026, 11, 1, 5, 54, 0, tzinfo=UTC),  # New York goes back at 06:00
    datetime(2027, 2, 28, 23, 57, 45, tzinfo=UTC),
)
LIMITS: tuple[Mapping[str, int], ...] = (
    {"svc": 1},
    {"plugin0": 1, "agent:thinker": 1},
    {"plugin0": 2, "plugin0.run": 1, "svc": 2},
    {"plugin1.run": 1, "plugin0": 3, "svc": 0},
)
TROUBLE = (
    "slow", "lost_requests", "lost_answers", "late", "aborts", "deaths", "kill_every_s", "suspend_every_s",
    "drain_every_s", "outage_every_s", "blackout_s", "jump_every_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """Probabilities are for each message; means are of the time between two, 0 for never.

    Attributes:
        processes: Engines on the one store.
        one_machine: Whether they can see that another one is dead.
        batched: Whether the store has pages and batches as one message.
        active_s: How long clients and trouble go on; afterwards everything is healthy.
        slow: Share of messages that take up to seconds.
        deaths: Probability that a process dies at a message: before it is sent, once it is executed, or answered.
        blackout_s: For so long no process runs, once.
        jump_every_s: The clock of all processes is set hours or days ahead, and right again up to minutes later.
        limits: Runs of a target at once, by name of the limit.
        limit: The same for every other target; 0 for any number.
        runs_per_commit: Runs of an event that one commit makes; the others are fanned out.
        flood: So many runs one subject starts, one upon the other, some times.
    """

    beginning: datetime
    processes: int
    one_machine: bool
    batched: bool
    poll_s: float
    ttl_s: float
    workers: int
    active_s: float
    clients: int
    pause_between_calls_s: float
    hangs: float
    failures: float
    longest_s: float
    slow: float = 0.0
    lost_requests: float = 0.0
    lost_answers: float = 0.0
    late: float = 0.0
    aborts: float = 0.0
    deaths: float = 0.0
    kill_every_s: float = 0.0
    suspend_every_s: float = 0.0
    drain_every_s: float = 0.0
    outage_every_s: float = 0.0
    blackout_s: float = 0.0
    jump_every_s: float = 0.0
    limits: Mapping[str, int] = field(default_factory=dict)
    limit: int = 0
    runs_per_commit: int = 9_998
    flood: int = 0

    @property
    def calm(self) -> bool:
        """Nothing goes wrong: everything has to happen at once."""
        return not any(getattr(self, name) for name in TROUBLE)

    def __str__(self) -> str:
        return "\n".join(f"  {field.name} = {getattr(self, field.name)}" for field in fields(self))


def draw_plan(seed: int) -> Plan:
    random = Random(f"{seed}/plan")
    calm = random.random() < 0.12

    def perhaps(probability: float, *values: float) -> float:
        chosen = random.choice(values)
        return chosen if random.random() < probability and not calm else 0.0

    ttl_s = random.choice((15.0, 30.0, 60.0, 120.0))
    clients, active_s, calls = (
        random.choice((2, 4, 6)),
        random.choice((90.0, 200.0, 400.0)),
        random.choice((40, 80, 160)),
    )
    plan = Plan(
        beginning=random.choice(BEGINNINGS),
        processes=random.choice((1, 2, 2, 3)),
        one_machine=random.random() < 0.3,
        batched=random.random() < 0.8,
        poll_s=random.choice((1.0, 2.0, 5.0, 10.0, 30.0, 60.0)),
        ttl_s=ttl_s,
        workers=random.choice((1, 2, 4, 16)),
        active_s=active_s,
        clients=clients,
        pause_between_calls_s=clients * active_s / calls,
        hangs=random.choice((0.0, 0.0, 0.03)),
        failures=random.choice((0.0, 0.05)),
        longest_s=random.choice((5.0, 40.0)),
        slow=perhaps(0.5, 0.02, 0.1),
        lost_requests=perhaps(0.4, 0.005, 0.03),
        lost_answers=perhaps(0.5, 0.005, 0.03),
        late=perhaps(0.3, 0.005, 0.02),
        aborts=perhaps(0.3, 0.01, 0.1),
        deaths=perhaps(0.5, 0.002, 0.02),
        kill_every_s=perhaps(0.4, 30.0, 100.0),
        suspend_every_s=perhaps(0.4, 30.0, 100.0),
        drain_every_s=perhaps(0.35, 30.0, 100.0),
        outage_every_s=perhaps(0.3, 30.0, 100.0),
        blackout_s=perhaps(0.2, 600.0, 5 * 3600.0, 3 * 86400.0),
        limits=random.choice(LIMITS) if random.random() < 0.6 else {},
        limit=random.choice((1, 2, 3)) if random.random() < 0.3 else 0,
        jump_every_s=perhaps(0.25, 30.0, 100.0),
        runs_per_commit=1 if random.random() < 0.3 else 9_998,
    )
    return _flooded(plan, random) if random.random() < 0.1 else plan


def _flooded(plan: Plan, random: Random) -> Plan:
    """Return the plan for one process that is flooded while nothing else goes wrong."""
    calm: dict[str, Any] = dict.fromkeys(TROUBLE, 0.0)
    flood, workers = random.choice((30, 80)), random.choice((1, 2, 4))
    return replace(plan, processes=1, workers=workers, flood=flood, hangs=0.0, **calm)
