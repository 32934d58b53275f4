"""Turn errors of sqlite3 into the store's own; the only place that reads their texts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gestalt_store.errors import ObjectStoreNotFound, StorageCorrupt, StorageUnavailable, StoreError

_CORRUPT = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}
_REASONS = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "the database is read-only",
    "SQLITE_CANTOPEN": "the database file cannot be opened",
    "SQLITE_IOERR": "input/output error",
    "SQLITE_BUSY": "another program has locked the database",
    "SQLITE_PERM": "access to the database file is denied",
    "SQLITE_NOMEM": "out of memory",
}


def translate(error: sqlite3.Error, path: Path, store: str | None = None) -> StoreError:
    """Return the error to raise instead; ``store`` names the object store that was read, when there was one."""
    name = str(getattr(error, "sqlite_errorname", "") or "")
    base = "_".join(name.split("_")[:2])
    if base in _CORRUPT:
        return StorageCorrupt(f"{path}: the database is damaged ({error}); restore it from a backup")
    if store is not None and "no such table" in str(error):
        return ObjectStoreNotFound(store)
    reason = _REASONS.get(base)
    if reason is None:
        return StorageUnavailable(f"{path}: {error}")
    return StorageUnavailable(f"{path}: {reason} ({name})")


@contextmanager
def translated(path: Path, store: str | None = None) -> Iterator[None]:
    """Raise the store's own error in place of one of sqlite3."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path, store) from error
