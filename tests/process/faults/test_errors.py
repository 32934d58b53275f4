"""What somebody sees who made a mistake: a message naming it, the right status, the right exit code, no stack trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.rigs.gestaltd import INHERITED, QUICKSTART, Gestaltd, free_port, rig
from tests.support.waiting import until

UNKNOWN = "00000000-0000-4000-8000-000000000000"
TARGET = {"plugin": {"name": "roadmap", "operation": "noop"}}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    with rig(tmp_path_factory.mktemp("errors")) as served:
        yield served


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("schedules", {"cron": "0 3 * * *", "target": {"plugin": {"name": "nope", "operation": "x"}}}, 404, "nope"),
        ("schedules", {"cron": "0 25 * * *", "target": TARGET}, 400, "hour"),
        ("schedules", {"cron": "0 3 30 2 *", "target": TARGET}, 400, "30 2"),
        ("schedules", {"cron": "0 3 * * *", "timezone": "Europe/Nowhere", "target": TARGET}, 400, "Europe/Nowhere"),
        ("event-triggers", {"match": {"source": "roadmap"}, "target": TARGET}, 400, "match.type"),
        ("events", {"source": "roadmap"}, 400, "workflow event type is required"),
    ],
    ids=[
        "unknown plugin",
        "bad cron",
        "cron that never occurs",
        "bad zone",
        "trigger without type",
        "event without type",
    ],
)
def test_refused_requests_name_what_is_wrong(
    host: Gestaltd, path: str, body: dict[str, object], status: int, named: str
) -> None:
    answer = host.post(f"/workflow/{path}", body)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["error"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("kind", ["schedules", "event-triggers", "runs"])
def test_an_unknown_id_is_not_found(host: Gestaltd, kind: str) -> None:
    answer = httpx.get(f"{host.url}/api/v1/workflow/{kind}/{UNKNOWN}")
    assert answer.status_code == 404
    assert "not found" in answer.json()["error"]


def test_malformed_json_is_refused(host: Gestaltd) -> None:
    answer = httpx.post(f"{host.url}/api/v1/workflow/schedules", content=b'{"cron": ')
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "invalid JSON body: line 1, column 10: expecting value"},
    )


def test_what_an_answer_hides_is_found_in_the_log_by_its_request_id(host: Gestaltd) -> None:
    answer = httpx.post(f"{host.url}/api/v1/roadmap/fail", json={}, headers={"X-Request-Id": "looked-up-later"})
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
    assert answer.headers["x-request-id"] == "looked-up-later"

    def found() -> Any:
        lines = [line for line in host.log.splitlines() if "looked-up-later" in line]
        return json.loads(lines[0]) if lines else None

    line = until(found)
    assert (line["process"], line["request_id"], line["operation"]) == ("roadmap", "looked-up-later", "fail")
    assert "the rig plugin fails when asked to" in str(line["exception"])


@pytest.mark.nightly
def test_an_operation_of_more_than_a_minute_is_said_to_be_running_still(host: Gestaltd) -> None:
    answer = httpx.post(f"{host.url}/api/v1/roadmap/noop", json={"sleep": 61_000}, timeout=90)
    text = 'no answer within 60 s to POST "/api/v1/roadmap/noop"; it may still be running'
    assert (answer.status_code, answer.json()) == (504, {"error": text})


@pytest.mark.parametrize("char", ["x", "%C3%A9", "%25"])
def test_an_id_of_any_length_is_not_found(host: Gestaltd, char: str) -> None:
    answer = httpx.get(f"{host.url}/api/v1/workflow/runs/{char * 5000}")
    assert (answer.status_code, answer.json()["error"][-10:]) == (404, " not found")


@pytest.mark.parametrize("zone", ["Europe/Berlin\x00", "\x1b[2J\u202e", "x" * 4498, "é" * 4498])
def test_a_zone_is_refused_with_a_text_that_can_be_shown(host: Gestaltd, zone: str) -> None:
    answer = host.post("/workflow/schedules", {"cron": "0 3 * * *", "timezone": zone, "target": TARGET})
    assert answer.status_code == 400
    text = answer.json()["error"]
    assert zone[:8] in text or "\\x" in text
    assert text.isprintable()
    assert len(text) < 1000


def test_a_finished_run_says_how_it_has_ended_when_it_is_canceled(host: Gestaltd) -> None:
    match = {"type": "errors.finished"}
    assert host.post("/workflow/event-triggers", {"match": match, "target": TARGET}).status_code == 201
    assert host.post("/workflow/events", match).status_code == 202

    def finished() -> Any:
        runs = httpx.get(f"{host.url}/api/v1/workflow/runs?status=succeeded").json()
        return runs[0] if runs else None

    run = until(finished)["id"]
    answer = host.post(f"/workflow/runs/{run}/cancel", {})
    text = f'workflow run "{run}" has succeeded; only pending and running runs can be canceled'
    assert (answer.status_code, answer.json()) == (409, {"error": text})


def gestalt(host_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("gestalt")
    env = {name: os.environ[name] for name in INHERITED if name in os.environ} | {"GESTALT_URL": host_url}
    command = [str(program), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["schedules", "create", "--cron", "0 3 * * *", "--plugin", "nope", "--operation", "x"], "nope"),
        (["schedules", "create", "--cron", "0 25 * * *", "--plugin", "roadmap", "--operation", "noop"], "hour"),
        (["schedules", "get", UNKNOWN], "not found"),
        (["triggers", "get", UNKNOWN], "not found"),
        (["runs", "get", UNKNOWN], "not found"),
    ],
    ids=["unknown plugin", "bad cron", "unknown schedule", "unknown trigger", "unknown run"],
)
def test_the_command_line_says_why_and_exits_1(host: Gestaltd, arguments: list[str], named: str) -> None:
    done = gestalt(host.url, "workflow", *arguments)
    assert done.returncode == 1, done
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_command_line_names_a_host_that_is_away() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = gestalt(url, "workflow", "runs", "list")
    assert done.returncode == 1
    assert url in done.stderr
    assert "Traceback" not in done.stderr


OVERLAYS = {
    "unknown key": ("plugins: {roadmap: {sauce: x}}\n", ["plugins.roadmap.sauce", "overlay.yaml:2"]),
    "bad cron": (
        'workflows: {schedules: {nightly_sync: {cron: "61 * * * *"}}}\n',
        ["nightly_sync.cron", "overlay.yaml:2"],
    ),
    "bad zone": (
        "workflows: {schedules: {nightly_sync: {timezone: Europe/Nowhere}}}\n",
        ["nightly_sync.timezone", "Europe/Nowhere"],
    ),
    "unknown plugin": (
        "workflows: {schedules: {nightly_sync: {target: {plugin: {name: nope}}}}}\n",
        ["nightly_sync.target.plugin.name", "nope"],
    ),
    "missing type": (
        "workflows: {eventTriggers: {notify_sync_completed: {match: {type: null}}}}\n",
        ["notify_sync_completed.match.type"],
    ),
    "unset variable": ('plugins: {slack: {config: {webhookUrl: "${SLACK_WEBHOOK}"}}}\n', ["SLACK_WEBHOOK"]),
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_wrong_configuration_ends_the_start_and_names_the_place(tmp_path: Path, name: str) -> None:
    overlay, named = OVERLAYS[name]
    layer = tmp_path / "overlay.yaml"
    layer.write_text(f"apiVersion: gestaltd.config/v5\n{overlay}")
    env = {key: os.environ[key] for key in INHERITED if key in os.environ}
    env |= {"QUICKSTART": str(tmp_path), "GESTALT_ENCRYPTION_KEY": "a key for tests only"}
    command = [sys.executable, "-m", "gestalt_host.daemon", "serve"]
    command += ["--config", str(QUICKSTART / "gestalt.yaml"), "--config", str(layer)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    for text in named:
        assert text in done.stderr, done.stderr
