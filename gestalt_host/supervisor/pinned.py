"""Files of an installed provider, compared with what was installed before each start of its process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.installed.readings import FileState, state_of
from gestalt_host.supervisor.errors import FilesChanged

_NAMED = 5
"""Of the files that are not as installed; there may be thousands."""


async def check_pinned(
    pinned: Iterable[tuple[Path, str]], compared: Mapping[Path, FileState] = MappingProxyType({})
) -> None:
    """Compare the files with their SHA-256.

    Args:
        compared: States in which files had it a moment ago; those that are in the same are not read.
    Raises:
        FilesChanged: naming those that are others or missing.
    """
    faults = await asyncio.to_thread(lambda: list(_faults(pinned, compared)))
    if faults:
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        text = "; ".join(f"{path} {what}" for path, what in faults[:_NAMED])
        names = ", ".join(path.name for path, _ in faults[:_NAMED])
        raise FilesChanged(f"it is not started: {text}{more}", reason=f"not as installed: {names}{more}")


def _faults(pinned: Iterable[tuple[Path, str]], compared: Mapping[Path, FileState]) -> Iterator[tuple[Path, str]]:
    for path, wanted in pinned:
        try:
            if (state := compared.get(path)) is not None and state == state_of(path.lstat()):
                continue
            found = sha256_of(path)
        except OSError as error:
            yield path, f"cannot be read: {(error.strerror or str(error)).lower()}"
        else:
            if found != wanted:
                yield path, f"is not the file that was installed: its sha256 is {found}, not {wanted}"
