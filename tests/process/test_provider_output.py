"""What providers write goes through the host: as it is written, with its name, bounded, and never instead of others."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gestalt_host.config.model import OutputLimits
from tests.support.nightly import at_night
from tests.support.rigs.gestaltd import Gestaltd, alive, free_port
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
RIG = ROOT / "tests" / "support" / "plugins" / "rig" / "manifest.yaml"
CONFIG = """
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
providers:
  indexeddb:
    main:
      source: {{builtin: indexeddb_store}}
      env: {{PYTHONPROFILEIMPORTTIME: "1"}}
      config: {{dsn: "sqlite://{folder}/state.db"}}
  workflow:
    local:
      source: {{builtin: indexeddb}}
      env: {{PYTHONPROFILEIMPORTTIME: "1"}}
      indexeddb: {{provider: main, db: workflow}}
plugins:
  roadmap: {{source: {{path: {rig}}}}}
  noisy: {{source: {{path: {folder}/noisy/manifest.yaml}}}}
"""
NOISY = r"""
import asyncio, os, sys, time
from pathlib import Path
import structlog
from gestalt_sdk.plugin import Plugin, operation

HERE = Path(__file__).parent
log = structlog.get_logger()

class Noisy(Plugin):
    async def configure(self, name, config):
        print("configured", "as", name)

    @operation("say")
    async def say(self, text: str, stream: str, go: str) -> None:
        print(text, file=getattr(sys, stream))
        while not (HERE / go).exists():
            await asyncio.sleep(0.02)

    @operation("log")
    async def log(self, text: str) -> None:
        log.error(text, event_name="noisy.said", count=3, process="gestaltd", stream="none")

    @operation("flood")
    async def flood(self, megabytes: int, go: str) -> int:
        def write() -> int:
            written = 0
            while written < megabytes * 1_000_000 or not (HERE / go).exists():
                for _ in range(1000):
                    print("\x1b[31m a line of a flood " + "x" * 80)
                written += 105_000
            return written

        return await asyncio.to_thread(write)

    @operation("block")
    async def block(self, seconds: int, go: str) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until or not (HERE / go).exists():
            time.sleep(0.02)

    @operation("chatter")
    async def chatter(self) -> None:
        async def talk():
            while True:
                print("x" * 1000)
                await asyncio.sleep(0.001)

        self.talking = asyncio.create_task(talk())

provider = Noisy
"""


@contextmanager
def serving(folder: Path) -> Iterator[Gestaltd]:
    root = folder / "noisy"
    root.mkdir()
    (root / "manifest.yaml").write_text("kind: plugin\nsource: a.org/b/c/noisy\nversion: 0.0.1\nspec: {}\n")
    (root / "pyproject.toml").write_text('[tool.gestalt]\nprovider = "noisy:provider"\n')
    (root / "noisy.py").write_text(NOISY)
    port = free_port()
    config = folder / "gestalt.yaml"
    config.write_text(CONFIG.format(port=port, folder=folder, rig=RIG))
    host = Gestaltd([config], {}, port, folder)
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    with serving(tmp_path_factory.mktemp("noisy")) as served:
        yield served


@contextmanager
def calling(host: Gestaltd, operation: str, **parameters: Any) -> Iterator[list[httpx.Response]]:
    """Call an operation that ends when its file ``go`` is there; yield what will hold the answer."""
    answers: list[httpx.Response] = []
    body = {**parameters, "go": f"go-{operation}-{len(list(host.folder.iterdir()))}-{time.monotonic_ns()}"}

    def call() -> None:
        answers.append(httpx.post(f"{host.url}/api/v1/noisy/{operation}", json=body, timeout=300))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield answers
    finally:
        (host.folder / "noisy" / body["go"]).touch()
        thread.join()


def lines(host: Gestaltd) -> list[dict[str, Any]]:
    """What is in the log so far, as far as lines are complete."""
    return [json.loads(line) for line in host.log.rpartition("\n")[0].splitlines()]


def found(host: Gestaltd, **fields: Any) -> list[dict[str, Any]]:
    return [line for line in lines(host) if all(line.get(key) == value for key, value in fields.items())]


def counter(host: Gestaltd, name: str, provider: str) -> float:
    text = httpx.get(f"{host.url}/metrics", timeout=30).text
    (value,) = re.findall(rf'^{name}{{kind="[a-z]+",provider="{provider}"}} (.+)$', text, re.MULTILINE)
    return float(value)


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_a_plugin_prints_is_there_while_it_goes_on(host: Gestaltd, stream: str) -> None:
    text = f"printed to {stream}\x1b[31m \x9b \u202e"
    shown = f"printed to {stream}\\x1b[31m \\x9b \\u202e"
    with calling(host, "say", text=text, stream=stream) as answers:
        until(lambda: found(host, event=shown), what=lambda: host.log[-2000:])
        assert not answers
    (line,) = found(host, event=shown)
    assert (line["process"], line["process_kind"], line["stream"]) == ("noisy", "integration", stream)
    assert line["level"] == "info"
    assert all(text.isprintable() for text in host.log.splitlines())


def test_providers_of_every_kind_are_read_from_their_first_line_on(host: Gestaltd) -> None:
    (line,) = found(host, event="configured as noisy")
    assert (line["process"], line["stream"]) == ("noisy", "stdout")
    for name, kind in (("main", "indexeddb"), ("local", "workflow")):
        ours = found(host, process=name, process_kind=kind, stream="stderr")
        assert any(line["event"].startswith("import time:") for line in ours)


def test_a_line_of_the_sdk_s_log_keeps_its_fields_but_not_the_name_of_another(host: Gestaltd) -> None:
    assert host.post("/noisy/log", {"text": "from the log"}).status_code == 200
    until(lambda: found(host, event="from the log"), what=lambda: host.log[-2000:])
    (line,) = found(host, event="from the log")
    assert (line["level"], line["event_name"], line["count"]) == ("error", "noisy.said", 3)
    assert (line["process"], line["stream"]) == ("noisy", "stderr")


def test_a_flood_is_bounded_counted_and_delays_nobody(host: Gestaltd) -> None:
    """300 MB in one call, at night."""
    before, pid, began = peak_bytes(host.pid), host.pid, time.monotonic()
    size = len(host.log)
    limits = OutputLimits()
    with calling(host, "flood", megabytes=at_night(300, otherwise=30)) as answers:
        dropped = "gestalt_provider_output_dropped_bytes_total"
        until(lambda: counter(host, dropped, "noisy") > 1_000_000, within_s=60, what=lambda: host.log[-2000:])
        for _ in range(20):
            assert host.post("/roadmap/noop", {}).status_code == 200
        until(lambda: found(host, event_name="provider.output_dropped"), what=lambda: host.log[-2000:])
        assert not answers
    assert answers[0].status_code == 200, answers[0].text
    elapsed_s = time.monotonic() - began
    assert len(host.log) - size <= limits.burst_bytes + limits.bytes_per_second * elapsed_s + 256 * 1024
    assert peak_bytes(host.pid) - before < 64 * 1024 * 1024

    def said(key: str) -> int:
        return sum(line[key] for line in found(host, event_name="provider.output_dropped", provider="noisy"))

    def all_is_said() -> bool:
        return said("bytes") == counter(host, "gestalt_provider_output_dropped_bytes_total", "noisy")

    until(all_is_said, what=lambda: host.log[-2000:])
    assert said("lines") == counter(host, "gestalt_provider_output_dropped_lines_total", "noisy")
    flood = [line for line in found(host, process="noisy", stream="stdout") if "of a flood" in line["event"]]
    written = answers[0].json()
    assert len(flood) + said("lines") == written // 105
    assert all(line["event"].startswith("\\x1b[31m a line of a flood x") for line in flood)
    for name in ("main", "local", "roadmap"):
        assert counter(host, "gestalt_provider_output_dropped_lines_total", name) == 0
    assert host.pid == pid


def test_a_plugin_that_blocks_its_event_loop_is_named_with_operation_and_place(host: Gestaltd) -> None:
    """For 20 s, at night."""
    (plugin,) = (child for child in host.children() if child.name == "noisy")
    with calling(host, "block", seconds=at_night(20, otherwise=0)) as answers:
        until(lambda: found(host, event_name="loop.silent"), within_s=60, what=lambda: host.log[-2000:])
        assert not answers
        assert host.post("/roadmap/noop", {}).status_code == 200
    assert answers[0].status_code == 200, answers[0].text
    until(lambda: found(host, event_name="loop.moves"), within_s=30, what=lambda: host.log[-2000:])
    (silent,) = found(host, event_name="loop.silent")
    assert (silent["process"], silent["operation"], silent["level"]) == ("noisy", "block", "error")
    assert re.search(r"noisy\.py:\d+ block$", silent["where"][0])
    (moves,) = found(host, event_name="loop.moves")
    assert moves["process"] == "noisy"
    assert moves["seconds"] >= at_night(20, otherwise=5)
    assert alive(plugin.pid)


def test_what_a_plugin_said_last_is_in_the_line_about_its_end(host: Gestaltd) -> None:
    (plugin,) = (child for child in host.children() if child.name == "noisy")
    with calling(host, "say", text="my last words", stream="stderr"):
        until(lambda: found(host, event="my last words"), what=lambda: host.log[-2000:])
        os.kill(plugin.pid, signal.SIGKILL)
        until(lambda: found(host, event_name="provider.down", provider="noisy"), what=lambda: host.log[-2000:])
    (down,) = found(host, event_name="provider.down", provider="noisy")
    assert "my last words" in down["last_lines"]


def test_providers_that_write_on_end_with_a_host_that_was_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as host:
        assert host.post("/noisy/chatter", {}).status_code == 200
        children = [child.pid for child in host.children()]
        assert len(children) == 4
        host.kill()
        until(lambda: not any(map(alive, children)), within_s=30, what=lambda: f"the end of {children}")
