from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import ProviderDown, ProviderProcess, ProviderStartFailed, State
from tests.support.rigs.supervisor import QUICK, WORKFLOW, new_process
from tests.support.waiting import eventually

Launch = Callable[..., Awaitable[ProviderProcess]]
Script = Callable[..., LaunchCommand]


def notes(tmp_path: Path, what: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in (tmp_path / "provider.log").read_text().splitlines())
    return [line for line in lines if line["what"] == what]


async def test_a_reload_starts_it_with_the_new_command_and_configuration_at_once(
    launched: Launch, script: Script, tmp_path: Path
) -> None:
    # Whoever waited out the pause between starts would wait for longer than the test may take.
    process = await launched(script(WORKFLOW), config={"v": 1}, timings=replace(QUICK, backoff_initial_s=600))
    await process.begin()
    first = process.pid
    with capture_logs() as lines:
        await process.reload(script(WORKFLOW, "other.py"), {"v": 2})
    assert process.is_ready
    assert process.pid not in (None, first)
    assert [note["config"] for note in notes(tmp_path, "configure")] == [{"v": 1}]
    others = [json.loads(line) for line in (tmp_path / "other.log").read_text().splitlines()]
    assert [(note["what"], note.get("config")) for note in others] == [("configure", {"v": 2}), ("start", None)]
    assert [line for line in lines if line["log_level"] != "info"] == []


async def test_calls_wait_for_a_reload(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW))
    reload = asyncio.create_task(process.reload(script(WORKFLOW), {}))
    await eventually(lambda: as_probe(not process.is_ready))
    await process.wait_ready(20)
    assert process.is_ready
    await reload


async def test_a_reload_that_fails_is_told_and_the_next_one_mends_it_at_once(launched: Launch, script: Script) -> None:
    process = await launched(script(WORKFLOW), timings=replace(QUICK, backoff_initial_s=600, backoff_cap_s=600))
    with pytest.raises(ProviderStartFailed, match="exit status 3"):
        await process.reload(script("raise SystemExit(3)", "broken.py"), {})
    assert process.state is State.RESTARTING
    assert "started again in" in process.absence
    await process.reload(script(WORKFLOW), {})
    assert process.is_ready
    assert not process.is_looping


async def test_a_reload_takes_the_place_of_a_start_that_hangs(launched: Launch, script: Script, tmp_path: Path) -> None:
    process = await launched(script(WORKFLOW))
    begun = tmp_path / "begun"
    hanging = script(f"import pathlib, signal; pathlib.Path({str(begun)!r}).touch(); signal.pause()", "hanging.py")
    first = asyncio.create_task(process.reload(hanging, {}))
    await eventually(lambda: as_probe(begun.exists()))
    await process.reload(script(WORKFLOW), {})
    assert process.is_ready
    with pytest.raises(ProviderDown, match="reloaded anew"):
        await first


async def test_stopping_ends_a_reload(launched: Launch, script: Script, tmp_path: Path) -> None:
    process = await launched(script(WORKFLOW))
    begun = tmp_path / "begun"
    hanging = script(f"import pathlib, signal; pathlib.Path({str(begun)!r}).touch(); signal.pause()", "hanging.py")
    reload = asyncio.create_task(process.reload(hanging, {}))
    await eventually(lambda: as_probe(begun.exists()))
    await process.stop(1)
    with pytest.raises(ProviderDown, match="it was stopped"):
        await reload


async def test_what_never_was_ready_is_not_reloaded(script: Script) -> None:
    process = new_process(script("raise SystemExit(3)"))
    with pytest.raises(ProviderStartFailed):
        await process.start()
    with pytest.raises(ProviderDown, match="could not be started"):
        await process.reload(script(WORKFLOW), {})


async def as_probe(holds: bool) -> bool | None:
    return holds or None
