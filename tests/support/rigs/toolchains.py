"""Tools of other languages: stand-ins that write down how they were called, caches of the real ones, and grpcurl."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import ROOT

PLUGINS = ROOT / "tests" / "support" / "plugins"
PROGRAMS = {"go": ("go",), "rust": ("cargo", "rustc"), "typescript": ("node", "npm", "npx")}
"""What each of the plugins in other languages needs; folders of ``PLUGINS``."""
GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"
BUILD_S = 600.0


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


def cache() -> Path:
    """Return the folder of what all tests and checkouts share, outside of any clone."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gestalt-tests"


def cached_environ() -> dict[str, str]:
    """Return the environment with caches that all tests and checkouts share."""
    return {**os.environ, "CARGO_TARGET_DIR": str(cache() / "cargo")}


def build_grpcurl() -> Path | str:
    """Return the real grpcurl, built from its Go module when it is first needed, or why there is none."""
    folder = cache() / GRPCURL.replace("/", "_")
    program = folder / "grpcurl"
    if program.exists():
        return program
    if shutil.which("go") is None:
        return "go not installed: nothing builds grpcurl"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        command, environ = ["go", "install", GRPCURL], {**os.environ, "GOBIN": fresh}
        built = subprocess.run(
            command, env=environ, cwd=fresh, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        if built.returncode != 0:
            return f"grpcurl cannot be built: {' '.join(built.stderr.strip().splitlines()[-1:])}"
        Path(fresh, "grpcurl").replace(program)
    return program


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    """The real grpcurl; the test is skipped where Go or the registry of its modules is not there."""
    built = build_grpcurl()
    return built if isinstance(built, Path) else pytest.skip(built)
