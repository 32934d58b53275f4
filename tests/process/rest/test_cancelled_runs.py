"""A run that is cancelled ends the request to the service behind the plugin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
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
PLUGINS = "plugins: {slow: {source: {path: ./slow/manifest.yaml}}}\n"


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
