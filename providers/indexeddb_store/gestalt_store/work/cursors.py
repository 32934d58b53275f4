"""Cursors: a position in a walk over a snapshot, with one page of it in memory (contract.md 5.6).

The first page is read when the cursor opens; a walk that ends within it needs no snapshot any longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from gestalt_store.engines.interface import Position, ServedDatabase, ServedSnapshot, ServedWalk, WalkRow
from gestalt_store.engines.limits import RECORD_OVERHEAD
from gestalt_store.engines.scope_use import SNAPSHOT_BYTES, Held
from gestalt_store.errors import CursorExhausted, Invalid, Undecodable
from gestalt_store.values.keys import AFTER, PlainValue, decode, encode, encode_parts
from gestalt_store.values.values import read_record
from gestalt_store.work.operations import write_of

FIRST_PAGE = 8
LARGEST_PAGE = 256
PAGE_BYTES = 1024 * 1024
LARGE_ROW_BYTES = 64 * 1024


class Cursor:
    """One open cursor; ``close`` it in any case."""

    def __init__(self, database: ServedDatabase, walk: ServedWalk, snapshot: ServedSnapshot, held: Held) -> None:
        self._database = database
        self._walk = walk
        self._snapshot: ServedSnapshot | None = snapshot
        self._held = held
        """The memory that page and snapshot take."""
        self._page: deque[WalkRow] = deque()
        self._page_bytes = 0
        self._read_to: Position | None = None
        """Where the page in memory ends; None before the first."""
        self._page_size = FIRST_PAGE
        self._all_read = False
        self._current: WalkRow | None = None
        """The row at which it stands, without a large record."""
        self._current_size = 0

    @classmethod
    async def open(cls, database: ServedDatabase, walk: ServedWalk, held: Held | None = None) -> Cursor:
        """Open a cursor and read its first page; ``held`` counts the memory that it takes.

        Raises:
            LimitReached: it takes more than its scope may hold.
        """
        held = held or Held()
        held.set(SNAPSHOT_BYTES)
        cursor = cls(database, walk, await database.snapshot(), held)
        try:
            await cursor._fill()
        except BaseException:
            cursor.close()
            raise
        return cursor

    async def next(self) -> WalkRow | None:
        """Move to the next row and return it; None at the end."""
        if not self._page:
            await self._fill()
        return self._move()

    async def advance(self, count: int) -> WalkRow | None:
        """Skip ``count`` rows and move to the one after them."""
        if count <= 0:
            raise Invalid("advance count must be positive")
        if count < len(self._page):
            for _ in range(count):
                self._drop()
        else:
            skip = count - len(self._page)
            while self._page:
                self._drop()
            await self._fill(skip=skip)
        return await self.next()

    async def continue_to(self, parts: list[PlainValue]) -> WalkRow | None:
        """Move at least one step, to the first row at or behind the key."""
        if not parts:
            raise Invalid("cursor continue key is required")
        span = self._walk.span
        if self._walk.index is not None:
            key = encode_parts(parts).order
            lower, upper = key, key + b"\x00"
        else:
            key = encode(parts[0] if len(parts) == 1 else parts).order
            lower, upper = key, key + AFTER
        if self._walk.reverse:
            target = replace(span, upper=min(span.upper, upper))
        else:
            target = replace(span, lower=max(span.lower, lower))
        while self._page and not _inside(self._page[0], target.lower, target.upper):
            self._drop()
        if not self._page:
            # Rows before the key are not wanted any more, so the walk itself may begin there.
            self._walk = replace(self._walk, span=target)
            await self._fill()
        return await self.next()

    async def prefetched(self, most: int) -> list[WalkRow]:
        """Move over up to ``most`` further rows and return them; fewer at the end or when they are large."""
        found: list[WalkRow] = []
        size = self._current_size
        while len(found) < most and size < PAGE_BYTES:
            if not self._page:
                await self._fill()
                if not self._page:
                    break
            size += len(self._page[0].record or b"") + 64
            if size > PAGE_BYTES:
                break
            row = self._move()
            assert row is not None
            found.append(row)
        return found

    async def update(self, data: bytes) -> WalkRow:
        """Put the record under the current primary key; position and order stay as they are."""
        current = self._require()
        store = self._database.store(self._walk.store.name)
        try:
            record, _ = read_record(data)
        except Undecodable as error:
            raise Undecodable(f"unmarshal cursor update: {error}") from None
        store.schema.set_key(record.fields, decode(current.primary_key))
        write = write_of(store, record.SerializeToString(deterministic=True))
        await self._database.write(write)
        return current._replace(record=None if self._walk.keys_only else write.record)

    async def delete(self) -> None:
        """Delete the current record; the position stays."""
        current = self._require()
        await self._database.delete(self._database.store(self._walk.store.name), current.primary_key)

    def on_expiry(self, call: Callable[[str], None]) -> None:
        """Have ``call`` told the reason when the engine ends the snapshot."""
        if self._snapshot is not None:
            self._snapshot.on_expiry = call

    def close(self) -> None:
        """Release the snapshot and the page."""
        self._page.clear()
        if self._snapshot is not None:
            self._snapshot.close()
        self._held.set(0)

    def _require(self) -> WalkRow:
        if self._current is None:
            raise CursorExhausted
        return self._current

    async def _fill(self, *, skip: int = 0) -> None:
        if self._all_read or self._snapshot is None:
            return
        wanted = self._page_size
        rows = await self._snapshot.page(self._walk, self._read_to, wanted, skip, limit_bytes=PAGE_BYTES)
        total = sum(len(row.record or row.primary_key) for row in rows) + RECORD_OVERHEAD * len(rows)
        self._all_read = len(rows) < wanted and total < PAGE_BYTES
        if self._all_read:
            self._snapshot.close()
        self._page.extend(rows)
        self._page_bytes = total
        self._count()
        if not rows:
            return
        self._read_to = rows[-1].position
        size = total // len(rows) + 64
        self._page_size = max(1, min(wanted * 4, LARGEST_PAGE, PAGE_BYTES // size))

    def _move(self) -> WalkRow | None:
        """Move to the next row of the page, None when there is none."""
        row = self._current = self._drop() if self._page else None
        self._current_size = 0
        if row is not None and row.record is not None and len(row.record) > LARGE_ROW_BYTES:
            # Only where the cursor stands is needed from now on.
            self._current_size = row.size
            self._current = row._replace(record=None)
        return row

    def _drop(self) -> WalkRow:
        row = self._page.popleft()
        if not self._page:
            self._page_bytes = 0
            self._count()
        elif row.record is not None and len(row.record) > LARGE_ROW_BYTES:
            self._page_bytes -= row.size
            self._count()
        return row

    def _count(self) -> None:
        self._held.set(
            self._page_bytes + (0 if self._all_read or self._snapshot is None else self._snapshot.held_bytes)
        )


def _inside(row: WalkRow, lower: bytes, upper: bytes) -> bool:
    return lower <= (row.primary_key if row.key is None else row.key.order) < upper
