"""The loops of the store on PostgreSQL go on whatever they meet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gestalt_store.postgres import migrations
from gestalt_store.postgres.database import PostgresDatabase
from gestalt_store.postgres.server import PgServer

from gestalt_sdk.common.beats import Beats
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.postgres_store import LIMITS
from tests.support.rigs.store_engine import make
from tests.support.waiting import eventually


async def opened(server: PgServer, postgres_server: PostgresServer) -> PostgresDatabase:
    return await server.open(postgres_server.new_schema())


async def test_the_watch_for_migrations_goes_on_after_a_bug(
    postgres_server: PostgresServer, server: PgServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "WATCH_S", 0.01)
    database = await opened(server, postgres_server)
    refresh, calls = database._catalogue.refresh, 0

    async def failing_once() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a bug")
        await refresh()

    monkeypatch.setattr(database._catalogue, "refresh", failing_once)

    async def again() -> bool | None:
        return True if calls > 1 else None

    await eventually(again, within_s=30)
    await database.close()


async def test_a_watch_that_hangs_is_named(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    now, hung = 0.0, asyncio.Event()
    beats = Beats(lambda: now)
    monkeypatch.setattr(migrations, "WATCH_S", 0.01)
    server = PgServer(postgres_server.dsn, LIMITS, beats)
    database = await opened(server, postgres_server)

    async def hang() -> None:
        hung.set()
        await asyncio.Future()

    monkeypatch.setattr(database._catalogue, "refresh", hang)
    async with asyncio.timeout(30):
        await hung.wait()
    silent: list[str] = []
    for _ in range(20):
        now += 5
        silent = [beat.name for beat in beats.look()]
    assert silent == ["watch for migrations"]
    await database.close()
    await server.close()


async def test_a_connection_that_cannot_be_cleaned_gives_its_place_back(
    server: PgServer, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await opened(server, postgres_server)
    await make(database)
    pool = database._pool
    for _ in range(LIMITS.connections + 1):
        async with asyncio.timeout(30):
            connection = await pool.take()
        await connection.raw.execute("BEGIN")

        async def fail(*_: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(type(connection), "cleanable", property(lambda _: True))
        with monkeypatch.context() as patched:
            patched.setattr(type(connection), "run", fail)
            pool.give_back(connection)
            await asyncio.gather(*pool._tasks)
    await database.close()
