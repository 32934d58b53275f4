"""The files of databases: their names, private creation, and the lock that keeps other processes out."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from gestalt_store.errors import DatabaseUnusable

_MEMORY_PREFIX = "gestalt-store-"
_LONGEST_NAME = 120


def database_path(base: Path, db: str) -> Path:
    """Return the file of a database: the DSN's own path for the unnamed one, else one beside it named after it."""
    if not db:
        return base
    safe = quote(db, safe="").replace(".", "%2E")
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[:80]}%{hashlib.sha256(db.encode()).hexdigest()[:32]}"
    return base.with_name(f"{base.stem}.{safe}{base.suffix}")


def make_private(path: Path) -> None:
    """Create the file for this user only.

    The directory must be there: in a path that was mistyped it is not, and a database made there would be empty.

    Raises:
        DatabaseUnusable: naming the path and the reason.
    """
    folder = path.parent
    try:
        if not folder.exists():
            raise DatabaseUnusable(f"cannot open database {path}: {_no_directory(folder)}")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(handle).st_mode & 0o077:
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except OSError as error:
        raise DatabaseUnusable(f"cannot open database {path}: {error.strerror or error}") from error


def why_unusable(path: Path) -> str:
    """Return why the file cannot be opened, as far as it shows without opening it; empty when nothing does."""
    folder = path.parent
    try:
        if not folder.exists():
            return _no_directory(folder)
        if not folder.is_dir():
            return f"{folder} is not a directory"
        if path.exists() and not path.is_file():
            return f"{path} is not a file"
    except OSError as error:
        return error.strerror or str(error)
    needed = path if path.exists() else folder
    return "" if os.access(needed, os.R_OK | os.W_OK) else f"{needed} cannot be read and written by this user"


def _no_directory(folder: Path) -> str:
    return (
        f"the directory {folder} does not exist; correct the dsn, "
        f"or make the directory if the database is to be a new one: mkdir -p {shlex.quote(str(folder))}"
    )


def make_directory(path: Path) -> None:
    """Create the directory of a file that is about to be restored, for this user only.

    Raises:
        OSError
    """
    missing = []
    folder = path.parent
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


class FileLock:
    """Held while this process uses a database file; the lock file beside it names the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            DatabaseUnusable: another process has it.
        """
        self._path = lock_path(path)
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnusable(f"cannot open {self._path}: {error.strerror or error}") from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._handle, 32, 0).decode(errors="replace").strip()
            os.close(self._handle)
            raise DatabaseUnusable(
                f"database {path} is in use by process {holder or 'unknown'}; "
                "one store process serves a file, so stop that one or configure another dsn"
            ) from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next process in. The lock file stays: removing it would race with one that opens it."""
        if self._handle >= 0:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1


def lock_path(path: Path) -> Path:
    """Return the lock file of a database file."""
    return path.with_name(path.name + ".lock.pid")


class MemoryFolder:
    """The private folder behind ``sqlite://:memory:``: gone when closed, or swept up by a later process after a crash.

    A database that many connections share and read while another writes needs a file, so these have one, in memory
    where the system offers that.
    """

    def __init__(self) -> None:
        root = Path("/dev/shm")
        if not (root.is_dir() and os.access(root, os.W_OK)):
            root = Path(tempfile.gettempdir())
        _sweep(root)
        self.path = Path(tempfile.mkdtemp(prefix=f"{_MEMORY_PREFIX}{os.getpid()}-", dir=root))

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _sweep(root: Path) -> None:
    for folder in root.glob(f"{_MEMORY_PREFIX}*-*"):
        pid = folder.name.removeprefix(_MEMORY_PREFIX).split("-")[0]
        try:
            if pid.isdecimal() and folder.stat().st_uid == os.getuid() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
