"""Temporary directories of provider sockets: private, with short paths, and swept when their host was killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from gestalt_host.errors import HostError
from gestalt_host.supervisor.launching.strays import strays_of
from gestalt_sdk.common.process_identity import ProcessIdentity

PREFIX = "gstp-"
ORPHAN_GRACE_S = 3.0
LONGEST_BASE_BYTES = 70
"""The path of a socket may have 103 bytes, on some systems; the directory's name takes 14, a socket's up to 18."""
LONGEST_PATH_BYTES = LONGEST_BASE_BYTES + 14
"""Of a directory: its label is cut to what is left."""
_RANDOM_CHARS = 8
_UNREADABLE = re.compile(r"[^A-Za-z0-9_.-]+")
_OWNER, _CHILD = "owner", "child"
_POLL_S = 0.05

log = structlog.get_logger()


def base_directories() -> list[Path]:
    """Return where socket directories may be, shortest first: the path of a socket is limited to about 100 bytes."""
    names = ["/tmp", "/var/tmp", "/dev/shm", "."]
    with contextlib.suppress(OSError):  # It can write nowhere.
        names.insert(1, tempfile.gettempdir())
    return [Path(name) for name in dict.fromkeys(names)]


def directories_in(bases: Iterable[Path]) -> Iterator[Path]:
    """Yield the ``gstp-*`` directories of every owner, by name in each of the places."""
    for base in dict.fromkeys(path.absolute() for path in bases):
        with contextlib.suppress(OSError):
            yield from sorted(base.glob(f"{PREFIX}*"))


def make_directory(label: str = "") -> Path:
    """Make a fresh ``gstp-*`` directory, mode 0700, that names this process as the one it belongs to.

    Args:
        label: For people who see its name: as much of it as the path has room for, other characters as ``_``.
    Raises:
        HostError: none of the base directories can be written to and has a path that is short enough.
    """
    for base in base_directories():
        if len(os.fsencode(base.absolute())) > LONGEST_BASE_BYTES:
            continue
        try:
            directory = Path(tempfile.mkdtemp(prefix=_prefix(label, base), dir=base)).absolute()
        except OSError:
            continue
        try:
            (directory / _OWNER).write_text(str(ProcessIdentity.of(os.getpid())))
        except OSError:  # the disk is full: what names no owner would be left for ever
            remove_directory(directory)
            continue
        return directory
    tried = ", ".join(map(str, base_directories()))
    raise HostError(
        f"no directory for sockets can be made in {tried}; set TMPDIR to one that can be written to and whose path has "
        f"at most {LONGEST_BASE_BYTES} bytes"
    )


def _prefix(label: str, base: Path) -> str:
    room = LONGEST_PATH_BYTES - len(os.fsencode(base.absolute())) - len(f"/{PREFIX}-") - _RANDOM_CHARS
    shown = _UNREADABLE.sub("_", label)[: max(0, room)]
    return f"{PREFIX}{shown}-" if shown else PREFIX


def restore_directory(directory: Path) -> bool:
    """Make the directory again where somebody has removed it; return whether that was so.

    Raises:
        HostError: its path belongs to somebody else by now.
        OSError: it cannot be made.
    """
    try:
        found = directory.lstat()
    except FileNotFoundError:
        directory.mkdir(mode=0o700, parents=True)
        (directory / _OWNER).write_text(str(ProcessIdentity.of(os.getpid())))
        return True
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise HostError(f"{directory} is not this host's directory any more")
    return False


def note_child(directory: Path, pid: int) -> None:
    """Note the provider's process, so that a later host can end it if this one is killed.

    A full disk keeps no provider from running: without the note its group still ends with this host.
    """
    try:
        (directory / _CHILD).write_text(str(ProcessIdentity.of(pid)))
    except OSError as error:
        log.warning("process of a provider cannot be noted", event_name="provider.not_noted", pid=pid, error=str(error))


def remove_directory(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


async def sweep_stale(bases: Iterable[Path] | None = None) -> int:
    """Remove what hosts of this user left behind when they were killed: orphaned providers with what they
    started, then their directories.

    Directories of running hosts, of other users and of other PID namespaces are left alone. Returns how many were
    removed.
    """
    stale = list(_stale_directories(base_directories() if bases is None else bases))
    orphans = [orphan for directory in stale for orphan in _orphans(directory)]
    if orphans:
        log.warning(
            "ending providers of a host that was killed",
            event_name="orphans.ending",
            pids=[orphan.pid for orphan in orphans],
        )
        await _end(orphans)
    for directory in stale:
        remove_directory(directory)
    return len(stale)


def _stale_directories(bases: Iterable[Path]) -> Iterator[Path]:
    for directory in directories_in(bases):
        owner = _read(directory / _OWNER)
        if owner is not None and (owner.is_of_an_earlier_boot() or owner.has_ended()):
            yield directory


def _read(path: Path) -> ProcessIdentity | None:
    try:
        if path.parent.lstat().st_uid != os.getuid():
            return None
        return ProcessIdentity.parse(path.read_text())
    except (OSError, UnicodeDecodeError):
        return None


def _orphans(directory: Path) -> Iterator[ProcessIdentity]:
    """Yield the provider, where it still runs, and what else is left of what it has started."""
    child = _read(directory / _CHILD)
    if child is None or not child.is_of_this_boot():
        return
    if child.is_running():
        yield child
    yield from (stray for stray in strays_of(directory) if stray != child)


async def _end(processes: list[ProcessIdentity]) -> None:
    for number, wait_s in ((signal.SIGTERM, ORPHAN_GRACE_S), (signal.SIGKILL, 1.0)):
        for process in processes:
            if process.is_running():
                os.kill(process.pid, number)
        waited = 0.0
        while waited < wait_s and any(process.is_running() for process in processes):
            await asyncio.sleep(_POLL_S)
            waited += _POLL_S
