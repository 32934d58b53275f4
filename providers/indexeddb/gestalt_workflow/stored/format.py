"""Keep the format of the database: made when it is empty, migrated when it is older, refused when it is newer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import structlog

from gestalt_workflow.model.errors import FormatTooNew, StorageFailed, StorageUnavailable
from gestalt_workflow.model.objects import CONFIG_SUBJECT
from gestalt_workflow.stored.records import (
    FORMAT,
    SCHEMAS,
    TRIGGER_ROUNDS,
    TRIGGERS,
    round_to_record,
    trigger_from_record,
    type_and_subject,
)
from gestalt_workflow.stored.storage import Condition, Storage, Write, absent, at_revision

VERSION = 4
"""Raised with every change of stores, indexes or records that an older provider would misread."""


async def _more_stores(storage: Storage) -> None:
    """Make the object stores that the older format does not have; those that it has stay as they are."""
    await storage.create_stores(SCHEMAS.items(), "create object stores")


async def _trigger_rounds(storage: Storage) -> None:
    """Give each trigger its row in ``TRIGGER_ROUNDS``, the older ones of a subject first.

    Another process may have come further and serve already: a trigger that was changed since it was read is read again.
    """
    step = "give triggers their rounds"
    await _more_stores(storage)
    counts: Counter[str] = Counter()
    token = b""
    while True:
        page = await storage.page(TRIGGERS, "created", [], step, token=token)
        triggers = [trigger for _, trigger in storage.decoded(TRIGGERS, page.records, trigger_from_record)]
        while triggers:
            writes = []
            for trigger in triggers:
                configured = trigger.created_by.subject_id.strip() == CONFIG_SUBJECT
                theirs = type_and_subject(trigger.match.type, trigger.created_by.subject_id)
                counts[theirs] += 1
                round = 0 if configured else counts[theirs] if trigger.round is None else trigger.round
                unchanged = [at_revision(trigger.revision, store=TRIGGERS, id=trigger.id)]
                writes.append(Write(TRIGGER_ROUNDS, "put", round_to_record(trigger, round), conditions=unchanged))
            results = await storage.write_alone(writes, step)
            changed = [trigger.id for trigger, result in zip(triggers, results, strict=True) if not result.ok]
            found = await storage.find_many(TRIGGERS, changed, trigger_from_record, step) if changed else {}
            triggers = list(found.values())
        token = page.next_token
        if not token:
            return


MIGRATIONS: Mapping[int, Callable[[Storage], Awaitable[None]]] = {
    1: _more_stores,
    2: _more_stores,
    3: _trigger_rounds,
}
"""From a version to the next one. A step must be safe to repeat: it may be cut off half-way."""

_ROW = "format"
FIRST_ANSWER_S = 10.0
"""A store that listens answers one read sooner. The host, which waits 30 s, then says what is missing."""
log = structlog.get_logger()


async def prepare_database(storage: Storage) -> None:
    """Bring the database to this provider's format. Cheap, one read, when it is there already.

    Raises:
        FormatTooNew: a newer provider wrote it.
        StorageFailed: the store failed, or has object stores of these names with other indexes.
        StorageUnavailable: it does not answer.
    """
    try:
        async with asyncio.timeout(FIRST_ANSWER_S):
            record = await storage.find_record(FORMAT, _ROW, "read format")
    except TimeoutError:
        raise StorageUnavailable(f"read format: the store has not answered within {FIRST_ANSWER_S:g} s") from None
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
        earlier = [Condition.equals("version", version)]  # else another process has come further
        version += 1
        write = Write(FORMAT, "put", {"id": _ROW, "version": version}, conditions=earlier)
        await storage.write_alone([write], "write format")
        log.info("database migrated", event_name="format.migrated", version=version)
