"""A host with the plugins of the recordings of `http/rest`, and the scripted HTTP service behind them."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.support.commands import ROOT
from tests.support.recordings import RECORDINGS
from tests.support.rigs.gestaltd import Gestaltd, free_port, gestaltd
from tests.support.rigs.upstream import upstream

RECORDED = RECORDINGS / "http" / "rest"
_CREDENTIALS = re.compile(r"^  externalCredentials:\n(?: {4}.*\n)+", re.MULTILINE)
"""The entry of a credential provider: this host keeps credentials itself, and refuses one."""


def fill_in(folder: Path, port: int, upstream_port: int) -> Path:
    """Copy the recorded configuration and its packages to ``folder``, placeholders filled; return the configuration."""
    shutil.copytree(RECORDED, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.jsonl", "README.md"))
    filled = {
        "PORT": str(upstream_port),
        "SERVER": str(port),
        "KEY": "7" * 64,
        "DSN": f"sqlite://{folder}/state.db",
        "STORE": str(ROOT / "providers" / "indexeddb_store" / "manifest.yaml"),
        "WORKFLOW": str(ROOT / "providers" / "indexeddb" / "manifest.yaml"),
    }
    config = folder / "gestalt.yaml"
    for path in (config, *folder.glob("*/manifest.yaml")):
        text = _CREDENTIALS.sub("", path.read_text())
        path.write_text(re.sub(r"@([A-Z]+)@", lambda found: filled[found[1]], text))
    return config


@contextlib.contextmanager
def recorded_plugins(folder: Path) -> Iterator[Gestaltd]:
    """Serve the plugins of the recordings; yield the host, ready. Its state and the service end with it."""
    with upstream() as upstream_port:
        port = free_port()
        config = fill_in(folder, port, upstream_port)
        with gestaltd(folder, [config], {}, port) as host:
            yield host
