"""A host with a provider of each kind that faults befall: what the host tells of them, and what the kernel shows."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx

from gestalt_host.supervisor.directories import PREFIX, base_directories
from gestalt_sdk.common.process_identity import ProcessIdentity, is_stopped
from tests.process.engine.clock import SharedClock
from tests.process.engine.journal import Invocation, read_journal
from tests.support.commands import ROOT
from tests.support.rigs.clocked import write_config
from tests.support.rigs.gestaltd import Child, Gestaltd, alive, free_port
from tests.support.rigs.grpc_calls import serving
from tests.support.waiting import until

PLUGIN, WORKFLOW, STORE = "odd", "local", "main"
KINDS = {PLUGIN: "plugin", WORKFLOW: "workflow", STORE: "indexeddb"}
CALLABLE = ("ready", "unhealthy")
"""States of a provider whose process runs and answers."""
LACK = "a socket of it has been removed"
TRUE_WITHIN_S = 10.0
"""What the host tells is what is the case, this long after a fault."""
WELL_WITHIN_S = 60.0
"""Everything is ready again, this long after the last fault has ended."""
MORE = """  odd:
    source: {{path: {folder}/odd/manifest.yaml}}
    config: {{folder: {folder}}}
    limits: {{memory: 256MiB}}
"""
ENGINE = "{pollInterval: 200ms, workerCount: 8, runClaimTTL: 8760h}"
"""The clock leaps, so no lease may end by itself."""
SUPERVISION = '  encryptionKey: "a key for tests only"\n  supervision: {restartSilentAfter: 12s}\n'
ODD = """
import asyncio, os, subprocess, sys
from pathlib import Path
from random import Random
from gestalt_sdk.plugin import Plugin, Request, operation
sys.path.insert(0, {root!r})
from tests.process.engine.journal import Journal

class OddPlugin(Plugin):
    async def configure(self, name, config):
        self.folder = Path(config["folder"])
        if (self.folder / "crash").exists():
            os._exit(3)
        self.journal = Journal(self.folder / "journal")
        self.count = 0

    async def _note(self, request, seconds, key):
        self.count += 1
        number = os.getpid() * 1_000_000 + self.count
        run = request.workflow.get("runId") or "direct:" + key
        self.journal.note(number=number, run=run, attempt=1, signals=[])
        await asyncio.sleep(seconds)
        self.journal.note(number=number, status=200, body=str(number))
        return number

    @operation("run")
    async def run(self, request: Request, key: str = "") -> int:
        return await self._note(request, 0, key)

    @operation("slow")
    async def slow(self, request: Request, key: str = "") -> int:
        return await self._note(request, Random().uniform(0.1, 1.0), key)

    @operation("exit")
    async def exit(self, request: Request, status: int) -> int:
        os._exit(status)

    @operation("eat")
    async def eat(self, request: Request, megabytes: int) -> int:
        self.eaten = [os.urandom(1024) * 1024 for _ in range(megabytes)]
        await asyncio.sleep(600)
        return 0

    @operation("spawn")
    async def spawn(self, request: Request) -> int:
        deaf = "trap '' TERM; echo up; sleep 600 & wait"
        child = subprocess.Popen(["sh", "-c", deaf], stdout=subprocess.PIPE)
        child.stdout.readline()
        return child.pid
"""


@dataclass
class Installation:
    """
    Attributes:
        host: The host, ready.
        clock: That of the workflow provider.
        born: Every process of it that was ever seen.
        sockets: Those in the directory of each provider; they stay the same when it is started again.
    """

    folder: Path
    host: Gestaltd
    clock: SharedClock
    born: set[int] = field(default_factory=set)
    sockets: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def child(self, name: str) -> Child | None:
        """The provider's process, where it has one."""
        found = next((child for child in self.host.children() if child.name == name), None)
        if found is not None:
            self.born.add(found.pid)
        return found

    def running(self, name: str) -> Child:
        """The provider's process, once it has one."""
        child = until(lambda: self.child(name), within_s=WELL_WITHIN_S, what=lambda: f"{name}: {self.host.log[-2000:]}")
        assert child is not None
        return child

    def send(self, name: str, number: int) -> int:
        """Signal the provider's process, however new it is; return its number."""

        def sent() -> int:
            child = self.running(name)
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)
                return child.pid
            return 0

        return until(sent, within_s=WELL_WITHIN_S)

    def is_up(self, name: str) -> bool:
        """Whether the process exists, runs, and says on its socket that it serves."""
        child = self.child(name)
        if child is None or is_stopped(child.pid):
            return False
        if not child.socket.exists():  # those that are connected go on; what is told of it is another question
            return True
        try:
            return serving(child.socket, timeout_s=1)
        except grpc.RpcError:
            return False

    def lacks(self) -> set[str]:
        """Providers in whose directory a socket is not there any more."""
        return {name for name, paths in self.sockets.items() if not all(path.exists() for path in paths)}

    def told_up(self) -> dict[str, bool]:
        """What ``/metrics`` says."""
        text = httpx.get(f"{self.host.url}/metrics", timeout=10).text
        found = re.findall(r'^gestalt_provider_up\{kind="\w+",provider="(\w+)"\} (\S+)', text, re.MULTILINE)
        return {name: float(value) == 1 for name, value in found if name in KINDS}

    def listed(self) -> dict[str, dict[str, Any]]:
        """What ``GET /api/v1/providers`` says of each provider, by name."""
        return {item["name"]: item for item in self.host.get("/providers") if item["name"] in KINDS}

    def ready(self) -> tuple[int, str]:
        """Status of ``/ready``, and all that it says."""
        answer = httpx.get(f"{self.host.url}/ready", timeout=10)
        return answer.status_code, json.dumps(answer.json())

    def untrue(self, *, may_be_unready: bool = False) -> str:
        """What ``/ready``, ``/metrics`` and the list of providers tell that is not the case; blank when all of it is.

        Args:
            may_be_unready: Whether the store may say of itself that it is not well.
        """
        up = {name: self.is_up(name) for name in KINDS}
        status, text = self.ready()
        told, listed = self.told_up(), self.listed()
        wrong = [f"up are {up}, told is {told}"] if told != up else []
        for name, kind in KINDS.items():
            state, child = listed[name]["state"], self.child(name)
            if (state in CALLABLE) != up[name] or listed[name]["kind"] != kind:
                wrong.append(f"{name}: up is {up[name]}, listed is {listed[name]}")
            if up[name] and listed[name].get("pid") != (child and child.pid):
                wrong.append(f"{name}: its process is {child and child.pid}, listed is {listed[name]}")
            if not up[name] and not listed[name].get("reason"):
                wrong.append(f"{name} is not up, and no reason is listed: {listed[name]}")
        must_be_ready = up[WORKFLOW] and up[STORE]
        if must_be_ready != (status == 200) and not (must_be_ready and may_be_unready):
            wrong.append(f"up are {up}, /ready answers {status} {text}")
        lacks = self.lacks()
        for name in KINDS:
            lacking = f"{name}: {LACK}" in text
            if status == 200 and up[name] and lacking != (name in lacks):
                wrong.append(f"{name}: socket removed: {name in lacks}, /ready: {text}")
            noticed = any(notice.startswith(LACK) for notice in listed[name].get("notices", ()))
            if up[name] and noticed != (name in lacks):
                wrong.append(f"{name}: socket removed: {name in lacks}, listed: {listed[name]}")
        if status == 200 and not up[PLUGIN] and f"plugin {PLUGIN}: " not in text:
            wrong.append(f"{PLUGIN} is not up, /ready says {text}")
        return "; ".join(wrong)

    def wait_true(self, *, may_be_unready: bool = False) -> None:
        """Wait until what the host tells is the case."""
        found: list[str] = []

        def is_true() -> bool:
            found.append(self.untrue(may_be_unready=may_be_unready))
            return not found[-1]

        until(is_true, within_s=TRUE_WITHIN_S, what=lambda: "\n".join((*found[-3:], self.host.log[-3000:])))

    def wait_well(self) -> None:
        """Wait until everything is up, nothing lacks, and the host says so; and its ended children are reaped."""
        until(
            self.is_well,
            within_s=WELL_WITHIN_S,
            what=lambda: f"{self.ready()} {self.untrue()}\n{self.host.log[-3000:]}",
        )

    def is_well(self) -> bool:
        """Whether all is as in the beginning."""
        return (
            all(map(self.is_up, KINDS))
            and not self.lacks()
            and not self.untrue()
            and len(self.host.helpers()) == 1
            and not zombies(self.host.pid)
        )

    def call(self, operation: str, **params: Any) -> httpx.Response | None:
        """Call the plugin; None when there is no answer."""
        try:
            return httpx.post(f"{self.host.url}/api/v1/{PLUGIN}/{operation}", json=params, timeout=60)
        except httpx.TransportError:
            return None

    def journal(self) -> list[Invocation]:
        """What the plugin was asked."""
        return read_journal(self.folder / "journal")

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """Hold the write lock of the workflow's database."""
        (path,) = self.folder.glob("state*workflow*.db")
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.close()


def zombies(parent: int) -> list[int]:
    """Children that have ended and were not waited for."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] == "Z":
                found.append(int(entry.name))
    return found


def descriptors(pid: int) -> Mapping[str, int]:
    """How many descriptors of each kind the process has open."""
    counts: dict[str, int] = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            kind = re.sub(r":?\[\d+\]|\d+", "", str(entry.readlink()))
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def directories_of(pid: int) -> list[Path]:
    """Directories of sockets that name the process as their owner."""
    found = []
    for base in base_directories():
        for directory in base.glob(f"{PREFIX}*"):
            with suppress(OSError):
                owner = ProcessIdentity.parse((directory / "owner").read_text())
                if owner is not None and owner.pid == pid:
                    found.append(directory)
    return found


@contextmanager
def open_installation(folder: Path) -> Iterator[Installation]:
    """The host, ready; nothing outlives the ``with``."""
    package = folder / "odd"
    package.mkdir()
    (package / "manifest.yaml").write_text("kind: plugin\nsource: a.org/b/c/odd\nversion: 0.0.1\nspec: {}\n")
    (package / "pyproject.toml").write_text('[tool.gestalt]\nprovider = "odd_plugin:OddPlugin"\n')
    (package / "odd_plugin.py").write_text(ODD.format(root=str(ROOT)))
    port, clock = free_port(), SharedClock(folder / "clock")
    config = write_config(folder, port, more=MORE.format(folder=folder))
    text = config.read_text().replace('  encryptionKey: "a key for tests only"\n', SUPERVISION)
    text = text.replace(
        "config: {pollInterval: 1s}", "config: {pollInterval: 200ms, workerCount: 8, runClaimTTL: 8760h}"
    )
    config.write_text(text)
    host = Gestaltd([config], {}, port, folder)
    try:
        host.start()
        installation = Installation(folder, host, clock)
        installation.wait_well()
        folders = {name: installation.running(name).socket.parent for name in KINDS}
        installation.sockets = {name: sorted(found.glob("*.sock")) for name, found in folders.items()}
        yield installation
    finally:
        for pid in (child.pid for child in (host.children() if host.process else [])):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        host.stop()


def left_of(installation: Installation) -> str:
    """What is left of an installation whose host has ended: processes and directories; blank when nothing is."""
    processes = [pid for pid in installation.born if alive(pid)]
    directories = directories_of(installation.host.pid)
    return f"{processes} {directories}" if processes or directories else ""
