"""Locks by store: fair, all at once, bounded."""

from __future__ import annotations

import asyncio

import pytest
from gestalt_store.engines.locks import LockTable
from gestalt_store.errors import TransactionAborted

from tests.support.waiting import one_turn


def table_of(*requests: tuple[str, bool]) -> tuple[LockTable, list[object]]:
    table = LockTable()
    return table, [table.request(names, exclusive=exclusive, holder=names) for names, exclusive in requests]


def granted(requests: list[object]) -> list[bool]:
    return [request.granted for request in requests]  # type: ignore[attr-defined]


async def test_claims_are_granted_in_the_order_in_which_they_came() -> None:
    table, requests = table_of(("a", True), ("ab", True), ("b", True), ("c", True))
    assert granted(requests) == [True, False, False, True]
    table.release(requests[0])  # type: ignore[arg-type]
    assert granted(requests) == [False, True, False, True]
    table.release(requests[1])  # type: ignore[arg-type]
    assert granted(requests) == [False, False, True, True]
    for request in requests:
        table.release(request)  # type: ignore[arg-type]
    assert table.free("a")
    assert table.free("b")
    assert table.free("c")


async def test_shared_claims_go_together_and_wait_behind_an_exclusive_one() -> None:
    table, requests = table_of(("s", False), ("s", False), ("s", True), ("s", False))
    assert granted(requests) == [True, True, False, False]
    table.release(requests[0])  # type: ignore[arg-type]
    assert granted(requests)[2] is False
    table.release(requests[1])  # type: ignore[arg-type]
    assert granted(requests)[2:] == [True, False]
    table.release(requests[2])  # type: ignore[arg-type]
    assert granted(requests)[3] is True


async def test_giving_up_a_place_lets_those_behind_pass() -> None:
    table, requests = table_of(("s", False), ("s", True), ("s", False))
    table.release(requests[1])  # type: ignore[arg-type]
    assert granted(requests) == [True, False, True]


async def test_a_wait_is_bounded_and_says_who_is_in_the_way() -> None:
    table = LockTable()
    table.request(["a"], exclusive=True, holder="a transaction on 'a'")
    second = table.request(["a", "b"], exclusive=True, holder="second")
    with pytest.raises(TransactionAborted, match=r"0\.02 s for a transaction on 'a'"):
        await table.granted(second, 0.02)
    assert table.free("b")


async def test_a_canceled_wait_leaves_the_queue() -> None:
    table = LockTable()
    first = table.request(["a"], exclusive=True, holder="first")
    second = table.request(["a"], exclusive=True, holder="second")
    third = table.request(["a"], exclusive=True, holder="third")
    waiting = asyncio.ensure_future(table.granted(second, 10))
    await one_turn()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    table.release(first)
    assert third.granted
