"""The plugin of examples/providers in each language: its own tests, served by a host, by itself, and from a release."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket as socketlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gestalt_host.packages import read_manifest
from gestalt_host.packages.languages import LaunchCommand, source_command
from tests.support.commands import ROOT
from tests.support.nightly import NIGHTLY
from tests.support.rigs.gestaltd import Gestaltd, alive, free_port
from tests.support.rigs.grpc_calls import described, services, serving
from tests.support.rigs.toolchains import PROGRAMS, cached_environ, require
from tests.support.waiting import until

EXAMPLES = ROOT / "examples" / "providers"
SERVICE = "gestalt.provider.v1.IntegrationProvider"
OWN_TESTS = {
    "python": ((sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),),
    "go": (("go", "vet", "./..."), ("go", "test", "./...")),
    "typescript": (("npm", "test"),),
    "rust": (("cargo", "test", "--locked"),),
}
LANGUAGES = list(OWN_TESTS)
CONFIG = """apiVersion: gestaltd.config/v5
server: {{public: {{port: {port}}}, encryptionKey: "a key for tests only"}}
providers:
  indexeddb:
    main: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "sqlite://{folder}/state.db"}}}}
  workflow:
    local: {{source: {{builtin: indexeddb}}, indexeddb: {{provider: main, db: workflow}}}}
plugins:
  notes: {{source: {{path: {manifest}}}, config: {{eventType: note.heard}}}}
workflows:
  eventTriggers:
    heard:
      provider: local
      match: {{type: note.heard, source: notes, subject: milk}}
      target: {{plugin: {{name: notes, operation: notes.put, input: {{id: heard, text: it was announced}}}}}}
"""
SOME_RULES = ("--rule", "contract.md 1.2", "--rule", "contract.md 2.4/parent")
"""Each rule is a process; all of them are tried at night."""
pytestmark = [
    pytest.mark.parametrize("language", LANGUAGES, scope="session"),
    pytest.mark.timeout(900),  # without caches all that a plugin depends on is built first
]


@pytest.fixture(scope="session")
def source(language: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the manifest of the plugin in the language, in a copy of all examples."""
    if language in PROGRAMS:
        require(language)
    copy = tmp_path_factory.mktemp(language) / "providers"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("node_modules", "target", "dist", "__pycache__"))
    return copy / f"plugin-{language}" / "manifest.yaml"


@pytest.fixture(scope="session")
def command(source: Path) -> LaunchCommand:
    """How the plugin is started; built, so that what it needs is in the caches."""
    built = source.parent.parent.parent / "built"
    return asyncio.run(source_command(read_manifest(source), "notes", built, cached_environ()))


@pytest.fixture
def host(source: Path, tmp_path: Path) -> Iterator[Gestaltd]:
    port = free_port()
    config = tmp_path / "gestalt.yaml"
    config.write_text(CONFIG.format(port=port, folder=tmp_path, manifest=source))
    cargo = {name: value for name, value in cached_environ().items() if name.startswith(("CARGO", "RUSTUP"))}
    served = Gestaltd([config], cargo, port, tmp_path)
    yield served
    served.stop()


def test_its_own_tests_pass(language: str, source: Path, command: LaunchCommand) -> None:
    if language == "rust" and not NIGHTLY:
        pytest.skip("everything that it depends on is built once more for its own tests: at night")
    for words in OWN_TESTS[language]:
        environ = {**cached_environ(), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            words, cwd=source.parent, env=environ, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def run(*words: str | Path, cwd: Path) -> None:
    """Run a command of `gestaltd` that has to succeed."""
    program = [sys.executable, "-m", "gestalt_host.daemon", *map(str, words)]
    environ = {**cached_environ(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=cwd, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


def use_every_operation(host: Gestaltd) -> None:
    """Call what the plugin offers, through a host that has it as ``notes``, until its event has come around."""

    def answer(operation: str, **params: object) -> object:
        called = host.post(f"/notes/{operation}", params)
        return called.json() if called.status_code == 200 else (called.status_code, called.json()["error"])

    offered = host.get("/integrations/notes/operations")
    assert [
        (item["id"], [(each["name"], each["type"], each.get("required", False)) for each in item["parameters"]])
        for item in offered
    ] == [
        ("notes.announce", [("id", "string", True)]),
        ("notes.get", [("id", "string", True)]),
        ("notes.list", [("limit", "integer", False), ("after", "string", False)]),
        ("notes.put", [("id", "string", True), ("text", "string", True), ("priority", "integer", False)]),
    ]
    milk, tea = ({"id": "milk", "text": "grüß dich", "priority": 2}, {"id": "tea", "text": "", "priority": 0})
    assert answer("notes.put", **milk) == milk
    assert answer("notes.put", id="tea", text="") == tea
    assert answer("notes.get", id="milk") == milk
    assert answer("notes.get", id="none") == (404, 'no note "none"')
    assert answer("notes.put", id="a", text=7) == (400, 'parameter "text" is 7; accepted is text')
    assert answer("notes.put", id="a", text="", priority="x") == (
        400,
        'parameter "priority" is "x"; accepted is an integer',
    )
    assert answer("notes.list", limit=0) == (400, 'parameter "limit" is 0; accepted is 1 to 1000')
    assert answer("notes.list", limit=1) == {"notes": [milk], "next": "milk"}
    assert answer("notes.list", limit="1", after="milk") == {"notes": [tea]}
    published = answer("notes.announce", id="milk")
    assert isinstance(published, dict)
    assert published["eventId"]
    heard = {"id": "heard", "text": "it was announced", "priority": 0}
    until(lambda: answer("notes.get", id="heard") == heard, within_s=30, what=lambda: f"the event's run:\n{host.log}")


def test_a_host_starts_it_and_every_operation_works(
    language: str, command: LaunchCommand, host: Gestaltd, tmp_path: Path
) -> None:
    host.start()
    use_every_operation(host)
    (child,) = (child for child in host.children() if child.name == "notes")
    assert {SERVICE, "grpc.health.v1.Health"} <= services(child.socket)
    assert described(child.socket, SERVICE)
    assert serving(child.socket)
    assert serving(child.socket, SERVICE)
    kept = host.get("/integrations/notes/operations")
    host.stop()
    host.start()
    assert host.get("/integrations/notes/operations") == kept
    assert host.post("/notes/notes.get", {"id": "milk"}).json()["text"] == "grüß dich"


def test_a_release_of_it_is_verified_locked_installed_and_served(
    language: str, source: Path, command: LaunchCommand, host: Gestaltd, tmp_path: Path
) -> None:
    if language == "rust" and not NIGHTLY:
        pytest.skip("it is built once more for its release: at night")
    released = tmp_path / "released"
    run("provider", "release", "--version", "1.2.3", "--output", released, cwd=source.parent)
    run("provider", "verify", released / "provider-release.yaml", *([] if NIGHTLY else SOME_RULES), cwd=tmp_path)
    config = tmp_path / "gestalt.yaml"
    config.write_text(config.read_text().replace(str(source), f"{released}/provider-release.yaml"))
    for words in (["lock"], ["sync", "--locked"]):
        run(*words, "--config", config, cwd=tmp_path)
    host.program = (*host.program, "--locked")
    examples = source.parent.parent
    gone = examples.rename(examples.with_name("gone"))
    try:
        host.start()
        use_every_operation(host)
    finally:
        gone.rename(examples)


def test_a_configuration_that_cannot_be_used_is_told_with_its_key(
    language: str, command: LaunchCommand, host: Gestaltd, tmp_path: Path
) -> None:
    config = tmp_path / "gestalt.yaml"
    config.write_text(config.read_text().replace("eventType: note.heard", 'eventType: ""'))
    host.start()
    assert "refused to start with its configuration" in host.post("/notes/notes.list", {}).json()["error"]
    assert "config.eventType is" in host.log
    assert "accepted is a text that is not empty" in host.log


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gst-", dir="/tmp") as folder:
        yield Path(folder) / "p.sock"


def connection() -> socketlib.socket:
    return socketlib.socket(socketlib.AF_UNIX)


def listens(socket: Path) -> bool:
    with connection() as made:
        return made.connect_ex(str(socket)) == 0


def environment(command: LaunchCommand, socket: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **command.env, "GESTALT_PLUGIN_SOCKET": str(socket)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(language: str, command: LaunchCommand, socket: Path, number: signal.Signals) -> None:
    with connection() as killed:
        killed.bind(str(socket))  # a process that is killed leaves its socket behind
    environ = {**environment(command, socket), "GESTALT_PLUGIN_PARENT_PID": str(os.getpid())}
    with subprocess.Popen(command.args, env=environ, stdout=subprocess.PIPE) as process:
        until(lambda: listens(socket), within_s=60, what=lambda: "the plugin serves")
        process.send_signal(number)
        printed, _ = process.communicate(timeout=30)
    assert (process.returncode, printed) == (0, b"")
    assert not socket.exists()


def test_it_ends_when_its_parent_has_gone(language: str, command: LaunchCommand, socket: Path) -> None:
    script = 'export GESTALT_PLUGIN_PARENT_PID=$$; "$@" >/dev/null & echo $!; wait'
    shell = ["sh", "-c", script, "sh", *command.args]
    with subprocess.Popen(shell, env=environment(command, socket), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        until(lambda: listens(socket), within_s=60, what=lambda: "the plugin serves")
        parent.kill()
    until(lambda: not alive(pid), within_s=30, what=lambda: "the plugin has ended")
    assert not socket.exists()
