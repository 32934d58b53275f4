"""Our own providers as they are released, made once for each state of the sources that go into them.

They are kept in ``${XDG_CACHE_HOME:-~/.cache}/gestalt-tests/releases``, outside of the checkout: those of the last
states, since the tests of other checkouts may be using theirs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from gestalt_host.packages.digests import sha256_of
from tests.support.commands import ROOT
from tools.release import distributions
from tools.release_providers import providers

STORE, WORKFLOW = "indexeddb/relationaldb", "workflow/indexeddb"
PLUGINS = ("roadmap", "search", "slack")
_FOLDERS = ("providers/indexeddb", "providers/indexeddb_store", *(f"examples/plugins/{name}" for name in PLUGINS))
_MADE_FROM = (
    *(
        "gestalt_sdk",
        "providers",
        "examples/plugins",
        "gestalt_host/packages/releasing",
        "gestalt_host/packages/archives",
    ),
    *("gestalt_host/packages/languages", "tools/release_providers.py", "constraints.txt"),
)
_KEPT = 5
_SUFFIXES = (".py", ".toml", ".yaml", ".md", ".json", ".txt")


@cache
def released() -> Path:
    """Return a folder with ``providers/<package path>`` for the store, the workflow provider and three plugins."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gestalt-tests" / "releases"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / _digest()
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of a test run need the same ones
        if not wanted.is_dir():
            made_before = sorted(
                (path for path in cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime
            )
            for older in made_before[:-_KEPT]:
                shutil.rmtree(older)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                made = Path(folder, "made")
                made.mkdir()
                distributions(made)
                providers(made, _FOLDERS)
                made.rename(wanted)
    return wanted


def archive_of(package_path: str) -> Path:
    """Return the archive of the provider with that package path."""
    (archive,) = (released() / "providers" / package_path).glob("*.tar.gz")
    return archive


def _digest() -> str:
    lines = [sys.version, *(f"{path.relative_to(ROOT)} {sha256_of(path)}" for path in sorted(_sources()))]
    return sha256("\n".join(lines).encode()).hexdigest()[:32]


def _sources() -> Iterator[Path]:
    for name in _MADE_FROM:
        path = ROOT / name
        yield from [path] if path.is_file() else (item for item in path.rglob("*") if item.suffix in _SUFFIXES)
