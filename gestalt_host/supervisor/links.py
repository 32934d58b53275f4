"""What the rest of the host needs of a provider's process, as an interface: its channel, and when it may be called."""

from __future__ import annotations

from typing import Protocol

import grpc


class ProviderLink(Protocol):
    """A ``ProviderProcess``, or in tests any server."""

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
