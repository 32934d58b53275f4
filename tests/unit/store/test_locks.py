"""Locks by store: fair, all at once, bounded."""

from __future__ import annotations

import asyncio

import pytest
from gestalt_store.engines.locks import LockTable
from gestalt_store.errors import TransactionAborted


def table_of(*claims: tuple[str, bool]) -> tuple[LockTable, list[object]]:
    table = LockTable()
    return table, [table.claim(names, exclusive=exclusive, owner=names) for names, exclusive in claims]


def granted(claims: list[object]) -> list[bool]:
    return [claim.granted for claim in claims]  # type: ignore[attr-defined]


async def test_claims_are_granted_in_the_order_in_which_they_came() -> None:
    table, claims = table_of(("a", True), ("ab", True), ("b", True), ("c", True))
    assert granted(claims) == [True, False, False, True]
    table.release(claims[0])  # type: ignore[arg-type]
    assert granted(claims) == [False, True, False, True]
    table.release(claims[1])  # type: ignore[arg-type]
    assert granted(claims) == [False, False, True, True]
    for claim in claims:
        table.release(claim)  # type: ignore[arg-type]
    assert table.free("a") and table.free("b") and table.free("c")


async def test_shared_claims_go_together_and_wait_behind_an_exclusive_one() -> None:
    table, claims = table_of(("s", False), ("s", False), ("s", True), ("s", False))
    assert granted(claims) == [True, True, False, False]
    table.release(claims[0])  # type: ignore[arg-type]
    assert granted(claims)[2] is False
    table.release(claims[1])  # type: ignore[arg-type]
    assert granted(claims)[2:] == [True, False]
    table.release(claims[2])  # type: ignore[arg-type]
    assert granted(claims)[3] is True


async def test_giving_up_a_place_lets_those_behind_pass() -> None:
    table, claims = table_of(("s", False), ("s", True), ("s", False))
    table.release(claims[1])  # type: ignore[arg-type]
    assert granted(claims) == [True, False, True]


async def test_a_wait_is_bounded_and_says_who_is_in_the_way() -> None:
    table = LockTable()
    table.claim(["a"], exclusive=True, owner="a transaction on 'a'")
    second = table.claim(["a", "b"], exclusive=True, owner="second")
    with pytest.raises(TransactionAborted, match=r"0\.02 s for a transaction on 'a'"):
        await table.granted(second, 0.02)
    assert table.free("b")


async def test_a_canceled_wait_leaves_the_queue() -> None:
    table = LockTable()
    first = table.claim(["a"], exclusive=True, owner="first")
    second = table.claim(["a"], exclusive=True, owner="second")
    third = table.claim(["a"], exclusive=True, owner="third")
    waiting = asyncio.ensure_future(table.granted(second, 10))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    table.release(first)
    assert third.granted
