"""Of an event loop that stands still the log says once who holds it and where, and once for how long it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gestalt_sdk.gen.v1 import plugin_pb2, plugin_pb2_grpc
from gestalt_sdk.serving import watchdog
from gestalt_sdk.serving.blockage import STACK_LINES, Blockage, stack
from tests.support.rigs.provider_process import ProviderProcess, provider_process
from tests.support.waiting import eventually, observed_for

BLOCKING = """
import asyncio, os, time
from pathlib import Path
from gestalt_sdk.plugin import Plugin, operation
from gestalt_sdk.serving import watchdog

watchdog.EVENT_LOOP_SILENT_AFTER_S = 1.0
HERE = Path(__file__).parent

def crunch(secret, go):
    while not (HERE / go).exists():
        time.sleep(0.01)

class Blocking(Plugin):
    async def configure(self, name, config):
        pass

    @operation("patient")
    async def patient(self) -> None:
        (HERE / "patient").touch()
        await asyncio.Event().wait()

    @operation("blocks")
    async def blocks(self, go: str) -> str:
        crunch("hunter2", go)
        return "done"

    @operation("blocks.aside")
    async def aside(self, go: str) -> str:
        async def block():
            crunch("hunter2", go)
        await asyncio.create_task(block())
        return "done"

provider = Blocking
"""


def said(running: ProviderProcess, event_name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in running.stderr if line.startswith("{")]
    return [line for line in lines if line.get("event_name") == event_name]


def at_least(count: int, running: ProviderProcess, event_name: str) -> Callable[[], Any]:
    async def found() -> list[dict[str, Any]] | None:
        lines = said(running, event_name)
        return lines if len(lines) >= count else None

    return found


async def eventually_exists(path: Path) -> None:
    async def there() -> bool | None:
        return path.exists() or None

    await eventually(there, within_s=30)


def call(running: ProviderProcess, operation: str, **params: str) -> Any:
    request = plugin_pb2.ExecuteRequest(operation=operation)
    request.params.update(params)
    return plugin_pb2_grpc.IntegrationProviderStub(running.channel).Execute(request, wait_for_ready=True)


async def test_a_blocked_event_loop_is_said_once_with_the_operation_and_its_place(tmp_path: Path) -> None:
    async with provider_process(tmp_path, BLOCKING, "integration") as running:
        patient = asyncio.ensure_future(call(running, "patient"))
        await eventually_exists(tmp_path / "patient")
        for times in (1, 2):
            go = f"go-{times}"
            blocked = asyncio.ensure_future(call(running, "blocks", go=go))
            line = (await eventually(at_least(times, running, "loop.silent"), within_s=30))[-1]
            (tmp_path / go).touch()
            assert (await blocked).status == 200
            assert line["operation"] == "blocks"
            assert line["under_way"] == ["blocks", "patient"]
            innermost, caller = line["where"][:2]
            assert innermost.startswith(f"{tmp_path / 'probe.py'}:")
            assert innermost.endswith(" crunch")
            assert caller.endswith(" blocks")
            assert "operation 'blocks' holds it at " in line["event"]
            moved = await eventually(at_least(times, running, "loop.moves"), within_s=30)
            assert len(moved) == len(said(running, "loop.silent")) == times
            assert moved[-1]["seconds"] >= 1
        patient.cancel()
        assert not any("hunter2" in line for line in running.stderr)


async def test_where_the_task_is_not_the_operation_s_own_all_that_run_are_named(tmp_path: Path) -> None:
    async with provider_process(tmp_path, BLOCKING, "integration") as running:
        blocked = asyncio.ensure_future(call(running, "blocks.aside", go="go"))
        (line,) = await eventually(at_least(1, running, "loop.silent"), within_s=30)
        (tmp_path / "go").touch()
        assert (await blocked).status == 200
        assert (line.get("operation"), line["under_way"]) == (None, ["blocks.aside"])
        assert "begun and not ended: blocks.aside at " in line["event"]


async def test_a_process_that_was_stopped_says_so_when_it_goes_on(tmp_path: Path) -> None:
    async with provider_process(tmp_path, BLOCKING, "integration") as running:
        (tmp_path / "go").touch()
        await call(running, "blocks", go="go")
        os.kill(running.process.pid, signal.SIGSTOP)
        await observed_for(watchdog.LOOK_EVERY_S + 3)
        os.kill(running.process.pid, signal.SIGCONT)
        (line,) = await eventually(at_least(1, running, "process.stood_still"), within_s=30)
        assert line["seconds"] >= 1


@pytest.mark.parametrize("named", [True, False])
async def test_the_task_that_runs_is_looked_up_from_another_thread(named: bool) -> None:
    loop, thread = asyncio.get_running_loop(), threading.get_ident()
    task = asyncio.current_task()
    assert task is not None
    under_way = {task: "mine"} if named else {}
    found: list[Blockage] = []
    looking = threading.Thread(target=lambda: found.append(Blockage(loop, thread, under_way)))
    looking.start()
    looking.join()
    assert found[0].operation == ("mine" if named else "")
    assert any(place.endswith(" join") or __file__ in place for place in found[0].where)


def test_a_stack_has_an_end_and_leaves_out_what_is_not_the_author_s() -> None:
    def deeper(depth: int) -> list[str]:
        return deeper(depth - 1) if depth else stack(sys._getframe())

    places = deeper(50)
    assert len(places) == STACK_LINES
    assert all(place.endswith(" deeper") for place in places)
    assert stack(None) == []
