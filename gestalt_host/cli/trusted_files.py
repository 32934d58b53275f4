"""Reading files that decide where requests and tokens go: nobody else may be able to write them."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path


class WritableByOthers(Exception):
    """The file, or its folder, can be changed by somebody else; the text says who may do what, and what to do."""


def read(path: Path) -> bytes:
    """Return the file's content.

    Raises:
        WritableByOthers: another user than this one and root owns it or may write it, or may replace it in its folder.
        OSError: it cannot be read.
    """
    if sys.platform == "win32":
        return path.read_bytes()  # who may write is said in another way there
    # Non-blocking, so that a FIFO in its place does not hold the command up.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise IsADirectoryError(None, "it is not a file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        _check(path, status, "file")
        for folder in {path.parent, path.resolve().parent}:  # two where the file is a link
            _check(folder, folder.stat(), "folder")
        return file.read()


def _check(path: Path, status: os.stat_result, kind: str) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (0, os.geteuid()):
        raise WritableByOthers(
            f"others can write it: the {kind} {path} belongs to the user with id {status.st_uid}; "
            "make it your own, or name the server with --url"
        )
    if kind == "folder" and mode & stat.S_ISVTX:
        return  # in a sticky folder only the owner replaces a file
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_own_group(status.st_gid)):
        raise WritableByOthers(f"others can write it: the {kind} {path} has mode {mode:04o}; run: chmod go-w {path}")


def _is_own_group(group_id: int) -> bool:
    """Return whether the group is this user's alone, as where each user gets a group of the same name."""
    if group_id == 0:
        return True  # who is in it is root, or as good as
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
        group = grp.getgrgid(group_id)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
