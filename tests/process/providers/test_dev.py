"""`gestaltd provider dev` as its author uses it: the provider's files change, and the answers with them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.nightly import NIGHTLY
from tests.support.rigs.gestaltd import Gestaltd, alive, free_port
from tests.support.rigs.toolchains import cached_environ, require
from tests.support.waiting import until

EXAMPLES = ROOT / "examples" / "providers"
DEV = (sys.executable, "-m", "gestalt_host.daemon", "provider", "dev")
WITHIN_S = 60.0


class Developed(Gestaltd):
    """A `provider dev` of the folder ``source`` below its own."""

    @property
    def source(self) -> Path:
        return self.folder / "source"

    def edit(self, name: str, old: str, new: str) -> None:
        """Save a source with the first of one text replaced by another."""
        path = self.source / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def shows(self, text: str, times: int = 1) -> None:
        """Wait until it has shown a text so often."""
        shown = lambda: self.output + self.log  # noqa: E731
        until(lambda: shown().count(text) >= times, within_s=WITHIN_S, what=lambda: f"{text!r} in:\n{shown()}")

    def answer(self, operation: str = "notes.list") -> object:
        return self.post(f"/{self.plugin}/{operation}", {}).json()

    def answers(self, expected: object, operation: str = "notes.list") -> None:
        """Wait until the list of notes is this."""
        what = lambda: f"{self.answer(operation)}\n{self.output}"  # noqa: E731
        until(lambda: self.answer(operation) == expected, within_s=WITHIN_S, what=what)

    @property
    def plugin(self) -> str:
        manifest = (self.source / "manifest.yaml").read_text()
        return next(line.rpartition("/")[2] for line in manifest.splitlines() if line.startswith("source:"))


def make(language: str, tmp_path: Path) -> Developed:
    ignored = shutil.ignore_patterns("node_modules", "target", "__pycache__")
    shutil.copytree(EXAMPLES / f"plugin-{language}", tmp_path / "source", ignore=ignored)
    shutil.copytree(EXAMPLES / "contract", tmp_path / "contract", ignore=ignored)
    port = free_port()
    program = (*DEV, str(tmp_path / "source"), "--port", str(port))
    return Developed([], {**cached_environ(), "PYTHONPATH": str(ROOT)}, port, tmp_path, program=program)


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Developed]:
    made = make("python", tmp_path)
    yield made
    made.stop()


CODE = "notes_plugin/provider.py"
RETURNED = 'return {"notes": notes}'


def test_each_change_is_taken_up_and_a_broken_one_leaves_the_old_process(python: Developed) -> None:
    python.start()
    python.shows(f"gestalt --url {python.url} invoke notes-python notes.put -p id=… -p text=…")
    others = {child.name: child.pid for child in python.children() if child.name != "notes-python"}
    assert sorted(others) == ["local", "state"]
    assert python.answer() == {"notes": []}

    again = subprocess.run([*DEV, python.source], cwd=python.folder, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert f"is run already: gestaltd provider dev, process {python.pid}, at {python.url}" in again.stderr

    # Of the same size and within a second: a .pyc would be taken for current.
    python.edit(CODE, RETURNED, 'return {"notes": [1]*0}')
    python.shows("reloaded notes-python")
    python.edit(CODE, 'return {"notes": [1]*0}', 'return {"notes": ["a"]}')
    python.answers({"notes": ["a"]})

    python.edit(CODE, "class NotesPlugin", "class class NotesPlugin")
    python.shows("the process that runs goes on serving")
    assert "SyntaxError: invalid syntax" in python.output
    assert f"/{CODE}:" in python.output
    assert python.answer() == {"notes": ["a"]}

    python.edit(CODE, "class class NotesPlugin", "class NotesPlugin")
    python.shows("reloaded notes-python: it is again as the process that runs")
    python.edit(CODE, '"notes.list"', '"notes.all"')
    python.shows("notes.all")
    assert python.answer("notes.all") == {"notes": ["a"]}
    assert {child.name: child.pid for child in python.children() if child.name != "notes-python"} == others

    # A crash loop: shown with its cause, and mended by the next change although the wait between starts has grown.
    python.edit(CODE, "        db = self.indexeddb()", "        print('no db');import os;os._exit(7)")
    python.shows("it is tried again")
    python.shows("exit status 7", times=4)
    python.shows("notes-python: no db")
    python.edit(CODE, "        print('no db');import os;os._exit(7)", "        db = self.indexeddb()")
    python.answers({"notes": ["a"]}, "notes.all")
    assert "Traceback" not in python.log + python.output


def test_ctrl_c_ends_everything_and_keeps_the_state(python: Developed) -> None:
    python.start()
    assert python.post("/notes-python/notes.put", {"id": "milk", "text": "t"}).status_code == 200
    pids = [child.pid for child in (*python.children(), *python.helpers())]
    python.signal(signal.SIGINT)
    assert python.wait() == 0
    until(lambda: not any(map(alive, pids)), within_s=10, what=lambda: f"the end of {pids}")
    first = (python.source / ".gestalt-dev" / "key").read_text()
    python.start()
    assert python.answer() == {"notes": [{"id": "milk", "text": "t", "priority": 0}]}
    assert (python.source / ".gestalt-dev" / "key").read_text() == first


def test_one_that_cannot_be_started_is_mended_by_its_files_and_its_configuration(python: Developed) -> None:
    python.edit(CODE, "class NotesPlugin", "class class NotesPlugin")
    config = python.folder / "config.yaml"
    config.write_text('eventType: ""\n')
    python.program = (*python.program, "--config", str(config))
    python.launch()
    python.shows("not started notes-python")
    python.edit(CODE, "class class NotesPlugin", "class NotesPlugin")
    python.shows("config.eventType is")
    python.shows("not reloaded notes-python")
    config.write_text("eventType: note.heard\n")
    python.shows("reloaded notes-python in")
    assert python.answer() == {"notes": []}
    config.write_text('eventType: ""\n')
    python.shows("it is tried again")
    config.write_text("eventType: note.heard\n")
    python.shows("reloaded notes-python in", times=2)
    assert python.answer() == {"notes": []}


@pytest.mark.skipif(not NIGHTLY, reason="only at night: what is compiled is built three times")
@pytest.mark.timeout(900)
def test_a_compiled_one_goes_on_while_it_is_built_and_when_it_cannot_be(tmp_path: Path) -> None:
    require("go")
    go = make("go", tmp_path)
    try:
        go.start()
        assert go.answer() == {"notes": []}
        go.edit("main.go", "func main() {", "func main() { broken")
        go.shows("the process that runs goes on serving")
        assert "undefined: broken" in go.output
        assert go.answer() == {"notes": []}
        go.edit("main.go", "func main() { broken", 'func main() { println("changed")')
        go.shows(": changed")
        assert go.answer() == {"notes": []}
    finally:
        go.stop()
