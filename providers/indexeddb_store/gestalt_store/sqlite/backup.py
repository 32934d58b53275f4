"""Backup and restore of the databases of a DSN, as one archive; a store may be serving them meanwhile."""

from __future__ import annotations

import io
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from gestalt_store.errors import DatabaseUnusable
from gestalt_store.sqlite.check import check, databases_of, reading
from gestalt_store.sqlite.failures import translated
from gestalt_store.sqlite.files import FileLock, database_path, make_directory, make_private
from gestalt_store.sqlite.formats import FORMAT, database_name

_CONTENTS = "backup.json"


def backup(base: Path, target: Path, only: Sequence[str] = ()) -> list[str]:
    """Write the databases into one archive, each as it was at one moment; return their names.

    Raises:
        DatabaseUnusable: there is nothing to back up, a named database is missing, or the target exists.
    """
    present = databases_of(base)
    missing = sorted(set(only) - set(present))
    if missing or not present:
        raise DatabaseUnusable(f"{base}: no database {', '.join(map(repr, missing)) or 'at all'}")
    wanted = {db: path for db, path in present.items() if not only or db in only}
    if target.exists():
        raise DatabaseUnusable(f"{target} exists; choose another file")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as scratch:
        partial = Path(scratch) / "archive"
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            listed = []
            for number, (db, path) in enumerate(sorted(wanted.items())):
                copy = Path(scratch) / f"{number}.db"
                _copy(path, copy)
                archive.add(copy, copy.name)
                copy.unlink()
                listed.append({"db": db, "file": copy.name})
            contents = {"format": FORMAT, "created": datetime.now(UTC).isoformat(), "databases": listed}
            data = orjson.dumps(contents)
            entry = tarfile.TarInfo(_CONTENTS)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
            archive.close()
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
    return sorted(wanted)


def restore(source: Path, base: Path) -> list[str]:
    """Put the databases of an archive in place; return their names. Nothing that exists is overwritten.

    Raises:
        DatabaseUnusable: not a backup, a database is in the way or in use, or one is damaged.
    """
    try:
        with tarfile.open(source) as archive:
            listed = _contents(archive, source)
            in_the_way = [str(path) for db, _ in listed if (path := database_path(base, db)).exists()]
            if in_the_way:
                raise DatabaseUnusable(f"{', '.join(in_the_way)} exists; move it away or restore to another dsn")
            for db, name in listed:
                _restore_one(archive, name, database_path(base, db), db)
            return sorted(db for db, _ in listed)
    except (tarfile.TarError, OSError, KeyError) as error:
        raise DatabaseUnusable(f"{source} cannot be restored: {error}") from error


def _copy(path: Path, copy: Path) -> None:
    make_private(copy)
    with reading(path) as source, translated(copy):
        target = sqlite3.connect(copy, isolation_level=None)
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()


def _contents(archive: tarfile.TarFile, source: Path) -> list[tuple[str, str]]:
    """Return name and file of each database in the archive."""
    try:
        member = archive.extractfile(_CONTENTS)
        assert member is not None
        contents = orjson.loads(member.read())
        number = contents["format"]
        listed = [(str(entry["db"]), str(entry["file"])) for entry in contents["databases"]]
    except (KeyError, TypeError, AssertionError, orjson.JSONDecodeError):
        raise DatabaseUnusable(f"{source} is not a backup of the store") from None
    if number > FORMAT:
        raise DatabaseUnusable(f"{source} has format {number}, this version reads up to {FORMAT}")
    return listed


def _restore_one(archive: tarfile.TarFile, name: str, path: Path, db: str) -> None:
    partial = path.with_name(path.name + ".restoring")
    make_directory(partial)
    make_private(partial)
    lock = FileLock(path)
    try:
        member = archive.extractfile(name)
        if member is None:
            raise DatabaseUnusable(f"the archive has no file {name}")
        with partial.open("wb") as file:
            while chunk := member.read(1 << 20):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        with reading(partial) as connection:
            held = database_name(connection)
        if held != db:
            raise DatabaseUnusable(f"{name} in the archive holds database {held!r}, not {db!r}")
        problems = check(partial)
        if problems:
            raise DatabaseUnusable(f"database {db!r} in the archive is damaged: {problems[0]}")
        partial.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        partial.unlink(missing_ok=True)
        lock.release()
