"""Requests about one object at once, to a real host and from real command lines: they have an order (decision 31)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.nightly import at_night
from tests.support.rigs.gestaltd import Gestaltd, quickstart

ROUNDS = at_night(200, otherwise=15)
COMMAND_ROUNDS = at_night(30, otherwise=4)
KINDS: dict[str, dict[str, Any]] = {
    "schedules": {"cron": "0 0 1 1 *"},
    "event-triggers": {"match": {"type": "of.nobody"}},
}
pytestmark = pytest.mark.timeout(at_night(900, otherwise=120))
TARGET = {"plugin": {"name": "roadmap", "operation": "sync"}}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    overlay = "workflows: {schedules: {nightly_sync: {paused: true}}}\n"
    with quickstart(tmp_path_factory.mktemp("concurrent"), overlay) as served:
        yield served


@pytest.fixture(params=sorted(KINDS))
def body(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"path": f"/api/v1/workflow/{request.param}", "json": {**KINDS[request.param], "target": TARGET}}


async def test_put_and_delete_at_once(host: Gestaltd, body: dict[str, Any]) -> None:
    path, wanted = body["path"], body["json"]
    async with httpx.AsyncClient(base_url=host.url, timeout=30) as client:
        for _ in range(ROUNDS):
            made = await client.post(path, json=wanted)
            assert made.status_code == 201, made.text
            one = f"{path}/{made.json()['id']}"
            put, deleted = await asyncio.gather(client.put(one, json=wanted), client.delete(one))
            assert (put.status_code, deleted.status_code) in ((200, 200), (404, 200))
            assert (await client.get(one)).status_code == 404


async def test_reading_pausing_and_resuming_beside_puts(host: Gestaltd, body: dict[str, Any]) -> None:
    path, wanted = body["path"], body["json"]
    async with httpx.AsyncClient(base_url=host.url, timeout=30) as client:
        made = (await client.post(path, json=wanted)).json()["id"]
        one = f"{path}/{made}"
        putting = [asyncio.create_task(_repeated(client.put, one, json=wanted)) for _ in range(2)]
        while not all(task.done() for task in putting):
            answers = await asyncio.gather(
                client.get(one), client.post(f"{one}/pause"), client.post(f"{one}/resume"), client.get(path)
            )
            assert [answer.status_code for answer in answers] == [200] * 4
            assert [item["id"] for item in answers[-1].json()].count(made) == 1
        assert [await task for task in putting] == [{200}] * 2
        assert (await client.delete(one)).status_code == 200


async def _repeated(call: Any, *arguments: Any, **options: Any) -> set[int]:
    return {(await call(*arguments, **options)).status_code for _ in range(2 * ROUNDS)}


async def _update(host: Gestaltd, schedule_id: str, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "gestalt_host.cli", "workflow", "schedules", "update", schedule_id, *options]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(host.folder),
        "GESTALT_URL": host.url,
    }
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    return process.returncode or 0, err.decode()


async def test_two_command_lines_that_change_different_members(host: Gestaltd) -> None:
    path = "/api/v1/workflow/schedules"
    async with httpx.AsyncClient(base_url=host.url, timeout=30) as client:
        for number in range(COMMAND_ROUNDS):
            made = (await client.post(path, json={"cron": "0 0 1 1 *", "target": TARGET})).json()["id"]
            cron = f"{number} 0 1 1 *"
            answers = await asyncio.gather(
                _update(host, made, "--cron", cron), _update(host, made, "--timezone", "Europe/Paris")
            )
            assert list(answers) == [(0, ""), (0, "")]
            found = (await client.get(f"{path}/{made}")).json()
            assert (found["cron"], found["timezone"]) == (cron, "Europe/Paris")
