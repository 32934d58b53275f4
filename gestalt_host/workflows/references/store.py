"""Execution references in their workflow provider: written signed, revoked, read back (semantics.md 7.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from gestalt_host.errors import HostError, ProviderRefused
from gestalt_host.workflows.model import ExecutionReference
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.references.signing import ReferenceSigner
from gestalt_host.workflows.turns import Turns

log = structlog.get_logger()


def utc_now() -> datetime:
    return datetime.now(UTC)


class ReferenceStore:
    """Reads and writes execution references.

    Writes of one reference are made one after the other, because a put without ``revoked_at`` takes a revocation back.
    """

    def __init__(self, signer: ReferenceSigner, *, now: Callable[[], datetime] = utc_now) -> None:
        self.signer = signer
        self._now = now
        self._turns = Turns()

    def lock(self, provider: str, reference_id: str) -> asyncio.Lock:
        """Return the lock that is held while anything that changes the reference is under way."""
        return self._turns.of(provider, reference_id)

    async def put(self, client: WorkflowProviderClient, reference: ExecutionReference) -> None:
        """Store the reference, signed, as active."""
        async with self.lock(client.name, reference.id):
            await client.put_execution_reference(self.signer.sign(reference))

    async def revoke(self, client: WorkflowProviderClient, reference: ExecutionReference) -> None:
        """End the reference at once. A failure is logged and swallowed: run-time checks remain."""
        # Revocation times have whole seconds in the contract's other implementation, whose records we may share.
        moment = self._now().replace(microsecond=0)
        try:
            async with self.lock(client.name, reference.id):
                await client.put_execution_reference(replace(self.signer.sign(reference), revoked_at=moment))
        except HostError as error:
            log.warning(
                "an execution reference could not be revoked",
                event_name="reference.revoke_failed",
                provider=client.name,
                reference=reference.id,
                error=str(error),
            )

    async def find(
        self, client: WorkflowProviderClient, reference_id: str, *, wait: bool = True
    ) -> ExecutionReference | None:
        if not reference_id:
            return None
        try:
            return await client.get_execution_reference(reference_id, wait=wait)
        except ProviderRefused as error:
            if error.code == "NOT_FOUND":
                return None
            raise

    async def sign_again(self, client: WorkflowProviderClient, reference: ExecutionReference) -> None:
        """Store a signature for a reference that has none of ours, unless it has been revoked meanwhile."""
        async with self.lock(client.name, reference.id):
            current = await self.find(client, reference.id, wait=False)
            if current is not None and current.revoked_at is None:
                await client.put_execution_reference(self.signer.sign(current))
