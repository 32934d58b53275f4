"""Files of an installed provider, compared with what was installed before each start of its process."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.installed.readings import FileState, state_of
from gestalt_host.supervisor.errors import FilesChanged

_NAMED = 5
"""Of the files that are not as installed; there may be thousands."""


async def check_pinned(
    pinned: Sequence[tuple[Path, str]],
    sealed: Path | None = None,
    compared: Mapping[Path, FileState] = MappingProxyType({}),
) -> None:
    """Compare the files with their SHA-256.

    Args:
        sealed: Directory that may hold no other files.
        compared: States in which files had their SHA-256 a moment ago; those that are in the same are not read.

    Raises:
        FilesChanged: naming those that are others, missing or added.
    """
    faults = await asyncio.to_thread(
        lambda: [*_faults(pinned, compared), *_added(sealed, {str(path) for path, _ in pinned})]
    )
    if faults:
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        text = "; ".join(f"{path} {what}" for path, what in faults[:_NAMED])
        names = ", ".join(path.name for path, _ in faults[:_NAMED])
        raise FilesChanged(f"it is not started: {text}{more}", reason=f"not as installed: {names}{more}")


def _faults(pinned: Iterable[tuple[Path, str]], compared: Mapping[Path, FileState]) -> Iterator[tuple[Path, str]]:
    for path, wanted in pinned:
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                yield path, "is no regular file any more"
                continue
            if path in compared and compared[path] == state_of(status):
                continue
            found = sha256_of(path)
        except OSError as error:
            yield path, f"cannot be read: {(error.strerror or str(error)).lower()}"
        else:
            if found != wanted:
                yield path, f"is not the file that was installed: its sha256 is {found}, not {wanted}"


def _added(directory: Path | None, known: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Yield whatever a directory holds besides directories and the files that are known; no link is followed."""
    if directory is None:
        return
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield directory, f"cannot be read: {(error.strerror or str(error)).lower()}"
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _added(Path(entry.path), known)
        elif entry.path not in known:
            yield Path(entry.path), "was added"
