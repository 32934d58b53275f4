"""A host with a provider that misbehaves when it is told to, and what may be left of the two afterwards."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, alive, free_port
from tests.support.waiting import until

PACKAGE = ROOT / "tests" / "support" / "plugins" / "misbehaving"
CHOICE = "choice"
NAMES = {"plugin": "odd", "workflow": "local", "indexeddb": "main"}
"""The kind that misbehaves, to the name of the provider that does."""
BUILTINS = f"{ROOT}/providers/indexeddb:{ROOT}/providers/indexeddb_store"
"""Where the providers are found that the misbehaving ones otherwise are."""
RIG = ROOT / "tests" / "support" / "plugins" / "rig" / "manifest.yaml"


@dataclass
class Misbehaving:
    """A host, and the provider of it that does what ``choose`` says."""

    host: Gestaltd
    kind: str
    folder: Path
    seen: set[int] = field(default_factory=set)
    """Processes that the host had at some time."""

    @property
    def name(self) -> str:
        return NAMES[self.kind]

    @property
    def choice(self) -> Path:
        return self.folder / CHOICE

    def choose(self, misbehaviour: str) -> None:
        """Have the provider misbehave so; blank: have it behave."""
        if not misbehaviour:
            self.choice.unlink(missing_ok=True)
            return
        # All at once: the provider reads it at any time.
        (self.folder / "next").write_text(misbehaviour)
        (self.folder / "next").rename(self.choice)

    def pid(self) -> int:
        children = self.host.children()
        self.seen.update(child.pid for child in children)
        return next((child.pid for child in children if child.name == self.name), 0)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The host's own lines of the log about the provider with this ``event_name``."""
        lines = [json.loads(line) for line in self.host.log.splitlines() if f'"{name}"' in line]
        return [line for line in lines if self.name in (line.get("provider"), line.get("plugin"))]

    def readiness(self) -> tuple[int, str]:
        """Status and text of ``/ready``; 0 while nobody answers."""
        try:
            answer = httpx.get(f"{self.host.url}/ready", timeout=10)
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text.strip()

    def ready(self, within_s: float = 90) -> None:
        until(
            lambda: self.readiness() == (200, '{"status":"ok"}'), within_s=within_s, what=lambda: str(self.readiness())
        )

    def metric(self, name: str) -> float | None:
        """The value of a metric of the provider; None where it is not there."""
        labels = f'kind="{"integration" if self.kind == "plugin" else self.kind}",provider="{self.name}"'
        for line in httpx.get(f"{self.host.url}/metrics", timeout=30).text.splitlines():
            head, _, value = line.rpartition(" ")
            found, _, rest = head.partition("{")
            if found == name and sorted(rest.rstrip("}").split(",")) == sorted(labels.split(",")):
                return float(value)
        return None

    def listed(self) -> dict[str, Any]:
        """What ``GET /api/v1/providers`` says of the provider."""
        found: dict[str, Any] = self.host.get(f"/providers/{self.kind}/{self.name}")
        return found

    def of_provider(self) -> list[int]:
        """Every living process that has the provider's environment: itself and what it has started, wherever it is."""
        mark = f"MISBEHAVIOUR={self.choice}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                    found.append(int(entry.name))
        return found

    def zombies(self) -> list[int]:
        """Ended processes that the host has not waited for."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.host.pid and fields[0] == "Z":
                    found.append(int(entry.name))
        return found

    def directories(self) -> list[Path]:
        """What the host has made for sockets and not removed."""
        found = []
        for path in Path("/tmp").glob("gstp-*"):
            with contextlib.suppress(OSError, IndexError):
                if (path / "owner").read_text().split()[0] == str(self.host.pid):
                    found.append(path)
        return found

    def left(self) -> dict[str, list[Any]]:
        """What is there although the host has ended; empty when nothing is."""
        found: dict[str, list[Any]] = {
            "processes": [*self.of_provider(), *(pid for pid in self.seen if alive(pid))],
            "directories": self.directories(),
        }
        return {what: items for what, items in found.items() if items}


def new_misbehaving(folder: Path, kind: str, **supervision: str) -> Misbehaving:
    """A host that is not started, one provider of which misbehaves on request: of this kind, the others are real."""
    port, config = free_port(), folder / "gestalt.yaml"
    entries: dict[str, dict[str, Any]] = {
        "indexeddb": {"source": {"builtin": "indexeddb_store"}, "config": {"dsn": f"sqlite://{folder}/state.db"}},
        "workflow": {
            "source": {"builtin": "indexeddb"},
            "indexeddb": {"provider": "main", "db": "workflow"},
            "config": {"pollInterval": "100ms"},
        },
        "plugin": {},
    }
    limits = {"limits": {"memory": memory}} if (memory := supervision.pop("memory", "")) else {}
    entries[kind] |= {
        "source": {"path": f"{PACKAGE}/{kind}.yaml"},
        "env": {"MISBEHAVIOUR": str(folder / CHOICE), "PYTHONPATH": BUILTINS},
        **limits,
    }
    plugins = {"roadmap": {"source": {"path": str(RIG)}}}
    document = {
        "apiVersion": "gestaltd.config/v5",
        "server": {
            "public": {"port": port},
            "encryptionKey": "a key for tests only",
            "supervision": supervision,
        },
        "providers": {"indexeddb": {"main": entries["indexeddb"]}, "workflow": {"local": entries["workflow"]}},
        "plugins": plugins | ({NAMES["plugin"]: entries["plugin"]} if kind == "plugin" else {}),
    }
    config.write_text(yaml.safe_dump(document))
    return Misbehaving(Gestaltd([config], {}, port, folder), kind, folder)


@contextmanager
def misbehaving(folder: Path, kind: str, **supervision: str) -> Iterator[Misbehaving]:
    """The same, ready; it is ended afterwards, and nothing may be left of it."""
    rig = new_misbehaving(folder, kind, **supervision)
    try:
        rig.host.start()
        rig.pid()
        yield rig
        rig.pid()
    finally:
        rig.host.stop()
    until(lambda: not rig.left(), within_s=30, what=lambda: str(rig.left()))


@contextmanager
def called_all_the_time(host: Gestaltd) -> Iterator[list[int]]:
    """Calls to another plugin, one after the other; yields the statuses of the answers, 0 for none."""
    answers: list[int] = []
    ended = threading.Event()

    def call() -> None:
        while not ended.wait(0.05):
            try:
                answers.append(httpx.post(f"{host.url}/api/v1/roadmap/noop", json={}, timeout=30).status_code)
            except httpx.TransportError:
                answers.append(0)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield answers
    finally:
        ended.set()
        caller.join()
