"""Over HTTP: what a user's trigger has waiting holds up no schedule of the configuration, and is told (decision 24)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.engine.clock import SharedClock
from tests.support.nightly import at_night
from tests.support.rigs.clocked import write_config
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.waiting import until

EVENTS = at_night(5_000, otherwise=60)
SLEEP_MS = 500
WORKERS = 4
SCHEDULE = """
workflows:
  schedules:
    every_minute:
      {provider: local, cron: "* * * * *", timezone: UTC, target: {plugin: {name: roadmap, operation: noop}}}
"""


def states(host: Gestaltd, **params: str) -> Counter[str]:
    return Counter(run["status"] for run in host.get("/workflow/runs", **params))


def ready(host: Gestaltd) -> Any:
    answer = httpx.get(f"{host.url}/ready", timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.timeout(at_night(600, otherwise=180))
def test_events_of_a_user_hold_up_no_configured_schedule(tmp_path: Path) -> None:
    port, clock = free_port(), SharedClock(tmp_path / "clock")
    config = write_config(tmp_path, port, more=SCHEDULE)
    host = Gestaltd([config], {}, port, tmp_path)
    try:
        host.start()
        operation = {"name": "roadmap", "operation": "noop", "input": {"sleep": SLEEP_MS}}
        made = host.post("/workflow/event-triggers", {"match": {"type": "t"}, "target": {"plugin": operation}})
        assert made.status_code == 201, made.text
        with httpx.Client(base_url=f"{host.url}/api/v1", timeout=30) as client:
            for number in range(EVENTS):
                answer = client.post("/workflow/events", json={"type": "t", "source": "s", "id": f"{number}"})
                assert answer.status_code == 202, answer.text
        fired = states(host, owner="config").total()
        clock.advance(61)
        until(lambda: states(host, owner="config")["succeeded"] > fired, within_s=60, what=lambda: "the schedule's run")
        mine = states(host)
        assert mine["pending"] > WORKERS, mine
        assert mine.total() == EVENTS
        until(lambda: "detail" in ready(host), within_s=30, what=lambda: "the delay in /ready")
        (detail,) = ready(host)["detail"]
        assert detail.startswith(
            "workflow provider local: runs of 1 subject (user) wait for a free worker, the longest"
        )
        metrics = httpx.get(f"{host.url}/metrics", timeout=10).text
        assert 'gestalt_provider_notice{kind="workflow",notice="runs_overdue",provider="local"}' in metrics
        assert "runs.overdue" in host.log
    finally:
        host.stop()
