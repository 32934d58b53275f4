"""Whether the files of an open database are still those that its path names.

Files that were deleted or replaced can be written as before, and everything written to them is lost when they are
closed. So each commit is followed by a look at them before anybody is told that it is durable (decision 35).
"""

from __future__ import annotations

from pathlib import Path


class FilesInUse:
    """The database, its log and the log's index, as they were when the database was opened."""

    def __init__(self, path: Path) -> None:
        """Take them as they are now."""
        self._path = path
        files = (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")))
        self._files = [(file, _identity(file)) for file in files]
        self._problem = ""

    def problem(self) -> str:
        """Look, and say what is wrong and what to do; blank when all are in their place."""
        for file, identity in self._files:
            if _identity(file) != identity:
                self._problem = self._describe(file)
                return self._problem
        self._problem = ""
        return ""

    @property
    def last_problem(self) -> str:
        """Say what was wrong at the last look, if it still is; blank when nothing was."""
        return self.problem() if self._problem else ""

    def _describe(self, file: Path) -> str:
        folder = self._path.parent
        what = f"file {file} was replaced" if file.exists() else f"file {file} was deleted"
        if not folder.is_dir():
            what = f"directory {folder} was deleted"
        return (
            f"database {self._path}: {what} while it was in use, so nothing is read or written any more. If the files "
            "were moved, move them back and it goes on; else stop the host, restore the database from a backup "
            "(gestaltd store restore) and start the host again"
        )


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
