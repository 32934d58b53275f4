"""Publishing events: normalise, then hand to every workflow provider (semantics.md 8, http-api.md 8.6)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from gestalt_host.access.subjects import Principal
from gestalt_host.errors import InvalidArgument
from gestalt_host.workflows.model import Event
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.visibility import require_subject


class Events:
    def __init__(self, providers: WorkflowProviders, now: Callable[[], datetime]) -> None:
        self._providers = providers
        self._now = now

    async def publish(self, who: Principal, event: Event, *, provider: str = "") -> Event:
        """Publish as ``who``; needs no permission on any plugin. Returns the event as it was delivered.

        Without a provider every one gets it, by ascending name, and the first failure ends it: deliveries made stay.
        Publishing again with the same id and source is safe.
        """
        require_subject(who)
        clients = [self._providers.select(provider)] if provider.strip() else self._providers.all()
        event = self.normalised(event)
        for client in clients:
            await client.publish_event(event, who.actor)
        return event

    def normalised(self, event: Event) -> Event:
        """Texts trimmed, id, specification version and time filled in.

        Raises:
            InvalidArgument: the event has no type.
        """
        kind = event.type.strip()
        if not kind:
            raise InvalidArgument("workflow event type is required")
        return replace(
            event,
            id=event.id.strip() or str(uuid.uuid4()),
            source=event.source.strip(),
            spec_version=event.spec_version.strip() or "1.0",
            type=kind,
            subject=event.subject.strip(),
            time=(event.time or self._now()).astimezone(UTC),
            data_content_type=event.data_content_type.strip(),
        )
