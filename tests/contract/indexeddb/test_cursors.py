"""The cursor stream, frame by frame (contract.md 5.6)."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from tests.support.rigs.store import Code, Cursor, Service, bounds, fields, index, key_of, record, scalar, value

NEXT, NEXT_UNIQUE, PREV, PREV_UNIQUE = pb.CURSOR_NEXT, pb.CURSOR_NEXT_UNIQUE, pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE


@pytest.fixture
async def store(service: Service) -> str:
    name = await service.new_store(index("g", "g"), index("gn", "g", "n"), index("u", "u", unique=True))
    rows = [("k0", "x", 1), ("k1", "x", 1), ("k2", "x", 2), ("k3", "y", 1), ("k4", "y", 3), ("k5", "z", 2)]
    for key, g, n in rows:
        await service.put(name, id=key, g=g, n=n)
    await service.put(name, id="k6", n=9, u=1)
    return name


def target(*parts: Any) -> pb.CursorKeyTarget:
    return pb.CursorKeyTarget(key=[scalar(part) for part in parts])


async def refused(cursor: Cursor, **command: Any) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await cursor.move(**command)
    return caught.value.code(), caught.value.details() or ""


@pytest.mark.parametrize(
    ("index_name", "direction", "expected"),
    [
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
        ("g", 99, "012345"),
    ],
)
async def test_directions(service: Service, store: str, index_name: str, direction: int, expected: str) -> None:
    cursor = await service.cursor(store, index=index_name, direction=direction, keys_only=True)
    assert "".join(key[1] for key in await cursor.keys()) == expected
    assert (await cursor.next()).done
    assert (await cursor.move(advance=1)).done
    assert (await cursor.move(continue_to_key=target("a"))).done


async def test_entries_carry_key_parts_primary_key_and_record(service: Service, store: str) -> None:
    entry = (await (await service.cursor(store)).next()).entry
    assert key_of(entry) == ["k0"]
    assert entry.primary_key == "k0"
    assert fields(entry.record) == {"id": "k0", "g": "x", "n": 1}
    entry = (await (await service.cursor(store, index="g")).next()).entry
    assert key_of(entry) == ["x"]
    assert entry.primary_key == "k0"
    entry = (await (await service.cursor(store, index="gn", keys_only=True)).next()).entry
    assert key_of(entry) == ["x", 1]
    assert not entry.HasField("record")


async def test_typed_keys_keep_their_types(service: Service) -> None:
    columns = [pb.ColumnDef(name="k", type=6, primary_key=True)]
    store = await service.new_store(index("v", "v"), columns=columns)
    await service.put(store, k=["a", 1.0], v={"m": [None]})
    cursor = await service.cursor(store, index="v")
    entry = (await cursor.next()).entry
    assert entry.key[0].WhichOneof("kind") == "scalar"
    assert key_of(entry) == [{"m": [None]}]
    assert entry.primary_key == "[a 1]"
    entry = (await (await service.cursor(store)).next()).entry
    assert entry.key[0].WhichOneof("kind") == "array"
    assert key_of(entry) == [["a", 1.0]]


async def test_advance_skips_and_lands_behind(service: Service, store: str) -> None:
    cursor = await service.cursor(store, keys_only=True)
    assert (await cursor.move(advance=1)).entry.primary_key == "k1"
    assert (await cursor.move(advance=3)).entry.primary_key == "k5"
    assert (await cursor.move(advance=1)).done
    cursor = await service.cursor(store, index="g", direction=NEXT_UNIQUE, keys_only=True)
    assert (await cursor.move(advance=1)).entry.primary_key == "k3"
    assert (await cursor.move(advance=1)).done
    cursor = await service.cursor(store, index="g", direction=PREV_UNIQUE, keys_only=True)
    assert (await cursor.move(advance=2)).entry.primary_key == "k2"


@pytest.mark.parametrize("count", [0, -1])
async def test_advance_needs_a_positive_count(service: Service, store: str, count: int) -> None:
    cursor = await service.cursor(store)
    assert await refused(cursor, advance=count) == (Code.INVALID_ARGUMENT, "advance count must be positive")


async def test_continue_moves_at_least_one_step(service: Service, store: str) -> None:
    cursor = await service.cursor(store, index="g", keys_only=True)
    assert (await cursor.move(continue_to_key=target("y"))).entry.primary_key == "k3"
    assert (await cursor.move(continue_to_key=target("a"))).entry.primary_key == "k4"
    assert (await cursor.move(continue_to_key=target("yy"))).entry.primary_key == "k5"
    assert (await cursor.move(continue_to_key=target("zz"))).done
    cursor = await service.cursor(store, index="g", direction=PREV, keys_only=True)
    assert (await cursor.move(continue_to_key=target("y"))).entry.primary_key == "k4"
    assert (await cursor.move(continue_to_key=target("y"))).entry.primary_key == "k3"
    assert (await cursor.move(continue_to_key=target("xx"))).entry.primary_key == "k2"
    cursor = await service.cursor(store, index="gn", keys_only=True)
    assert (await cursor.move(continue_to_key=target("y", 3))).entry.primary_key == "k4"
    cursor = await service.cursor(store, index="gn", keys_only=True)
    assert (await cursor.move(continue_to_key=target("y"))).entry.primary_key == "k3"
    cursor = await service.cursor(store, index="gn", direction=PREV, keys_only=True)
    assert (await cursor.move(continue_to_key=target("y"))).entry.primary_key == "k2"
    cursor = await service.cursor(store, index="g", direction=NEXT_UNIQUE, keys_only=True)
    await cursor.next()
    assert (await cursor.move(continue_to_key=target("x"))).entry.primary_key == "k3"


async def test_continue_on_a_store_goes_by_the_primary_key(service: Service, store: str) -> None:
    cursor = await service.cursor(store, keys_only=True)
    assert (await cursor.move(continue_to_key=target("k2"))).entry.primary_key == "k2"
    assert (await cursor.move(continue_to_key=target("k2"))).entry.primary_key == "k3"
    assert (await cursor.move(continue_to_key=target("k45"))).entry.primary_key == "k5"
    assert (await cursor.move(continue_to_key=target("l"))).done
    cursor = await service.cursor(store, direction=PREV, keys_only=True)
    assert (await cursor.move(continue_to_key=target("k45"))).entry.primary_key == "k4"
    assert (await cursor.move(continue_to_key=target("k9"))).entry.primary_key == "k3"
    assert (await cursor.move(continue_to_key=target(""))).done
    columns = [pb.ColumnDef(name="k", type=6, primary_key=True)]
    arrays = await service.new_store(columns=columns)
    for key in (["a"], ["a", "b"], ["a", "c"], ["b"]):
        await service.put(arrays, k=key)
    cursor = await service.cursor(arrays, keys_only=True)
    assert (await cursor.move(continue_to_key=target("a", "b"))).entry.primary_key == "[a b]"
    assert (await cursor.move(continue_to_key=target("a", "bb"))).entry.primary_key == "[a c]"


@pytest.mark.parametrize(("direction", "expected"), [(NEXT_UNIQUE, "acd"), (PREV_UNIQUE, "dcb")])
async def test_an_integer_and_the_double_equal_to_it_are_one_key(
    service: Service, direction: int, expected: str
) -> None:
    store = await service.new_store(index("n", "n"))
    for key, n in (("a", 1.0), ("b", 1), ("c", 1.5), ("d", 2)):
        await service.put(store, id=key, n=n)
    cursor = await service.cursor(store, index="n", direction=direction, keys_only=True)
    assert "".join(await cursor.keys()) == expected
    cursor = await service.cursor(store, index="n", direction=direction, keys_only=True)
    assert (await cursor.move(advance=2)).entry.primary_key == expected[2]
    cursor = await service.cursor(store, index="n", keys_only=True)
    assert (await cursor.move(advance=2)).entry.primary_key == "c"


async def test_continue_needs_a_key_whose_parts_have_kinds(service: Service, store: str) -> None:
    code, text = await refused(await service.cursor(store), continue_to_key=pb.CursorKeyTarget())
    assert code is Code.INVALID_ARGUMENT
    assert "continue key is required" in text
    code, _ = await refused(await service.cursor(store), continue_to_key=pb.CursorKeyTarget(key=[pb.KeyValue()]))
    assert code is Code.INVALID_ARGUMENT


async def test_range_and_values_apply(service: Service, store: str) -> None:
    cursor = await service.cursor(store, range=bounds("k1", "k4", lower_open=True, upper_open=True), keys_only=True)
    assert await cursor.keys() == ["k2", "k3"]
    cursor = await service.cursor(store, index="gn", values=[value("x")], direction=PREV, keys_only=True)
    assert await cursor.keys() == ["k2", "k1", "k0"]
    cursor = await service.cursor(store, index="gn", range=bounds(["x", 2], ["y", 1]), keys_only=True)
    assert await cursor.keys() == ["k2", "k3"]
    assert await (await service.cursor(store, range=bounds("k4", "k1"))).keys() == []


async def test_update_keeps_position_and_key_and_forces_the_primary_key(service: Service, store: str) -> None:
    cursor = await service.cursor(store, index="g")
    await cursor.next()
    entry = (await cursor.move(update=record(id="other", g="zz", n=7))).entry
    assert key_of(entry) == ["x"]
    assert fields(entry.record) == {"id": "k0", "g": "zz", "n": 7}
    assert (await cursor.next()).entry.primary_key == "k1"
    assert await service.get(store, "k0") == {"id": "k0", "g": "zz", "n": 7}
    assert await service.index_keys(store, "g") == ["k1", "k2", "k3", "k4", "k5", "k0"]


async def test_delete_keeps_the_position_and_update_recreates(service: Service, store: str) -> None:
    cursor = await service.cursor(store, keys_only=True)
    await cursor.next()
    for _ in range(2):
        answer = await cursor.move(delete=False)  # only its presence counts
        assert answer.WhichOneof("result") == "done"
        assert not answer.done
    assert (await service.keys(store))[0] == "k1"
    answer = await cursor.move(update=record(g="re"))
    assert answer.entry.primary_key == "k0"
    assert not answer.entry.HasField("record")
    assert (await cursor.next()).entry.primary_key == "k1"
    assert await service.get(store, "k0") == {"id": "k0", "g": "re"}


async def test_a_unique_conflict_in_an_update_ends_the_stream(service: Service, store: str) -> None:
    cursor = await service.cursor(store)
    await cursor.next()
    assert await refused(cursor, update=record(u=1)) == (Code.ALREADY_EXISTS, "unique index conflict")
    assert await service.get(store, "k0") == {"id": "k0", "g": "x", "n": 1}


@pytest.mark.parametrize("exhaust", [False, True])
@pytest.mark.parametrize("command", [{"update": record(g="x")}, {"delete": True}])
async def test_writing_without_a_current_record(
    service: Service, store: str, exhaust: bool, command: dict[str, Any]
) -> None:
    cursor = await service.cursor(store)
    if exhaust:
        assert (await cursor.move(advance=99)).done
    assert await refused(cursor, **command) == (Code.NOT_FOUND, "cursor is exhausted")


async def test_a_cursor_sees_the_state_at_its_opening(service: Service) -> None:
    store = await service.new_store(index("n", "n"))
    for number in range(100):
        await service.put(store, id=f"k{number:03d}", n=number)
    for name in ("", "n"):
        cursor = await service.cursor(store, index=name)
        await cursor.next()
        await service.put(store, id="k0005", n=5)
        await service.call("Delete", pb.ObjectStoreRequest(store=store, id="k050"))
        await service.put(store, id="k060", n=-1)
        found = []
        while (answer := await cursor.next()).WhichOneof("result") == "entry":
            found.append(fields(answer.entry.record))
        assert found == [{"id": f"k{number:03d}", "n": number} for number in range(1, 100)]
        await service.put(store, id="k050", n=50)
        await service.put(store, id="k060", n=60)
        await service.call("Delete", pb.ObjectStoreRequest(store=store, id="k0005"))


async def test_a_cursor_goes_on_after_its_store_was_deleted_but_cannot_write(service: Service) -> None:
    store = await service.new_store()
    for number in range(50):
        await service.put(store, id=f"k{number:02d}")
    cursor = await service.cursor(store)
    await cursor.next()
    await service.call("DeleteObjectStore", pb.DeleteObjectStoreRequest(name=store))
    for number in range(1, 50):
        assert (await cursor.next()).entry.primary_key == f"k{number:02d}"
    assert await refused(cursor, update=record(x=1)) == (Code.NOT_FOUND, f"object store not found: {store}")


async def test_bad_frames(service: Service, store: str) -> None:
    opening = pb.CursorClientMessage(open=pb.OpenCursorRequest(store=store))
    cases = [
        ([pb.CursorClientMessage(command=pb.CursorCommand(next=True))], "first message must be OpenCursorRequest"),
        ([pb.CursorClientMessage()], "first message must be OpenCursorRequest"),
        ([opening, opening], "expected CursorCommand after open"),
        ([opening, pb.CursorClientMessage()], "expected CursorCommand after open"),
        ([opening, pb.CursorClientMessage(command=pb.CursorCommand())], "unknown cursor command"),
    ]
    for frames, text in cases:
        stream = service.stream("OpenCursor")
        await stream.send(*frames)
        assert await stream.ended() == (Code.INVALID_ARGUMENT, text)


async def test_opening_what_is_not_there(service: Service, store: str) -> None:
    for opening, text in (
        (pb.OpenCursorRequest(store="none"), service.missing("none")),
        (pb.OpenCursorRequest(store=store, index="none"), "index not found: none"),
    ):
        stream = service.stream("OpenCursor")
        await stream.send(pb.CursorClientMessage(open=opening))
        assert await stream.ended() == (Code.NOT_FOUND, text)


async def test_close_and_half_close_end_ok(service: Service, store: str) -> None:
    cursor = await service.cursor(store)
    assert await cursor.move(close=False) is None
    assert (await cursor.ended())[0] is Code.OK
    cursor = await service.cursor(store)
    await cursor.half_close()
    assert await cursor.receive() is None


@pytest.mark.parametrize("method", ["OpenCursor", "Transaction"])
async def test_a_stream_closed_before_its_first_frame_ends_ok(service: Service, method: str) -> None:
    stream = service.stream(method)
    await stream.half_close()
    assert (await stream.ended())[0] is Code.OK


async def test_prefetch_sends_what_follows(service: Service) -> None:
    store = await service.new_store()
    for number in range(30):
        await service.put(store, id=f"k{number:02d}", v=number)
    plain = await service.cursor(store)
    assert not (await plain.next()).entries
    cursor = await service.cursor(store, prefetch=12)
    found = []
    while (answer := await cursor.next()).WhichOneof("result") == "entry":
        assert len(answer.entries) <= 12
        found += [answer.entry.primary_key, *(entry.primary_key for entry in answer.entries)]
    assert found == [f"k{number:02d}" for number in range(30)]
    cursor = await service.cursor(store, prefetch=4)
    await cursor.next()
    assert (await cursor.move(update=record(v="last sent"))).entry.primary_key == "k04"
    assert (await cursor.move(advance=1)).entry.primary_key == "k06"


async def test_prefetched_frames_stay_small(service: Service) -> None:
    store = await service.new_store()
    for number in range(10):
        await service.put(store, id=f"k{number}", v=b"x" * 400_000)
    cursor = await service.cursor(store, prefetch=100)
    found = 0
    while (answer := await cursor.next()).WhichOneof("result") == "entry":
        assert answer.ByteSize() < 2 << 20
        found += 1 + len(answer.entries)
    assert found == 10
