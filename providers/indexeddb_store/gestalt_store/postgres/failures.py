"""Turn errors of psycopg into the store's own; the only place that reads SQLSTATEs.

Only the primary text of a server's message is passed on: details may quote keys, and neither they nor a DSN with its
password belong in an answer or a log.
"""

from __future__ import annotations

import psycopg
import structlog

from gestalt_store.errors import (
    DatabaseUnusable,
    ObjectStoreNotFound,
    StatementFailed,
    StorageCorrupt,
    StorageUnavailable,
    StoreError,
    TransactionAborted,
)

STORE_GONE = "GS404"
"""Raised by the function ``present`` of the layout: the store was deleted, perhaps by another process."""
_UNDEFINED_TABLE = "42P01"
_SERIALIZATION_FAILURE, _DEADLOCK = "40001", "40P01"
_NOT_PREPARED = "26000"
_LOCK_TIMEOUT = "55P03"
_IDLE_TIMEOUT = "25P03"
_READ_ONLY = "25006"
_DISK_FULL = "53100"
_CORRUPT = {"XX001", "XX002"}
_SHUTDOWN = {"57P01", "57P02", "57P03"}
_REFUSED = ("28", "3D", "42501", "0LP01")
"""Errors that an operator must mend: credentials, an unknown database, missing privileges."""

log = structlog.get_logger()


def retryable(error: psycopg.Error) -> bool:
    """Return whether the server has undone the transaction so that it can simply be run again."""
    return error.sqlstate in (_SERIALIZATION_FAILURE, _DEADLOCK, _NOT_PREPARED)


def unprepared(error: psycopg.Error) -> bool:
    """Return whether the server does not know a statement that the library prepared; it did nothing then."""
    return error.sqlstate == _NOT_PREPARED


def store_gone(error: psycopg.Error) -> bool:
    """Return whether a store that the statement names does not exist any more."""
    return error.sqlstate in (STORE_GONE, _UNDEFINED_TABLE)


def refused_by_storage(error: psycopg.Error) -> bool:
    """Return whether the server could not write: its disk is full or fails, or the database is read-only."""
    state = error.sqlstate or ""
    return state in (_DISK_FULL, _READ_ONLY) or state.startswith("58")


def lost(error: psycopg.Error) -> bool:
    """Return whether the connection has ended, so that nobody knows what became of the statement."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state in _SHUTDOWN or state.startswith("08")


def translate(error: psycopg.Error, where: str, store: str | None = None) -> StoreError:
    """Return the error to raise instead.

    Args:
        where: The server as texts name it (``pool.describe``).
        store: The object store that the statement was for, when there is one.
    """
    state = error.sqlstate
    if store is not None and store_gone(error):
        return ObjectStoreNotFound(store)
    if retryable(error):
        return TransactionAborted("it conflicts with another transaction that ran at the same time; try again")
    if state == _LOCK_TIMEOUT:
        return TransactionAborted(
            "waited too long for a transaction of another store process on the same object stores; "
            "nothing was done, try again"
        )
    if state == _IDLE_TIMEOUT:
        return TransactionAborted("left idle for too long and ended by the database; begin again")
    if state in _CORRUPT:
        return StorageCorrupt(f"{where}: the database is damaged ({text_of(error)}); restore it from a backup")
    if state == _READ_ONLY:
        return StorageUnavailable(f"{where}: the database is read-only")
    if state is None or state[:2] in ("08", "25", "53", "57", "58", "28", "3D") or state in _REFUSED:
        return StorageUnavailable(f"{where}: {text_of(error)}")
    log.error("statement failed", event_name="store.statement_failed", sqlstate=state, reason=text_of(error))
    return StatementFailed(f"{where}: {text_of(error)} (SQLSTATE {state})")


def translate_opening(error: psycopg.Error, where: str) -> StoreError:
    """Return the error to raise instead while a database is opened: some causes only an operator can mend."""
    state = error.sqlstate or ""
    text = text_of(error)
    refused = any(state.startswith(prefix) for prefix in _REFUSED)
    # A refused connection has no SQLSTATE; its text is the server's.
    refused = refused or "authentication failed" in text or (not state and "does not exist" in text)
    if refused:
        return DatabaseUnusable(f"{where}: {text}")
    return translate(error, where)


def text_of(error: psycopg.Error) -> str:
    """Return what the server or the library says, on one line, without details that may quote data."""
    primary = error.diag.message_primary
    if primary:
        return primary
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "the connection was lost"
