"""Keep the format of the database: made when it is empty, migrated when it is older, refused when it is newer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog

from gestalt_workflow.model.errors import FormatTooNew, StorageFailed
from gestalt_workflow.stored.records import FORMAT, SCHEMAS
from gestalt_workflow.stored.storage import Storage, Write, absent

VERSION = 3
"""Raised with every change of stores, indexes or records that an older provider would misread."""


async def _more_stores(storage: Storage) -> None:
    """Make the object stores that the older format does not have; those that it has stay as they are."""
    await storage.create_stores(SCHEMAS.items(), "create object stores")


MIGRATIONS: Mapping[int, Callable[[Storage], Awaitable[None]]] = {1: _more_stores, 2: _more_stores}
"""From a version to the next one. A step must be safe to repeat: it may be cut off half-way."""

_ROW = "format"
log = structlog.get_logger()


async def prepare_database(storage: Storage) -> None:
    """Bring the database to this provider's format. Cheap, one read, when it is there already.

    Raises:
        FormatTooNew: a newer provider wrote it.
        StorageFailed: the store failed, or has object stores of these names with other indexes.
    """
    record = await storage.find_record(FORMAT, _ROW, "read format")
    if record is None:
        await storage.create_stores(SCHEMAS.items(), "create object stores")
        write = Write(FORMAT, "add", {"id": _ROW, "version": VERSION}, conditions=[absent()])
        await storage.write_alone([write], "write format")
        return
    version = record.get("version")
    if not isinstance(version, int):
        raise StorageFailed(f"read format: version is {version!r}, not a number")
    if version > VERSION:
        raise FormatTooNew(version, VERSION)
    while version < VERSION:
        await MIGRATIONS[version](storage)
        version += 1
        await storage.write_alone([Write(FORMAT, "put", {"id": _ROW, "version": version})], "write format")
        log.info("database migrated", event_name="format.migrated", version=version)
