"""The interface of a provider's process to the rest of the host: its channel, and when it may be called."""

from __future__ import annotations

from typing import Protocol

import grpc


class ProviderLink(Protocol):
    """Interface of ``ProviderProcess``; tests put any server behind it."""

    @property
    def name(self) -> str: ...

    @property
    def channel(self) -> grpc.aio.Channel: ...

    @property
    def capabilities(self) -> frozenset[str]:
        """Extensions that the provider offers; empty until it has been asked."""
        ...

    async def wait_ready(self, timeout_s: float) -> None:
        """Return at once when the provider serves.

        Raises:
            TimeoutError, GestaltError: it does not in time, or will not at all.
        """
