"""Clients that write at the same time: as if one transaction ran after the other (contract.md 5.7).

A transaction may wait for another one, or lose against it with ABORTED; its client tries it again then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gestalt_host.verification.outcomes import Broken, require, require_equal
from gestalt_host.verification.suites.indexeddb.client import Code, Refused, StoreClient, Transaction
from gestalt_host.verification.suites.indexeddb.messages import index, record
from gestalt_host.verification.suites.indexeddb.rules import StoreRule, store_rule
from gestalt_sdk.gen.v1 import datastore_pb2 as pb

CLIENTS, TRANSACTIONS = 10, 5
MOST_ATTEMPTS = 200
ABORTED: int = Code.ABORTED.value[0]


class _Lost(Exception):
    """A transaction lost against another one."""


async def _get(transaction: Transaction, store: str, key: str, field: str) -> int:
    answer = await transaction.attempt("get", pb.ObjectStoreRequest(store=store, id=key))
    _require_not_lost(answer)
    return answer.record.record.fields[field].int_value


async def _put(transaction: Transaction, store: str, **row: object) -> None:
    _require_not_lost(await transaction.attempt("put", pb.RecordRequest(store=store, record=record(**row))))


def _require_not_lost(answer: pb.TransactionOperationResponse) -> None:
    if answer.error.code == ABORTED:
        raise _Lost
    require(not answer.error.code, "an operation of a transaction to succeed", f"{answer.error}")


async def _committed(
    client: StoreClient, stores: tuple[str, ...], work: Callable[[Transaction], Awaitable[None]]
) -> None:
    """Do the work in a transaction, again while it loses against others."""
    for _ in range(MOST_ATTEMPTS):
        try:
            transaction = await client.transaction(*stores)
            await work(transaction)
            code = (await transaction.commit()).code
        except _Lost:
            transaction.call.cancel()
            continue
        except Refused as error:
            if error.code() is Code.ABORTED:
                continue
            raise
        if code == ABORTED:
            continue
        require_equal(0, code, "the code of the commit")
        return
    raise Broken("a transaction to be committed", f"it was ABORTED {MOST_ATTEMPTS} times")


@store_rule("contract.md 5.7/counters", "A counter that many increment loses no update")
async def counters(store: StoreClient) -> None:
    name = await store.new_store()
    await store.put(name, id="n", n=0)

    async def increment(transaction: Transaction) -> None:
        await _put(transaction, name, id="n", n=await _get(transaction, name, "n", "n") + 1)

    async def client() -> None:
        for _ in range(TRANSACTIONS):
            await _committed(store, (name,), increment)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    require_equal({"id": "n", "n": CLIENTS * TRANSACTIONS}, await store.get(name, "n"), "the counter")


@store_rule(
    "contract.md 5.7/write-skew",
    "Two transactions that read both of two records and write one each do not both go by what was",
)
async def write_skew(store: StoreClient) -> None:
    name = await store.new_store()

    async def leave(key: str) -> None:
        async def work(transaction: Transaction) -> None:
            on = [await _get(transaction, name, each, "on") for each in "ab"]
            if sum(on) == 2:
                await _put(transaction, name, id=key, on=0)

        await _committed(store, (name,), work)

    for _ in range(TRANSACTIONS):
        for key in "ab":
            await store.put(name, id=key, on=1)
        await asyncio.gather(leave("a"), leave("b"))
        rows = await store.rows(name)
        require_equal(1, sum(row["on"] == 1 for row in rows), "the number of records that are still on")


@store_rule("contract.md 5.7/overlapping-scopes", "Transactions whose scopes overlap all come to an end")
async def overlapping_scopes(store: StoreClient) -> None:
    stores = [await store.new_store() for _ in range(3)]

    async def client(number: int) -> None:
        for step in range(TRANSACTIONS):
            scope = (stores[(number + step) % 3], stores[(number + step + 1) % 3])

            async def work(transaction: Transaction, scope: tuple[str, ...] = scope, step: int = step) -> None:
                for each in scope:
                    await _put(transaction, each, id=f"{number}-{step}")

            await _committed(store, scope, work)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    found = sum([len(await store.keys(name)) for name in stores])
    require_equal(CLIENTS * TRANSACTIONS * 2, found, "the number of records")


@store_rule("contract.md 5.3/adds-at-once", "Of many that add the same key, or the same unique key, one succeeds")
async def adds_at_once(store: StoreClient) -> None:
    name = await store.new_store(index("u", "u", unique=True))

    async def add(**row: object) -> bool:
        for _ in range(MOST_ATTEMPTS):
            try:
                await store.add(name, **row)
            except Refused as error:
                if error.code() is Code.ALREADY_EXISTS:
                    return False
                if error.code() is not Code.ABORTED:
                    raise
            else:
                return True
        raise Broken("Add to be decided", f"it was ABORTED {MOST_ATTEMPTS} times")

    same_key = await asyncio.gather(*(add(id="a", u=number) for number in range(CLIENTS)))
    require_equal(1, sum(same_key), "the number of successful additions of one key")
    same_unique = await asyncio.gather(*(add(id=f"k{number}", u="one") for number in range(CLIENTS)))
    require_equal(1, sum(same_unique), "the number of successful additions with one unique key")
    require_equal(2, await store.count(name), "the number of records")


RULES: tuple[StoreRule, ...] = (counters, write_skew, overlapping_scopes, adds_at_once)
