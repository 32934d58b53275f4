"""`serve` with packages from releases, in processes of their own: locked, not locked, and tampered with meanwhile."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.rigs.installation import Installation, publish, tree_of
from tests.support.rigs.web import Web, serving
from tests.support.waiting import until

SERVED = """\
#!/bin/sh
exec {python} -P -B -m gestalt_sdk.run {root} {target} {kind}
"""
STORE = SERVED.format(
    python=sys.executable,
    root=ROOT / "providers" / "indexeddb_store",
    target="gestalt_store.provider:provider",
    kind="indexeddb",
)
WORKFLOW = SERVED.format(
    python=sys.executable,
    root=ROOT / "providers" / "indexeddb",
    target="gestalt_workflow.provider:provider",
    kind="workflow",
)
PLUGIN = SERVED.format(
    python=sys.executable, root=ROOT / "tests/support/plugins/rig", target="rig_plugin:provider", kind="integration"
)
CATALOGUE = "name: rig\noperations: [{id: noop}]\n"
CONFIG = """\
apiVersion: gestaltd.config/v5
server: {{public: {{port: {port}}}, encryptionKey: "a key for tests only"}}
providers:
  indexeddb:
    main: {{source: {url}/main/provider-release.yaml, config: {{dsn: "sqlite://{state}/main.db"}}}}
  workflow:
    local: {{source: {url}/local/provider-release.yaml, indexeddb: {{provider: main, db: workflow}}}}
plugins:
  rig: {{source: {url}/rig/provider-release.yaml}}
"""
AUDIT = """
import os, sys
record = os.open(os.environ["AUDIT_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
own = os.getpid()
inside = False
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def hook(event, args):
    global inside
    if inside or os.getpid() != own:
        return
    inside = True
    try:
        if event == "open" and isinstance(args[2], int) and args[2] & WRITING:
            os.write(record, f"write {args[0]}\\n".encode())
        elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove"):
            os.write(record, f"write {args[-2] if event == 'os.symlink' else args[0]}\\n".encode())
        elif event == "socket.connect":
            os.write(record, f"connect {args[1]!r}\\n".encode())
        elif event == "socket.getaddrinfo":
            os.write(record, f"name {args[0]!r}\\n".encode())
    finally:
        inside = False

sys.addaudithook(hook)
"""


class Served(Installation):
    """An installation that can be served: our own providers, as releases on a web server."""

    def __init__(self, folder: Path, web: Web) -> None:
        super().__init__(folder)
        self.web = web
        self.state = folder / "state"
        self.state.mkdir()
        releases = folder / "releases"
        shutil.rmtree(releases)
        publish(releases / "main", "indexeddb", "indexeddb/main", program=STORE)
        publish(releases / "local", "workflow", "workflow/local", program=WORKFLOW)
        publish(releases / "rig", "plugin", "plugins/rig", program=PLUGIN, catalog__yaml=CATALOGUE)
        self.serve(web)
        self.port = free_port()
        self.config.write_text(CONFIG.format(port=self.port, url=web.url(""), state=self.state))
        self.rig = self.work / ".gestaltd" / "providers" / "rig"
        self.logs = folder / "logs"
        self.logs.mkdir()
        (folder / "home").mkdir()

    def host(self, *options: str, **environ: str) -> Gestaltd:
        """Return a host that is not started; its files are outside of the installation."""
        program = (sys.executable, "-m", "gestalt_host.daemon", "serve", *options)
        environment = {"HOME": str(self.folder / "home"), "XDG_CACHE_HOME": str(self.folder / "home/.cache"), **environ}
        return Gestaltd([self.config], environment, self.port, self.logs, program=program)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving() as web:
        yield Served(tmp_path, web)


def test_serve_locked_connects_to_nothing_and_writes_nothing_but_state(served: Served, tmp_path: Path) -> None:
    served.ready()
    asked = len(served.web.asked)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(AUDIT)
    audit = tmp_path / "audit"
    guarded = (served.work, tmp_path / "home", tmp_path / "releases")
    # What is imported before the options are read is compiled now, if this is the first time.
    subprocess.run([sys.executable, "-m", "gestalt_host.daemon", "--version"], check=True, stdout=subprocess.DEVNULL)
    before = tree_of(*guarded)
    host = served.host("--locked", AUDIT_FILE=str(audit), PYTHONPATH=str(site))
    try:
        host.start()
        assert host.post("/rig/noop", {}).status_code in (200, 404)
    finally:
        host.stop()
    assert tree_of(*guarded) == before
    assert len(served.web.asked) == asked
    records = audit.read_text().splitlines()
    assert {line for line in records if line.startswith("name ")} == {"name '127.0.0.1'"}  # to listen there
    connects = [line for line in records if line.startswith("connect ")]
    assert [line for line in connects if not line.startswith("connect '/tmp/gstp-")] == []
    written = {line.removeprefix("write ") for line in records if line.startswith("write /")}
    # Directories of sockets, the file by which Python tries whether it can write into the temporary directory, and what
    # tells the kernel to end a provider before the host where memory is short, which is no file on a disk.
    elsewhere = r"/dev/null|/tmp/gstp-.*|/tmp/[a-z0-9_]{8}|/proc/\d+/oom_score_adj"
    allowed = re.compile(rf"{elsewhere}|{re.escape(str(served.state))}/.*")
    assert {path for path in written if not allowed.fullmatch(path)} == set()


def test_serve_locked_refuses_what_is_not_as_locked_before_anything_starts(served: Served) -> None:
    served.ready()
    (served.rig / "run").write_text("#!/bin/sh\nexit 0\n")
    (served.store / "extra").write_text("x")
    host = served.host("--locked")
    host.launch()
    assert host.wait() == 1
    assert 'prepared artifact for provider "rig" is missing or stale; run `gestaltd sync --locked' in host.log
    assert "run: its content has been changed" in host.log
    assert "extra: was added" in host.log
    assert list(served.state.iterdir()) == []


def test_serve_locks_and_installs_by_itself_and_then_needs_no_network(served: Served) -> None:
    host = served.host()
    try:
        host.start()
    finally:
        host.stop()
    served.require_installed()
    served.web.close()
    again = served.host()
    try:
        again.start()
        assert [child.name for child in again.children()] == ["local", "main", "rig"]
        told = again.get("/providers/plugin/rig")
        (archive,) = (served.folder / "releases" / "rig").glob("*.tar.gz")
        assert told["digest"] == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert told["source"] == served.web.url("/rig/provider-release.yaml")
    finally:
        again.stop()


def test_serve_repairs_what_is_not_as_locked_and_a_plugin_that_cannot_be_had_is_a_failed_one(served: Served) -> None:
    served.ready()
    (served.rig / "run").write_text("#!/bin/sh\nexit 0\n")
    served.config.write_text(
        served.config.read_text() + f"  gone: {{source: '{served.web.url('/gone/provider-release.yaml')}'}}\n"
    )
    host = served.host()
    try:
        host.start()
        assert "2 plugins" in host.output
        assert "gone failed" in host.output
        assert [child.name for child in host.children()] == ["local", "main", "rig"]
    finally:
        host.stop()


def test_an_executable_replaced_while_it_runs_is_refused_at_its_restart(served: Served) -> None:
    served.ready()
    host = served.host("--locked")
    try:
        host.start()
        (rig,) = (child for child in host.children() if child.name == "rig")
        program = served.rig / "run"
        program.unlink()
        program.write_text("#!/bin/sh\ntouch evil\n")
        program.chmod(0o755)
        os.kill(rig.pid, signal.SIGKILL)
        until(
            lambda: "not as installed: run" in httpx.get(f"{host.url}/ready", timeout=5).text,
            what=lambda: f"refused:\n{host.log[-3000:]}",
        )
        assert "is not the file that was installed" in host.log
    finally:
        host.stop()


def test_a_file_that_is_added_while_it_runs_is_refused_at_its_restart(served: Served) -> None:
    served.ready()
    host = served.host("--locked")
    try:
        host.start()
        (rig,) = (child for child in host.children() if child.name == "rig")
        (served.rig / "sitecustomize.py").write_text("import os")
        os.kill(rig.pid, signal.SIGKILL)
        until(
            lambda: "not as installed: sitecustomize.py" in httpx.get(f"{host.url}/ready", timeout=5).text,
            what=lambda: f"refused:\n{host.log[-3000:]}",
        )
        assert "sitecustomize.py was added" in host.log
    finally:
        host.stop()
