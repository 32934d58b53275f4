#!/usr/bin/env python3
"""Build everything that a release consists of into dist/: the same bytes from the same commit.

Usage: python -m tools.release [DIRECTORY]

The directory is replaced as a whole when everything is there; a release that is interrupted leaves the one before.
Every time in an archive is that of the last commit, or the variable SOURCE_DATE_EPOCH, which must be set where there is
no git.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from gestalt_sdk.version import VERSION
from tools.generate_protos import ROOT
from tools.release_providers import providers

EPOCH = "SOURCE_DATE_EPOCH"
CHECKSUMS = "checksums.txt"


def main() -> int:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").absolute()
    try:
        os.environ[EPOCH] = epoch()
        for line in uncommitted():
            print(f"not as committed: {line}", file=sys.stderr)
        release(target)
    except subprocess.CalledProcessError as error:
        print(f"release: failed with status {error.returncode}: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    for path in sorted(target.rglob("*")):
        if path.is_file():
            print(f"{path.stat().st_size:>10}  {path.relative_to(target)}")
    print(f"release {VERSION} is in {target}")
    return 0


def release(target: Path) -> None:
    """Run every step into a directory beside the target, which then takes its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
        made, before = Path(beside, "made"), Path(beside, "before")
        made.mkdir()
        for step in STEPS:
            step(made)
        if target.exists():
            target.rename(before)
        made.rename(target)


def distributions(directory: Path, root: Path = ROOT) -> None:
    """Build a wheel and a source archive of gestaltd-sdk and of gestaltd into the directory.

    From a copy that has what git knows and nothing else: the build tool takes whole folders, with environments and
    databases that lie there.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tree = tracked(root, Path(scratch, "tree"))
        for folder in (tree / "gestalt_sdk", tree):
            command = [sys.executable, "-m", "hatchling", "build", "--directory", str(directory.absolute())]
            subprocess.run(command, cwd=folder, check=True)


def tracked(root: Path, copy: Path) -> Path:
    """Copy the files that git knows, as they are now; return the copy, or the root itself where there is no git."""
    names = _git(root, "ls-files", "-z")
    for name in filter(None, names.split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, copy / name)
    return copy if names else root


def checksums(directory: Path) -> None:
    """Write the SHA-256 of every file that the steps before have made, as `sha256sum --check` reads it."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory).as_posix()}\n" for path in files]
    (directory / CHECKSUMS).write_text("".join(lines))


STEPS: tuple[Callable[[Path], None], ...] = (distributions, providers, checksums)
"""Each writes its files into the directory; the checksums come last."""


def epoch() -> str:
    """Return the time that archives give for every file, in seconds since 1970.

    Raises:
        OSError: it is not set and git does not know it.
    """
    if given := os.environ.get(EPOCH):
        return given
    if time := _git(ROOT, "log", "-1", "--format=%ct").strip():
        return time
    raise OSError(f"{EPOCH} is not set, and git knows no commit of {ROOT}")


def uncommitted() -> list[str]:
    """Return the files that differ from the last commit or are not in it, as `git status` shows them."""
    return _git(ROOT, "status", "--porcelain", "--untracked-files=all").splitlines()


def _git(root: Path, *words: str) -> str:
    """Return what git says of the checkout, nothing where there is no git or no checkout."""
    if not (root / ".git").exists() or shutil.which("git") is None:
        return ""
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
