"""Publishing events: complete, then hand to every workflow provider (semantics.md 8, http-api.md 8.6)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from gestalt_host.access.subjects import Principal
from gestalt_host.workflows.model import Event
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.visibility import require_subject
from gestalt_host.workflows.sizes import check_event


class ManagedEvents:
    def __init__(self, providers: WorkflowProviders, now: Callable[[], datetime]) -> None:
        self._providers = providers
        self._now = now

    async def publish(self, who: Principal, event: Event, *, provider: str = "") -> Event:
        """Publish as ``who``; needs no permission on any plugin. Returns the event as it was delivered.

        Without a provider every one gets it, by ascending name, and the first failure ends it: deliveries made stay.
        Publishing again with the same id and source is safe. What a run publishes has a cause.
        """
        require_subject(who)
        check_event(event)
        clients = [self._providers.select(provider)] if provider else self._providers.all()
        event = self._completed(event)
        for client in clients:
            await client.publish_event(event, who.actor, who.next_cause)
        return event

    def _completed(self, event: Event) -> Event:
        """Return the event with the id, specification version and time that its publisher left out."""
        return replace(
            event,
            id=event.id or str(uuid.uuid4()),
            spec_version=event.spec_version or "1.0",
            time=(event.time or self._now()).astimezone(UTC),
        )
