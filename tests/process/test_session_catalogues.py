"""A plugin that offers each caller operations of their own, from the list over a call to a scheduled run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.rigs.clocked import RIG
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.waiting import until

CONFIG = """apiVersion: gestaltd.config/v5
server: {{public: {{port: {port}}}, encryptionKey: "a key for tests only"}}
providers:
  indexeddb:
    main: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "sqlite://{folder}/state.db"}}}}
  workflow:
    local: {{source: {{builtin: indexeddb}}, indexeddb: {{provider: main, db: workflow}}}}
plugins:
  templates: {{source: {{builtin: templates}}}}
  chosen:
    source: {{builtin: templates}}
    indexeddb: {{db: templates}}
    allowedOperations: {{template.save: null}}
  roadmap: {{source: {{path: {rig}}}}}
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Gestaltd]:
    port = free_port()
    config = tmp_path / "gestalt.yaml"
    config.write_text(CONFIG.format(port=port, folder=tmp_path, rig=RIG))
    served = Gestaltd([config], {}, port, tmp_path)
    try:
        served.start()
        yield served
    finally:
        served.stop()


def operations(host: Gestaltd, plugin: str = "templates") -> dict[str, Any]:
    return {item["id"]: item for item in host.get(f"/integrations/{plugin}/operations")}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def test_operations_of_a_caller_are_listed_called_scheduled_and_gone_when_the_plugin_says_so(host: Gestaltd) -> None:
    everybody = ["template.delete", "template.save"]
    assert list(operations(host)) == everybody
    missing = 'operation "fill.greeting" not found on integration "templates"'
    assert refusal(host.post("/templates/fill.greeting", {"who": "Ann"})) == (404, missing)

    saved = host.post("/templates/template.save", {"name": "greeting", "text": "Hello {who}, {who}!"})
    assert saved.json() == {"blanks": ["who"]}
    offered = operations(host)
    assert list(offered) == ["fill.greeting", *everybody]
    assert offered["fill.greeting"] == {
        "id": "fill.greeting",
        "method": "POST",
        "path": "",
        "title": "Fill greeting",
        "inputSchema": {
            "type": "object",
            "properties": {"who": {"type": "string"}},
            "required": ["who"],
            "additionalProperties": False,
        },
        "annotations": {"openWorldHint": True},
        "parameters": [{"name": "who", "type": "string", "required": True}],
        "readOnly": True,
        "transport": "plugin",
    }
    called = host.post("/templates/fill.greeting", {"who": "Ann"})
    assert (called.status_code, called.json()) == (200, {"text": "Hello Ann, Ann!"})
    # Its database is the same, but the configuration lists what may be called.
    assert list(operations(host, "chosen")) == ["template.save"]
    assert host.post("/chosen/fill.greeting", {"who": "Ann"}).status_code == 404

    target = {"name": "templates", "operation": "fill.greeting", "input": {"whom": "Ann"}}
    wrong = host.post("/workflow/event-triggers", {"match": {"type": "t"}, "target": {"plugin": target}})
    assert wrong.status_code == 400, wrong.text
    target["input"] = {"who": "Bob"}
    made = host.post("/workflow/event-triggers", {"match": {"type": "t"}, "target": {"plugin": target}})
    assert made.status_code == 201, made.text

    def ended(event: str) -> dict[str, Any]:
        assert host.post("/workflow/events", {"type": "t", "source": "s", "id": event}).status_code == 202
        found: list[dict[str, Any]] = []

        def over() -> bool:
            runs = host.get("/workflow/runs")
            found[:] = [
                run
                for run in runs
                if run["trigger"]["event"]["id"] == event and run["status"] in ("succeeded", "failed")
            ]
            return bool(found)

        until(over, within_s=30, what=lambda: f"the run of event {event}")
        return found[0]

    run = ended("first")
    assert (run["status"], run["resultBody"]) == ("succeeded", '{"text":"Hello Bob, Bob!"}')
    assert host.post("/templates/template.delete", {"name": "greeting"}).status_code == 200
    assert list(operations(host)) == everybody
    run = ended("second")
    assert run["status"] == "failed"
    assert missing in run["statusMessage"]
