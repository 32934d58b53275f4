"""The plugin: operations ``sync`` and ``items.list``."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from gestalt_sdk.bases import ConfigFault
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.plugin import OperationError, Plugin, Request, operation
from roadmap_plugin.sync import ITEMS, Counts, prepare, sync

SAMPLE = Path(__file__).parent / "sample"
COMPLETED = "roadmap.sync.completed"
SOURCE = "roadmap"


class RoadmapPlugin(Plugin):
    """Configuration: ``folder``, where the items are; without it a few sample items."""

    display_name = "Roadmap"
    description = "Reads roadmap items from a folder of Markdown and JSON files."
    version = "0.1.0"

    _folder: Path
    _db: IndexedDB

    def __init__(self) -> None:
        super().__init__()
        self._syncing = asyncio.Lock()

    async def check(self, name: str, config: Mapping[str, object]) -> list[ConfigFault]:
        faults = [ConfigFault(key, "is not known; accepted is folder") for key in sorted(config.keys() - {"folder"})]
        folder = config.get("folder", str(SAMPLE))
        if not isinstance(folder, str) or not folder:
            faults.append(ConfigFault("folder", f"is {folder!r}; accepted is the path of a folder"))
        return faults

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        if faults := await self.check(name, config):
            raise ValueError("; ".join(f"config.{fault}" for fault in faults))
        folder = config.get("folder", str(SAMPLE))
        db = self.indexeddb()
        await prepare(db)
        self._folder, self._db = Path(folder), db

    @operation("sync", title="Sync the roadmap", idempotent=True)
    async def sync(
        self,
        request: Request,
        mode: Annotated[Literal["incremental", "full"], "incremental reads only files that changed"] = "incremental",
    ) -> dict[str, Any]:
        """Bring the stored items level with the folder, then publish `roadmap.sync.completed`."""
        async with self._syncing:
            try:
                counts = await sync(self._db, self._folder, mode)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise OperationError(409, f"config.folder: {error}") from error
        event_id = await self._announce(request, counts)
        return {**counts.as_json(), "eventId": event_id}

    async def _announce(self, request: Request, counts: Counts) -> str:
        """Publish the completion. The id follows from the run, so that a repeated run announces nothing new."""
        run_id = request.workflow.get("runId") or request.idempotency_key
        event_id = f"sync:{run_id}" if run_id else str(uuid.uuid4())
        await request.workflows().publish_event(COMPLETED, source=SOURCE, id=event_id, data=counts.as_json())
        return event_id

    @operation("items.list", title="List items", read_only=True)
    async def list_items(
        self, status: Annotated[str | None, "only items with this status"] = None
    ) -> dict[str, list[dict[str, Any]]]:
        """Items as of the last sync, by id."""
        store = self._db.store(ITEMS)
        records = await (store.index("by_status").get_all(status) if status else store.get_all())
        fields = ("id", "title", "status", "tags", "text")
        return {"items": [{name: record[name] for name in fields} for record in records]}


provider = RoadmapPlugin
