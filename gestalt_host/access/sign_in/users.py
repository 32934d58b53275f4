"""The users of a server without authentication: one record, kept in the host's own IndexedDB scope.

Its id is made once and survives restarts, because schedules and triggers belong to it.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from gestalt_host.access.subjects import Actor, Principal
from gestalt_sdk.indexeddb import AlreadyExists, Column, ColumnType, IndexedDB, ObjectStoreSchema, Record

USERS_STORE = "users"
ANONYMOUS_EMAIL = "anonymous@gestalt"
_SCHEMA = ObjectStoreSchema(columns=(Column("id", ColumnType.STRING, primary_key=True),))


class Users:
    """User records by e-mail address: the address is the primary key, so a second record cannot be added."""

    def __init__(self, db: IndexedDB) -> None:
        self._db = db

    async def create_store(self) -> None:
        """Create the object store where it does not exist."""
        await self._db.create_object_store(USERS_STORE, _SCHEMA)

    async def anonymous(self) -> Principal:
        """Return the one user of a server without authentication; created when first asked for.

        Any number of callers, and of hosts on one database, get the same one.
        """
        store = self._db.store(USERS_STORE)
        record = await store.find(ANONYMOUS_EMAIL)
        if record is None:
            made: Record = {"id": ANONYMOUS_EMAIL, "user_id": str(uuid.uuid4()), "created_at": datetime.now(UTC)}
            try:
                await store.add(made)
                record = made
            except AlreadyExists:
                record = await store.get(ANONYMOUS_EMAIL)
        actor = Actor(f"user:{record['user_id']}", "user", "", "env")
        return Principal(actor=actor, credential_subject_id=actor.subject_id)
