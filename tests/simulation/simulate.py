"""One simulation: from a seed to what was broken in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from gestalt_workflow.model.objects import RunStatus
from gestalt_workflow.stored.records import RUNS

from tests.simulation.loop import Spinning, VirtualLoop
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.workload import Workload
from tests.simulation.world import World

LONGEST_QUIET_S = 1800.0
"""So long after everything is healthy again the last run has ended, or it never will."""


@dataclass(frozen=True, slots=True)
class Report:
    """
    Attributes:
        violations: Rule and what broke it, in the order in which they were noticed.
        trace: What happened, a line each.
    """

    seed: int
    plan: Plan
    violations: list[tuple[str, str]]
    trace: list[str]
    seconds: float
    callbacks: int
    runs: int
    invocations: int

    @property
    def rules(self) -> set[str]:
        return {rule for rule, _ in self.violations}

    def __str__(self) -> str:
        lines = [f"seed {self.seed} broke {len(self.violations)} times what must hold:"]
        lines += [f"  {rule}: {text}" for rule, text in self.violations[:10]]
        lines += [f"replay with its trace: .venv/bin/python -m tests.simulation {self.seed}"]
        return "\n".join(lines)


def simulate(
    seed: int, *, plan: Plan | None = None, bug: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Report:
    """Run the engine through what the seed holds for it, with ``bug`` planted in it."""
    plan = plan or draw_plan(seed)
    loop = VirtualLoop()
    world = World(seed, plan, loop)
    with world.determinism(), bug():
        try:
            loop.run_until_complete(_simulation(seed, world))
        except Spinning as error:
            world.invariants.broken("nothing turns round without waiting", str(error))
        finally:
            world.over = True
            for instance in world.instances:
                instance.dead = False
                loop.resume(instance)
            loop.set_exception_handler(lambda *_: None)
            loop.end()
    rows = world.database.rows.get(RUNS, {})
    return Report(
        seed,
        plan,
        world.invariants.violations,
        world.trace,
        loop.now,
        loop.callbacks,
        len(rows),
        len(world.host.journal),
    )


async def _simulation(seed: int, world: World) -> None:
    plan, loop = world.plan, world.loop
    supervisors = [asyncio.ensure_future(world.supervise(slot)) for slot in range(plan.processes)]
    workload = Workload(seed, world)
    clients: list[asyncio.Task[None]] = []
    trouble: list[asyncio.Task[None]] = []
    try:
        healthy, world.healthy = world.healthy, True
        await workload.prepare()
        world.healthy = healthy
        clients = [asyncio.ensure_future(workload.client()) for _ in range(plan.clients)]
        if plan.flood:
            clients.append(asyncio.ensure_future(workload.flood()))
        trouble = [asyncio.ensure_future(act()) for act in world.trouble()]
        await asyncio.sleep(plan.active_s + plan.blackout_s)
        for task in (*clients, *trouble):
            task.cancel()
        await asyncio.gather(*clients, *trouble, return_exceptions=True)
        world.heal()
        await _quiet(world)
        for task in (*clients, *trouble, *supervisors):
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise task.exception()  # type: ignore[misc]
        world.invariants.judge()
    finally:
        loop.call_soon(lambda: None)


async def _quiet(world: World) -> None:
    """Wait until every run has ended, in the middle of a minute, and longer than any lease or round of looking."""
    least = world.loop.now + world.plan.ttl_s + 130.0
    limit = world.loop.now + LONGEST_QUIET_S
    while world.loop.now < limit:
        await asyncio.sleep(60.0 - world.right_time().timestamp() % 60.0 + 50.0)
        statuses = {record["status"] for record in world.database.rows[RUNS].values()}
        if world.loop.now >= least and all(RunStatus(status).terminal for status in statuses):
            return
