"""Random concurrent histories through two hosts' HTTP doors on one database: each has a serial order (decision 31)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from gestalt_host.workflows.model import ExecutionReference
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.references.visibility import Visibility
from tests.support.histories import History, check
from tests.support.nightly import at_night
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.two_hosts import two_hosts

HISTORIES = at_night(150, otherwise=3)
UNTIL_FOUND = 40
PATHS = {"schedules": "/api/v1/workflow/schedules", "triggers": "/api/v1/workflow/event-triggers"}

Doors = Sequence[httpx.AsyncClient]


@pytest.fixture(params=["sqlite", "postgres"])
async def doors(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Doors]:
    dsn, database = f"sqlite://{tmp_path / 'state.db'}", "workflow_local"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        dsn, database = server.dsn, server.new_schema()
    async with two_hosts(tmp_path, dsn, database) as found:
        yield found


@pytest.mark.timeout(at_night(1800, otherwise=120))
@pytest.mark.parametrize("objects", sorted(PATHS))
async def test_every_history_has_a_serial_order(doors: Doors, objects: str) -> None:
    seed = random.randrange(2**32)
    for number in range(HISTORIES):
        history = History(doors, PATHS[objects], f"{seed}-{number}")
        try:
            check(await history.run())
        except ValueError as error:
            lines = "\n".join(f"{made.began:.4f} {made.ended:.4f} {made}" for made in history.requests)
            pytest.fail(f"history {history.seed}: {error}\n{lines}")


def _no_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkflowProviderClient, "_offered", lambda client, revision: 0)


def _one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_once(
        self: Any, client: Any, item: Any, get: Any, *, active_only: bool
    ) -> tuple[Any, ExecutionReference | None]:
        reference = await self._references.find(client, item.execution_ref)
        ended = reference is None or reference.revoked_at is not None or reference.retired_at is not None
        return item, None if ended else reference

    monkeypatch.setattr(Visibility, "_referenced", read_once)


def _objects_first(monkeypatch: pytest.MonkeyPatch) -> None:
    objects_of = WorkflowProviderClient._objects_of

    async def read_objects_first(self: Any, fetch: Any, subjects: Any, read: Any) -> Any:
        messages = list(await fetch())

        async def fetched() -> Any:
            return messages

        return await objects_of(self, fetched, subjects, read)

    monkeypatch.setattr(WorkflowProviderClient, "_objects_of", read_objects_first)


@pytest.mark.parametrize("plant", [_no_condition, _one_reading, _objects_first])
async def test_a_planted_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Any) -> None:
    plant(monkeypatch)
    found: list[str] = []
    async with two_hosts(tmp_path, f"sqlite://{tmp_path / 'state.db'}", "workflow_local") as doors:
        for number in range(UNTIL_FOUND):
            history = History(doors, PATHS["schedules"], str(number))
            try:
                check(await history.run())
            except ValueError as error:
                found.append(str(error))
                break
    assert found
