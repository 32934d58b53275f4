"""The cursor stream, frame by frame (contract.md 5.6)."""

from __future__ import annotations

from google.protobuf.message import Message

from gestalt_host.verification.outcomes import require, require_equal
from gestalt_host.verification.suites.indexeddb.client import Code, Cursor, StoreClient, fill
from gestalt_host.verification.suites.indexeddb.messages import (
    bounds,
    fields,
    index,
    key_column,
    key_of,
    record,
    value,
)
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

NEXT, NEXT_UNIQUE, PREV, PREV_UNIQUE = pb.CURSOR_NEXT, pb.CURSOR_NEXT_UNIQUE, pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE
UNKNOWN_DIRECTION = 99
JSON = 6
MANY = 100
PREFETCH = "indexeddb.prefetch"
LARGE_BYTES = 400_000
MOST_FRAME_BYTES = 2 * 1024 * 1024
"""Well below the 4 MiB that every library takes."""


async def _filled(store: StoreClient) -> str:
    """Make a store of the records k0 to k6, with indexes on ``g``, on ``g`` and ``n``, and a unique one on ``u``."""
    name = await store.new_store(index("g", "g"), index("gn", "g", "n"), index("u", "u", unique=True))
    rows = (("k0", "x", 1), ("k1", "x", 1), ("k2", "x", 2), ("k3", "y", 1), ("k4", "y", 3), ("k5", "z", 2))
    await fill(store, name, [{"id": key, "g": g, "n": n} for key, g, n in rows])
    await store.put(name, id="k6", n=9, u=1)
    return name


def _keys(index: str = "", direction: int = NEXT) -> pb.OpenCursorRequest:
    return pb.OpenCursorRequest(index=index, direction=direction, keys_only=True)  # type: ignore[arg-type]


def _require_at(expected: str, answer: pb.CursorResponse, after: str) -> None:
    """Require the entry with this primary key, or the end when it is blank."""
    seen = answer.entry.primary_key if answer.WhichOneof("result") == "entry" else f"done={answer.done}"
    require_equal(expected or "done=True", seen, f"where the cursor is after {after}")


@store_rule(
    "contract.md 5.6/directions", "Directions on a store and on indexes, and one entry per key where it is asked for"
)
async def directions(store: StoreClient) -> None:
    name = await _filled(store)
    for which, direction, expected in (
        ("", NEXT, "0123456"),
        ("", PREV, "6543210"),
        ("", NEXT_UNIQUE, "0123456"),
        ("", PREV_UNIQUE, "6543210"),
        ("g", NEXT, "012345"),
        ("g", PREV, "543210"),
        ("g", NEXT_UNIQUE, "035"),
        ("g", PREV_UNIQUE, "542"),
        ("gn", NEXT_UNIQUE, "02345"),
        ("gn", PREV_UNIQUE, "54321"),
        ("g", UNKNOWN_DIRECTION, "012345"),
    ):
        cursor = await store.cursor(name, _keys(which, direction))
        found = "".join(key[1] for key in await cursor.keys())
        require_equal(expected, found, f"the records in direction {direction} of {which or 'the store'}")
        _require_at("", await cursor.next(), "another next behind the end")
        _require_at("", await cursor.advance(1), "an advance behind the end")
        _require_at("", await cursor.to("a"), "a key behind the end")


@store_rule(
    "contract.md 5.6/entries", "An entry has the parts of its key with their types, its primary key and its record"
)
async def entries(store: StoreClient) -> None:
    name = await _filled(store)
    entry = (await (await store.cursor(name)).next()).entry
    expected = (["k0"], "k0", {"id": "k0", "g": "x", "n": 1})
    require_equal(expected, (key_of(entry), entry.primary_key, fields(entry.record)), "an entry of the store")
    entry = (await (await store.cursor(name, pb.OpenCursorRequest(index="g"))).next()).entry
    require_equal((["x"], "k0"), (key_of(entry), entry.primary_key), "an entry of an index")
    entry = (await (await store.cursor(name, _keys("gn"))).next()).entry
    require_equal((["x", 1], "k0"), (key_of(entry), entry.primary_key), "an entry of a compound index")
    require(not entry.HasField("record"), "no record in an entry of keys only", entry)
    typed = await store.new_store(index("v", "v"), columns=[key_column(JSON)])
    await store.put(typed, k=["a", 1.0], v={"m": [None]})
    entry = (await (await store.cursor(typed, pb.OpenCursorRequest(index="v"))).next()).entry
    require_equal([{"m": [None]}], key_of(entry), "a map as the key of an index")
    require_equal("scalar", entry.key[0].WhichOneof("kind"), "its kind")
    require_equal("[a 1]", entry.primary_key, "the text of a list as primary key")
    entry = (await (await store.cursor(typed)).next()).entry
    require_equal([["a", 1.0]], key_of(entry), "a list as primary key")
    require_equal("array", entry.key[0].WhichOneof("kind"), "its kind")


@store_rule("contract.md 5.6/advance", "Advance skips entries and lands on the next; its count is positive")
async def advance(store: StoreClient) -> None:
    name = await _filled(store)
    cursor = await store.cursor(name, _keys())
    _require_at("k1", await cursor.advance(1), "advance 1 of a fresh cursor")
    _require_at("k5", await cursor.advance(3), "advance 3 from k1")
    _require_at("", await cursor.advance(1), "advance 1 from k5, behind which is one more")
    cursor = await store.cursor(name, _keys("g", NEXT_UNIQUE))
    _require_at("k3", await cursor.advance(1), "advance 1 of a fresh unique cursor")
    _require_at("", await cursor.advance(1), "advance 1 on the last key but one")
    cursor = await store.cursor(name, _keys("g", PREV_UNIQUE))
    _require_at("k2", await cursor.advance(2), "advance 2 of a fresh unique cursor that goes back")
    for count in (0, -1):
        cursor = await store.cursor(name)
        await cursor.send(pb.CursorClientMessage(command=pb.CursorCommand(advance=count)))
        await cursor.require_refused(Code.INVALID_ARGUMENT, "advance count must be positive")


async def _walk(cursor: Cursor, *steps: tuple[tuple[object, ...], str]) -> None:
    for target, expected in steps:
        _require_at(expected, await cursor.to(*target), f"continue to {target!r}")


@store_rule(
    "contract.md 5.6/continue-index", "On an index, continue moves to a key or prefix of one, at least one step"
)
async def continue_index(store: StoreClient) -> None:
    name = await _filled(store)
    await _walk(await store.cursor(name, _keys("g")), (("y",), "k3"), (("a",), "k4"), (("yy",), "k5"), (("zz",), ""))
    await _walk(await store.cursor(name, _keys("g", PREV)), (("y",), "k4"), (("y",), "k3"), (("xx",), "k2"))
    await _walk(await store.cursor(name, _keys("gn")), (("y", 3), "k4"))
    await _walk(await store.cursor(name, _keys("gn")), (("y",), "k3"))
    await _walk(await store.cursor(name, _keys("gn", PREV)), (("y",), "k2"))
    cursor = await store.cursor(name, _keys("g", NEXT_UNIQUE))
    await cursor.next()
    await _walk(cursor, (("x",), "k3"))


@store_rule("contract.md 5.6/continue-store", "On a store, continue goes by the primary key")
async def continue_store(store: StoreClient) -> None:
    name = await _filled(store)
    await _walk(await store.cursor(name, _keys()), (("k2",), "k2"), (("k2",), "k3"), (("k45",), "k5"), (("l",), ""))
    await _walk(await store.cursor(name, _keys("", PREV)), (("k45",), "k4"), (("k9",), "k3"), (("",), ""))
    lists = await store.new_store(columns=[key_column(JSON)])
    for key in (["a"], ["a", "b"], ["a", "c"], ["b"]):
        await store.put(lists, k=key)
    await _walk(await store.cursor(lists, _keys()), (("a", "b"), "[a b]"), (("a", "bb"), "[a c]"))


@store_rule("contract.md 5.6/continue-key", "Continue needs a key whose parts have kinds")
async def continue_key(store: StoreClient) -> None:
    name = await _filled(store)
    for target, text in (
        (pb.CursorKeyTarget(), "continue key is required"),
        (pb.CursorKeyTarget(key=[pb.KeyValue()]), ""),
    ):
        cursor = await store.cursor(name)
        await cursor.send(pb.CursorClientMessage(command=pb.CursorCommand(continue_to_key=target)))
        await cursor.require_refused(Code.INVALID_ARGUMENT, text)


@store_rule("contract.md 5.6/equal-numbers", "An integer and the double equal to it are one key of a unique cursor")
async def equal_numbers(store: StoreClient) -> None:
    name = await store.new_store(index("n", "n"))
    await fill(store, name, [{"id": key, "n": n} for key, n in (("a", 1.0), ("b", 1), ("c", 1.5), ("d", 2))])
    for direction, expected in ((NEXT_UNIQUE, "acd"), (PREV_UNIQUE, "dcb")):
        cursor = await store.cursor(name, _keys("n", direction))
        require_equal(expected, "".join(await cursor.keys()), f"the records in direction {direction}")
        cursor = await store.cursor(name, _keys("n", direction))
        _require_at(expected[2], await cursor.advance(2), f"advance 2 in direction {direction}")
    cursor = await store.cursor(name, _keys("n"))
    _require_at("c", await cursor.advance(2), "advance 2, which counts records")


@store_rule("contract.md 5.6/range", "A cursor keeps to its range and values")
async def ranges(store: StoreClient) -> None:
    name = await _filled(store)
    between = bounds("k1", "k4", lower_open=True, upper_open=True)
    for opening, expected in (
        (pb.OpenCursorRequest(range=between), ["k2", "k3"]),
        (pb.OpenCursorRequest(index="gn", values=[value("x")], direction=PREV), ["k2", "k1", "k0"]),
        (pb.OpenCursorRequest(index="gn", range=bounds(["x", 2], ["y", 1])), ["k2", "k3"]),
        (pb.OpenCursorRequest(range=bounds("k4", "k1")), []),
    ):
        found = await (await store.cursor(name, opening)).keys()
        require_equal(expected, found, f"the records of a cursor on {opening!s}".replace("\n", " "))


@store_rule("contract.md 5.6/update", "Update keeps position, order and primary key, and answers the record")
async def update(store: StoreClient) -> None:
    name = await _filled(store)
    cursor = await store.cursor(name, pb.OpenCursorRequest(index="g"))
    await cursor.next()
    entry = (await cursor.update(id="other", g="zz", n=7)).entry
    written = {"id": "k0", "g": "zz", "n": 7}
    require_equal((["x"], written), (key_of(entry), fields(entry.record)), "the answer to an update")
    _require_at("k1", await cursor.next(), "the update")
    require_equal(written, await store.get(name, "k0"), "the record that was updated")
    require_equal(["k1", "k2", "k3", "k4", "k5", "k0"], await store.index_keys(name, "g"), "the index")


@store_rule("contract.md 5.6/delete", "Delete keeps the position, and an update behind it makes the record again")
async def delete(store: StoreClient) -> None:
    name = await _filled(store)
    cursor = await store.cursor(name, _keys())
    await cursor.next()
    for _ in range(2):
        answer = await cursor.command(pb.CursorCommand(delete=False))  # only its presence counts
        require(answer.WhichOneof("result") == "done" and not answer.done, "done=false for a deletion", f"{answer}")
    require_equal("k1", (await store.keys(name))[0], "the first key when k0 was deleted")
    answer = await cursor.update(g="re")
    _require_at("k0", answer, "an update of the deleted record")
    require(not answer.entry.HasField("record"), "no record in the answer of a cursor on keys only", f"{answer}")
    _require_at("k1", await cursor.next(), "deletion and update")
    require_equal({"id": "k0", "g": "re"}, await store.get(name, "k0"), "the record that was made again")


@store_rule(
    "contract.md 5.6/update-conflict", "A conflict of a unique index in an update ends the stream, and writes nothing"
)
async def update_conflict(store: StoreClient) -> None:
    name = await _filled(store)
    cursor = await store.cursor(name)
    await cursor.next()
    await cursor.send(pb.CursorClientMessage(command=pb.CursorCommand(update=record(u=1))))
    await cursor.require_refused(Code.ALREADY_EXISTS, "unique index conflict")
    require_equal({"id": "k0", "g": "x", "n": 1}, await store.get(name, "k0"), "the record afterwards")


@store_rule("contract.md 5.6/no-current-record", "Writing before the first record or behind the last ends the stream")
async def no_current_record(store: StoreClient) -> None:
    name = await _filled(store)
    for command in (pb.CursorCommand(update=record(g="x")), pb.CursorCommand(delete=True)):
        for behind in (False, True):
            cursor = await store.cursor(name)
            if behind:
                _require_at("", await cursor.advance(99), "an advance beyond all records")
            await cursor.send(pb.CursorClientMessage(command=command))
            await cursor.require_refused(Code.NOT_FOUND, "cursor is exhausted")


@store_rule("contract.md 5.6/snapshot", "A cursor sees the records as they were when it was opened")
async def snapshot(store: StoreClient) -> None:
    name = await store.new_store(index("n", "n"))
    rows = [{"id": f"k{number:03d}", "n": number} for number in range(MANY)]
    for which in ("", "n"):
        await fill(store, name, rows)
        cursor = await store.cursor(name, pb.OpenCursorRequest(index=which))
        await cursor.next()
        await store.put(name, id="k0005", n=5)
        await store.delete(name, "k050")
        await store.put(name, id="k060", n=-1)
        found = [fields(entry.record) for entry in await cursor.entries()]
        require_equal(rows[1:], found, f"the records of a cursor on {which or 'the store'} that others write meanwhile")
        await store.delete(name, "k0005")


@store_rule("contract.md 5.6/deleted-store", "A cursor goes on when its store is deleted, but cannot write")
async def deleted_store(store: StoreClient) -> None:
    name = await store.new_store()
    names = [f"k{number:02d}" for number in range(MANY // 2)]
    await fill(store, name, [{"id": key} for key in names])
    cursor = await store.cursor(name)
    for key in names[:2]:
        _require_at(key, await cursor.next(), "next")
    await store.delete_store(name)
    for key in names[2:]:
        _require_at(key, await cursor.next(), "next when the store was deleted")
    await cursor.send(pb.CursorClientMessage(command=pb.CursorCommand(update=record(x=1))))
    await cursor.require_refused(Code.NOT_FOUND, f"object store not found: {name}")


@store_rule("contract.md 5.6/frames", "Frames out of place end the stream with INVALID_ARGUMENT")
async def frames(store: StoreClient) -> None:
    name = await _filled(store)
    opening = pb.CursorClientMessage(open=pb.OpenCursorRequest(store=name))
    nothing = pb.CursorClientMessage()
    for sent, text in (
        ([pb.CursorClientMessage(command=pb.CursorCommand(next=True))], "first message must be OpenCursorRequest"),
        ([nothing], "first message must be OpenCursorRequest"),
        ([opening, opening], "expected CursorCommand after open"),
        ([opening, nothing], "expected CursorCommand after open"),
        ([opening, pb.CursorClientMessage(command=pb.CursorCommand())], "unknown cursor command"),
    ):
        cursor = store.opening_cursor()
        await cursor.send(*sent)
        await cursor.require_refused(Code.INVALID_ARGUMENT, text)


@store_rule("contract.md 5.6/open-errors", "A cursor on what does not exist ends with NOT_FOUND")
async def open_errors(store: StoreClient) -> None:
    name = await _filled(store)
    for opening, text in (
        (pb.OpenCursorRequest(store="none"), store.missing("none")),
        (pb.OpenCursorRequest(store=name, index="none"), "index not found: none"),
    ):
        cursor = store.opening_cursor()
        await cursor.send(pb.CursorClientMessage(open=opening))
        await cursor.require_refused(Code.NOT_FOUND, text)


@store_rule("contract.md 5.6/close", "Close ends the stream, as does a client that sends nothing more, also at once")
async def close(store: StoreClient) -> None:
    name = await _filled(store)
    cursor = await store.cursor(name)
    await cursor.send(pb.CursorClientMessage(command=pb.CursorCommand(close=False)))
    await cursor.require_end()
    cursor = await store.cursor(name)
    await cursor.half_close()
    await cursor.require_end()
    cursor = store.opening_cursor()
    await cursor.half_close()
    await cursor.require_end()
    transaction = store.opening_transaction()
    await transaction.half_close()
    await transaction.require_end()


@store_rule(
    "contract.md 5.6/prefetch",
    "The answer to next carries up to so many further entries, and stays small",
    capability=PREFETCH,
)
async def prefetch(store: StoreClient) -> None:
    name = await store.new_store()
    names = [f"k{number:02d}" for number in range(30)]
    await fill(store, name, [{"id": key, "v": 1} for key in names])
    answer: pb.CursorResponse = await (await store.cursor(name)).next()
    require(not answer.entries, "one entry where no more were asked for", f"{answer}")
    cursor = await store.cursor(name, pb.OpenCursorRequest(prefetch=12))
    found: list[str] = []
    while (answer := await cursor.next()).WhichOneof("result") == "entry":
        require(len(answer.entries) <= 12, "at most 12 further entries", len(answer.entries))
        found += [answer.entry.primary_key, *(entry.primary_key for entry in answer.entries)]
    require_equal(names, found, "all records")
    cursor = await store.cursor(name, pb.OpenCursorRequest(prefetch=4))
    await cursor.next()
    _require_at("k04", await cursor.update(v="the last that was sent"), "an update behind 5 entries")
    _require_at("k06", await cursor.advance(1), "advance 1 from there")
    large = await store.new_store()
    await fill(store, large, [{"id": f"k{number}", "v": b"x" * LARGE_BYTES} for number in range(10)])
    cursor = await store.cursor(large, pb.OpenCursorRequest(prefetch=100))
    count = 0
    while (answer := await cursor.next()).WhichOneof("result") == "entry":
        require(_size(answer) < MOST_FRAME_BYTES, f"frames of less than {MOST_FRAME_BYTES} bytes", _size(answer))
        count += 1 + len(answer.entries)
    require_equal(10, count, "the number of large records")


def _size(message: Message) -> int:
    return message.ByteSize()


RULES: tuple[StoreRule, ...] = (
    directions,
    entries,
    advance,
    continue_index,
    continue_store,
    continue_key,
    equal_numbers,
    ranges,
    update,
    delete,
    update_conflict,
    no_current_record,
    snapshot,
    deleted_store,
    frames,
    open_errors,
    close,
    prefetch,
)
