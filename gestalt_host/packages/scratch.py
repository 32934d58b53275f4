"""Scratch directories, removed at the end of their use, or by the next one where the process was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "gestaltd-"


@contextmanager
def scratch_directory(purpose: str) -> Iterator[Path]:
    """Give an empty directory of mode 0700 whose name says what it is for.

    It is locked while it is used, by which another process tells it from one that was left behind. Those of the same
    user and purpose are removed first.

    Raises:
        OSError: none can be made.
    """
    prefix = f"{_PREFIX}{purpose}-"
    base = Path(tempfile.gettempdir())
    _remove_abandoned(base, prefix)
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    descriptor = _locked(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _remove_abandoned(base: Path, prefix: str) -> None:
    with suppress(OSError):
        for path in base.glob(f"{prefix}*"):
            status = path.lstat()
            if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
                continue
            # One that has just been made may not be locked yet; nobody has put anything into it either.
            if next(path.iterdir(), None) is not None and (descriptor := _locked(path)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(descriptor)


def _locked(directory: Path) -> int | None:
    """Lock the directory and return its descriptor, None where another process has it or there are no locks."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
