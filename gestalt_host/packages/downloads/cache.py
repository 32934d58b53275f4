"""Archives by their digest, in a directory of the user's own (packaging.md 8.5).

What lies there is used only after its digest has been checked, so nothing that happens to the directory does harm: a
file that is not what its name says is removed and fetched anew.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from gestalt_host.packages.digests import sha256_of

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PARTIAL = ".partial"
ABANDONED_S = 3600
"""A partial file that nobody holds is removed after so long: its process was killed."""
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)

log = structlog.get_logger()


def is_digest(text: str) -> bool:
    """Return whether the text is a SHA-256 digest, 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def user_directory(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """Return the directory of the user for ``gestalt`` by the XDG rules; None for a user without a home.

    Args:
        variable: ``XDG_CACHE_HOME`` or ``XDG_CONFIG_HOME``; a path in it that is not absolute does not count.
        below_home: What stands below the home directory in its place.
    """
    named = environ.get(variable, "")
    if named.startswith("/"):
        return Path(named) / "gestalt"
    home = environ.get("HOME", "") or _home_of_user()
    return Path(home) / below_home / "gestalt" if home.startswith("/") else None


def _home_of_user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


class Partial:
    """A file that is being written in the partial area: its bytes so far, counted and digested."""

    def __init__(self, area: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=area)
        self.path = Path(name)
        self._file = os.fdopen(descriptor, "wb")
        with suppress(OSError):  # some network file systems have no locks
            # Kept locked, so that another process tells it from one that was left behind.
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def flush(self) -> None:
        self._file.flush()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def close(self) -> None:
        self._file.close()


class ArchiveCache:
    """The archives of one user.

    Args:
        directory: Where they lie; made when something is kept. None, or where it cannot be written: a temporary
            directory, which ``close`` removes.
    """

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self._temporary: Path | None = None

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> ArchiveCache:
        """Return the cache at ``${XDG_CACHE_HOME:-~/.cache}/gestalt/archives``."""
        above = user_directory(environ, "XDG_CACHE_HOME", ".cache")
        return cls(above / "archives" if above is not None else None)

    def take(self, sha256: str) -> Path | None:
        """Return the archive of this digest, which has just been checked; None when there is none."""
        for directory in (self._temporary, self.directory):
            path = directory / sha256 if directory is not None and is_digest(sha256) else None
            if path is not None and _is_file(path) and self._is_sound(path, sha256):
                return path
        return None

    def _is_sound(self, path: Path, sha256: str) -> bool:
        try:
            if sha256_of(path) == sha256:
                return True
            log.warning("archives.corrupt", path=str(path), text="it is not what its name says, and is fetched anew")
            path.unlink()
        except OSError:
            pass  # it is fetched, and whatever is wrong with the directory is told then
        return False

    @contextmanager
    def partial(self) -> Iterator[Partial]:
        """Give a file to write to; what has not been kept by the end is removed.

        Raises:
            OSError: the directory can be written, but this failed, such as for want of space.
        """
        area = self._area()
        _remove_abandoned(area)
        partial = Partial(area)
        try:
            yield partial
        finally:
            partial.close()
            partial.path.unlink(missing_ok=True)

    def keep(self, partial: Partial) -> Path:
        """Put a complete file under its digest, at once for everybody, and return where it is."""
        partial.flush()
        path = partial.path.parent.parent / partial.sha256
        partial.path.replace(path)
        return path

    def close(self) -> None:
        """Remove the temporary directory, if one was needed."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _area(self) -> Path:
        if self._temporary is None:
            try:
                return _made(self.directory)
            except OSError as error:
                if error.errno not in _UNWRITABLE:
                    raise
                self._temporary = Path(tempfile.mkdtemp(prefix="gestalt-archives-"))
                log.warning(
                    "archives.cache_unwritable",
                    path=str(self.directory or "no home directory"),
                    error=error.strerror,
                    text="archives are kept for this command alone and are fetched again by the next one",
                )
        return _made(self._temporary)


def _made(directory: Path | None) -> Path:
    """Return the partial area of a directory that only this user can write, and make both."""
    if directory is None:
        raise FileNotFoundError(errno.ENOENT, "the user has no home directory")
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    area = directory / _PARTIAL
    for path in (directory, area):
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.stat()
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EACCES, f"{path} belongs to the user with id {status.st_uid}")
        if stat.S_IMODE(status.st_mode) != 0o700:
            path.chmod(0o700)
    if not os.access(area, os.W_OK):
        raise PermissionError(errno.EACCES, "it cannot be written")
    return area


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _remove_abandoned(area: Path) -> None:
    """Remove what processes that were killed have left."""
    for path in area.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime > time.time() - ABANDONED_S:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)
