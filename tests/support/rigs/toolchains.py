"""Tools of other languages: stand-ins that write down how they were called, and the caches of the real ones."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import ROOT

PLUGINS = ROOT / "tests" / "support" / "plugins"
PROGRAMS = {"go": ("go",), "rust": ("cargo", "rustc"), "typescript": ("node", "npm", "npx")}
"""What each of the plugins in other languages needs; folders of ``PLUGINS``."""


@dataclass(frozen=True)
class Tools:
    """A search path of stand-ins."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.folder}:/usr/bin:/bin", "CALLS": str(self.folder / "calls")}

    def write(self, name: str, script: str) -> Path:
        """Make a program that writes down its arguments and then runs the shell script."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "$CALLS"\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def calls(self, words: str) -> int:
        """Return how often something was called with arguments that begin so."""
        path = self.folder / "calls"
        return sum(line.startswith(words) for line in path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Tools(folder)


def require(language: str) -> None:
    """Skip the test where the language's tools are not installed."""
    missing = [name for name in PROGRAMS[language] if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: nothing builds the plugin in {language}")


def cached_environ() -> dict[str, str]:
    """Return the environment with caches that all tests and checkouts share, outside of any clone."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return {**os.environ, "CARGO_TARGET_DIR": str(home / "gestalt-tests" / "cargo")}
