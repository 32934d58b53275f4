"""Putting a new directory in the place of an old one, so that whoever looks finds one of the two, whole.

One installer at a time works in a parent directory: it holds a lock on the directory itself, which the system lets go
when the process ends. What an interrupted one has left there therefore belongs to nobody, and is removed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gestalt_host.packages.directory_locks import lock_directory
from gestalt_host.packages.errors import PackageInvalid

WAIT_S = 600
"""For another installation in the same parent directory."""
_AT_FDCWD = {"linux": -100, "darwin": -2}
_EXCHANGE = 2
"""``RENAME_EXCHANGE`` of Linux, ``RENAME_SWAP`` of macOS."""
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV)


@contextmanager
def installing_into(directory: Path, wait_s: float = WAIT_S) -> Iterator[Path]:
    """Give an empty directory beside the named one, of mode 0700; what is in it at the end is removed.

    Leftovers of interrupted installations are removed first, and an old state that one had put aside is put back.

    Raises:
        PackageInvalid: the parent directory cannot be locked, or another installation there does not end.
        OSError: something cannot be made.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, directory.parent, wait_s)
        _clean(directory)
        new = Path(tempfile.mkdtemp(prefix=_prefix(directory, "new"), dir=directory.parent))
        try:
            yield new
        finally:
            remove(new)
    finally:
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Remove what an interrupted installation has left beside the directory, unless another one is at work there.

    Raises:
        OSError: it cannot be removed.
    """
    if not any(_leftovers(directory)):
        return
    descriptor = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(TimeoutError):
            lock_directory(descriptor, 0)
            _clean(directory)
    finally:
        os.close(descriptor)


def put_in_place(new: Path, directory: Path) -> None:
    """Let the new directory take the place of the old one, in one step where the file system can do that.

    Raises:
        OSError: it cannot be renamed.
    """
    if not os.path.lexists(directory):
        new.rename(directory)
    elif not _exchange(new, directory):
        # Between the two an interruption leaves the old state aside; the next installation puts it back.
        aside = new.with_name(new.name.replace(_prefix(directory, "new"), _prefix(directory, "old"), 1))
        directory.rename(aside)
        new.rename(directory)
        remove(aside)


def remove(path: Path) -> None:
    """Remove a file, a link or a directory with all that is in it; what is not there is no fault."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def _prefix(directory: Path, word: str) -> str:
    return f".{directory.name}.{word}-"


def _lock(descriptor: int, parent: Path, wait_s: float) -> None:
    try:
        lock_directory(descriptor, wait_s)
    except TimeoutError:
        raise PackageInvalid(f"{parent}: another installation there has not ended for {wait_s:g} s") from None
    except OSError as error:
        raise PackageInvalid(
            f"{parent}: cannot be locked ({error.strerror}); accepted is a directory on a local file system"
        ) from error


def _clean(directory: Path) -> None:
    for entry in _leftovers(directory):
        if entry.name.startswith(_prefix(directory, "old")) and not os.path.lexists(directory):
            entry.rename(directory)
        else:
            remove(entry)


def _leftovers(directory: Path) -> list[Path]:
    prefixes = (_prefix(directory, "old"), _prefix(directory, "new"))
    return sorted(entry for entry in directory.parent.iterdir() if entry.name.startswith(prefixes))


def _exchange(one: Path, other: Path) -> bool:
    """Exchange what two names stand for; False where system or file system cannot."""
    name = {"linux": "renameat2", "darwin": "renameatx_np"}.get(sys.platform, "")
    call = getattr(ctypes.CDLL(None, use_errno=True), name, None) if name else None
    if call is None:
        return False
    place = _AT_FDCWD[sys.platform]
    if call(place, os.fsencode(one), place, os.fsencode(other), ctypes.c_uint(_EXCHANGE)) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(other))
