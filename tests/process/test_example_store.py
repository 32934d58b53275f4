"""The store of examples/providers: its own tests, and a host that keeps everything in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.waiting import until

STORE = ROOT / "examples" / "providers" / "indexeddb-python"
NOTES = ROOT / "examples" / "providers" / "plugin-python" / "manifest.yaml"
CONFIG = """apiVersion: gestaltd.config/v5
server: {{public: {{port: {port}}}, encryptionKey: "a key for tests only"}}
providers:
  indexeddb:
    main: {{source: {{path: {store}/manifest.yaml}}, config: {{dsn: "sqlite://{folder}/state.db"}}}}
  workflow:
    local: {{source: {{builtin: indexeddb}}, indexeddb: {{provider: main, db: workflow}}}}
plugins:
  notes: {{source: {{path: {notes}}}}}
workflows:
  eventTriggers:
    heard:
      provider: local
      match: {{type: notes.announced, source: notes}}
      target: {{plugin: {{name: notes, operation: notes.put, input: {{id: heard, text: it was announced}}}}}}
"""


def test_its_own_tests_pass() -> None:
    words = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=STORE, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_a_host_keeps_everything_in_it_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "gestalt.yaml"
    config.write_text(CONFIG.format(port=port, store=STORE, folder=tmp_path, notes=NOTES))
    host = Gestaltd([config], {}, port, tmp_path)
    host.start()
    try:
        milk = {"id": "milk", "text": "buy some", "priority": 2}
        assert host.post("/notes/notes.put", milk).json() == milk
        stores = [child for child in host.children() if child.name.startswith("main")]
        assert len(stores) >= 2, "a process for each database"
        for child in stores:
            os.kill(child.pid, signal.SIGKILL)

        def answer(operation: str, **params: object) -> object:
            called = host.post(f"/notes/{operation}", params)
            return called.json() if called.status_code == 200 else called.text

        until(lambda: answer("notes.get", id="milk") == milk, within_s=60, what=lambda: f"a store again:\n{host.log}")
        until(lambda: "eventId" in str(answer("notes.announce", id="milk")), within_s=60, what=lambda: host.log)
        heard = {"id": "heard", "text": "it was announced", "priority": 0}
        until(lambda: answer("notes.get", id="heard") == heard, within_s=60, what=lambda: f"the run:\n{host.log}")
    finally:
        host.stop()


@pytest.mark.timeout(300)
def test_it_keeps_the_rules_of_index_keys_and_cursors() -> None:
    words = [sys.executable, "-m", "gestalt_host.daemon", "provider", "verify", str(STORE)]
    words += ["--config", '{"dsn": "sqlite://{dir}/state.db"}']
    words += ["--rule", "contract.md 5.4", "--rule", "contract.md 5.6", "--rule", "contract.md 5.7/kept-after-kill"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
