from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.workflow import Rig, Workflow, open_rig


@pytest.fixture
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A rig on SQLite; also on PostgreSQL where a module has the mark ``BOTH_ENGINES``."""
    store = None
    if getattr(request, "param", "sqlite") == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        store = {"dsn": server.dsn, "schema": server.new_schema()}
    async with open_rig(store=store) as opened:
        yield opened


@pytest.fixture
async def workflow(rig: Rig) -> Workflow:
    """A started provider."""
    return await rig.provider()
