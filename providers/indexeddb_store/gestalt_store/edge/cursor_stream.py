"""Serves the frames of ``OpenCursor`` (contract.md 5.6)."""

from __future__ import annotations

from gestalt_store.databases import View
from gestalt_store.edge.streams import Frames
from gestalt_store.engines.interface import ServedWalk, Walk, WalkRow
from gestalt_store.engines.scope_use import Held
from gestalt_store.errors import IndexNotFound, Invalid, ObjectStoreNotFound, Undecodable
from gestalt_store.values import wire
from gestalt_store.values.ranges import index_span, primary_span
from gestalt_store.values.values import from_key_value
from gestalt_store.values.wire import Message
from gestalt_store.work.cursors import Cursor
from gestalt_store.work.entries import entry_bytes

PREFETCH_LIMIT = 10_000
NEXT_UNIQUE, PREV, PREV_UNIQUE = 1, 2, 3

_ACKNOWLEDGED = wire.CursorResponse(done=False)
_DONE = wire.CursorResponse(done=True)


async def cursor_stream(view: View, frames: Frames) -> None:
    """Serve one cursor until the client closes it."""
    frame = await frames.read()
    if frame is None:
        return
    if frame.WhichOneof("msg") != "open":
        raise Invalid("first message must be OpenCursorRequest")
    opening = frame.open
    prefetch = max(0, min(opening.prefetch, PREFETCH_LIMIT))
    frames.idle_limit_s = view.limits.snapshot_idle_s
    cursor = await _open(view, opening, Held(frames.use))
    cursor.on_expiry(frames.end_idle)
    try:
        await frames.write(_ACKNOWLEDGED)
        while (frame := await frames.read()) is not None:
            if frame.WhichOneof("msg") != "command":
                raise Invalid("expected CursorCommand after open")
            command = frame.command
            kind = command.WhichOneof("command")
            if kind == "close":
                return
            await frames.write(await _answer(cursor, kind, command, prefetch))
    finally:
        cursor.close()


async def _open(view: View, opening: Message, held: Held) -> Cursor:
    version = view.database.version
    try:
        return await Cursor.open(view.database, _walk(view, opening), held)
    except (ObjectStoreNotFound, IndexNotFound):
        if not await view.changed(version):
            raise
        return await Cursor.open(view.database, _walk(view, opening), held)


def _walk(view: View, opening: Message) -> ServedWalk:
    store = view.store(opening.store)
    reverse = opening.direction in (PREV, PREV_UNIQUE)
    if not opening.index:
        return Walk(store, primary_span(opening), reverse=reverse, keys_only=opening.keys_only)
    index = store.index(opening.index)
    return Walk(
        store,
        index_span(index.schema, opening, "unmarshal cursor values"),
        index,
        reverse=reverse,
        unique=opening.direction in (NEXT_UNIQUE, PREV_UNIQUE),
        keys_only=opening.keys_only,
    )


async def _answer(cursor: Cursor, kind: str | None, command: Message, prefetch: int) -> Message:
    if kind == "next":
        row = await cursor.next()
        if row is None:
            return _DONE
        answer = wire.CursorResponse(entry=entry_bytes(row))
        if prefetch:
            answer.entries.extend([entry_bytes(further) for further in await cursor.prefetched(prefetch)])
        return answer
    if kind == "continue_to_key":
        try:
            parts = [from_key_value(part) for part in command.continue_to_key.key]
        except Undecodable as error:
            raise Undecodable(f"unmarshal cursor key: {error}") from None
        return _moved(await cursor.continue_to(parts))
    if kind == "advance":
        return _moved(await cursor.advance(command.advance))
    if kind == "update":
        return wire.CursorResponse(entry=entry_bytes(await cursor.update(command.update)))
    if kind == "delete":
        await cursor.delete()
        return _ACKNOWLEDGED
    raise Invalid("unknown cursor command")


def _moved(row: WalkRow | None) -> Message:
    return _DONE if row is None else wire.CursorResponse(entry=entry_bytes(row))
