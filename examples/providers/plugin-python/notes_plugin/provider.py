"""The plugin: operations ``notes.put``, ``notes.get``, ``notes.list`` and ``notes.announce``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from gestalt_sdk.bases import ConfigFault
from gestalt_sdk.indexeddb import IndexedDB, KeyRange, ObjectStore, Record
from gestalt_sdk.plugin import OperationError, Plugin, Request, operation

NOTES = "notes"
SOURCE = "notes"
ANNOUNCED = "notes.announced"
MOST_LISTED = 1000


class NotesPlugin(Plugin):
    """Configuration: ``eventType``, the type of the events that ``notes.announce`` publishes."""

    display_name = "Notes"
    description = "Keeps notes, and announces them as events."
    version = "0.1.0"

    _db: IndexedDB
    _event_type: str = ANNOUNCED

    async def check(self, name: str, config: Mapping[str, object]) -> list[ConfigFault]:
        faults = [
            ConfigFault(key, "is not known; accepted is eventType") for key in sorted(config.keys() - {"eventType"})
        ]
        event_type = config.get("eventType", ANNOUNCED)
        if not isinstance(event_type, str) or not event_type:
            faults.append(ConfigFault("eventType", f"is {event_type!r}; accepted is a text that is not empty"))
        return faults

    async def configure(self, name: str, config: Mapping[str, object]) -> None:
        if faults := await self.check(name, config):
            raise ValueError("; ".join(f"config.{fault}" for fault in faults))
        db = self.indexeddb()
        await db.create_object_store(NOTES)  # one that is there already stays as it is
        self._db, self._event_type = db, str(config.get("eventType", ANNOUNCED))

    @operation("notes.put", title="Write a note", idempotent=True)
    async def put_note(
        self,
        id: Annotated[str, "names the note"],
        text: Annotated[str, "what it says"],
        priority: Annotated[int, "larger is more urgent"] = 0,
    ) -> Record:
        """Write a note; one of the same id is replaced."""
        if not id.strip():
            raise OperationError(400, 'parameter "id" is blank; accepted is text')
        note: Record = {"id": id, "text": text, "priority": priority}
        await self._notes.put(note)
        return note

    @operation("notes.get", title="Read a note", read_only=True)
    async def get_note(self, id: Annotated[str, "names the note"]) -> Record:
        """Read one note."""
        return await self._note(id)

    @operation("notes.list", title="List notes", read_only=True)
    async def list_notes(
        self,
        limit: Annotated[int, "at most so many, 1 to 1000"] = 100,
        after: Annotated[str, "only notes whose ids come after this one"] = "",
    ) -> dict[str, object]:
        """List notes by id; `next` is the `after` of the next page, and absent on the last one."""
        if not 1 <= limit <= MOST_LISTED:
            raise OperationError(400, f'parameter "limit" is {limit}; accepted is 1 to {MOST_LISTED}')
        notes: list[Record] = []
        behind = KeyRange(lower=after, lower_open=True) if after else None
        async with self._notes.cursor(behind) as cursor:
            while entry := await cursor.next():
                if len(notes) == limit:
                    return {"notes": notes, "next": notes[-1]["id"]}
                notes.append(entry.record or {})
        return {"notes": notes}

    @operation("notes.announce", title="Announce a note")
    async def announce(self, request: Request, id: Annotated[str, "names the note"]) -> dict[str, str]:
        """Publish an event that carries the note."""
        note = await self._note(id)
        # The same call made again has the same event id, so it starts no further runs.
        call = request.workflow.get("runId") or request.idempotency_key
        event = await request.workflows().publish_event(
            self._event_type, source=SOURCE, subject=id, data=note, id=f"announce:{call}" if call else ""
        )
        return {"eventId": event.id}

    @property
    def _notes(self) -> ObjectStore:
        return self._db.store(NOTES)

    async def _note(self, id: str) -> Record:
        note = await self._notes.find(id)
        if note is None:
            raise OperationError(404, f'no note "{id}"')
        return note


provider = NotesPlugin
