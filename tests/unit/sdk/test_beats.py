"""A loop that stands still is noticed: by its number of rounds, and only as time passes for who looks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from google.protobuf.empty_pb2 import Empty

from gestalt_sdk.common.beats import LONGEST_GLANCE_S, Beat, Beats, LoopSilent
from gestalt_sdk.common.loops import keep_running
from gestalt_sdk.gen.v1 import runtime_pb2_grpc
from gestalt_sdk.serving.watchdog import HUNG_STATUS
from tests.support.rigs.provider_process import ProviderProcess, provider_process
from tests.support.waiting import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pass_time(beats: Beats, clock: Clock, seconds: int) -> list[str]:
    """Look every second; return who is silent at the end."""
    silent: list[Beat] = []
    for _ in range(seconds):
        clock.now += 1
        silent = beats.look()
    return [beat.name for beat in silent]


def test_a_loop_that_makes_no_round_is_silent_until_it_makes_one() -> None:
    clock = Clock()
    beats = Beats(clock)
    still, moving = beats.add("still", 10), beats.add("moving", 10)
    for _ in range(11):
        moving.beat()
        silent = pass_time(beats, clock, 1)
    assert silent == ["still"]
    with pytest.raises(LoopSilent, match="loop 'still' has not moved for 11 s"):
        beats.require()
    still.beat()
    assert pass_time(beats, clock, 1) == []


def test_a_loop_without_work_is_not_silent() -> None:
    clock = Clock()
    beats = Beats(clock)
    beat = beats.add("resting", 10)
    beat.rest()
    assert pass_time(beats, clock, 100) == []
    beat.beat()
    assert pass_time(beats, clock, 12) == ["resting"]


def test_a_process_that_was_stopped_for_an_hour_has_no_silent_loop() -> None:
    clock = Clock()
    beats = Beats(clock)
    beats.add("loop", LONGEST_GLANCE_S + 1)
    clock.now += 3600
    beats.require()
    assert pass_time(beats, clock, 2) == ["loop"]


def test_a_loop_that_is_silent_for_very_long_is_hung() -> None:
    clock = Clock()
    beats = Beats(clock)
    beat = beats.add("loop", 2, 4)
    pass_time(beats, clock, 4)
    assert (beat.silent, beat.hung) == (True, False)
    pass_time(beats, clock, 1)
    assert beat.hung


async def test_a_loop_begins_anew_whether_it_raises_or_ends() -> None:
    beats = Beats()
    begun: list[int] = []
    stayed = asyncio.Event()

    async def loop(beat: Beat) -> None:
        begun.append(beat.count)
        if len(begun) == 1:
            raise OSError("a bug")
        if len(begun) == 3:
            stayed.set()
            await asyncio.Future()

    task = asyncio.create_task(keep_running("loop", loop, beats))
    async with asyncio.timeout(30):
        await stayed.wait()
    assert begun == sorted(set(begun))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert beats.look() == []


async def test_a_loop_that_may_end_is_asked_for_no_beat_afterwards() -> None:
    clock = Clock()
    beats = Beats(clock)

    async def loop(beat: Beat) -> None:
        return None

    await keep_running("loop", loop, beats, may_end=lambda: True)
    assert pass_time(beats, clock, 1000) == []


LOOPING = """
import asyncio, os, time
from gestalt_sdk.bases.provider import Provider, ProviderKind
from gestalt_sdk.common.loops import keep_running

class Looping(Provider):
    kind = ProviderKind.CACHE
    event_loop_hung_after_s = BLOCKED

    def register(self, server):
        self.task = asyncio.create_task(keep_running("the loop", self.loop, self.beats, silent_after_s=SILENT))
        return ["example.Service"]

    async def loop(self, beat):
        BLOCK

    async def configure(self, name, config):
        pass

def provider():
    return Looping()
"""


def looping(block: str, *, silent_after_s: float = 60, blocked_s: float = 60) -> str:
    source = LOOPING.replace("BLOCKED", str(blocked_s)).replace("SILENT", str(silent_after_s))
    return source.replace("BLOCK", block)


def lifecycle(running: ProviderProcess) -> runtime_pb2_grpc.ProviderLifecycleStub:
    return runtime_pb2_grpc.ProviderLifecycleStub(running.channel)


async def test_health_names_the_loop_that_is_silent(tmp_path: Path) -> None:
    async with provider_process(tmp_path, looping("await asyncio.Future()", silent_after_s=0.5), "cache") as running:

        async def named() -> bool | None:
            answer = await lifecycle(running).HealthCheck(Empty(), timeout=5, wait_for_ready=True)
            return True if not answer.ready and "'the loop'" in answer.message else None

        await eventually(named, within_s=30)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        (looping("await asyncio.Future()", silent_after_s=0.3), "the loop"),
        (looping("time.sleep(100)", blocked_s=3), "event loop"),
    ],
    ids=["a loop hangs", "the event loop is blocked"],
)
async def test_a_process_with_a_hung_loop_ends_with_one_line(tmp_path: Path, source: str, named: str) -> None:
    async with provider_process(tmp_path, source, "cache") as running:
        assert await running.stopped(within_s=60) == HUNG_STATUS

        async def said() -> str | None:
            return next((line for line in running.stderr if "loop.hung" in line), None)

        assert named in await eventually(said)
