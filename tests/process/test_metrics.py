"""`/metrics` of a host that has done a little of everything: each figure has the value of what was done."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.waiting import until

CONFIG = """
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
providers:
  indexeddb:
    main:
      source: {{builtin: indexeddb_store}}
      config: {{dsn: "sqlite://{folder}/state.db"}}
  workflow:
    local:
      source: {{builtin: indexeddb}}
      indexeddb: {{provider: main, db: workflow}}
      config: {{pollInterval: 100ms, workerCount: 1}}
plugins:
  rig: {{source: {{path: {rig}}}}}
  gone: {{source: {{path: {folder}/gone.yaml}}}}
"""
RIG = ROOT / "tests" / "support" / "plugins" / "rig" / "manifest.yaml"
PAGE = ROOT / "docs" / "metrics.md"
W = "gestalt_workflow_"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Gestaltd]:
    port = free_port()
    config = tmp_path / "gestalt.yaml"
    config.write_text(CONFIG.format(port=port, folder=tmp_path, rig=RIG))
    made = Gestaltd([config], {}, port, tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def figures(host: Gestaltd) -> dict[str, float]:
    """Every sample by name and labels, without those that tell the provider's name and kind."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{host.url}/metrics", timeout=30).text):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = [f"{key}={value}" for key, value in sorted(sample.labels.items()) if key not in ("kind",)]
            if sample.name.startswith(W):
                labels.remove("provider=local")
            found[" ".join((sample.name, *labels))] = sample.value
    return found


def trigger(host: Gestaltd, operation: str, **more: Any) -> str:
    match = {"type": "go", **more.pop("match", {})}
    target = {"plugin": {"name": "rig", "operation": operation, "input": more}}
    answer = host.post("/workflow/event-triggers", {"match": match, "target": target})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def publish(host: Gestaltd, event_id: str) -> None:
    answer = host.post("/workflow/events", {"type": "go", "source": "test", "id": event_id})
    assert answer.status_code == 202, answer.text


def becomes(host: Gestaltd, wanted: dict[str, float]) -> dict[str, float]:
    """All figures, once these have the values that are wanted."""

    def found() -> dict[str, float]:
        now = figures(host)
        return now if all(now.get(name) == value for name, value in wanted.items()) else {}

    def differing() -> str:
        now = figures(host)
        return "\n".join(f"{name}: {now.get(name)} instead of {value}" for name, value in wanted.items())

    return until(found, within_s=30, what=differing)


def test_every_figure_is_zero_at_first_and_told_by_all_of_its_labels(host: Gestaltd) -> None:
    found = figures(host)
    told = {name: value for name, value in found.items() if name.startswith(W) and "_bucket" not in name}
    assert len([name for name in told if name.startswith(f"{W}runs_ended_total")]) == 9
    workers = told.pop(f"{W}workers")
    assert workers == 1
    assert set(told.values()) == {0}
    assert found["gestalt_provider_metrics_answered provider=local"] == 1
    up = {name.split("=")[1]: value for name, value in found.items() if name.startswith("gestalt_provider_up")}
    assert up == {"main": 1, "local": 1, "rig": 1, "gone": 0}


def test_runs_and_verdicts_of_events_are_counted(host: Gestaltd) -> None:
    trigger(host, "noop")
    trigger(host, "fail")
    trigger(host, "noop", match={"source": "elsewhere"})
    paused = trigger(host, "noop")
    assert host.post(f"/workflow/event-triggers/{paused}/pause", {}).status_code == 200
    publish(host, "one")
    publish(host, "one")
    publish(host, "two")
    found = becomes(
        host,
        {
            f"{W}events_published_total publication=new": 2,
            f"{W}events_published_total publication=repeated": 1,
            f"{W}event_verdicts_total verdict=matched": 4,
            f"{W}event_verdicts_total verdict=duplicate": 2,
            f"{W}event_verdicts_total verdict=paused": 3,
            f"{W}event_verdicts_total verdict=source_differs": 3,
            f"{W}event_verdicts_total verdict=unlisted": 0,
            f"{W}runs_ended_total outcome=succeeded trigger=event": 2,
            f"{W}runs_ended_total outcome=failed trigger=event": 2,
            f"{W}runs_ended_total outcome=canceled trigger=event": 0,
            f"{W}run_wait_seconds_count": 4,
            f"{W}run_wait_seconds_bucket le=+Inf": 4,
            f"{W}runs_running": 0,
            f"{W}queue_runs": 0,
            f"{W}queue_oldest_seconds": 0,
        },
    )
    assert 0 < found[f"{W}run_wait_seconds_sum"] < 60


def test_the_queue_is_counted_with_its_oldest_while_the_one_worker_is_busy(host: Gestaltd) -> None:
    trigger(host, "noop", sleep=60_000)
    for number in range(4):
        publish(host, f"event {number}")
    began = time.monotonic()
    found = becomes(host, {f"{W}runs_running": 1, f"{W}queue_runs": 3})
    first = found[f"{W}queue_oldest_seconds"]
    assert first > 0
    until(lambda: figures(host)[f"{W}queue_oldest_seconds"] > first, what=lambda: str(figures(host)))
    assert figures(host)[f"{W}queue_oldest_seconds"] < time.monotonic() - began + 60
    for run in host.get("/workflow/runs"):
        assert host.post(f"/workflow/runs/{run['id']}/cancel", {}).status_code == 200
    becomes(
        host,
        {
            f"{W}runs_ended_total outcome=canceled trigger=event": 4,
            f"{W}runs_running": 0,
            f"{W}queue_runs": 0,
            f"{W}queue_oldest_seconds": 0,
        },
    )


def test_a_lost_claim_and_a_restart_are_counted(host: Gestaltd) -> None:
    trigger(host, "noop", sleep=60_000)
    publish(host, "one")
    becomes(host, {f"{W}runs_running": 1})
    (provider,) = [child for child in host.children() if child.name == "local"]
    os.kill(provider.pid, signal.SIGKILL)
    becomes(
        host,
        {
            "gestalt_provider_restarts_total provider=local": 1,
            "gestalt_provider_metrics_answered provider=local": 1,
            f"{W}claims_lost_total": 1,
            f"{W}runs_ended_total outcome=failed trigger=event": 1,
            f"{W}run_retries_total": 0,
        },
    )


def test_slots_and_the_lateness_of_schedules_are_counted(host: Gestaltd) -> None:
    target = {"plugin": {"name": "rig", "operation": "noop"}}
    answer = host.post("/workflow/schedules", {"cron": "* * * * *", "target": target})
    assert answer.status_code == 201, answer.text

    def fired() -> dict[str, float]:
        now = figures(host)
        return now if now[f"{W}runs_ended_total outcome=succeeded trigger=schedule"] else {}

    found = until(fired, within_s=100, what=lambda: str(figures(host)))
    assert found[f"{W}slots_total outcome=fired"] == found[f"{W}schedule_lateness_seconds_count"] > 0
    assert 0 <= found[f"{W}schedule_lateness_seconds_sum"] < 60
    assert found[f"{W}slots_total outcome=overlap"] == 0


def test_the_page_names_every_metric_with_its_labels_and_no_other(host: Gestaltd) -> None:
    trigger(host, "noop")
    families = list(text_string_to_metric_families(httpx.get(f"{host.url}/metrics", timeout=30).text))
    shown = {
        f"{family.name}_total" if family.type == "counter" else family.name: family.type
        for family in families
        if not family.name.endswith("_created")
    }
    rows = re.findall(r"^\| `(gestalt_\w+)\{([\w,]+)\}` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    assert {name: kind for name, _, kind in rows} == shown
    labels = {name: set(named.split(",")) for name, named, _ in rows}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for sample in family.samples if name in labels else ():
            assert sample.labels.keys() - {"le"} == labels[name], name
