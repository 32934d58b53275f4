"""Keep execution references: who runs execute as (decisions 8 and 18).

References are kept in memory once seen, with their revision. A claim that will send one along names that revision, so
a reference that somebody revoked in the meantime fails the claim instead of being sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gestalt_workflow.model.errors import ObjectNotFound, TooMuchContention
from gestalt_workflow.model.objects import Reference
from gestalt_workflow.stored.records import REFERENCES, reference_from_record, reference_to_record
from gestalt_workflow.stored.storage import Storage, Write, absent, at_revision

KNOWN_LIMIT = 20_000
KNOWN_BYTES = 64 * 1024 * 1024
"""References kept in memory, and their bytes: each holds the target, with its input."""
ATTEMPTS = 16


class References:
    """Every execution reference, and those that this process knows."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: OrderedDict[str, Reference] = OrderedDict()
        self._known_bytes = 0

    async def put(self, wanted: Reference) -> Reference:
        """Insert or replace; ``created_at`` of an existing one is kept, an equal one is not written again."""
        step = "put execution reference"
        write = Write(REFERENCES, "add", reference_to_record(wanted), conditions=[absent()])
        for _ in range(ATTEMPTS):
            (result,) = await self._storage.write([write], step)
            if result.ok:
                self._remember(wanted)
                return wanted
            if result.current is None:  # gone again, or an answer without the record
                existing = await self._storage.find(REFERENCES, wanted.id, reference_from_record, step)
            else:
                existing = reference_from_record(result.current)
            if existing is None:
                write = Write(
                    REFERENCES, "add", reference_to_record(replace(wanted, revision=1)), conditions=[absent()]
                )
                continue
            wanted = replace(wanted, created_at=existing.created_at, revision=existing.revision)
            if wanted == existing:
                self._remember(existing)
                return existing
            wanted = replace(wanted, revision=existing.revision + 1)
            conditions = [at_revision(existing.revision)]
            write = Write(REFERENCES, "put", reference_to_record(wanted), conditions=conditions)
        raise TooMuchContention(step)

    async def get(self, reference_id: str) -> Reference:
        """Return the reference; raise ``ObjectNotFound`` when there is none."""
        step = "get execution reference"
        found = await self._storage.find(REFERENCES, reference_id, reference_from_record, step)
        if found is None:
            raise ObjectNotFound("workflow execution reference", reference_id)
        self._remember(found)
        return found

    async def retirement(self, reference_id: str, now: datetime) -> tuple[Reference, Write] | None:
        """Return the retired reference and the write that makes it so; None when there is nothing to retire."""
        if not reference_id:
            return None
        step = "retire execution reference"
        found = await self._storage.find(REFERENCES, reference_id, reference_from_record, step)
        if found is None or found.retired_at is not None:
            return None
        retired = replace(found, retired_at=now, revision=found.revision + 1)
        record = reference_to_record(retired)
        return retired, Write(REFERENCES, "put", record, conditions=[at_revision(found.revision)], required=True)

    def committed(self, reference: Reference) -> None:
        """Take note of a reference that was written with a ``retirement``."""
        self._remember(reference)

    async def load(self, ids: Iterable[str]) -> None:
        """Read those that are not known yet, as far as they exist; one message at most."""
        missing = {reference_id for reference_id in ids if reference_id and reference_id not in self._known}
        if missing:
            step = "load execution references"
            found = await self._storage.find_many(REFERENCES, sorted(missing), reference_from_record, step)
            for reference in found.values():
                self._remember(reference)

    def sendable(self, reference_id: str) -> Reference | None:
        """Return the known reference if it may travel with a run: signed by the host and not revoked."""
        reference = self._known.get(reference_id)
        if reference is None or not reference.signed or reference.revoked_at is not None:
            return None
        self._known.move_to_end(reference_id)
        return reference

    def forget(self, reference_id: str) -> None:
        """Forget the reference: it has turned out to be outdated."""
        known = self._known.pop(reference_id, None)
        if known is not None:
            self._known_bytes -= len(known.data)

    def _remember(self, reference: Reference) -> None:
        known = self._known.get(reference.id)
        if known is not None and known.revision > reference.revision:
            return
        self.forget(reference.id)
        self._known[reference.id] = reference
        self._known_bytes += len(reference.data)
        while len(self._known) > KNOWN_LIMIT or (len(self._known) > 1 and self._known_bytes > KNOWN_BYTES):
            self.forget(next(iter(self._known)))
