"""The no-auth user: one record, the same for every caller, kept by the store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc

from gestalt_host.access.sign_in.users import ANONYMOUS_EMAIL, USERS_STORE, Users
from gestalt_sdk.indexeddb import IndexedDB
from tests.support.fakes.store_engine import register_memory_store
from tests.support.rigs.links import serving


async def test_one_user_whoever_asks_first(tmp_path: Path) -> None:
    def register(server: grpc.aio.Server) -> None:
        register_memory_store(server)

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
        assert await IndexedDB.over(link.channel).store(USERS_STORE).get_all_keys() == [ANONYMOUS_EMAIL]
