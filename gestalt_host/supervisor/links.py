"""The interface of a provider's process to the rest of the host: its channel, and when it may be called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

import grpc

from gestalt_host.supervisor.errors import ProviderAway

Request = TypeVar("Request")
Response = TypeVar("Response")


class ProviderLink(Protocol):
    """Interface of ``ProviderProcess``; tests put any server behind it."""

    @property
    def name(self) -> str: ...

    @property
    def channel(self) -> grpc.aio.Channel: ...

    @property
    def calls(self) -> CallsUnderWay: ...

    @property
    def capabilities(self) -> frozenset[str]:
        """Extensions that the provider offers; empty until it has been asked."""
        ...

    async def wait_ready(self, timeout_s: float) -> None:
        """Return at once when the provider serves.

        Raises:
            TimeoutError, GestaltError: it does not in time, or will not at all.
        """


class CallsUnderWay:
    """The calls to one provider that have not been answered, to be given up when it does not answer any more."""

    def __init__(self) -> None:
        self._calls: set[grpc.aio.Call] = set()
        self._given_up: dict[grpc.aio.Call, str] = {}
        self._others: list[Callable[[Callable[[], Exception]], None]] = []

    def on_give_up(self, callback: Callable[[Callable[[], Exception]], None]) -> None:
        """Have calls that go another way given up too; the callback gets what makes the error that each ends with."""
        self._others.append(callback)

    async def answer(self, call: grpc.aio.UnaryUnaryCall[Request, Response]) -> Response:
        """Return the call's answer.

        Raises:
            ProviderAway: the call was given up.
            grpc.aio.AioRpcError: as the call itself.
        """
        self._calls.add(call)
        try:
            return await call
        except asyncio.CancelledError:
            reason = self._given_up.get(call)
            task = asyncio.current_task()
            if reason is None or (task is not None and task.cancelling()):
                raise
            raise ProviderAway(reason) from None
        finally:
            self._calls.discard(call)
            self._given_up.pop(call, None)

    def give_up(self, reason: str) -> None:
        """End every call that is under way with ``ProviderAway``, whose text is the reason."""
        for call in self._calls:
            self._given_up[call] = reason
            call.cancel()
        for callback in self._others:
            callback(lambda: ProviderAway(reason))
