"""Bringing the store level with the folder.

Two object stores: ``items`` holds one record an item; ``files`` one a file, with the time and size that it had when it
was last read and the digests of its items, so that an unchanged file is not read again. Both change in one transaction:
after a crash the next sync sees either all of the last one or nothing of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gestalt_sdk.indexeddb import IndexedDB, IndexSchema, ObjectStoreSchema, Record
from roadmap_plugin.items import Item, ItemUnreadable, Source, read, sources, unique

ITEMS = "items"
FILES = "files"
ITEMS_SCHEMA = ObjectStoreSchema(indexes=(IndexSchema("by_status", ("status",)),))


@dataclass
class Counts:
    """Outcome of a sync, in items."""

    mode: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    total: int = 0
    """Items that the store holds afterwards."""
    skipped: list[dict[str, str]] = field(default_factory=list)
    """Files that could not be used, each with a reason; their earlier items stay."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Known:
    """What the store remembers of a file."""

    modified_ns: int
    size_bytes: int
    digests: dict[str, str]


@dataclass
class _Found:
    """What the folder shows of a file: every item's digest, and the items themselves where the file was read."""

    source: Source
    digests: dict[str, str]
    items: dict[str, Item]


async def prepare(db: IndexedDB) -> None:
    """Create the stores; nothing happens where they exist."""
    await db.create_object_store(ITEMS, ITEMS_SCHEMA)
    await db.create_object_store(FILES)


async def sync(db: IndexedDB, folder: Path, mode: str) -> Counts:
    """Read what changed in ``folder`` and store it.

    Args:
        mode: ``incremental`` reads only files whose time or size differs; ``full`` reads and writes everything.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder; nothing was changed.
        gestalt_sdk.indexeddb.IndexedDBError: the store refused or is away; nothing was changed.
    """
    known = {str(record["id"]): _known(record) for record in await db.store(FILES).get_all()}
    counts = Counts(mode)
    found = await asyncio.to_thread(_look, folder, known, mode, counts)
    before = {item_id: digest for file in known.values() for item_id, digest in file.digests.items()}
    after = {item_id: digest for file in found for item_id, digest in file.digests.items()}
    kept_files = {file.source.name for file in found}

    gone = sorted(before.keys() - after.keys())
    written = [
        item
        for file in found
        for item_id, item in file.items.items()
        if mode == "full" or before.get(item_id) != file.digests[item_id]
    ]
    async with db.transaction([ITEMS, FILES], "readwrite") as tx:
        items, files = tx.store(ITEMS), tx.store(FILES)
        # Sent ahead without waiting for each answer; the commit at the end confirms them all.
        steps = [items.delete(item_id) for item_id in gone]
        steps += [items.put(_record(item)) for item in written]
        steps += [files.delete(name) for name in known.keys() - kept_files]
        steps += [files.put(_file_record(file)) for file in found if file.items or file.source.name not in known]
        await asyncio.gather(*steps)

    counts.added = len(after.keys() - before.keys())
    counts.removed = len(gone)
    counts.changed = sum(1 for item_id in after.keys() & before.keys() if after[item_id] != before[item_id])
    counts.unchanged = len(after) - counts.added - counts.changed
    counts.total = len(after)
    return counts


def _look(folder: Path, known: dict[str, _Known], mode: str, counts: Counts) -> list[_Found]:
    """What the folder holds now, by file name. An id belongs to the first file that has it."""
    found: list[_Found] = []
    owners: dict[str, str] = {}
    for source in sources(folder):
        earlier = known.get(source.name)
        same = earlier and (earlier.modified_ns, earlier.size_bytes) == (source.modified_ns, source.size_bytes)
        if mode != "full" and earlier and same:
            file = _Found(source, dict(earlier.digests), {})
        else:
            try:
                items = unique(read(source))
                file = _Found(source, {item_id: item.digest for item_id, item in items.items()}, items)
                if taken := next((item_id for item_id in items if item_id in owners), None):
                    raise ItemUnreadable(f"has the id {taken!r}, which {owners[taken]} has too")
            except ItemUnreadable as error:
                counts.skipped.append({"file": source.name, "reason": str(error)})
                if earlier is None:
                    continue
                unread = Source(source.name, source.path, earlier.modified_ns, earlier.size_bytes)
                kept = {item_id: digest for item_id, digest in earlier.digests.items() if item_id not in owners}
                file = _Found(unread, kept, {})
        owners.update(dict.fromkeys(file.digests, source.name))
        found.append(file)
    return found


def _known(record: Record) -> _Known:
    modified, size, digests = record["modified_ns"], record["size_bytes"], record["digests"]
    assert isinstance(modified, int)
    assert isinstance(size, int)
    assert isinstance(digests, dict)
    return _Known(modified, size, {str(item_id): str(digest) for item_id, digest in digests.items()})


def _file_record(file: _Found) -> Record:
    source = file.source
    return {
        "id": source.name,
        "modified_ns": source.modified_ns,
        "size_bytes": source.size_bytes,
        "digests": dict(file.digests),
    }


def _record(item: Item) -> Record:
    return {
        "id": item.item_id,
        "title": item.title,
        "status": item.status,
        "tags": list(item.tags),
        "text": item.text,
        "digest": item.digest,
    }
