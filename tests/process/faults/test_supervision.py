"""Provider processes that are stopped, busy, broken or slow: named, replaced, and a burden to nobody else."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, alive, free_port
from tests.support.waiting import until

CONFIG = """
apiVersion: gestaltd.config/v5
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
  supervision: {{{supervision}}}
providers:
  indexeddb:
    main:
      source: {{builtin: indexeddb_store}}
      config: {{dsn: "sqlite://{folder}/state.db"}}
  workflow:
    local:
      source: {{builtin: indexeddb}}
      indexeddb: {{provider: main, db: workflow}}
      config: {{pollInterval: 100ms}}
plugins:
  roadmap: {{source: {{path: {rig}}}}}
  odd: {{source: {{path: {folder}/odd/manifest.yaml}}, config: {{marks: {folder}}}}}
"""
RIG = ROOT / "tests" / "support" / "plugins" / "rig" / "manifest.yaml"
ODD = """
import asyncio, os, subprocess, time
from pathlib import Path
from gestalt_sdk.plugin import Plugin, Request, operation

class OddPlugin(Plugin):
    async def configure(self, name, config):
        self.marks = Path(config["marks"])
        if (self.marks / "crash").exists():
            os._exit(3)
        while (self.marks / "hang").exists():
            await asyncio.sleep(0.05)

    @operation("pid")
    async def pid(self, request: Request) -> dict[str, int]:
        return {"pid": os.getpid()}

    @operation("wait")
    async def wait(self, request: Request) -> dict[str, int]:
        (self.marks / "waiting").touch()
        await asyncio.sleep(600)
        return {}

    @operation("block")
    async def block(self, request: Request, seconds: int) -> dict[str, int]:
        time.sleep(seconds)
        return {"pid": os.getpid()}

    @operation("spawn")
    async def spawn(self, request: Request) -> dict[str, int]:
        deaf = "trap '' TERM; echo up; sleep 600 & wait"
        child = subprocess.Popen(["sh", "-c", deaf], stdout=subprocess.PIPE)
        child.stdout.readline()
        return {"pid": child.pid}
"""
READY_AGAIN_S = 60


def new_host(folder: Path, supervision: str = "") -> Gestaltd:
    """A host that is not started, with a plugin that does odd things when it is told to."""
    package = folder / "odd"
    package.mkdir()
    (package / "manifest.yaml").write_text("kind: plugin\nsource: a.org/b/c/odd\nversion: 0.0.1\nspec: {}\n")
    (package / "pyproject.toml").write_text('[tool.gestalt]\nprovider = "odd_plugin:OddPlugin"\n')
    (package / "odd_plugin.py").write_text(ODD)
    port = free_port()
    config = folder / "gestalt.yaml"
    config.write_text(CONFIG.format(port=port, folder=folder, rig=RIG, supervision=supervision).lstrip())
    return Gestaltd([config], {}, port, folder)


@contextmanager
def serving(folder: Path, supervision: str = "") -> Iterator[Gestaltd]:
    host = new_host(folder, supervision)
    try:
        host.start()
        yield host
    finally:
        host.stop()


def ready(host: Gestaltd) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"{host.url}/ready", timeout=10)
    return answer.status_code, answer.json()


def readiness(host: Gestaltd) -> str:
    """Everything that ``/ready`` says."""
    try:
        return json.dumps(ready(host))
    except httpx.TransportError:
        return ""


def pid_of(host: Gestaltd, name: str) -> int:
    return next((child.pid for child in host.children() if child.name == name), 0)


def events(host: Gestaltd, name: str, provider: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in host.log.splitlines() if f'"{name}"' in line]
    return [line for line in lines if provider in (line.get("provider"), line.get("plugin"))]


@contextmanager
def meanwhile(host: Gestaltd, path: str, body: Any = None) -> Iterator[Future[httpx.Response]]:
    """A request that is under way."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(httpx.post, f"{host.url}/api/v1{path}", json=body or {}, timeout=120)


SCHEDULE = {"cron": "0 3 * * *", "target": {"plugin": {"name": "roadmap", "operation": "noop"}}}


@pytest.mark.parametrize(
    ("name", "path", "body", "named"),
    [
        ("odd", "/odd/pid", {}, 'integration "odd" is not available: it has not answered'),
        ("local", "/workflow/schedules", SCHEDULE, 'workflow provider "local" is not available: it has not answered'),
        ("main", "/workflow/schedules", SCHEDULE, 'its store "main" is silent: it has not answered'),
    ],
    ids=["plugin", "workflow provider", "store"],
)
def test_a_stopped_process_is_named_everywhere_and_replaced(
    tmp_path: Path, name: str, path: str, body: dict[str, Any], named: str
) -> None:
    with serving(tmp_path, "restartSilentAfter: 12s") as host:
        before = pid_of(host, name)
        os.kill(before, signal.SIGSTOP)
        with meanwhile(host, path, body) as waiting:
            answer = waiting.result(60)
        assert answer.status_code == 503, answer.text
        assert named in answer.json()["error"]
        until(lambda: f"{name}: it has not answered" in readiness(host), within_s=30, what=lambda: readiness(host))
        assert ready(host)[0] == (200 if name == "odd" else 503)
        answer = host.post(path, body)
        assert answer.status_code == 503, answer.text
        assert named in answer.json()["error"]
        assert host.post("/roadmap/noop", {}).status_code == 200
        assert len(events(host, "provider.silent", name)) == 1
        until(lambda: pid_of(host, name) not in (0, before), within_s=60, what=lambda: host.log[-2000:])
        until(lambda: ready(host) == (200, {"status": "ok"}), within_s=READY_AGAIN_S, what=lambda: readiness(host))
        assert host.post(path, body).status_code in (200, 201)
        assert not alive(before)


def test_a_stopped_plugin_that_goes_on_is_kept_and_what_waited_for_it_fails(tmp_path: Path) -> None:
    with serving(tmp_path, "restartSilentAfter: never") as host, meanwhile(host, "/odd/wait") as waiting:
        until(lambda: (tmp_path / "waiting").exists(), within_s=30, what=lambda: "the operation to run")
        before = pid_of(host, "odd")
        os.kill(before, signal.SIGSTOP)
        answer = waiting.result(60)
        assert answer.status_code == 503
        assert 'integration "odd" is not available: it has not answered' in answer.json()["error"]
        os.kill(before, signal.SIGCONT)
        until(lambda: ready(host) == (200, {"status": "ok"}), within_s=30, what=lambda: readiness(host))
        assert host.post("/odd/pid", {}).json() == {"pid": before}
        assert len(events(host, "provider.answers", "odd")) == 1


@pytest.mark.parametrize(
    ("supervision", "seconds"),
    [
        ("restartSilentAfter: 5s", 8),
        pytest.param("", 20, marks=pytest.mark.nightly),
    ],
    ids=["short", "defaults"],
)
def test_a_plugin_that_blocks_its_event_loop_answers_in_the_end(tmp_path: Path, supervision: str, seconds: int) -> None:
    with serving(tmp_path, supervision) as host:
        before = pid_of(host, "odd")
        answer = httpx.post(f"{host.url}/api/v1/odd/block", json={"seconds": seconds}, timeout=120)
        assert (answer.status_code, answer.json()) == (200, {"pid": before})
        assert not events(host, "provider.silent", "odd")


def test_calls_to_a_plugin_in_a_crash_loop_fail_at_once_and_name_it(tmp_path: Path) -> None:
    with serving(tmp_path) as host:
        (tmp_path / "crash").touch()
        os.kill(pid_of(host, "odd"), signal.SIGKILL)
        until(lambda: len(events(host, "provider.down", "odd")) >= 6, within_s=60, what=lambda: host.log[-2000:])
        answer = host.post("/odd/pid", {})
        assert answer.status_code == 503
        assert 'integration "odd" is not available: it has ended and is' in answer.json()["error"]
        assert "plugin odd: it has ended" in readiness(host)
        assert ready(host)[0] == 200
        target = {"plugin": {"name": "odd", "operation": "pid"}}
        trigger = host.post("/workflow/event-triggers", {"match": {"type": "go"}, "target": target})
        assert trigger.status_code == 201, trigger.text
        assert host.post("/workflow/events", {"type": "go", "source": "test"}).status_code == 202

        def failed() -> str:
            runs = host.get("/workflow/runs")
            ended = [run for run in runs if run["status"] == "failed"]
            return str(ended[0]["statusMessage"]) if ended else ""

        message = until(failed, within_s=30, what=lambda: str(host.get("/workflow/runs")))
        assert 'integration "odd" is not available: it has ended' in message
        (tmp_path / "crash").unlink()
        until(lambda: ready(host) == (200, {"status": "ok"}), within_s=READY_AGAIN_S, what=lambda: readiness(host))


def test_a_plugin_whose_configure_hangs_delays_only_itself(tmp_path: Path) -> None:
    (tmp_path / "hang").touch()
    host = new_host(tmp_path, "slowStartAfter: 2s")
    try:
        host.launch()
        until(lambda: "providers loading: odd" in readiness(host), within_s=30, what=lambda: readiness(host))
        until(lambda: '"ok"' in readiness(host), within_s=30, what=lambda: readiness(host))
        assert "plugin odd: it is still starting" in readiness(host)
        assert "plugin odd: it is still starting" in host.output
        answer = host.post("/odd/pid", {})
        assert answer.status_code == 503
        assert 'integration "odd" is not available: it is still starting' in answer.json()["error"]
        assert host.post("/workflow/event-triggers", {"match": {"type": "go"}, "target": SCHEDULE["target"]}).is_success
        assert host.post("/workflow/events", {"type": "go", "source": "test"}).status_code == 202
        until(
            lambda: [run["status"] for run in host.get("/workflow/runs")] == ["succeeded"],
            within_s=30,
            what=lambda: str(host.get("/workflow/runs")),
        )
        (tmp_path / "hang").unlink()
        until(lambda: ready(host) == (200, {"status": "ok"}), within_s=READY_AGAIN_S, what=lambda: readiness(host))
        assert host.post("/odd/pid", {}).status_code == 200
        until(lambda: "plugin odd: it is ready now" in host.output, what=lambda: host.output)
    finally:
        host.stop()


def test_a_start_that_takes_too_long_ends(tmp_path: Path) -> None:
    (tmp_path / "hang").touch()
    with serving(tmp_path, "slowStartAfter: 1s, startTimeout: 4s") as host:
        until(
            lambda: "plugin odd: it could not be started" in readiness(host), within_s=30, what=lambda: readiness(host)
        )
        assert "not configured, within" in events(host, "plugin.failed", "odd")[0]["error"]
        assert not pid_of(host, "odd")


def group_gone(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def group_of(leader: int) -> list[int]:
    """Every living process of the group, its leader left out."""
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == leader and fields[0] != "Z" and int(entry.name) != leader:
                members.append(int(entry.name))
    return members


@pytest.mark.parametrize("end", ["provider", "host", "host and a stopped provider", "keeper, then host, then a start"])
def test_what_a_plugin_has_started_ends_with_it(tmp_path: Path, end: str) -> None:
    with serving(tmp_path) as host:
        assert host.post("/odd/spawn", {}).status_code == 200
        leader = pid_of(host, "odd")
        started = group_of(leader)
        assert len(started) == 2  # a shell that is deaf to SIGTERM, and its sleep
        if end == "provider":
            os.kill(leader, signal.SIGKILL)
        elif end == "host":
            host.kill()
        elif end == "host and a stopped provider":
            os.kill(leader, signal.SIGSTOP)
            host.kill()
        else:
            (keeper,) = host.helpers()
            os.kill(host.pid, signal.SIGSTOP)  # so that it starts no other keeper
            os.kill(keeper.pid, signal.SIGKILL)
            host.kill()
            until(lambda: not alive(leader), within_s=30, what=lambda: "the plugin to end")
            assert not group_gone(started)
            host.start()
        until(lambda: group_gone([leader, *started]), within_s=30, what=lambda: str(started))


def test_a_keeper_of_groups_that_ends_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path) as host:
        assert host.post("/odd/spawn", {}).status_code == 200
        leader = pid_of(host, "odd")
        started = group_of(leader)
        (first,) = host.helpers()
        os.kill(first.pid, signal.SIGKILL)
        until(
            lambda: [item.pid for item in host.helpers()] not in ([], [first.pid]), within_s=30, what=lambda: host.log
        )
        host.kill()
        until(lambda: group_gone([leader, *started]), within_s=30, what=lambda: str(started))


@pytest.mark.parametrize(
    ("supervision", "within_s"),
    [("shutdownTimeout: 6s", 15), pytest.param("", 22, marks=pytest.mark.nightly)],
    ids=["short", "defaults"],
)
def test_the_whole_shutdown_keeps_to_its_time(tmp_path: Path, supervision: str, within_s: float) -> None:
    """Before, requests, workflow providers, plugins and stores each had a time of their own, one after the other."""
    with serving(tmp_path, supervision) as host, meanwhile(host, "/odd/wait") as waiting:
        target = {"plugin": {"name": "odd", "operation": "wait"}}
        assert host.post("/workflow/event-triggers", {"match": {"type": "go"}, "target": target}).status_code == 201
        assert host.post("/workflow/events", {"type": "go", "source": "test"}).status_code == 202

        def running() -> str:
            return next((str(run["id"]) for run in host.get("/workflow/runs") if run["status"] == "running"), "")

        run_id = until(running, within_s=30, what=lambda: str(host.get("/workflow/runs")))
        until(lambda: (tmp_path / "waiting").exists(), within_s=30, what=lambda: "the operation to run")
        left = [child.pid for child in (*host.children(), *host.helpers())]
        host.signal(signal.SIGTERM)
        assert host.wait(within_s) == 0
        assert group_gone(left)
        assert waiting.exception(30) is not None or waiting.result().status_code >= 500
        assert "host.killed" not in host.log
        assert not events(host, "provider.close_error", "local")
        host.start()
        assert host.get(f"/workflow/runs/{run_id}")["status"] == "failed"
