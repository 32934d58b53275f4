"""The no-auth user: one record, the same for every caller, kept by the store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc

from gestalt_host.access.sign_in.users import ANONYMOUS_EMAIL, USERS_STORE, Users
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from gestalt_sdk.indexeddb import IndexedDB
from tests.support.fakes.indexeddb import MemoryStore
from tests.support.rigs.links import serving


async def test_one_user_whoever_asks_first(tmp_path: Path) -> None:
    store = MemoryStore()

    def register(server: grpc.aio.Server) -> None:
        datastore_pb2_grpc.add_IndexedDBServicer_to_server(store, server)

    async with serving(register, tmp_path, "store") as link:
        hosts = [Users(IndexedDB.over(link.channel)) for _ in range(4)]
        await asyncio.gather(*(users.create_store() for users in hosts))
        found = await asyncio.gather(*(users.anonymous() for users in hosts for _ in range(4)))
        assert len({person.subject_id for person in found}) == 1
        (who, *_) = found
        actor = who.actor
        assert actor.subject_id.startswith("user:")
        assert len(actor.subject_id) == len("user:") + 36
        assert (actor.subject_kind, actor.display_name, actor.auth_source) == ("user", "", "env")
        assert who.ceiling is None
        assert who.credential_subject_id == actor.subject_id
        assert await Users(IndexedDB.over(link.channel)).anonymous() == who
        assert list(store.stores[USERS_STORE]) == [ANONYMOUS_EMAIL]
