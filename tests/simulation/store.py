"""The way to the store of the simulation: each message takes its time there and back, may be lost in either direction,
may arrive after its sender has given up, and may be the last that its sender does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from gestalt_sdk.indexeddb import StoreUnavailable, TransactionFailed
from tests.simulation.loop import NOWHERE
from tests.support.fakes.indexeddb_client import IndexedDBClient, RecordDatabase

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of one message; seconds.

    Attributes:
        there, back: How long request and answer take.
        applied: Whether the request reaches the store; ``late``: but only after its sender got an error.
        error: What the sender gets instead of an answer.
    """

    there: float
    back: float
    applied: bool = True
    late: float = 0.0
    error: Exception | None = None


class Network(Protocol):
    """Decides over messages; ``world.World`` implements it."""

    def fate(self, call: str) -> Fate: ...

    def sending(self, call: str) -> bool:
        """False when the sender dies with the message still unsent."""

    def applied(self, call: str) -> None:
        """The message was executed; its sender may die now."""

    def answered(self, call: str) -> bool:
        """False when the sender dies with the answer in its hands."""


class StoreClient(IndexedDBClient):
    """What one process holds of the database."""

    def __init__(self, database: RecordDatabase, network: Network, *, batched: bool = True) -> None:
        super().__init__(database, batched=batched)
        self._network = network

    async def carry(self, call: str, execute: Callable[[], T]) -> T:
        """One message: its fate decides when it is executed, and when and what its sender hears of it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if not self._network.sending(call):
            return await answer  # the process is dead: nothing of it runs any more
        self.messages[call] += 1
        fate = self._network.fate(call)
        owner = self._network

        def arrive() -> None:
            try:
                result = execute()
            except Exception as error:
                loop.call_later(fate.back, settle, fate.error or error, context=NOWHERE)
                return
            owner.applied(call)
            if not fate.late:
                loop.call_later(fate.back, settle, fate.error or result, context=NOWHERE)

        def settle(outcome: T | Exception | None) -> None:
            if answer.done():
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(cast(T, outcome))

        if not fate.applied or fate.late:
            loop.call_later(fate.there + fate.back, settle, fate.error, context=NOWHERE)
        if fate.applied:
            loop.call_later(fate.there + (fate.back + fate.late if fate.late else 0.0), arrive, context=NOWHERE)
        result = await answer
        if not self._network.answered(call):
            return await loop.create_future()
        return result


def no_answer(call: str) -> StoreUnavailable:
    return StoreUnavailable(f"{call}: no answer")


def aborted(call: str) -> TransactionFailed:
    return TransactionFailed("ABORTED", f"{call}: could not serialise")
