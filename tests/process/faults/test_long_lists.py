"""Lists of runs with long results take little memory, in the host and in the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.nightly import at_night
from tests.support.rigs.gestaltd import INHERITED, Gestaltd, free_port, gestaltd
from tests.support.waiting import until

RUNS = at_night(400, otherwise=60)
LISTS = 10
RESULT_BYTES = 1 << 20
MIB = 1 << 20
BOUND_BYTES = 64 * MIB
CONFIG = """
apiVersion: gestaltd.config/v5
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
providers:
  indexeddb:
    main: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "sqlite://{folder}/state.db"}}}}
  workflow:
    local:
      source: {{builtin: indexeddb}}
      indexeddb: {{provider: main, db: workflow}}
plugins:
  long: {{source: {{path: {folder}/long/manifest.yaml}}}}
"""
MANIFEST = "kind: plugin\nsource: example.org/tests/plugins/long\nversion: 0.0.1\nspec: {}\n"
PROJECT = '[project]\nname = "long"\nversion = "0.0.1"\n[tool.gestalt]\nprovider = "long:Long"\n'
PLUGIN = f"""
from gestalt_sdk.plugin import Plugin, operation


class Long(Plugin):
    @operation("answer")
    async def answer(self) -> str:
        return "x" * {RESULT_BYTES - 100}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    """A host with ``RUNS`` runs that have ended, each with a result of almost 1 MiB."""
    folder = tmp_path_factory.mktemp("long-lists")
    package = folder / "long"
    package.mkdir()
    (package / "manifest.yaml").write_text(MANIFEST)
    (package / "pyproject.toml").write_text(PROJECT)
    (package / "long.py").write_text(PLUGIN)
    port = free_port()
    config = folder / "gestalt.yaml"
    config.write_text(CONFIG.format(port=port, folder=folder).lstrip())
    with gestaltd(folder, [config], {}, port) as host:
        target = {"plugin": {"name": "long", "operation": "answer"}}
        made = host.post("/workflow/event-triggers", {"match": {"type": "go"}, "target": target})
        assert made.status_code == 201, made.text
        for number in range(RUNS):
            assert host.post("/workflow/events", {"type": "go", "id": f"e{number}"}).status_code == 202

        until(lambda: ended(host) == RUNS, within_s=300, what=lambda: f"{ended(host)} of {RUNS} runs ended")
        yield host


def ended(host: Gestaltd) -> int:
    return sum(item["status"] == "succeeded" for item in host.get("/workflow/runs"))


def peak_since_bytes(pid: int) -> int:
    """The most memory since ``forget_peak``."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def test_lists_at_once_take_little_memory(host: Gestaltd) -> None:
    forget_peak(host.pid)
    before = peak_since_bytes(host.pid)

    def listed(_: int) -> list[int]:
        answer = httpx.get(f"{host.url}/api/v1/workflow/runs", timeout=120)
        return [len(item["resultBody"]) for item in answer.json() if item["resultTruncated"] is True]

    with ThreadPoolExecutor(LISTS) as threads:
        found = list(threads.map(listed, range(LISTS)))
    assert found == [[64 * 1024] * RUNS] * LISTS
    grown = peak_since_bytes(host.pid) - before
    assert grown < BOUND_BYTES


def test_one_run_has_its_whole_result(host: Gestaltd) -> None:
    shown = host.get(f"/workflow/runs/{host.get('/workflow/runs')[0]['id']}")
    assert shown["resultBody"].strip(chr(34)) == "x" * (RESULT_BYTES - 100)
    assert "resultTruncated" not in shown


@pytest.mark.parametrize("words", [["--format", "json"], []], ids=["json", "table"])
def test_the_command_line_lists_in_little_memory(host: Gestaltd, tmp_path: Path, words: list[str]) -> None:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment = {**inherited, "HOME": str(tmp_path), "GESTALT_URL": host.url}

    def peak_of(*arguments: str) -> tuple[str, int]:
        """Run the command line in a process of its own; return its output and its own highest memory."""
        watched = (
            "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(done.returncode)"
        )
        command = [sys.executable, "-c", watched, sys.executable, "-m", "gestalt_host.cli", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout, int(done.stderr.split()[-1]) * 1024

    _, usual = peak_of(*words, "workflow", "schedules", "list")
    output, peak = peak_of(*words, "workflow", "runs", "list")
    if words:
        assert [item["resultTruncated"] for item in json.loads(output)] == [True] * RUNS
    else:
        assert output.count("succeeded") == RUNS
    assert peak - usual < 16 * MIB
