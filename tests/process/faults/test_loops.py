"""A trigger that makes the event that it waits for is stopped, and the log says so (decision 29)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.nightly import at_night
from tests.support.rigs.gestaltd import quickstart
from tests.support.waiting import until

CHAIN = at_night(1000, otherwise=10)
OVERLAY = f"""
providers:
  workflow:
    local:
      config: {{pollInterval: 1s, maxChain: {CHAIN}}}
workflows:
  eventTriggers:
    sync_after_sync:
      provider: local
      match: {{type: roadmap.sync.completed, source: roadmap}}
      target:
        plugin: {{name: roadmap, operation: sync}}
"""


@pytest.mark.timeout(600)
def test_a_trigger_that_causes_its_own_event_is_stopped(tmp_path: Path) -> None:
    with quickstart(tmp_path, OVERLAY) as host:
        synced = host.post("/roadmap/sync", {})
        assert synced.status_code == 200, synced.text
        until(lambda: "cause.stopped" in host.log, within_s=300, what=lambda: host.log[-4000:])

        def loop() -> list[Any]:
            runs = host.get("/workflow/runs", owner="config")
            synced = [run for run in runs if run["target"]["plugin"]["operation"] == "sync"]
            return [run for run in synced if run["trigger"]["kind"] == "event"]

        until(lambda: all(run["status"] == "succeeded" for run in loop()), within_s=60)
        # What was published by hand is the root, and its run the first of the chain.
        assert len(loop()) >= CHAIN + 1
