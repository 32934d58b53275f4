"""`gestaltd serve` as a process: how it comes up, what it survives, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import INHERITED, Gestaltd, alive, free_port
from tests.support.waiting import until

RIG = ROOT / "tests" / "support" / "plugins" / "rig" / "manifest.yaml"
CONFIG = """
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
providers:
  indexeddb:
    main:
      source: {{builtin: indexeddb_store}}
      config: {{dsn: "sqlite://{state}/state.db"}}
  workflow:
    local:
      source: {{builtin: indexeddb}}
      indexeddb: {{provider: main, db: workflow}}
      config: {{pollInterval: 100ms}}
plugins:
  roadmap: {{source: {rig}}}
"""
BROKEN = "  broken: {{source: {broken}}}\n"
SLOW = """
import asyncio
from pathlib import Path
from gestalt_sdk.plugin import Plugin, operation

AWAITED_BY_IMPORT = Path(__file__).with_name("until_imported")
if AWAITED_BY_IMPORT.exists():
    import time
    Path(__file__).with_name("importing").touch()
    while AWAITED_BY_IMPORT.exists():
        time.sleep(0.02)

class SlowPlugin(Plugin):
    async def configure(self, name, config):
        if config.get("fail"):
            raise ValueError("told to fail")
        while "until" in config and not Path(config["until"]).exists():
            await asyncio.sleep(0.02)

    @operation("noop")
    async def noop(self, request) -> dict:
        return {}
"""


def slow_plugin(folder: Path) -> Path:
    root = folder / "slow"
    root.mkdir()
    (root / "manifest.yaml").write_text("kind: plugin\nsource: a.org/b/c/slow\nversion: 0.0.1\nspec: {}\n")
    (root / "pyproject.toml").write_text('[tool.gestalt]\nprovider = "slow_plugin:SlowPlugin"\n')
    (root / "slow_plugin.py").write_text(SLOW)
    return root / "manifest.yaml"


def host_with(folder: Path, more: str = "", *, base: str = CONFIG) -> Gestaltd:
    port = free_port()
    text = base.format(port=port, state=folder, rig=RIG) + more
    config = folder / "gestalt.yaml"
    config.write_text(text)
    return Gestaltd([config], {}, port, folder)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Gestaltd]:
    """A host on ``CONFIG``, not started."""
    made = host_with(tmp_path)
    yield made
    made.stop()


def run_gestaltd(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "gestalt_host.daemon", *arguments],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def no_directory_of(pid: int) -> bool:
    for path in Path("/tmp").glob("gstp-*/owner"):
        try:
            if path.read_text().split()[0] == str(pid):
                return False
        except (OSError, IndexError):
            continue
    return True


def ready_reason(host: Gestaltd) -> str:
    try:
        answer: Any = httpx.get(f"{host.url}/ready", timeout=2).json()
    except httpx.TransportError:
        return "no listener"
    return str(answer["status"])


def test_one_ready_line_on_stdout_and_json_lines_on_stderr(host: Gestaltd) -> None:
    host.start()
    until(lambda: host.output, what=lambda: "the ready line")
    assert host.output.startswith(f"Gestalt API at {host.url}  (1 plugin, ")
    assert all(line.startswith("{") for line in host.log.splitlines())


def test_without_a_host_setting_only_this_machine_can_connect(host: Gestaltd) -> None:
    host.start()
    listening = Path("/proc/net/tcp").read_text().splitlines()
    addresses = {line.split()[1].split(":")[0] for line in listening if f":{host.port:04X} 00000000:0000 0A" in line}
    assert addresses == {"0100007F"}
    assert not any(
        f":{host.port:04X} " in line.split("0A")[0] for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]
    )


def test_readiness_tells_what_is_waited_for(tmp_path: Path) -> None:
    more = f"  slow: {{source: {slow_plugin(tmp_path)}, config: {{until: {tmp_path / 'go'}}}}}\n"
    host = host_with(tmp_path, more)
    try:
        host.launch()
        until(lambda: ready_reason(host) == "providers loading: slow", within_s=30, what=lambda: ready_reason(host))
        assert httpx.get(f"{host.url}/health").status_code == 200
        assert httpx.get(f"{host.url}/ready").status_code == 503
        (tmp_path / "go").touch()
        until(lambda: ready_reason(host) == "ok", within_s=30, what=lambda: ready_reason(host))
    finally:
        host.stop()


def test_a_plugin_that_hangs_on_import_is_named_while_the_host_answers(tmp_path: Path) -> None:
    """Its catalogue is asked for before there is an API: /health is served, everything else says what is awaited."""
    slow = slow_plugin(tmp_path)
    hangs = slow.with_name("until_imported")
    hangs.touch()
    host = host_with(tmp_path, f"  slow: {{source: {slow}}}\n")
    try:
        host.launch()
        until(slow.with_name("importing").exists, within_s=30, what=lambda: host.log[-2000:])
        awaited = "preparing packages: plugins.slow"
        until(lambda: ready_reason(host) == awaited, within_s=30, what=lambda: ready_reason(host))
        with httpx.Client(base_url=host.url, limits=httpx.Limits(max_connections=1)) as client:
            health = client.get("/health")
            assert (health.status_code, health.json()) == (200, {"status": "ok"})
            connection = health.extensions["network_stream"].get_extra_info("client_addr")
            ready = client.get("/ready")
            assert (ready.status_code, ready.json()) == (503, {"status": awaited})
            # A body that has not come whole before its answer ends a connection, so this one has another.
            for refused in (client.get("/api/v1/integrations"), host.post("/slow/noop", {"a": 1})):
                assert (refused.status_code, refused.json()) == (503, {"error": f"starting: {awaited}"})
                assert refused.headers["retry-after"] == "1"
                assert refused.headers["x-request-id"]
                assert refused.headers["x-content-type-options"] == "nosniff"
            assert host.children() == [], "nothing is served by providers yet"
            hangs.unlink()
            until(lambda: client.get("/ready").status_code == 200, within_s=30, what=lambda: ready_reason(host))
            served = client.get("/api/v1/integrations")
            assert [item["name"] for item in served.json()] == ["roadmap", "slow"]
            assert served.extensions["network_stream"].get_extra_info("client_addr") == connection
            assert client.post("/api/v1/slow/noop", json={"request": 1}).status_code == 200
    finally:
        host.stop()


def test_a_signal_while_packages_are_prepared_leaves_nothing(tmp_path: Path) -> None:
    slow = slow_plugin(tmp_path)
    slow.with_name("until_imported").touch()
    host = host_with(tmp_path, f"  slow: {{source: {slow}}}\n")
    try:
        host.launch()
        until(slow.with_name("importing").exists, within_s=30, what=lambda: host.log[-2000:])
        asked = host.helpers()
        assert asked
        host.signal(signal.SIGTERM)
        assert host.wait(10) == 0
        until(lambda: not any(alive(child.pid) for child in asked), what=lambda: "the asked process to end")
        assert no_directory_of(host.pid)
        assert "Traceback" not in host.log
    finally:
        host.stop()


def test_a_plugin_that_fails_does_not_stop_the_host(tmp_path: Path) -> None:
    slow = slow_plugin(tmp_path)
    more = f"""  refusing: {{source: {slow}, config: {{fail: true}}}}
  missing: {{source: ./nowhere/manifest.yaml}}
workflows:
  schedules:
    nightly: {{cron: "0 3 * * *", target: {{plugin: {{name: missing, operation: x, connection: main}}}}}}
"""
    host = host_with(tmp_path, more)
    try:
        host.start()
        assert host.post("/roadmap/noop", {}).status_code == 200
        assert host.post("/refusing/noop", {}).status_code == 503
        assert "told to fail" in host.log
        assert "nowhere/manifest.yaml: no such file or directory" in host.log
        # What is configured for the missing plugin is still there.
        (schedule,) = host.get("/workflow/schedules", owner="config")
        assert schedule["target"]["plugin"]["name"] == "missing"
        assert "Traceback" not in host.log
    finally:
        host.stop()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("sqlite://", "nonsense://"), 'indexeddb "main": configure provider: '),
        (("pollInterval: 100ms", "pollInterval: never"), 'workflow "local": configure provider: '),
        (("builtin: indexeddb_store", "builtin: nope"), 'prepare indexeddb "main": no builtin provider "nope"'),
    ],
    ids=["store", "workflow provider", "unknown builtin"],
)
def test_a_store_or_workflow_provider_that_fails_ends_the_start(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    text = CONFIG.format(port=free_port(), state=tmp_path, rig=RIG).replace(*change)
    (tmp_path / "gestalt.yaml").write_text(text)
    done = run_gestaltd(tmp_path, "serve", "--config", "gestalt.yaml")
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"gestaltd: {message}"), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_taken_port_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "gestalt.yaml").write_text(CONFIG.format(port=port, state=tmp_path, rig=RIG))
        done = run_gestaltd(tmp_path, "serve", "--config", "gestalt.yaml")
    assert done.returncode == 1
    expected = f"gestaltd: public http server: cannot listen on 127.0.0.1:{port}: "
    assert done.stderr.strip().splitlines() == [line for line in done.stderr.splitlines() if line.startswith(expected)]
    assert "in use" in done.stderr
    hint = "; server.public.host and server.public.port in gestalt.yaml change it"
    assert done.stderr.strip().endswith(hint), done.stderr
    assert not (tmp_path / "state.db").exists()


def test_what_cannot_be_provided_is_refused(tmp_path: Path) -> None:
    text = CONFIG.format(port=free_port(), state=tmp_path, rig=RIG) + "    mcp: true\n"
    text = text.replace(f"roadmap: {{source: {RIG}}}", f"roadmap:\n    source: {RIG}")
    (tmp_path / "gestalt.yaml").write_text(text)
    said = "gestalt.yaml:18: plugins.roadmap.mcp: the MCP endpoint is not supported by this version"
    for words in (["serve"], ["validate", "--runtime"]):
        done = run_gestaltd(tmp_path, *words, "--config", "gestalt.yaml")
        assert done.returncode == 1
        assert f"{said}; remove it" in done.stderr
    done = run_gestaltd(tmp_path, "validate", "--config", "gestalt.yaml")
    assert (done.returncode, f"warning: {said}; serve refuses it\n" in done.stderr) == (0, True)


def test_validate_says_what_it_found_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "gestalt.yaml").write_text(CONFIG.format(port=1, state=tmp_path, rig=RIG))
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run_gestaltd(tmp_path, "validate", "--config", "gestalt.yaml")
    assert done.returncode == 0, done.stderr
    assert "integration configured: roadmap (3 operations)" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "config ok: 0 schedules, 0 event triggers"
    assert "a key for tests only" not in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_validate_names_a_key_that_is_not_used_yet(tmp_path: Path) -> None:
    text = CONFIG.format(port=1, state=tmp_path, rig=RIG) + "    iconFile: icon.svg\n"
    (tmp_path / "gestalt.yaml").write_text(text.replace(f"roadmap: {{source: {RIG}}}", f"roadmap:\n    source: {RIG}"))
    done = run_gestaltd(tmp_path, "validate", "--config", "gestalt.yaml")
    assert done.returncode == 0, done.stderr
    (notice,) = [json.loads(line) for line in done.stderr.splitlines() if '"config.unused"' in line]
    assert notice["path"] == "plugins.roadmap.iconFile"
    assert "config ok" in done.stdout


def test_validate_checks_the_packages(tmp_path: Path) -> None:
    text = CONFIG.format(port=1, state=tmp_path, rig=RIG) + "  gone: {source: ./gone.yaml}\n"
    text = text.replace(f"{{source: {RIG}}}", f"{{source: {RIG}, allowedOperations: {{fly: {{}}}}}}")
    (tmp_path / "gestalt.yaml").write_text(text)
    done = run_gestaltd(tmp_path, "validate", "--config", "gestalt.yaml")
    assert done.returncode == 1
    assert "plugins.roadmap.allowedOperations.fly: unknown operation" in done.stderr
    assert "gone.yaml: no such file or directory" in done.stderr


def test_the_generated_configuration_is_served(tmp_path: Path) -> None:
    """With nothing configured anywhere; the port of the generated file is changed so that tests can share a machine."""
    home = tmp_path / "home"
    home.mkdir()
    path = home / ".gestaltd" / "config.yaml"
    done = run_gestaltd(tmp_path, "serve", HOME=str(home))
    assert done.returncode == 1
    assert "no such file or directory" in done.stderr
    assert not path.exists()

    from gestalt_host.daemon.default_config import write_default_config

    write_default_config(path)
    port = free_port()
    path.write_text(path.read_text().replace("port: 8080", f"port: {port}"))
    host = Gestaltd([], {"HOME": str(home)}, port, tmp_path)
    try:
        host.start()
        names = [item["name"] for item in host.get("/integrations")]
        assert names == ["roadmap", "search", "slack"]
        assert len(host.children()) == 5
        assert host.post("/roadmap/sync", {"mode": "full"}).json()["total"] >= 1
    finally:
        host.stop()


def kill_and_wait(host: Gestaltd, *names: str) -> None:
    """SIGKILL these providers; returns when each runs again and the host is ready."""
    first = {child.name: child.pid for child in host.children()}
    for name in names:
        os.kill(first[name], signal.SIGKILL)

    def all_back() -> bool:
        now = {child.name: child.pid for child in host.children()}
        return now.keys() == first.keys() and all(now[name] != first[name] for name in names)

    until(all_back, within_s=20, what=lambda: host.log[-2000:])
    until(lambda: ready_reason(host) == "ok", within_s=20, what=lambda: ready_reason(host))


def test_a_killed_provider_comes_back_and_serves_again(host: Gestaltd) -> None:
    host.start()
    kill_and_wait(host, "local")
    metrics = httpx.get(f"{host.url}/metrics").text
    assert 'gestalt_provider_restarts_total{kind="workflow",provider="local"} 1.0' in metrics
    # All at once: the workflow provider may come back before its store and need another try.
    kill_and_wait(host, "roadmap", "main", "local")
    assert 'gestalt_provider_up{kind="indexeddb",provider="main"} 1.0' in httpx.get(f"{host.url}/metrics").text
    assert host.post("/roadmap/noop", {}).status_code == 200
    assert host.get("/workflow/runs") == []
    assert host.post("/workflow/events", {"type": "x", "source": "y"}).status_code == 202


def test_a_stopped_store_is_reported_by_readiness(host: Gestaltd) -> None:
    host.start()
    (store,) = [child for child in host.children() if child.name == "main"]
    os.kill(store.pid, signal.SIGSTOP)
    try:
        until(
            lambda: ready_reason(host).startswith("datastore unavailable"), within_s=20, what=lambda: ready_reason(host)
        )
    finally:
        os.kill(store.pid, signal.SIGCONT)
    until(lambda: ready_reason(host) == "ok", within_s=20, what=lambda: ready_reason(host))


def trigger_and_event(host: Gestaltd, sleep_ms: int) -> str:
    """Starts one run that takes this long; returns its id once it is running."""
    trigger = {
        "match": {"type": "go"},
        "target": {"plugin": {"name": "roadmap", "operation": "noop", "input": {"sleep": sleep_ms}}},
    }
    assert host.post("/workflow/event-triggers", trigger).status_code == 201
    assert host.post("/workflow/events", {"type": "go", "source": "test"}).status_code == 202

    def running() -> str:
        runs = host.get("/workflow/runs")
        return str(runs[0]["id"]) if runs and runs[0]["status"] == "running" else ""

    return until(running, what=lambda: str(host.get("/workflow/runs")))


def test_a_run_that_has_begun_is_finished_and_recorded_before_the_end(host: Gestaltd) -> None:
    host.start()
    run_id = trigger_and_event(host, 2500)
    children = host.children()
    host.signal(signal.SIGTERM)
    assert host.wait() == 0
    assert re.search(r"event +roadmap\.noop +succeeded", host.output), host.output
    assert not any(alive(child.pid) for child in children)
    assert no_directory_of(host.pid)
    host.start()
    assert host.get(f"/workflow/runs/{run_id}")["status"] == "succeeded"


def test_a_second_signal_ends_everything_at_once(host: Gestaltd) -> None:
    host.start()
    trigger_and_event(host, 60_000)
    children = host.children()
    host.signal(signal.SIGINT)
    until(lambda: ready_reason(host) == "no listener", what=lambda: "the listener to close")
    began = time.monotonic()
    host.signal(signal.SIGINT)
    assert host.wait() == 130
    assert '"event_name":"host.killed","signal":"SIGINT"' in host.log
    assert time.monotonic() - began < 2
    until(lambda: not any(alive(child.pid) for child in children), what=lambda: "providers to end")
    assert no_directory_of(host.pid)


def test_a_signal_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    more = f"  slow: {{source: {slow_plugin(tmp_path)}, config: {{until: {tmp_path / 'never'}}}}}\n"
    host = host_with(tmp_path, more)
    try:
        host.launch()
        until(lambda: ready_reason(host) == "providers loading: slow", within_s=30, what=lambda: host.log[-1000:])
        children = host.children()
        host.signal(signal.SIGTERM)
        assert host.wait(10) == 0
        assert not any(alive(child.pid) for child in children)
        assert no_directory_of(host.pid)
        assert "Traceback" not in host.log
    finally:
        host.stop()
