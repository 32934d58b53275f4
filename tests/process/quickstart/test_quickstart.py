"""The quickstart for real: six processes, a schedule that fires, and the two runs that its event fans out into."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.rigs.gestaltd import Gestaltd, alive, quickstart, quickstart_host
from tests.support.rigs.grpc_calls import described, services, serving
from tests.support.waiting import until

TERMINAL = {"succeeded", "failed", "canceled"}
FIRES_WITHIN_S = 80.0  # a cron slot is a minute apart at most
SCHEDULE = "cfg_" + hashlib.sha256(b"nightly_sync").hexdigest()
TRIGGERS = {
    name: "cfg_" + hashlib.sha256(b"event_trigger\0" + name.encode()).hexdigest()
    for name in ("notify_sync_completed", "refresh_search_index")
}
OUTCOME_UNKNOWN = re.compile("workflow provider restarted while run was in progress|is not known")
NOBODY_FIRES = "workflows: {schedules: {nightly_sync: {paused: true}}}\n"
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
SERVICE_OF = {
    "GESTALT_INDEXEDDB_SOCKET": "gestalt.provider.v1.IndexedDB",
    "GESTALT_WORKFLOW_HOST_SOCKET": "gestalt.provider.v1.WorkflowHost",
    "GESTALT_WORKFLOW_MANAGER_SOCKET": "gestalt.provider.v1.WorkflowManagerHost",
    "GESTALT_PLUGIN_INVOKER_SOCKET": "gestalt.provider.v1.PluginInvoker",
}
PROVIDER_SERVICE = {
    "workflow_state": "gestalt.provider.v1.IndexedDB",
    "local": "gestalt.provider.v1.WorkflowProvider",
    "roadmap": "gestalt.provider.v1.IntegrationProvider",
    "slack": "gestalt.provider.v1.IntegrationProvider",
    "search": "gestalt.provider.v1.IntegrationProvider",
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    with quickstart(tmp_path_factory.mktemp("quickstart")) as served:
        yield served


def runs(host: Gestaltd) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = host.get("/workflow/runs", owner="config")
    return listed


def scheduled(host: Gestaltd) -> dict[str, Any] | None:
    """The first run of nightly_sync that has ended."""
    ended = [run for run in runs(host) if run["trigger"]["kind"] == "schedule" and run["status"] in TERMINAL]
    return ended[-1] if ended else None


def caused_by(host: Gestaltd, event_id: str) -> list[dict[str, Any]]:
    """Runs of one event."""
    return [run for run in runs(host) if run["trigger"].get("event", {}).get("id") == event_id]


def fanned_out(host: Gestaltd, event_id: str) -> dict[str, dict[str, Any]]:
    """Both runs of one event by trigger id, once both have ended."""

    def ended() -> list[dict[str, Any]] | None:
        found = caused_by(host, event_id)
        return found if len(found) == 2 and all(run["status"] in TERMINAL for run in found) else None

    found = until(ended, within_s=30, what=lambda: f"both runs of {event_id} ended: {runs(host)}")
    assert found is not None
    return {run["trigger"]["triggerId"]: run for run in found}


def slack_lines(host: Gestaltd) -> list[dict[str, Any]]:
    path = Path(host.environment["QUICKSTART"]) / "state" / "slack.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_budget_of_processes_one_for_each_configured_entry_and_one_for_the_host(host: Gestaltd) -> None:
    assert [child.name for child in host.children()] == sorted(PROVIDER_SERVICE)
    assert len(host.helpers()) == 1, "beside the keeper of process groups"


@pytest.mark.timeout(150)
def test_the_schedule_fires_and_its_event_fans_out(host: Gestaltd) -> None:
    sync = until(lambda: scheduled(host), within_s=FIRES_WITHIN_S, what=lambda: f"nightly_sync fired: {host.log}")
    assert sync is not None
    assert sync["status"] == "succeeded", sync
    assert sync["trigger"]["scheduleId"] == SCHEDULE
    slot = instant(sync["trigger"]["scheduledFor"])
    assert (slot.second, slot.microsecond) == (0, 0)
    assert sync["id"] == f"schedule:{SCHEDULE}:{sync['trigger']['scheduledFor']}"
    assert sync["target"]["plugin"] | {"connection": ""} == {
        "name": "roadmap",
        "operation": "sync",
        "connection": "",
        "input": {"mode": "incremental"},
    }
    counts = json.loads(sync["resultBody"])
    assert (counts["mode"], counts["added"], counts["total"], counts["skipped"]) == ("incremental", 5, 5, [])

    fan = fanned_out(host, counts["eventId"])
    notify, reindex = (fan[TRIGGERS[name]] for name in ("notify_sync_completed", "refresh_search_index"))
    for run in (notify, reindex):
        assert run["status"] == "succeeded", run
        assert run["trigger"]["kind"] == "event"
        event = run["trigger"]["event"]
        assert (event["type"], event["source"]) == ("roadmap.sync.completed", "roadmap")
        assert instant(run["createdAt"]) >= instant(sync["startedAt"])
    for run in (sync, notify, reindex):
        assert run["createdBy"]["subjectId"] == "system:config"
        assert instant(run["createdAt"]) <= instant(run["startedAt"]) <= instant(run["completedAt"])

    assert json.loads(notify["resultBody"])["channel"] == "#roadmap"
    assert json.loads(reindex["resultBody"])["indexed"] == 5
    order = [run["id"] for run in runs(host)]  # newest first
    assert max(order.index(notify["id"]), order.index(reindex["id"])) < order.index(sync["id"])

    assert {(line["channel"], line["text"]) for line in slack_lines(host)} == {("#roadmap", "Roadmap sync finished")}
    answer = host.post("/search/query", {"text": "daylight saving"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["hits"][0]["id"] == "time-zones"


def test_configured_objects_are_shown_only_when_asked_for(host: Gestaltd) -> None:
    assert host.get("/workflow/schedules") == []
    (schedule,) = host.get("/workflow/schedules", owner="config")
    assert (schedule["id"], schedule["cron"]) == (SCHEDULE, "* * * * *")
    triggers = host.get("/workflow/event-triggers", owner="config")
    assert {trigger["id"] for trigger in triggers} == set(TRIGGERS.values())


def test_health_and_reflection_answer_on_every_socket(host: Gestaltd) -> None:
    asked = set()
    for child in host.children():
        wanted = {child.socket: PROVIDER_SERVICE[child.name]}
        wanted |= {path: SERVICE_OF[name] for name, path in child.sockets.items() if name in SERVICE_OF}
        for path, service in wanted.items():
            for version in ("v1", "v1alpha"):
                listed = services(path, version=version)
                assert listed >= {service, "grpc.health.v1.Health", *REFLECTION}, f"{child.name} {path.name}: {listed}"
                assert all(described(path, name, version=version) for name in listed)
            assert serving(path), f"{child.name}: {service} is not serving"
            assert serving(path, service), f"{child.name}: {service} is not serving"
            asked.add(service)
    assert asked >= set(SERVICE_OF.values()) | set(PROVIDER_SERVICE.values())


def test_sockets_and_state_are_private_to_the_user(host: Gestaltd) -> None:
    for child in host.children():
        for path in child.sockets.values():
            assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, path
    for path in (Path(host.environment["QUICKSTART"]) / "state").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_nothing_is_left_behind(tmp_path: Path, number: signal.Signals) -> None:
    with quickstart(tmp_path, NOBODY_FIRES) as host:
        children = host.children()
        assert len(children) == 5
        folders = {path.parent for child in children for path in child.sockets.values()}
        assert all(folder.exists() for folder in folders)
        if number == signal.SIGINT:  # what a terminal does: the signal reaches the whole process group
            os.killpg(host.pid, number)
        else:
            host.signal(number)
        assert host.wait() == 0, host.log
        assert [child.name for child in children if alive(child.pid)] == []
        assert [folder for folder in folders if folder.exists()] == []


@pytest.mark.parametrize("how", ["published over HTTP", "published by the plugin"])
def test_an_accepted_event_survives_the_death_of_the_host(tmp_path: Path, how: str) -> None:
    host = quickstart_host(tmp_path, NOBODY_FIRES)
    try:
        host.start()
        if how == "published over HTTP":
            event = {"type": "roadmap.sync.completed", "source": "roadmap", "id": "accepted-once"}
            answer = host.post("/workflow/events", event)
            host.kill()
            assert answer.status_code == 202
            event_id = "accepted-once"
        else:
            answer = host.post("/roadmap/sync", {"mode": "full"})
            host.kill()
            assert answer.status_code == 200, answer.text
            event_id = answer.json()["eventId"]
        host.start()  # at once: the orphaned providers may still be on their way out
        fan = fanned_out(host, event_id)
        assert set(fan) == set(TRIGGERS.values())
        for run in fan.values():
            # A run that had begun is not repeated: nobody knows how far it came, and it says so.
            assert run["status"] == "succeeded" or OUTCOME_UNKNOWN.search(run["statusMessage"]), run
        if fan[TRIGGERS["notify_sync_completed"]]["status"] == "succeeded":
            assert len(slack_lines(host)) == 1
        assert len(slack_lines(host)) <= 1

        again = {"type": "roadmap.sync.completed", "source": "roadmap", "id": event_id}
        assert host.post("/workflow/events", again).status_code == 202
        assert len(caused_by(host, event_id)) == 2
    finally:
        host.stop()


def test_orphaned_providers_end_by_themselves(tmp_path: Path) -> None:
    with quickstart(tmp_path, NOBODY_FIRES) as host:
        children = host.children()
        host.kill()
        until(lambda: not any(alive(child.pid) for child in children), within_s=10, what=lambda: "providers ended")
