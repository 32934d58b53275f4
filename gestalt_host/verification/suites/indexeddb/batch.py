"""The extension ``indexeddb.batch``: many records in one call (proto/extension/v1/batch.proto)."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from gestalt_host.verification.outcomes import require, require_equal
from gestalt_host.verification.suites.indexeddb.client import Code, StoreClient, fill
from gestalt_host.verification.suites.indexeddb.messages import bounds, fields, index, record, value
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.extension.v1 import batch_pb2
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

BATCH = "indexeddb.batch"
OK, ALREADY_EXISTS, ABORTED = 0, 6, 10
CLAIMS = 20
MANY = 200
Entry: TypeAlias = batch_pb2.ApplyEntry
Condition: TypeAlias = batch_pb2.ApplyCondition


def _put(store: str, *conditions: Condition, required: bool = False, **row: object) -> Entry:
    return Entry(store=store, put=record(**row), conditions=conditions, required=required)


def _add(store: str, **row: object) -> Entry:
    return Entry(store=store, add=record(**row))


def _absent(is_absent: bool = True, store: str = "", id: str = "") -> Condition:
    return Condition(absent=is_absent, store=store, id=id)


def _equals(field: str, native: object, store: str = "", id: str = "") -> Condition:
    return Condition(equals=batch_pb2.FieldEquals(field=field, value=value(native)), store=store, id=id)


@store_rule(
    "contract.md 5/batch-order", "The writes of a batch run in order, each with its own outcome", capability=BATCH
)
async def in_order(store: StoreClient) -> None:
    name = await store.new_store(index("u", "u", unique=True))
    outcomes = await store.apply(
        _add(name, id="a", u=1),
        _add(name, id="a", u=2),
        _put(name, id="b", u=1),
        _put(name, id="c", u=3),
        Entry(store=name, delete="a"),
        _put(name, id="b", u=1),
        Entry(store=name, delete="none"),
        Entry(store=name, check="b"),
    )
    expected = [OK, ALREADY_EXISTS, ALREADY_EXISTS, OK, OK, OK, OK, OK]
    require_equal(expected, [outcome.code for outcome in outcomes], "the codes")
    require_equal("already exists", outcomes[1].message, "the text for a key that is taken")
    require_equal("unique index conflict", outcomes[2].message, "the text for a unique key that is taken")
    require_equal(["b", "c"], await store.index_keys(name, "u"), "the index")
    require_equal([], await store.apply(), "the outcomes of no writes")


@store_rule("contract.md 5/batch-conditions", "A write whose conditions do not hold is left out", capability=BATCH)
async def conditions(store: StoreClient) -> None:
    name, other = await store.new_store(), await store.new_store()
    await store.put(name, id="a", n=1, gone=None)
    await store.put(other, id="x", lease="me")
    for step, (condition, holds) in enumerate(
        (
            (_absent(False), True),
            (_absent(), False),
            (_equals("n", 1), True),
            (_equals("n", 1.0), False),
            (_equals("n", 2), False),
            (_equals("gone", None), True),
            (_equals("never", None), True),
            (Condition(equals=batch_pb2.FieldEquals(field="never")), True),
            (_equals("n", None), False),
            (_equals("lease", "me", other, "x"), True),
            (_equals("lease", "you", other, "x"), False),
            (_absent(store=other, id="none"), True),
            (_absent(False, other, "none"), False),
            (_equals("n", None, other, "none"), False),
        )
    ):
        (outcome,) = await store.apply(_put(name, condition, id="a", n=1, gone=None, step=step))
        about = f"the condition {condition!s}".replace("\n", " ")
        require_equal(OK if holds else ABORTED, outcome.code, f"the outcome of {about}")
        require_equal(holds, (await store.get(name, "a")).get("step") == step, f"whether it was written under {about}")
    (outcome,) = await store.apply(_put(name, _equals("n", 1), _equals("n", 2), id="a"))
    require_equal(ABORTED, outcome.code, "the outcome when one of two conditions holds")
    (outcome,) = await store.apply(Entry(store=name, delete="a", conditions=[_equals("n", 1)]))
    require_equal(OK, outcome.code, "the outcome of a deletion whose condition holds")
    require_equal([], await store.keys(name), "the keys")


@store_rule(
    "contract.md 5/batch-current", "The record that was in the way comes back when it is asked for", capability=BATCH
)
async def current(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="a", n=1)
    entries = (
        _add(name, id="a"),
        _put(name, _equals("n", 2), id="a"),
        Entry(store=name, check="a", conditions=[_absent()]),
        _put(name, _absent(store=name, id="a"), id="b"),
    )
    outcomes = await store.apply(*entries, current=True)
    require_equal([{"id": "a", "n": 1}] * 3, [fields(outcome.current) for outcome in outcomes[:3]], "the records")
    require(not outcomes[3].HasField("current"), "no record where another one was in the way", f"{outcomes[3]}")
    outcomes = await store.apply(*entries)
    require(not any(each.HasField("current") for each in outcomes), "no records unasked", f"{outcomes}")


@store_rule("contract.md 5/batch-required", "A required write that fails undoes all the others", capability=BATCH)
async def required(store: StoreClient) -> None:
    name = await store.new_store(index("n", "n"))
    await store.put(name, id="a", n=1)
    check = Entry(store=name, check="a", conditions=[_equals("n", 1)], required=True)
    outcomes = await store.apply(_put(name, id="a", n=2), _put(name, id="b", n=2), check, _put(name, id="c", n=3))
    require_equal([ABORTED] * 4, [outcome.code for outcome in outcomes], "the codes")
    require_equal(["a"], await store.index_keys(name, "n"), "the index")
    require_equal({"id": "a", "n": 1}, await store.get(name, "a"), "the record")
    outcomes = await store.apply(check, _put(name, id="b", n=2))
    require_equal([OK, OK], [outcome.code for outcome in outcomes], "the codes when it holds")


@store_rule("contract.md 5/batch-refused", "Nothing is written when a write cannot be understood", capability=BATCH)
async def refused(store: StoreClient) -> None:
    name = await store.new_store()
    broken = _put(name, id="b")
    broken.put.fields["t"].time_value.seconds = 10**12
    invalid = Code.INVALID_ARGUMENT
    for entry, code in (
        (broken, invalid),
        (_put(name, x=1), invalid),
        (_put("none", id="b"), Code.NOT_FOUND),
        (Entry(store=name), invalid),
        (_put(name, Condition(), id="b"), invalid),
        (_put(name, _absent(id="b"), id="b"), invalid),
        (_put(name, _absent(store="none", id="b"), id="b"), Code.NOT_FOUND),
    ):
        request = batch_pb2.ApplyRequest(entries=[_put(name, id="a"), entry])
        await store.require_refused("Apply", request, code)
    require_equal([], await store.keys(name), "the keys")


@store_rule("contract.md 5/batch-claims", "Of many claims under one condition one wins", capability=BATCH)
async def claims(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="run", owner=None)

    async def claim(number: int) -> int:
        (outcome,) = await store.apply(_put(name, _equals("owner", None), id="run", owner=f"w{number}"))
        return outcome.code

    codes = await asyncio.gather(*(claim(number) for number in range(CLAIMS)))
    require_equal([OK] + [ABORTED] * (CLAIMS - 1), sorted(codes), "the codes")
    winner = f"w{codes.index(OK)}"
    require_equal(winner, (await store.get(name, "run"))["owner"], "the owner")


@store_rule(
    "contract.md 5/batch-get-many", "GetMany answers what it finds in the order that was asked for", capability=BATCH
)
async def get_many(store: StoreClient) -> None:
    name = await store.new_store()
    await store.apply(*(_put(name, id=f"k{number}") for number in range(MANY)))
    ids = [f"k{number}" for number in range(MANY - 1, -1, -1)]
    request = batch_pb2.GetManyRequest(store=name, ids=["none", *ids, "k7", "k7"])
    answer = await store.ask("GetMany", request, batch_pb2.GetManyResponse)
    require_equal([*ids, "k7", "k7"], [fields(found)["id"] for found in answer.records], "the records")
    answer = await store.ask("GetMany", batch_pb2.GetManyRequest(store=name), batch_pb2.GetManyResponse)
    require_equal(0, len(answer.records), "the number of records for no ids")


async def _pages(store: StoreClient, request: batch_pb2.GetPageRequest) -> list[list[pb.CursorEntry]]:
    found: list[list[pb.CursorEntry]] = []
    token = b""
    while True:
        asked = batch_pb2.GetPageRequest(page_token=token)
        asked.MergeFrom(request)
        answer = await store.ask("GetPage", asked, batch_pb2.GetPageResponse)
        found.append(list(answer.entries))
        if not answer.next_page_token:
            return found
        require(len(found) <= MANY, "an end of the pages", f"{len(found)} pages")
        token = answer.next_page_token


@store_rule("contract.md 5/batch-pages", "Pages together are what a cursor walks, in every direction", capability=BATCH)
async def pages(store: StoreClient) -> None:
    name = await store.new_store(index("g", "g", "n"))
    await store.apply(*(_put(name, id=f"k{number:02d}", g=number % 3, n=float(number // 9)) for number in range(30)))
    for direction in (pb.CURSOR_NEXT, pb.CURSOR_NEXT_UNIQUE, pb.CURSOR_PREV, pb.CURSOR_PREV_UNIQUE):
        for opening in (
            pb.OpenCursorRequest(direction=direction),
            pb.OpenCursorRequest(direction=direction, range=bounds("k03", "k20", lower_open=True)),
            pb.OpenCursorRequest(direction=direction, index="g"),
            pb.OpenCursorRequest(direction=direction, index="g", values=[value(1)]),
            pb.OpenCursorRequest(direction=direction, index="g", range=bounds([0, 1], [2, 1]), keys_only=True),
        ):
            expected = await (await store.cursor(name, opening)).entries()
            for limit in (1, 3, 7, 300):
                request = batch_pb2.GetPageRequest(
                    store=name,
                    index=opening.index,
                    values=opening.values,
                    range=opening.range if opening.HasField("range") else None,
                    direction=direction,
                    keys_only=opening.keys_only,
                    limit=limit,
                )
                found = await _pages(store, request)
                about = f"the pages of at most {limit} of {opening!s}".replace("\n", " ")
                require_equal(expected, [entry for page in found for entry in page], about)
                require(all(len(page) <= limit for page in found), f"at most {limit} entries in {about}", found)
                require(all(found) or not expected, f"no empty page in {about}", found)


@store_rule(
    "contract.md 5/batch-pages-go-on", "Pages go on behind what was deleted and inserted between them", capability=BATCH
)
async def pages_go_on(store: StoreClient) -> None:
    name = await store.new_store()
    await fill(store, name, [{"id": key} for key in "bdfh"])
    request = batch_pb2.GetPageRequest(store=name, limit=2)
    first = await store.ask("GetPage", request, batch_pb2.GetPageResponse)
    await store.delete(name, "d")
    await store.put(name, id="c")
    await store.put(name, id="e")
    request = batch_pb2.GetPageRequest(store=name, page_token=first.next_page_token)
    rest = await store.ask("GetPage", request, batch_pb2.GetPageResponse)
    require_equal(["e", "f", "h"], [entry.primary_key for entry in rest.entries], "the second page")


@store_rule(
    "contract.md 5/batch-bad-pages", "Limits, tokens and values that cannot be used are refused", capability=BATCH
)
async def bad_pages(store: StoreClient) -> None:
    name = await store.new_store()
    for request in (
        batch_pb2.GetPageRequest(store=name, limit=-1),
        batch_pb2.GetPageRequest(store=name, limit=10_001),
        batch_pb2.GetPageRequest(store=name, page_token=b"x"),
        batch_pb2.GetPageRequest(store=name, page_token=b"\xff\xff\xff\xffab"),
        batch_pb2.GetPageRequest(store=name, values=[value(1)]),
    ):
        await store.require_refused("GetPage", request, Code.INVALID_ARGUMENT)


RULES: tuple[StoreRule, ...] = (
    in_order,
    conditions,
    current,
    required,
    refused,
    claims,
    get_many,
    pages,
    pages_go_on,
    bad_pages,
)
