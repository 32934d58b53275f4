"""The stages of a shutdown share the configured time, and what has to be recorded has its part of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gestalt_host.daemon.shutdown import ShutdownPlan


@pytest.mark.parametrize("total_s", [0.5, 3, 15, 60, 86_400])
def test_every_stage_has_time_within_the_whole(total_s: float) -> None:
    plan = ShutdownPlan.of(timedelta(seconds=total_s))
    assert 0 < plan.requests_alone_s < plan.requests_s < plan.finished_s < plan.total_s == total_s
    assert 0 < plan.drain_s < plan.workflows_s < plan.finished_s


def test_of_the_usual_fifteen_seconds_an_invocation_has_nine_and_a_half() -> None:
    plan = ShutdownPlan.of(timedelta(seconds=15))
    assert (plan.requests_s, plan.drain_s, plan.finished_s) == (10.5, 9.5, 12)
