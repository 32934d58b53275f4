"""Bare environments: a Python that has what was installed from files, and nothing of this checkout."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.support.commands import ROOT

_PIP = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--quiet")


@dataclass(frozen=True)
class Bare:
    """An environment of its own."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def program(self, name: str) -> Path:
        """Return the path of a program that a distribution has put there."""
        return self.folder / "bin" / name

    def run(self, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
        """Run a program with nothing of the tests' environment but PATH; return what it printed, or fail."""
        ended = subprocess.run(
            [*map(str, words)],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "HOME": str(cwd), **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout


def bare(folder: Path, requirement: str, *links: Path) -> Bare:
    """Make an environment and install the requirement into it from the directories of files, without a network."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    made = Bare(folder)
    found = [word for link in links for word in ("--find-links", str(link))]
    # Byte code is written by what is run; compiling everything takes longer than the installation.
    command = [*_PIP, "--python", str(made.python), "install", "--no-index", "--no-compile", *found, requirement]
    subprocess.run(command, check=True, timeout=300)
    return made


def wheelhouse() -> Path:
    """Return a directory with wheels of everything that our distributions require; filled from the package index once.

    It is made anew when a requirement or a pin changes, and `make clean` removes it.
    """
    sdk = tomllib.loads((ROOT / "gestalt_sdk" / "pyproject.toml").read_text())["project"]["dependencies"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    host = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["dependencies"]
    pins = (ROOT / "constraints.txt").read_text()
    requirements = [*sdk, *host, *project["project"]["optional-dependencies"]["release"]]
    about = "\n".join([sys.version, pins, *requirements])
    folder = ROOT / "build" / "wheelhouse" / sha256(about.encode()).hexdigest()[:16]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            made = Path(scratch, "made")
            options = ("--only-binary", ":all:", "--constraint", str(ROOT / "constraints.txt"), "--dest", str(made))
            subprocess.run([*_PIP, "download", *options, *requirements], check=True, timeout=300)
            with contextlib.suppress(OSError):  # another worker of pytest has just made it
                made.rename(folder)
    return folder


def code_blocks(page: Path) -> dict[str, str]:
    """Return the code blocks of a page by language; the first one of each."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return dict(reversed(found))
