"""The folder in which `gestaltd provider dev` keeps the state of its host, and who has it."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.packages.languages.digests import DEVELOPED

_LOCK = "lock"
_KEY = "key"


@contextmanager
def own_folder(root: Path) -> Iterator[Path]:
    """Give the folder below the provider's, which nobody else has meanwhile; version control does not see it.

    Raises:
        CommandFailed: another process has it, naming that; or it cannot be made.
    """
    folder = root / DEVELOPED
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)  # it may have come with a copy of the provider's
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CommandFailed(f"{folder}: {(error.strerror or str(error)).lower()}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            raise CommandFailed(f"{root} is run already: gestaltd provider dev, {who}") from None
        yield folder
    finally:
        os.close(descriptor)


def say_who(folder: Path, url: str) -> None:
    """Write into the folder which process has it, for others that want it."""
    (folder / _LOCK).write_text(f"process {os.getpid()}, at {url}\n", encoding="utf-8")


def kept_key(folder: Path) -> str:
    """Return the key that the host signs with, the same at every start: what it has signed stays good."""
    path = folder / _KEY
    if not path.exists():
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_hex(32))
        temporary.replace(path)
    return path.read_text(encoding="utf-8")
