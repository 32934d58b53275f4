"""Reads as statements, and their rows as entries. ``run`` sends them: alone, on a snapshot, or inside a transaction.

Each read is tried with the plain statement of its shape. When a bound or a row shows that long keys are involved
(``tables``), it is read again with the careful one, which costs a sort wherever beginnings of keys are equal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from gestalt_store.engines.interface import Entry, Position, Walk
from gestalt_store.engines.limits import LIST_LIMIT_BYTES, RECORD_OVERHEAD, too_large
from gestalt_store.postgres.pool import Command, Row
from gestalt_store.postgres.tables import LONGEST, PgStore, cut
from gestalt_store.values.keys import Encoded

Run: TypeAlias = Callable[[Sequence[Command]], Awaitable[list[list[Row]]]]


def get_command(store: PgStore, primary_keys: Sequence[bytes]) -> Command:
    return Command(store.get, [[cut(key).head for key in primary_keys]])


def got(rows: Sequence[Row]) -> dict[bytes, bytes]:
    """The records that ``get_command`` found, by key; with long keys perhaps more than were asked for."""
    return {key + rest: value for key, rest, value in rows}


async def get(run: Run, store: PgStore, primary_key: bytes) -> bytes | None:
    (rows,) = await run([get_command(store, [primary_key])])
    return got(rows).get(primary_key)


async def records(run: Run, walk: Walk) -> list[bytes]:
    """The records of the walk.

    Raises:
        AnswerTooLarge: together they do not fit into one message.
    """
    entries = await _entries(run, walk, None, None, 0, LIST_LIMIT_BYTES)
    found = [entry.record or b"" for entry in entries]
    if sum(map(len, found)) + RECORD_OVERHEAD * len(found) > LIST_LIMIT_BYTES:
        raise too_large("records")
    return found


async def keys(run: Run, walk: Walk) -> list[bytes]:
    """The whole primary keys of the walk, in its order."""
    entries = await _entries(run, replace(walk, keys_only=True), None, None, 0, LIST_LIMIT_BYTES)
    found = [entry.primary_key for entry in entries]
    if sum(map(len, found)) + RECORD_OVERHEAD * len(found) > LIST_LIMIT_BYTES:
        raise too_large("keys")
    return found


async def first(run: Run, walk: Walk) -> Entry | None:
    entries = await page(run, walk, None, 1)
    return entries[0] if entries else None


async def count(run: Run, walk: Walk) -> int:
    if walk.span.empty:
        return 0
    shape = _Shape(walk, None, careful=_long_bounds(walk, None))
    rows = await run([Command(f"SELECT count(*) FROM {shape.source} WHERE {shape.condition}", shape.parameters)])
    return int(rows[0][0][0])


async def page(run: Run, walk: Walk, after: Position | None, limit: int, skip: int = 0) -> list[Entry]:
    """Up to ``limit`` entries behind ``after``, leaving out the first ``skip`` of them."""
    return await _entries(run, walk, after, limit, skip, None)


async def limited_page(
    run: Run, walk: Walk, after: Position | None, limit: int, limit_bytes: int
) -> tuple[list[Entry], bool]:
    """Up to ``limit`` entries, ending with the one that reaches ``limit_bytes``; and whether there are more."""
    entries = await _entries(run, walk, after, limit + 1, 0, limit_bytes)
    if len(entries) > limit:
        return entries[:limit], True
    size = sum(_size(entry, walk) for entry in entries)
    return entries, size >= limit_bytes


def _size(entry: Entry, walk: Walk) -> int:
    return len(entry.primary_key if walk.keys_only else entry.record or b"") + RECORD_OVERHEAD


async def _entries(
    run: Run, walk: Walk, after: Position | None, limit: int | None, skip: int, limit_bytes: int | None
) -> list[Entry]:
    if walk.span.empty:
        return []
    careful = _long_bounds(walk, after)
    grouped = walk.unique and walk.index is not None
    while True:
        if grouped and careful:
            return await _careful_groups(run, walk, after, limit, skip, limit_bytes)
        command = (
            _group_command(walk, after, limit, skip)
            if grouped
            else _walk_command(walk, after, limit, skip, limit_bytes, careful)
        )
        (rows,) = await run([command])
        if not careful and any(_long_row(row, walk) for row in rows):
            careful = True
            continue
        if grouped:
            return _within([_index_entry(row) for row in rows if row[-1] > skip], walk, limit_bytes)
        if walk.index is None:
            return [Entry(key + rest if rest else key, value) for key, rest, value in rows]
        return [_index_entry(row) for row in rows]


def _index_entry(row: Row) -> Entry:
    pk, pk_rest, key, key_rest, ties, value = row[:6]
    return Entry(pk + pk_rest if pk_rest else pk, value, Encoded(key + key_rest if key_rest else key, ties))


def _long_row(row: Row, walk: Walk) -> bool:
    return len(row[0]) >= LONGEST or (walk.index is not None and len(row[2]) >= LONGEST)


def _long_bounds(walk: Walk, after: Position | None) -> bool:
    span = walk.span
    if len(span.lower) > LONGEST or len(span.upper) > LONGEST:
        return True
    return after is not None and (len(after.key) >= LONGEST or len(after.primary_key) >= LONGEST)


class _Shape:
    """The common part of a walk's statements: what is read, under which condition, in which order."""

    def __init__(self, walk: Walk, after: Position | None, *, careful: bool) -> None:
        self.parameters: list[Any] = []
        if walk.index is None:
            self._of_store(walk, after, careful)
        else:
            self._of_index(walk, after, careful)

    def add(self, value: Any) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def _of_store(self, walk: Walk, after: Position | None, careful: bool) -> None:
        store: PgStore = walk.store
        lower, upper = walk.span.lower, walk.span.upper
        if after is not None:
            if walk.reverse:
                upper = min(upper, after.primary_key)
            else:
                lower = max(lower, after.primary_key + b"\x00")
        self.source = store.table
        descending = " DESC" if walk.reverse else ""
        if careful:
            self.condition = f"{self._row('key', 'rest', '>=', lower)} AND {self._row('key', 'rest', '<', upper)}"
            self.order = f"key{descending}, rest{descending}"
        else:
            self.condition = f"key >= {self.add(lower)} AND key < {self.add(upper)}"
            self.order = f"key{descending}"
        self.condition += f" AND {store.present}"
        self.columns = "key, rest"
        self.value = "value"

    def _of_index(self, walk: Walk, after: Position | None, careful: bool) -> None:
        store: PgStore = walk.store
        span = walk.span
        lower, upper = span.lower, span.upper
        if after is not None:
            # The row comparison decides; the bound beside it is the same for every page, so it costs nothing.
            lower, upper = (lower, min(upper, after.key + b"\x00")) if walk.reverse else (max(lower, after.key), upper)
        if careful:
            condition = f"{self._row('i.key', 'i.key_rest', '>=', lower)}"
            condition += f" AND {self._row('i.key', 'i.key_rest', '<', upper)}"
            order = ["i.key", "i.key_rest", "i.pk", "i.pk_rest"]
        else:
            condition = f"i.key >= {self.add(lower)} AND i.key < {self.add(upper)}"
            order = ["i.key", "i.pk"]
        if span.ties is not None:
            condition += f" AND i.ties = {self.add(span.ties)}"
        if after is not None:
            own, pk = cut(after.key), cut(after.primary_key)
            values = [own.head, own.rest, pk.head, pk.rest] if careful else [own.head, pk.head]
            places = ", ".join(self.add(value) for value in values)
            condition += f" AND ({', '.join(order)}) {'<' if walk.reverse else '>'} ({places})"
        self.condition = f"{condition} AND {store.present}"
        self.order = ", ".join(f"{column} DESC" if walk.reverse else column for column in order)
        self.columns = "i.pk, i.pk_rest, i.key, i.key_rest, i.ties"
        self.source = f"{walk.index.table} AS i"
        if not walk.keys_only:
            self.source += f" JOIN {store.table} AS r ON r.key = i.pk AND r.more = i.pk_more"
        self.value = "r.value"

    def _row(self, head: str, rest: str, operator: str, bound: bytes) -> str:
        piece = cut(bound)
        return f"({head}, {rest}) {operator} ({self.add(piece.head)}, {self.add(piece.rest)})"


def _walk_command(
    walk: Walk, after: Position | None, limit: int | None, skip: int, limit_bytes: int | None, careful: bool
) -> Command:
    shape = _Shape(walk, after, careful=careful)
    if limit_bytes is None:
        value = "NULL::bytea" if walk.keys_only else shape.value
        sql = f"SELECT {shape.columns}, {value} FROM {shape.source} WHERE {shape.condition} ORDER BY {shape.order}"
        return Command(sql + _limit(shape, limit, skip), shape.parameters)
    # The sum of the sizes up to each row lets the server stop sending once the answer is full.
    measured = ("i.pk" if walk.index is not None else "key") if walk.keys_only else shape.value
    value = "NULL::bytea" if walk.keys_only else "value"
    inner = (
        f"SELECT {shape.columns}, {'' if walk.keys_only else f'{shape.value} AS value, '}"
        f"octet_length({measured}) + {RECORD_OVERHEAD} AS size, sum(octet_length({measured}) + {RECORD_OVERHEAD}) "
        f"OVER (ORDER BY {shape.order} ROWS UNBOUNDED PRECEDING) AS total "
        f"FROM {shape.source} WHERE {shape.condition} ORDER BY {shape.order}{_limit(shape, limit, skip)}"
    )
    columns = "pk, pk_rest, key, key_rest, ties" if walk.index is not None else "key, rest"
    sql = f"SELECT {columns}, {value} FROM ({inner}) AS found WHERE total - size < {shape.add(limit_bytes)}"
    return Command(f"{sql} ORDER BY {shape.order.replace('i.', '')}", shape.parameters)


def _limit(shape: _Shape, limit: int | None, skip: int) -> str:
    sql = "" if limit is None else f" LIMIT {shape.add(limit)}::bigint"
    return sql + (f" OFFSET {shape.add(skip)}::bigint" if skip else "")


def _group_command(walk: Walk, after: Position | None, limit: int | None, skip: int) -> Command:
    """The first entry of each index key: one search for each key in one statement, whatever the size of the groups.

    The last column numbers the groups from 1; skipped ones come without a record.
    """
    shape = _Shape(_past(walk, after), None, careful=False)
    table = walk.index.table
    # $1 and $2 are the bounds of the span, $3 its ties.
    step = "i.key < g.key AND i.key >= $1" if walk.reverse else "i.key > g.key AND i.key < $2"
    ties = "" if walk.span.ties is None else " AND i.ties = $3"
    columns = shape.columns + ", i.pk_more"
    most = "" if limit is None else f" LIMIT {shape.add(limit + skip)}::bigint"
    record = "NULL::bytea"
    if not walk.keys_only:
        record = (
            f"(SELECT r.value FROM {walk.store.table} AS r WHERE r.key = g.pk AND r.more = g.pk_more "
            f"AND g.number > {shape.add(skip)}::bigint)"
        )
    sql = (
        f"WITH RECURSIVE g AS ((SELECT {columns}, 1::bigint AS number FROM {table} AS i WHERE {shape.condition} "
        f"ORDER BY {shape.order} LIMIT 1) UNION ALL SELECT n.* FROM g CROSS JOIN LATERAL ("
        f"SELECT {columns}, g.number + 1 FROM {table} AS i WHERE {step}{ties} ORDER BY {shape.order} LIMIT 1"
        f") AS n) SELECT g.pk, g.pk_rest, g.key, g.key_rest, g.ties, {record}, g.number FROM g{most}"
    )
    return Command(sql, shape.parameters)


def _past(walk: Walk, after: Position | None) -> Walk:
    """The rest of a walk over groups behind a position."""
    if after is None:
        return walk
    span = walk.span
    if walk.reverse:
        return replace(walk, span=replace(span, upper=min(span.upper, after.key)))
    return replace(walk, span=replace(span, lower=max(span.lower, after.key + b"\x00")))


async def _careful_groups(
    run: Run, walk: Walk, after: Position | None, limit: int | None, skip: int, limit_bytes: int | None
) -> list[Entry]:
    found: list[Entry] = []
    one = replace(walk, unique=False)
    while limit is None or len(found) < limit:
        entries = await _entries(run, _past(one, after), None, 1, 0, None)
        if not entries:
            break
        entry = entries[0]
        assert entry.key is not None
        after = Position(entry.key.order, entry.primary_key)
        if skip:
            skip -= 1
        else:
            found.append(entry)
    return _within(found, walk, limit_bytes)


def _within(entries: list[Entry], walk: Walk, limit_bytes: int | None) -> list[Entry]:
    if limit_bytes is None:
        return entries
    size = 0
    for number, entry in enumerate(entries):
        if size >= limit_bytes:
            return entries[:number]
        size += _size(entry, walk)
    return entries
