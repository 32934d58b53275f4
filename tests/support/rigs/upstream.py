"""The scripted HTTP service behind plugins without code, and hosts that serve such plugins."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.recordings import TOOLS
from tests.support.rigs.gestaltd import Gestaltd, free_port, gestaltd
from tests.support.waiting import until

HOSTS = ("127.0.0.1", "127.0.0.2")
"""Where the service listens, on one port: what it calls ``main`` and ``other``."""
CONFIG = """\
apiVersion: gestaltd.config/v5
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
providers:
  indexeddb:
    main: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "sqlite://{folder}/state.db"}}}}
"""
WORKFLOW = """\
  workflow:
    local:
      source: {{builtin: indexeddb}}
      default: true
      indexeddb: {{provider: main, db: workflow}}
      config: {{pollInterval: 1s}}
"""


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    """Run the service of the recordings; yield its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(TOOLS / "upstream.py"), str(port)], stdin=subprocess.DEVNULL)
    try:
        until(lambda: all(listens(host, port) for host in HOSTS), within_s=30, what=lambda: "upstream listens")
        yield port
    finally:
        process.terminate()
        process.wait()


def listens(host: str, port: int) -> bool:
    """Tell whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@contextlib.contextmanager
def serving_plugins(
    folder: Path, plugins: str, manifests: Mapping[str, str], *, workflow: bool = False
) -> Iterator[Gestaltd]:
    """Serve plugins without code; yield the host, ready.

    Args:
        plugins: YAML of the configuration from ``plugins:`` on, and of what else it has.
        manifests: Texts by the names of the folders that they are written to, beside the configuration.
        workflow: Whether there is a workflow provider, with its store.
    """
    for name, text in manifests.items():
        (folder / name).mkdir()
        (folder / name / "manifest.yaml").write_text(text)
    port = free_port()
    head = CONFIG + (WORKFLOW if workflow else "")
    config = folder / "gestalt.yaml"
    config.write_text(head.format(port=port, folder=folder) + plugins)
    with gestaltd(folder, [config], {}, port) as host:
        yield host
