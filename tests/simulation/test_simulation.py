"""The engine holds what it promises on every seed, the same seed gives the same run, and planted bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.simulation.plan import draw_plan
from tests.simulation.plants import BUGS, dropped_fence
from tests.simulation.simulate import simulate

SEEDS, NIGHTLY_SEEDS = 200, 6000
BLOCK, NIGHTLY_BLOCK = 10, 100
FOUND_WITHIN = 80
FOUND_FAULTS = (328, 1450, 2055, 2425, 3274, 3712, 3781, 3929, 5587, 5591)
"""Seeds beyond the first that once found a fault."""

BLOCKS = [pytest.param(range(first, first + BLOCK), id=f"{first}") for first in range(0, SEEDS, BLOCK)]
BLOCKS += [
    pytest.param(range(first, first + NIGHTLY_BLOCK), id=f"{first}", marks=pytest.mark.nightly)
    for first in range(SEEDS, NIGHTLY_SEEDS, NIGHTLY_BLOCK)
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", BLOCKS)
def test_what_must_hold_holds(seeds: range) -> None:
    failed = [report for report in map(simulate, seeds) if report.violations]
    assert not failed, "\n\n".join(map(str, failed))


@pytest.mark.parametrize("seed", FOUND_FAULTS)
def test_what_was_found_once_stays_mended(seed: int) -> None:
    report = simulate(seed)
    assert not report.violations, report


def test_the_seeds_hold_every_kind_of_trouble() -> None:
    plans = [draw_plan(seed) for seed in range(SEEDS)]
    assert sum(plan.calm for plan in plans) >= 10
    for kind in (
        "slow", "lost_requests", "lost_answers", "late", "aborts", "deaths", "kill_every_s", "suspend_every_s",
        "drain_every_s", "outage_every_s", "blackout_s", "jump_every_s", "hangs", "failures",
    ):  # fmt: skip
        assert sum(bool(getattr(plan, kind)) for plan in plans) >= 10, kind
    assert {plan.processes for plan in plans} == {1, 2, 3}
    assert sum(bool(plan.flood) for plan in plans) >= 10
    assert sum(bool(plan.limits or plan.limit) and plan.processes > 1 for plan in plans) >= 50


def test_a_simulation_does_something() -> None:
    reports = [simulate(seed) for seed in range(5)]
    assert sum(report.invocations for report in reports) > 100
    assert all(report.seconds > 100 for report in reports)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
@pytest.mark.timeout(300)
def test_a_planted_bug_is_found(bug: Callable[[], AbstractContextManager[None]]) -> None:
    wanted = BUGS[bug]
    for seed in range(FOUND_WITHIN):
        if wanted & simulate(seed, bug=bug).rules:
            return
    pytest.fail(f"{bug.__name__}: no seed below {FOUND_WITHIN} broke any of {sorted(wanted)}")


def test_a_failing_seed_says_how_to_replay_it() -> None:
    reports = (simulate(seed, bug=dropped_fence) for seed in range(FOUND_WITHIN))
    report = next(report for report in reports if report.violations)
    assert f"replay with its trace: .venv/bin/python -m tests.simulation {report.seed}" in str(report)
    assert any("VIOLATION" in line for line in report.trace)


def test_a_seed_gives_the_same_trace_in_every_process() -> None:
    """Whatever the hashes of that process are."""
    traces = set()
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "7"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        trace, _, summary = done.stdout.strip().rpartition("\n")
        assert summary.startswith("1 seeds, 0 failed")
        assert len(trace) > 10_000
        traces.add(trace)
    assert len(traces) == 1
