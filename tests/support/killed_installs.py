"""Installs an archive again and again, each time killed at one more step: ``python -m tests.support.killed_installs``.

A step is anything that touches the file system and that Python tells its audit hooks of. Each attempt is a process of
its own (a fork), so what it leaves behind is what a host leaves behind that is killed there. Writes how many steps
there were, or the first state that is neither the old installation nor the new one.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from gestalt_host.packages.installed import swap
from gestalt_host.packages.installed.install import install
from gestalt_host.packages.installed.record import Expected, faults_of
from tests.support.rigs.archives import PACKAGE, sha256

STEPS = ("open", "os.", "shutil.", "tempfile.", "fcntl.", "ctypes.dlsym")
"""What the names of audit events begin with."""


def expected_of(archive: Path, version: str = "1.2.3") -> Expected:
    return Expected(PACKAGE, version, "indexeddb", sha256(archive.read_bytes()))


def killed_at(step: int, archive: Path, directory: Path) -> bool:
    """Install in a process that is killed at the step; tell whether it got so far."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, _: Sequence[object]) -> None:
            nonlocal count
            if event.startswith(STEPS):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        install(archive, directory, expected_of(archive), "linux/amd64")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if status != 0:
        raise SystemExit(f"step {step}: the installation failed")
    return False


def main(old: Path, new: Path, work: Path, mode: str) -> None:
    if mode == "renames":
        swap._exchange = lambda one, other: False
    step = 0
    while True:
        step += 1
        shutil.rmtree(work, ignore_errors=True)
        directory = work / "main"
        if mode != "first":
            install(old, directory, expected_of(old), "linux/amd64")
        if not killed_at(step, new, directory):
            break
        states = [faults_of(directory, expected_of(archive)) for archive in (old, new)]
        absent = not directory.exists()
        put_aside = mode == "renames" and any(path.name.startswith(".main.old-") for path in work.iterdir())
        if all(states) and not (absent and (mode == "first" or put_aside)):
            raise SystemExit(f"step {step}: {states}")
        try:
            install(work / "none", directory, expected_of(old), "linux/amd64")
        except Exception:  # it cannot be there; but before it failed it has cleaned up
            left = sorted(path.name for path in work.iterdir())
        if left not in ([], ["main"]) or (mode != "first" and not left):
            raise SystemExit(f"step {step}: left behind {left}")
        if left and all(faults_of(directory, expected_of(archive)) for archive in (old, new)):
            raise SystemExit(f"step {step}: neither old nor new after it was cleaned up")
    sys.stdout.write(f"{step - 1}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
