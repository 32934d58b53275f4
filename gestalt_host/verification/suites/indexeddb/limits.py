"""Requests and answers of extreme sizes: refused with a status, never a crash (contract.md 5.5)."""

from __future__ import annotations

from gestalt_host.verification.outcomes import Broken, require, require_equal
from gestalt_host.verification.suites.indexeddb.client import Code, Refused, StoreClient, fill, query
from gestalt_host.verification.suites.indexeddb.messages import index, record
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

MIB = 1024 * 1024
LARGE_BYTES = 3 * MIB
"""Every library takes messages of 4 MiB."""
LARGE_RECORDS = 24
OVERSIZED_BYTES = 65 * MIB


@store_rule("contract.md 5.5/large-list", "A list that is too large for a message is refused, and a cursor walks it")
async def large_list(store: StoreClient) -> None:
    name = await store.new_store(index("n", "n"))
    names = [f"k{number:02}" for number in range(LARGE_RECORDS)]
    await fill(store, name, [{"id": key, "n": key, "v": b"x" * LARGE_BYTES} for key in names])
    for method, request in (("GetAll", pb.ObjectStoreRangeRequest(store=name)), ("IndexGetAll", query(name, "n"))):
        await store.require_refused(method, request, Code.RESOURCE_EXHAUSTED)
    require_equal(names, await store.keys(name), "the keys")
    require_equal(names, await (await store.cursor(name)).keys(), "the records of a cursor")
    await store.delete_store(name)


@store_rule("contract.md 5.5/large-record", "A record of 3 MiB is kept, and one that no message carries is refused")
async def large_record(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="large", v=b"x" * LARGE_BYTES, text="\u00e9" * 1000)
    kept = await store.get(name, "large")
    require(kept == {"id": "large", "v": b"x" * LARGE_BYTES, "text": "\u00e9" * 1000}, "the large record", list(kept))
    oversized = pb.RecordRequest(store=name, record=record(id="oversized", v=b"x" * OVERSIZED_BYTES))
    await store.require_refused("Put", oversized, Code.RESOURCE_EXHAUSTED)
    transaction = await store.transaction(name)
    await transaction.send(transaction.operation("put", oversized))
    code, _ = await transaction.ended()
    require(code is not Code.OK, "an oversized frame to end the transaction with an error", code.name)
    require_equal(["large"], await store.keys(name), "the keys afterwards")
    await store.delete_store(name)


@store_rule("contract.md 5.5/undecodable", "A request that is no message is refused, and the next one is answered")
async def undecodable(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="a")
    for method in ("Get", "Put", "GetAll", "IndexGet", "CreateObjectStore"):
        code, _ = await store.refused_bytes(method, b"\xff" * 16)
        # Some servers of grpc end such calls by themselves, before a provider sees them: with UNKNOWN.
        expected = f"{method} to end with INTERNAL or UNKNOWN for bytes that are no message"
        require(code in (Code.INTERNAL, Code.UNKNOWN), expected, code.name)
    require_equal({"id": "a"}, await store.get(name, "a"), "the record afterwards")


@store_rule("contract.md 5.3/long-texts", "Long ids and field names are kept or refused, and nothing else suffers")
async def long_texts(store: StoreClient) -> None:
    name = await store.new_store(index("f", "f"))
    for size in (1_000, 100_000):
        key = "\u00e9" * size
        try:
            await store.put(name, id=key, f=key)
        except Refused as error:
            require(error.code() in (Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED), "a refusal for its size", error)
            continue
        require_equal({"id": key, "f": key}, await store.get(name, key), "the record with the long key")
        require_equal([key], await store.index_keys(name, "f", key), "the index for the long value")
        await store.delete(name, key)
    if await store.keys(name):
        raise Broken("no records", "some are left")


RULES: tuple[StoreRule, ...] = (large_list, large_record, undecodable, long_texts)
