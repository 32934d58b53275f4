"""The statements of a transaction that writes: how it begins, and those that bring its writes to the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gestalt_store.errors import Undecodable
from gestalt_store.postgres.pool import Statement
from gestalt_store.postgres.tables import PgIndex, PgStore, PgWrite, cut
from gestalt_store.values.schema import IndexKeys

_BEGIN = Statement("BEGIN ISOLATION LEVEL SERIALIZABLE", prepare=False)
_RELAXED = Statement("SET LOCAL synchronous_commit = off", prepare=False)


def opening(stores: Iterable[PgStore], *, relaxed: bool) -> list[Statement]:
    """Begin a transaction that writes to the stores; when it is relaxed, its commit does not wait for the disk."""
    return [_BEGIN, *([_RELAXED] if relaxed else []), lock_statement(stores)]


def lock_statement(stores: Iterable[PgStore]) -> Statement:
    """Lock the stores for writing. It takes no snapshot, so what follows in the transaction sees what came before.

    Always in the order of their numbers, so that no two transactions wait for each other.
    """
    tables = ", ".join(store.lock_table for store in sorted(stores, key=lambda store: store.data))
    return Statement(f"LOCK TABLE {tables} IN EXCLUSIVE MODE", prepare=False)


def write_statements(
    store: PgStore, writes: Mapping[bytes, PgWrite | None], base: Mapping[bytes, bytes | None]
) -> list[Statement]:
    """Bring writes to the database, a few statements over arrays whatever their number.

    Args:
        writes: The last write for each primary key, None for a deletion.
        base: The records that the database has under these keys, None where there is none. All of them when the store
            has indexes; otherwise those that are known.
    """
    statements = []
    if store.indexes:
        before, damaged = _before(store, writes, base)
        if damaged:
            pieces = [cut(key) for key in damaged]
            unknown = [[piece.head for piece in pieces], [piece.rest for piece in pieces]]
            statements += [Statement(index.remove_records, unknown) for index in store.indexes]
        for index in store.indexes:
            statements += _index_statements(index, writes, before)
    put = [(cut(key), write.record) for key, write in writes.items() if write is not None]
    if put:
        heads, more, rest = (list(column) for column in zip(*(piece for piece, _ in put), strict=True))
        statements.append(Statement(store.upsert, [heads, more, rest, [record for _, record in put]]))
    # A record known to be absent needs no deletion.
    gone = [cut(key) for key, write in writes.items() if write is None and base.get(key, b"") is not None]
    if gone:
        statements.append(Statement(store.remove, [[piece.head for piece in gone], [piece.more for piece in gone]]))
    return statements


def _before(
    store: PgStore, keys: Iterable[bytes], base: Mapping[bytes, bytes | None]
) -> tuple[dict[bytes, IndexKeys], list[bytes]]:
    """Return the index keys of the records that the database has, and which of these records are damaged.

    The keys of a damaged one cannot be told. It counts as being in no index, so its rows must be removed before.
    """
    none: IndexKeys = (None,) * len(store.indexes)
    before: dict[bytes, IndexKeys] = {}
    damaged: list[bytes] = []
    for key in keys:
        before[key] = none
        old = base[key]
        if old is not None:
            try:
                before[key] = store.schema.index_keys_of(old)
            except Undecodable:
                damaged.append(key)
    return before, damaged


def _index_statements(
    index: PgIndex, writes: Mapping[bytes, PgWrite | None], before: Mapping[bytes, IndexKeys]
) -> list[Statement]:
    """Change only those rows of the index that become different."""
    removed: list[tuple[bytes, ...]] = []
    added: list[tuple[bytes, ...]] = []
    for primary_key, write in writes.items():
        old = before[primary_key][index.position]
        new = None if write is None else write.index_keys[index.position]
        if old == new:
            continue
        if old is not None:
            removed.append(index.row(old, primary_key)[:3])
        if new is not None:
            added.append(index.row(new, primary_key))
    statements = []
    if removed:
        statements.append(Statement(index.remove, [list(column) for column in zip(*removed, strict=True)]))
    if added:
        statements.append(Statement(index.insert, [list(column) for column in zip(*added, strict=True)]))
    return statements
