"""The loop that watches a provider's process goes on whatever it meets, and is named when it stands still."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import ProviderProcess, process
from gestalt_host.supervisor.watching import signs_of_life
from gestalt_host.supervisor.watching.greeting import greeted
from tests.support.rigs.supervisor import QUICK, WORKFLOW
from tests.support.waiting import eventually

Launch = Callable[..., Awaitable[ProviderProcess]]
Script = Callable[..., LaunchCommand]


class LogThatFailsOnce:
    """A log that raises the first time that it is told anything."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        if self.failed:
            return getattr(self._log, name)

        def fail(*_: object, **__: object) -> None:
            self.failed = True
            raise BrokenPipeError(32, "Broken pipe")

        return fail


def kill(running: ProviderProcess) -> None:
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)


async def test_a_bug_during_a_restart_does_not_end_the_restarts(
    launched: Launch, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await launched(script(WORKFLOW))
    launch, failed = running._launch, False

    async def failing_once() -> Any:
        nonlocal failed
        if not failed:
            failed = True
            raise OSError(28, "No space left on device")
        return await launch()

    monkeypatch.setattr(running, "_launch", failing_once)
    kill(running)

    async def ready_again() -> bool | None:
        return True if failed and running.is_ready and running.restarts == 2 else None

    await eventually(ready_again, within_s=30)


async def test_a_log_that_raises_does_not_end_the_restarts(
    launched: Launch, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await launched(script(WORKFLOW))
    log = LogThatFailsOnce(process.log)
    monkeypatch.setattr(process, "log", log)
    kill(running)

    async def ready_again() -> bool | None:
        return True if log.failed and running.is_ready and running.restarts else None

    await eventually(ready_again, within_s=30)


async def test_a_restart_that_hangs_is_named(launched: Launch, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await launched(script(WORKFLOW))
    now, hung = 0.0, asyncio.Event()
    monkeypatch.setattr(running._beats, "_clock", lambda: now)

    async def hang() -> None:
        hung.set()
        await asyncio.Future()

    monkeypatch.setattr(running, "_launch", hang)
    for _ in range(1000):
        now += 5
        assert running._beats.look() == []
    kill(running)
    async with asyncio.timeout(30):
        await hung.wait()
    silent: list[str] = []
    for _ in range(1000):
        now += 5
        silent = [beat.name for beat in running._beats.look()]
    assert silent == ["provider local"]


async def test_a_failure_while_asking_for_an_answer_does_not_end_the_asking(
    launched: Launch, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def failing_once(path: Path) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise RuntimeError("a bug")
        await greeted(path)

    monkeypatch.setattr(signs_of_life, "greeted", failing_once)
    running = await launched(script(WORKFLOW), timings=replace(QUICK, ask_every_s=0.02))

    async def asked_on() -> bool | None:
        return True if asked >= 3 else None

    await eventually(asked_on, within_s=30)
    assert running.is_ready
