"""Walks as statements. ``run`` sends them: alone, on a snapshot, or inside a transaction.

Each walk is tried with the plain statement of its shape. When a bound or a row shows that long keys are involved
(``tables``), it is read again with the careful statement, which sorts wherever beginnings of keys are equal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from gestalt_store.engines.interface import Position, WalkRow
from gestalt_store.engines.limits import LIST_LIMIT_BYTES, RECORD_OVERHEAD, too_large
from gestalt_store.postgres.pool import Row, Statement
from gestalt_store.postgres.tables import LONGEST, PgIndex, PgStore, PgWalk, cut
from gestalt_store.values.keys import Encoded

Run: TypeAlias = Callable[[Sequence[Statement]], Awaitable[list[list[Row]]]]


def get_statement(store: PgStore, primary_keys: Sequence[bytes]) -> Statement:
    """Read the records under the keys; ``got`` reads its rows."""
    return Statement(store.get, [[cut(key).head for key in primary_keys]])


def got(rows: Sequence[Row]) -> dict[bytes, bytes]:
    """Return the records that ``get_statement`` found, by key; with long keys perhaps more than were asked for."""
    return {key + rest: value for key, rest, value in rows}


async def get(run: Run, store: PgStore, primary_key: bytes) -> bytes | None:
    """Return the record, None when there is none."""
    (rows,) = await run([get_statement(store, [primary_key])])
    return got(rows).get(primary_key)


async def records(run: Run, walk: PgWalk) -> list[bytes]:
    """Return the records of the walk.

    Raises:
        AnswerTooLarge: together they do not fit into one message.
    """
    rows = await _read(run, walk, None, None, 0, LIST_LIMIT_BYTES)
    found = [row.record or b"" for row in rows]
    if sum(map(len, found)) + RECORD_OVERHEAD * len(found) > LIST_LIMIT_BYTES:
        raise too_large("records")
    return found


async def keys(run: Run, walk: PgWalk) -> list[bytes]:
    """Return the whole primary keys of the walk, in its order.

    Raises:
        AnswerTooLarge: together they do not fit into one message.
    """
    rows = await _read(run, replace(walk, keys_only=True), None, None, 0, LIST_LIMIT_BYTES)
    found = [row.primary_key for row in rows]
    if sum(map(len, found)) + RECORD_OVERHEAD * len(found) > LIST_LIMIT_BYTES:
        raise too_large("keys")
    return found


async def first(run: Run, walk: PgWalk) -> WalkRow | None:
    """Return the first row of the walk, None when it has none."""
    rows = await page(run, walk, None, 1)
    return rows[0] if rows else None


async def count(run: Run, walk: PgWalk) -> int:
    """Count the rows of the walk."""
    if walk.span.empty:
        return 0
    shape = _Shape(walk, None, careful=_long_bounds(walk, None))
    rows = await run([Statement(f"SELECT count(*) FROM {shape.source} WHERE {shape.condition}", shape.parameters)])
    return int(rows[0][0][0])


async def page(
    run: Run, walk: PgWalk, after: Position | None, limit: int, skip: int = 0, limit_bytes: int | None = None
) -> list[WalkRow]:
    """Return up to ``limit`` rows behind ``after``, leaving out the first ``skip``; see ``Snapshot.page``."""
    if skip and limit_bytes is not None:
        # The sum of sizes would count what is skipped.
        skipped = await _read(run, replace(walk, keys_only=True), after, 1, skip - 1, None)
        if not skipped:
            return []
        after, skip = skipped[0].position, 0
    return await _read(run, walk, after, limit, skip, limit_bytes)


async def limited_page(
    run: Run, walk: PgWalk, after: Position | None, limit: int, limit_bytes: int
) -> tuple[list[WalkRow], bool]:
    """Return up to ``limit`` rows, ending with the one that reaches ``limit_bytes``, and whether there are more."""
    rows = await _read(run, walk, after, limit + 1, 0, limit_bytes)
    if len(rows) > limit:
        return rows[:limit], True
    return rows, sum(row.size for row in rows) >= limit_bytes


async def _read(
    run: Run, walk: PgWalk, after: Position | None, limit: int | None, skip: int, limit_bytes: int | None
) -> list[WalkRow]:
    if walk.span.empty:
        return []
    careful = _long_bounds(walk, after)
    grouped = walk.unique and walk.index is not None
    while True:
        if grouped and careful:
            return await _careful_groups(run, walk, after, limit, skip, limit_bytes)
        statement = (
            _group_statement(walk, after, limit, skip, limit_bytes)
            if grouped
            else _walk_statement(walk, after, limit, skip, limit_bytes, careful)
        )
        (rows,) = await run([statement])
        if not careful and any(_is_long(row, walk) for row in rows):
            careful = True
            continue
        if grouped:
            return _within([_index_row(row) for row in rows if row[-1] > skip], walk, limit_bytes)
        if walk.index is None:
            return [WalkRow(key + rest if rest else key, value) for key, rest, value in rows]
        return [_index_row(row) for row in rows]


def _index_row(row: Row) -> WalkRow:
    pk, pk_rest, key, key_rest, ties, value = row[:6]
    return WalkRow(pk + pk_rest if pk_rest else pk, value, Encoded(key + key_rest if key_rest else key, ties))


def _is_long(row: Row, walk: PgWalk) -> bool:
    return len(row[0]) >= LONGEST or (walk.index is not None and len(row[2]) >= LONGEST)


def _long_bounds(walk: PgWalk, after: Position | None) -> bool:
    span = walk.span
    if len(span.lower) > LONGEST or len(span.upper) > LONGEST:
        return True
    return after is not None and (len(after.key) >= LONGEST or len(after.primary_key) >= LONGEST)


class _Shape:
    """What all statements of a walk have: what is read, under which condition, in which order."""

    def __init__(self, walk: PgWalk, after: Position | None, *, careful: bool) -> None:
        self.parameters: list[object] = []
        if walk.index is None:
            self._of_store(walk, after, careful)
        else:
            self._of_index(walk, walk.index, after, careful)

    def add(self, value: object) -> str:
        """Add a parameter; return how the statement refers to it."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def _of_store(self, walk: PgWalk, after: Position | None, careful: bool) -> None:
        store = walk.store
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

    def _of_index(self, walk: PgWalk, index: PgIndex, after: Position | None, careful: bool) -> None:
        store = walk.store
        span = walk.span
        lower, upper = span.lower, span.upper
        if after is not None:
            # The comparison of rows decides; the bound beside it lets the server start its search there.
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
        self.source = f"{index.table} AS i"
        if not walk.keys_only:
            self.source += f" JOIN {store.table} AS r ON r.key = i.pk AND r.more = i.pk_more"
        self.value = "r.value"

    def _row(self, head: str, rest: str, operator: str, bound: bytes) -> str:
        piece = cut(bound)
        return f"({head}, {rest}) {operator} ({self.add(piece.head)}, {self.add(piece.rest)})"


def _walk_statement(
    walk: PgWalk, after: Position | None, limit: int | None, skip: int, limit_bytes: int | None, careful: bool
) -> Statement:
    shape = _Shape(walk, after, careful=careful)
    if limit_bytes is None:
        value = "NULL::bytea" if walk.keys_only else shape.value
        sql = f"SELECT {shape.columns}, {value} FROM {shape.source} WHERE {shape.condition} ORDER BY {shape.order}"
        return Statement(sql + _limit(shape, limit, skip), shape.parameters)
    # The sum of the sizes up to each row tells the server where the answer is full.
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
    return Statement(f"{sql} ORDER BY {shape.order.replace('i.', '')}", shape.parameters)


def _limit(shape: _Shape, limit: int | None, skip: int) -> str:
    sql = "" if limit is None else f" LIMIT {shape.add(limit)}::bigint"
    return sql + (f" OFFSET {shape.add(skip)}::bigint" if skip else "")


def _group_statement(
    walk: PgWalk, after: Position | None, limit: int | None, skip: int, limit_bytes: int | None
) -> Statement:
    """Read the first row of each index key: one search for each key, whatever the number of rows with that key.

    The last column numbers the keys from 1; skipped ones come without a record.
    """
    shape = _Shape(_past(walk, after), None, careful=False)
    assert walk.index is not None
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
        f") AS n) "
    )
    columns = "g.pk, g.pk_rest, g.key, g.key_rest, g.ties"
    groups = f"SELECT {columns}, {record} AS value, g.number FROM g{most}"
    if limit_bytes is not None and not walk.keys_only:
        size = "coalesce(octet_length(g.value), 0)"
        groups = (
            f"SELECT {columns}, g.value, g.number FROM (SELECT g.*, {size} AS size, sum({size}) "
            f"OVER (ROWS UNBOUNDED PRECEDING) AS total FROM ({groups}) AS g) AS g "
            f"WHERE g.total - g.size < {shape.add(limit_bytes)}::bigint"
        )
    return Statement(sql + groups, shape.parameters)


def _past(walk: PgWalk, after: Position | None) -> PgWalk:
    """Return the rest of a walk behind all rows with the index key of a position."""
    if after is None:
        return walk
    span = walk.span
    if walk.reverse:
        return replace(walk, span=replace(span, upper=min(span.upper, after.key)))
    return replace(walk, span=replace(span, lower=max(span.lower, after.key + b"\x00")))


async def _careful_groups(
    run: Run, walk: PgWalk, after: Position | None, limit: int | None, skip: int, limit_bytes: int | None
) -> list[WalkRow]:
    """Read the first row of each index key where long keys are involved: a statement for each."""
    found: list[WalkRow] = []
    size = 0
    one = replace(walk, unique=False)
    while limit is None or len(found) < limit:
        rows = await _read(run, _past(one, after), None, 1, 0, None)
        if not rows:
            break
        after = rows[0].position
        if skip:
            skip -= 1
        else:
            found.append(rows[0])
            size += rows[0].size
            if limit_bytes is not None and size >= limit_bytes:
                break
    return found


def _within(rows: list[WalkRow], walk: PgWalk, limit_bytes: int | None) -> list[WalkRow]:
    """Return the rows up to the one that reaches the limit."""
    if limit_bytes is None:
        return rows
    size = 0
    for number, row in enumerate(rows):
        if size >= limit_bytes:
            return rows[:number]
        size += row.size
    return rows
