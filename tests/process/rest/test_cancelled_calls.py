"""A cancelled run, or a client that goes away, ends what was asked for: a request, and the call of a process alike."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.upstream import serving_plugins
from tests.support.rigs.web import Request, Web, serving
from tests.support.waiting import until

MANIFEST = """\
kind: plugin
source: example.org/tests/plugins/slow
version: 1.0.0
spec: {{surfaces: {{rest: {{baseUrl: "{url}", operations: [{{name: wait, method: POST, path: /wait}}]}}}}}}
"""
PLUGINS = "plugins: {slow: {source: {path: ./slow/manifest.yaml}}, own: {source: {path: ./own/manifest.yaml}}}\n"
PROCESS = "kind: plugin\nsource: example.org/tests/plugins/own\nversion: 1.0.0\nspec: {}\n"
CODE = """
import asyncio
from pathlib import Path
from gestalt_sdk.plugin import Plugin, Request, operation

class Own(Plugin):
    @operation("wait")
    async def wait(self, request: Request) -> dict:
        Path(__file__).with_name("asked").touch()
        try:
            await asyncio.Event().wait()
        finally:
            Path(__file__).with_name("gone").touch()
        return {}
"""


@dataclass
class Slow:
    """A service that never answers, and notes when somebody asks and when he goes."""

    web: Web
    asked: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)

    def wait(self, request: Request) -> None:
        self.asked.set()
        if request.rfile.read(1) == b"":
            self.gone.set()
        request.break_off()


@pytest.fixture
def slow() -> Iterator[Slow]:
    with serving() as web:
        made = Slow(web)
        web.answers["/wait"] = made.wait
        yield made


@pytest.fixture
def host(tmp_path: Path, slow: Slow) -> Iterator[Gestaltd]:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "pyproject.toml").write_text('[tool.gestalt]\nprovider = "own_plugin:Own"\n')
    (tmp_path / "own" / "own_plugin.py").write_text(CODE)
    (tmp_path / "own" / "manifest.yaml").write_text(PROCESS)
    manifests = {"slow": MANIFEST.format(url=slow.web.url(""))}
    with serving_plugins(tmp_path, PLUGINS, manifests, workflow=True) as served:
        yield served


def test_a_cancelled_run_ends_its_request(host: Gestaltd, slow: Slow) -> None:
    target = {"plugin": {"name": "slow", "operation": "wait"}}
    answer = host.post("/workflow/event-triggers", {"match": {"type": "go"}, "target": target})
    assert answer.status_code == 201, answer.text
    assert host.post("/workflow/events", {"type": "go", "source": "test"}).status_code == 202
    assert slow.asked.wait(30), host.log[-2000:]
    (run,) = until(lambda: host.get("/workflow/runs"), within_s=30)
    answer = host.post(f"/workflow/runs/{run['id']}/cancel", {})
    assert answer.status_code == 200, answer.text
    assert slow.gone.wait(20), host.log[-2000:]
    assert host.get(f"/workflow/runs/{run['id']}")["status"] == "canceled"
    assert len(slow.web.asked) == 1


@contextmanager
def asking(host: Gestaltd, path: str) -> Iterator[None]:
    """Have asked the API, and not wait for its answer."""
    with socket.create_connection(("127.0.0.1", host.port)) as client:
        client.sendall(
            f"POST /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1:{host.port}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )
        yield


def test_a_client_that_goes_away_ends_its_request(host: Gestaltd, slow: Slow) -> None:
    with asking(host, "/slow/wait"):
        assert slow.asked.wait(30), host.log[-2000:]
        assert not slow.gone.is_set()
    assert slow.gone.wait(20), host.log[-2000:]


def test_a_client_that_goes_away_ends_its_call_of_a_process(host: Gestaltd) -> None:
    with asking(host, "/own/wait"):
        until((host.folder / "own" / "asked").exists, within_s=30)
        assert not (host.folder / "own" / "gone").exists()
    until((host.folder / "own" / "gone").exists, within_s=20)
