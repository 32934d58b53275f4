"""The keeper of process groups: what it holds when its input ends is ended, whatever it was told in between."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gestalt_host.supervisor import ProcessGroups
from gestalt_host.supervisor import groups as module
from gestalt_sdk.common import group_keeper
from gestalt_sdk.common.beats import Beats
from tests.support.rigs.gestaltd import alive
from tests.support.waiting import eventually, one_turn, until


@pytest.mark.parametrize(
    ("told", "held"),
    [(b"", set()), (b"+4\n+5\n-4\n", {5}), (b"+4\nx\n+5", {4, 5}), (b"-4\n+4\n", {4}), (b"+0\n", set())],
)
def test_what_is_held_when_the_input_ends(told: bytes, held: set[int]) -> None:
    assert group_keeper.held_at_the_end(io.BytesIO(told)) == held


def in_a_group(program: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["sh", "-c", program], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_deaf_group_is_killed_after_the_grace() -> None:
    deaf = in_a_group("trap '' TERM; echo up; sleep 600")
    group_keeper.end_groups({deaf.pid}, 0.2)
    assert deaf.wait(30) == -signal.SIGKILL
    assert deaf.stdout is not None
    deaf.stdout.close()


def test_a_group_that_has_ended_is_nobodys() -> None:
    ended = in_a_group("echo up")
    ended.wait(30)
    group_keeper.end_groups({ended.pid}, 600)
    assert ended.stdout is not None
    ended.stdout.close()


async def test_groups_end_with_the_one_who_holds_them() -> None:
    groups = ProcessGroups(Beats())
    early, late, kept = (in_a_group("echo up; sleep 600") for _ in range(3))
    groups.hold(early.pid)
    groups.start()

    async def told() -> bool | None:
        return True if groups._input is not None else None

    await eventually(told)
    groups.hold(late.pid)
    groups.hold(kept.pid)
    groups.let_go(kept.pid)
    await groups.stop()
    assert early.wait(30) < 0
    assert late.wait(30) < 0
    assert kept.poll() is None
    os.killpg(kept.pid, signal.SIGKILL)
    for process in (early, late, kept):
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def test_signals_for_the_host_do_not_end_the_keeper() -> None:
    path = str(Path(group_keeper.__file__))
    keeper = subprocess.Popen([sys.executable, "-I", "-S", path], stdin=subprocess.PIPE)
    held = in_a_group("echo up; sleep 600")
    assert keeper.stdin is not None
    keeper.stdin.write(f"+{held.pid}\n".encode())
    keeper.stdin.flush()
    mask = Path(f"/proc/{keeper.pid}/status")
    until(lambda: ignores(mask, signal.SIGTERM), what=lambda: "the keeper to run")
    keeper.send_signal(signal.SIGTERM)
    keeper.send_signal(signal.SIGINT)
    assert alive(held.pid)
    keeper.stdin.close()
    assert keeper.wait(30) == 0
    assert held.wait(30) < 0
    assert held.stdout is not None
    held.stdout.close()


def ignores(status: Path, number: int) -> bool:
    line = next(line for line in status.read_text().splitlines() if line.startswith("SigIgn:"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


async def keeper_pid(but: int = 0) -> int:
    """Number of this process's keeper, another one than ``but``."""

    async def found() -> int | None:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == os.getpid() and b"group_keeper" in (folder / "cmdline").read_bytes():
                    return int(folder.name) if int(folder.name) != but else None
            except OSError:
                continue
        return None

    return await eventually(found)


async def test_a_keeper_that_is_stopped_is_replaced() -> None:
    groups = ProcessGroups(Beats(), look_s=0.05)
    groups.start()
    first = await keeper_pid()
    os.kill(first, signal.SIGSTOP)
    await keeper_pid(but=first)
    assert not alive(first)
    await groups.stop()


async def test_groups_end_also_when_no_keeper_runs_yet() -> None:
    groups = ProcessGroups(Beats())
    held = in_a_group("echo up; sleep 600")
    groups.hold(held.pid)
    groups.start()
    await one_turn()  # the keeper is about to be started
    await groups.stop()
    assert held.wait(30) < 0
    assert held.stdout is not None
    held.stdout.close()


async def test_a_keeper_that_is_stopped_holds_up_no_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_S", 0.2)
    groups = ProcessGroups(Beats())
    held = in_a_group("echo up; sleep 600")
    groups.hold(held.pid)
    groups.start()
    keeper = await keeper_pid()
    os.kill(keeper, signal.SIGSTOP)
    async with asyncio.timeout(30):
        await groups.stop()
    assert held.wait(30) < 0
    assert not alive(keeper)
    assert held.stdout is not None
    held.stdout.close()
