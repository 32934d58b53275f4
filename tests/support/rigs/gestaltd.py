"""A real host with its providers, started and watched by tests.

``gestaltd(...)`` starts ``python -m gestalt_host.daemon serve`` on a free port and yields once it is ready; ``rig`` and
``quickstart`` are the two configurations that tests use. Nothing outlives the ``with``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.commands import ROOT
from tests.support.waiting import until

QUICKSTART = ROOT / "examples" / "quickstart"
READY_WITHIN_S = 60.0
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "TZ")


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True)
class Child:
    """A provider process, as the kernel shows it."""

    pid: int
    environment: Mapping[str, str]

    @property
    def name(self) -> str:
        """Configured name of the provider."""
        return self.environment.get("GESTALT_PLUGIN_NAME", "")

    @property
    def is_provider(self) -> bool:
        return "GESTALT_PLUGIN_SOCKET" in self.environment

    @property
    def socket(self) -> Path:
        """Path of the socket that the provider serves."""
        return Path(self.environment["GESTALT_PLUGIN_SOCKET"])

    @property
    def sockets(self) -> dict[str, Path]:
        """Every socket the provider was told of, by variable name."""
        return {k: Path(v) for k, v in self.environment.items() if k.startswith("GESTALT_") and "_SOCKET" in k}


@dataclass
class Gestaltd:
    """One host process and what belongs to it."""

    configs: Sequence[Path]
    environment: Mapping[str, str]
    port: int
    folder: Path
    outputs: int | None = None
    """Descriptor that stdout and stderr go to, instead of the two files in ``folder``."""
    open_files: int | None = None
    """Limit of open files that the host is started with, soft and hard; None: that of the tests."""
    streams: str = ""
    """Redirections of a shell for the standard streams."""
    program: Sequence[str] = (sys.executable, "-m", "gestalt_host.daemon", "serve")
    """What is run, before the configurations."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything the host and its providers wrote to stderr so far."""
        path = self.folder / "gestaltd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def output(self) -> str:
        """Everything the host wrote to stdout so far."""
        path = self.folder / "gestaltd.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the process and wait until it is ready; fail with its log when it is not."""
        self.launch()
        until(self._is_ready, within_s=READY_WITHIN_S, what=lambda: f"gestaltd ready:\n{self.log[-4000:]}")

    def launch(self) -> None:
        """Start the process without waiting."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        command = [*self.program]
        limit = "" if self.open_files is None else f"ulimit -n {self.open_files}; "
        if limit or self.streams:
            command = ["sh", "-c", f'{limit}exec "$@" {self.streams}', "sh", *command]
        for config in self.configs:
            command += ["--config", str(config)]
        with (self.folder / "gestaltd.log").open("ab") as log, (self.folder / "gestaltd.out").open("ab") as out:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**inherited, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out if self.outputs is None else self.outputs,
                stderr=log if self.outputs is None else self.outputs,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"gestaltd ended with {self.process.returncode}:\n{self.log[-4000:]}")
        try:
            return httpx.get(f"{self.url}/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> list[Child]:
        """Provider processes of this host, by name."""
        return sorted((child for child in _children(self.pid) if child.is_provider), key=lambda child: child.name)

    def helpers(self) -> list[Child]:
        """Other processes that the host has started."""
        return [child for child in _children(self.pid) if not child.is_provider]

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, within_s: float = 30) -> int:
        """Exit status, once the process has ended."""
        assert self.process is not None
        return self.process.wait(timeout=within_s)

    def kill(self) -> None:
        """SIGKILL the host alone; its providers notice by themselves."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """End whatever still runs; children that outlive the host are a failure of the host, not of the clean-up."""
        if self.process is None or self.process.poll() is not None:
            return
        left = self.children()
        self.signal(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
        for child in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)

    def get(self, path: str, **params: str) -> Any:
        """JSON answer of a GET below /api/v1; fails unless the status is 200."""
        answer = httpx.get(f"{self.url}/api/v1{path}", params=params, timeout=30)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/api/v1{path}", json=body, timeout=30)


def _children(parent: int) -> Iterator[Child]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            fields = stat.rpartition(")")[2].split()
            if int(fields[1]) != parent or fields[0] == "Z":
                continue
            pairs = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        yield Child(int(entry.name), dict(pair.split("=", 1) for pair in pairs if "=" in pair))


def alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@contextlib.contextmanager
def gestaltd(
    folder: Path, configs: Sequence[Path], environment: Mapping[str, str], port: int | None = None
) -> Iterator[Gestaltd]:
    """A host on ``configs``, ready. ``folder`` takes its logs and is its working directory."""
    host = Gestaltd(configs, environment, port or free_port(), folder)
    try:
        host.start()
        yield host
    finally:
        host.stop()


@contextlib.contextmanager
def rig(folder: Path) -> Iterator[Gestaltd]:
    """The host of the recordings: the rig plugin three times, an empty store."""
    port = free_port()
    environment = {"RIG_PORT": str(port), "RIG_STATE": str(folder)}
    with gestaltd(folder, [ROOT / "tests" / "support" / "plugins" / "rig" / "gestalt.yaml"], environment, port) as host:
        yield host


def quickstart_host(folder: Path, overlay: str = "") -> Gestaltd:
    """The quickstart on a free port with its state in ``folder``; not started.

    Args:
        overlay: YAML that is laid over the quickstart's configuration.
    """
    port = free_port()
    home = folder / "quickstart"
    shutil.copytree(QUICKSTART / "items", home / "items")
    (home / "state").mkdir(mode=0o700)
    layer = folder / "overlay.yaml"
    layer.write_text(f"apiVersion: gestaltd.config/v5\nserver: {{public: {{port: {port}}}}}\n{overlay}")
    environment = {"QUICKSTART": str(home), "GESTALT_ENCRYPTION_KEY": "a key for tests only"}
    return Gestaltd([QUICKSTART / "gestalt.yaml", layer], environment, port, folder)


@contextlib.contextmanager
def quickstart(folder: Path, overlay: str = "") -> Iterator[Gestaltd]:
    """The quickstart, ready."""
    host = quickstart_host(folder, overlay)
    try:
        host.start()
        yield host
    finally:
        host.stop()
