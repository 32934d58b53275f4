"""Files that a provider is made of, looked at again and again for changes (decision 54)."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gestalt_host.daemon.provider.authoring.dev_ignored import Rules

LOOK_S = 0.25
"""Between two looks, at least."""
MOST_LOOK_S = 2.0
"""Between two looks, at most."""
REST = 9
"""Times as long as a look took, nothing is done: thousands of files cost a tenth of a core and no more."""
MOST_UNSETTLED = 20
"""A file that is written all the time does not keep other changes waiting for more looks than these."""
State = tuple[int, int]
"""When a file was last written, in nanoseconds, and its size."""
Snapshot = Mapping[str, State]
"""By path, as text: there may be thousands, several times a second."""


def snapshot_of(paths: Iterable[Path]) -> Snapshot:
    """Return the state of each file among the paths, and of each below the folders among them that is not ignored."""
    found: dict[str, State] = {}
    for path in paths:
        if path.is_dir():
            _look(str(path), Rules.above(path), found)
        else:
            _note(path, found)
    return found


def _look(folder: str, rules: Rules, found: dict[str, State]) -> None:
    rules = rules.within(Path(folder))
    try:
        with os.scandir(folder) as listed:
            entries = list(listed)
    except OSError:  # it has just been removed
        return
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if rules.ignore(entry.path, is_folder=is_folder):
            continue
        if is_folder:
            _look(entry.path, rules, found)
        else:
            _note(entry, found)


def _note(file: Path | os.DirEntry[str], found: dict[str, State]) -> None:
    try:
        status = file.stat()
    except OSError:  # removed, or a link to nothing
        return
    if stat.S_ISREG(status.st_mode):
        found[os.fspath(file)] = (status.st_mtime_ns, status.st_size)


class Watcher:
    """Tells which files have changed, once they stay as they are from one look to the next."""

    def __init__(self, look: Callable[[], Snapshot]) -> None:
        """Look for the first time; what is there counts as known."""
        self._look = look
        self._known = self._previous = look()
        self._unsettled = 0

    def changed(self) -> list[Path]:
        """Look again; return the files that differ from what was known, in order, which they are from now on.

        While they are still changing nothing is returned yet: an editor, or a change of branches, writes several.
        """
        found = self._look()
        self._unsettled = 0 if found == self._previous else self._unsettled + 1
        self._previous = found
        if found == self._known or 0 < self._unsettled < MOST_UNSETTLED:
            return []
        changed = [Path(path) for path in {*found, *self._known} if found.get(path) != self._known.get(path)]
        self._known, self._unsettled = found, 0
        return sorted(changed)

    async def next_change(self) -> list[Path]:
        """Return the next files that have changed."""
        while True:
            began = time.monotonic()
            if changed := await asyncio.to_thread(self.changed):
                return changed
            await asyncio.sleep(pause_after(time.monotonic() - began))


def pause_after(took_s: float) -> float:
    """Return how many seconds to wait after a look that took so long."""
    return min(max(LOOK_S, REST * took_s), MOST_LOOK_S)
