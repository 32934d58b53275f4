"""Putting a configuration file and its lock in place together.

Both are complete on the disk under other names before either is put in place, and a failure puts the first one back.
A process that is killed between the two leaves one new and one old file, each whole. The order is such that a host
serves what then is there, or says which command mends it: an entry is locked before it is configured, and not
configured any more before its lock goes.
"""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.packages.directory_locks import lock_directory

MODE = 0o600
WAIT_S = 60
"""For another command that puts files in place in the same directory."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file's new content, and what it was when the new one was made from it; None: the file did not exist."""

    path: Path
    before: bytes | None
    content: bytes


def content_of(path: Path) -> bytes | None:
    """Return what is in the file, None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def replace_together(replacements: Sequence[Replacement]) -> None:
    """Put all files in place, in this order; readable by their owner alone. A symbolic link stays one.

    Raises:
        CommandFailed: nothing was changed: a file cannot be written, or was changed by somebody else meanwhile.
    """
    with ExitStack() as stack:
        for directory in sorted({item.path.resolve().parent for item in replacements}):
            stack.enter_context(_locked(directory))
        staged = []
        for item in replacements:
            path = item.path.resolve()
            for left in path.parent.glob(f"{glob.escape(_prefix(path))}*"):
                left.unlink(missing_ok=True)  # by a command that was killed: no other one is here now
            staged.append((item, path, stack.enter_context(_staged(path, item.content))))
        for item, path, _ in staged:
            if content_of(path) != item.before:
                raise CommandFailed(f"{item.path}: was changed meanwhile; nothing was written, run the command again")
        done: list[tuple[Replacement, Path]] = []
        try:
            for item, path, temporary in staged:
                Path(temporary).replace(path)
                done.append((item, path))
                _keep_directory(path.parent)
        except OSError as error:
            for item, path in reversed(done):
                _put_back(path, item.before)
            raise _failed(staged[len(done)][0].path, error) from error


@contextmanager
def _staged(path: Path, content: bytes) -> Iterator[str]:
    """Give the name of a file beside the path that holds the content, safe on the disk."""
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)  # with mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            with suppress(FileNotFoundError, PermissionError):
                owner = path.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, MODE)
            os.fsync(descriptor)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise _failed(path, error) from error
    try:
        yield name
    finally:
        Path(name).unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.name}.gestaltd-"


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    with _staged(path, content) as name:
        Path(name).replace(path)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other commands from putting files in place in this directory at the same time."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _failed(directory, error) from error
    try:
        try:
            lock_directory(descriptor, WAIT_S)
        except OSError as error:
            raise _failed(directory, error) from error
        yield
    finally:
        os.close(descriptor)


def _keep_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: Path, error: OSError) -> CommandFailed:
    return CommandFailed(f"writing {path}: {(error.strerror or str(error)).lower()}; nothing was changed")
