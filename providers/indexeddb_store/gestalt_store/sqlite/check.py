"""Backup, restore and check of the databases of a DSN; a store may be serving them meanwhile."""

from __future__ import annotations

import io
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson
from google.protobuf.message import DecodeError

from gestalt_store.errors import DatabaseUnusable, StorageCorrupt, StoreError
from gestalt_store.sqlite import tables
from gestalt_store.sqlite.failures import translated
from gestalt_store.sqlite.files import FileLock, database_path, make_private
from gestalt_store.sqlite.formats import APPLICATION_ID, FORMAT, database_name
from gestalt_store.sqlite.tables import SqliteStore
from gestalt_store.values import wire
from gestalt_store.values.keys import Encoded

_CONTENTS = "backup.json"
_PROBLEM_LIMIT = 100


def databases_of(base: Path) -> dict[str, Path]:
    """Every database of the DSN that exists, by name; the unnamed one is blank."""
    found: dict[str, Path] = {}
    for path in sorted({base, *base.parent.glob(f"{base.stem}.*{base.suffix}")}):
        if not path.is_file():
            continue
        try:
            with _reading(path) as connection:
                db = database_name(connection)
        except StoreError:
            continue
        if database_path(base, db) == path:
            found[db] = path
    return found


def backup(base: Path, target: Path, only: Sequence[str] = ()) -> list[str]:
    """Write the databases into one archive, each as it was at one moment; returns their names.

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
    """Put the databases of an archive in place; returns their names. Nothing that exists is overwritten.

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


def check(path: Path) -> list[str]:
    """What is wrong with a database file, empty when nothing is: its structure, and every index row and key."""
    problems: list[str] = []
    try:
        _check(path, problems)
    except StorageCorrupt as error:
        problems.append(str(error))
    return problems


def _check(path: Path, problems: list[str]) -> None:
    with _reading(path) as connection:
        connection.execute("BEGIN")
        for (text,) in connection.execute("PRAGMA integrity_check(20)").fetchall():
            if text != "ok":
                problems.append(str(text))
        for store in tables.load_stores(connection).values():
            for problem in _check_store(connection, store):
                problems.append(f"object store {store.name!r}: {problem}")
                if len(problems) >= _PROBLEM_LIMIT:
                    problems.append("and more")
                    return


def _check_store(connection: sqlite3.Connection, store: SqliteStore) -> Iterator[str]:
    entries = [0] * len(store.indexes)
    for number, key, value in connection.execute(f"SELECT id, key, value FROM {store.table}"):
        try:
            fields = wire.Record.FromString(value).fields
            if store.schema.primary_key(fields) != key:
                yield f"record {number} is stored under a key that is not its own"
            index_keys = store.schema.index_keys(fields)
        except (DecodeError, StoreError) as error:
            yield f"record {number} cannot be read: {error}"
            continue
        for position, (index, expected) in enumerate(zip(store.indexes, index_keys, strict=True)):
            if expected is None:
                continue
            entries[position] += 1
            row = connection.execute(
                f"SELECT ties, record FROM {index.table} WHERE key = ? AND pk = ?", (expected.order, key)
            ).fetchone()
            if row is None or Encoded(expected.order, row[0]) != expected or row[1] != number:
                yield f"index {index.schema.name!r} has no right row for record {number}"
    for index, expected_rows in zip(store.indexes, entries, strict=True):
        rows = connection.execute(f"SELECT count(*) FROM {index.table}").fetchone()[0]
        if rows != expected_rows:
            yield f"index {index.schema.name!r} has {rows} rows for {expected_rows} records"
        if index.schema.unique:
            doubled = connection.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {index.table} GROUP BY key, ties HAVING count(*) > 1)"
            ).fetchone()[0]
            if doubled:
                yield f"unique index {index.schema.name!r} has {doubled} keys more than once"


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise DatabaseUnusable(f"{path} does not exist")
    with translated(path):
        # Not mode=ro: a reader of a database in WAL mode may have to recover its log.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10)
        try:
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise DatabaseUnusable(f"{path} is not a database of the store")
            number = connection.execute("PRAGMA user_version").fetchone()[0]
            if number > FORMAT:
                raise DatabaseUnusable(f"{path} has format {number}, this version reads up to {FORMAT}")
            yield connection
        finally:
            connection.close()


def _copy(path: Path, copy: Path) -> None:
    make_private(copy)
    with _reading(path) as source, translated(copy):
        target = sqlite3.connect(copy, isolation_level=None)
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()


def _contents(archive: tarfile.TarFile, source: Path) -> list[tuple[str, str]]:
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
        with _reading(partial) as connection:
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
