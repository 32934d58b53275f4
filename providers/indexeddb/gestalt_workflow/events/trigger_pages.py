"""Read the triggers whose source and subject an event meets by page, in the order of their turn.

The configuration's come first, then one of each subject, then a second one of each, and so on: whoever has many
triggers stands in nobody's way. A page's place is the position of its last trigger in that order; a walk goes on behind
it, whatever was created or deleted meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gestalt_workflow.model.errors import ContentRefused
from gestalt_workflow.model.objects import Event, EventTrigger
from gestalt_workflow.stored.records import TRIGGER_ROUNDS, TRIGGERS, meets_key, trigger_from_record
from gestalt_workflow.stored.storage import KeyRange, Page, Storage

READ_AT_ONCE = 250
"""Triggers that one message asks for."""


@dataclass(frozen=True, slots=True)
class TriggerPage:
    """Triggers in their turn.

    Attributes:
        triggers: Those that are still there and can be read.
        place: Where the next page begins; that of this page's beginning when it has no row.
        more: Whether there may be triggers behind it.
    """

    triggers: Sequence[EventTrigger]
    place: str
    more: bool


class TriggerPages:
    """The pages of every event type."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def behind(self, place: str, event: Event, limit: int, limit_bytes: int, step: str) -> TriggerPage:
        """Return the triggers behind that place, blank for the first ones.

        Args:
            limit: Most triggers of the page.
            limit_bytes: A page ends with the trigger that reaches this, each counted with the event that its run holds.
        """
        rows, more = await self._rows(place, event, limit, step)
        triggers: list[EventTrigger] = []
        size_bytes = 0
        for start in range(0, len(rows), READ_AT_ONCE):
            part = rows[start : start + READ_AT_ONCE]
            found = await self._read([trigger_id for _, trigger_id in part], step)
            for row_place, trigger_id in part:
                place = row_place
                trigger = found.get(trigger_id)
                if trigger is None:
                    continue
                triggers.append(trigger)
                size_bytes += len(event.data) + len(trigger.target.data)
                if size_bytes >= limit_bytes:
                    return TriggerPage(triggers, place, more or row_place != rows[-1][0])
        return TriggerPage(triggers, place, more)

    async def _rows(self, place: str, event: Event, limit: int, step: str) -> tuple[list[tuple[str, str]], bool]:
        """Return place and trigger id of each row of the page, and whether there are more."""
        sources, subjects = {"", event.source}, {"", event.subject}
        keys = sorted(meets_key(event.type, source, subject) for source in sources for subject in subjects)
        pages = await asyncio.gather(*(self._page(key, place, limit, step) for key in keys))
        rows = sorted((str(entry.key[1]), str(entry.primary_key)) for page in pages for entry in page.entries)
        # Behind the end of a page that was cut, another page's rows may have rows of this one before them.
        cut = [str(page.entries[-1].key[1]) for page in pages if page.next_token and page.entries]
        if cut:
            rows = [row for row in rows if row[0] <= min(cut)]
        return rows[:limit], bool(cut) or len(rows) > limit

    async def _page(self, key: str, place: str, limit: int, step: str) -> Page:
        behind = KeyRange(lower=[key, place], lower_open=True) if place else None
        return await self._storage.page(TRIGGER_ROUNDS, "meets", [key], step, range=behind, limit=limit, keys_only=True)

    async def _read(self, ids: Sequence[str], step: str) -> dict[str, EventTrigger]:
        try:
            return await self._storage.find_many(TRIGGERS, ids, trigger_from_record, step)
        except ContentRefused:  # more than one message carries
            if len(ids) == 1:
                raise
        half = len(ids) // 2
        return await self._read(ids[:half], step) | await self._read(ids[half:], step)
