"""Readiness asks for the health of stores and workflow providers and of the host's loops, and names what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gestalt_host.daemon import host as module
from gestalt_host.daemon.console import Console
from gestalt_host.daemon.host import Host
from gestalt_host.supervisor import State
from gestalt_sdk.bases.provider import Notice
from gestalt_sdk.common.loops import keep_running
from tests.support.waiting import eventually


class Watched:
    """A store or a workflow provider whose health the test decides."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = self.is_ready = True
        self.state, self.absence, self.lack = State.READY, "", ""
        self.notices: tuple[Notice, ...] = ()
        self.check: Callable[[], Awaitable[str | None]] = self.healthy

    async def healthy(self) -> str | None:
        return None

    async def health_problem(self) -> str | None:
        return await self.check()


class Rig:
    def __init__(self) -> None:
        self.store, self.workflow = Watched("main"), Watched("local")
        self.host = Host(cast(Any, None), {}, Console(-1), cast(Any, None))
        self.host._stores = cast(Any, {"main": self.store})
        self.host._wiring = cast(
            Any, SimpleNamespace(plugins=(), processes=SimpleNamespace(plugins={}, workflows={"local": self.workflow}))
        )
        self.host._plugins_loaded = self.host._workflows_begun = True

    async def reason_becomes(self, wanted: str | None) -> None:
        async def found() -> bool | None:
            return True if self.host.readiness() == wanted else None

        await eventually(found)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(module, "HEALTH_EVERY_S", 0.01)
    made = Rig()
    host = made.host
    task = asyncio.create_task(keep_running("health of providers", host._watch_health, host._beats))
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("who", "problem", "reason"),
    [
        ("store", "", "datastore unavailable: main: no answer"),
        (
            "store",
            "loop 'writer' has not moved for 61 s",
            "datastore unavailable: main: loop 'writer' has not moved for 61 s",
        ),
        ("workflow", "", "workflow provider local: no answer"),
        (
            "workflow",
            "loop 'scheduler' has not moved for 61 s",
            "workflow provider local: loop 'scheduler' has not moved for 61 s",
        ),
    ],
)
async def test_who_is_not_healthy_is_named_until_it_is(rig: Rig, who: str, problem: str, reason: str) -> None:
    async def unhealthy() -> str | None:
        return problem

    watched: Watched = getattr(rig, who)
    watched.check = unhealthy
    await rig.reason_becomes(reason)
    watched.check = watched.healthy
    await rig.reason_becomes(None)


async def test_a_workflow_provider_that_does_not_answer_is_named(rig: Rig) -> None:
    rig.workflow.state, rig.workflow.absence = State.SILENT, "it has not answered for 7 s"
    rig.workflow.is_ready = False
    assert rig.host.readiness() == "workflow provider local: it has not answered for 7 s"


async def test_a_store_that_does_not_answer_is_named(rig: Rig) -> None:
    rig.store.ready, rig.store.absence = False, "it has not answered for 7 s"
    assert rig.host.readiness() == "datastore unavailable: main: it has not answered for 7 s"


async def test_a_store_that_is_started_again_is_named_before_its_health_has_been_asked(rig: Rig) -> None:
    rig.store.ready, rig.store.absence = False, "it has ended and is being started again"
    assert rig.host.readiness() == "datastore unavailable: main: it has ended and is being started again"


async def test_a_workflow_provider_that_is_started_again_is_named_once_it_had_begun(rig: Rig) -> None:
    rig.workflow.state, rig.workflow.absence = State.RESTARTING, "it has ended and is being started again"
    assert rig.host.readiness() == "workflow provider local: it has ended and is being started again"
    rig.host._workflows_begun = False
    assert rig.host.readiness() == "workflow providers loading"


async def test_a_check_that_raises_is_followed_by_others(rig: Rig) -> None:
    async def failing() -> str | None:
        rig.store.check = unhealthy
        raise RuntimeError("a bug")

    async def unhealthy() -> str | None:
        return "the disk is full"

    rig.store.check = failing
    await rig.reason_becomes("datastore unavailable: main: the disk is full")


async def test_a_check_that_hangs_is_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    hung, now = asyncio.Event(), 0.0

    async def hanging() -> str | None:
        hung.set()
        await asyncio.Future()
        return None

    monkeypatch.setattr(rig.host._beats, "_clock", lambda: now)
    rig.store.check = hanging
    async with asyncio.timeout(10):
        await hung.wait()
    reason = None
    for _ in range(20):
        now += 5
        reason = rig.host.readiness()
    assert reason is not None
    assert reason.startswith("loop 'health of providers' has not moved for ")


async def test_a_notice_is_told_and_leaves_the_host_ready(rig: Rig) -> None:
    await rig.reason_becomes(None)
    assert rig.host.shortcomings() == []
    rig.workflow.notices = (Notice("runs_overdue", "runs wait", 70.0),)
    assert rig.host.shortcomings() == ["workflow provider local: runs wait"]
    assert rig.host.readiness() is None


async def test_removed_sockets_are_told_and_leave_the_host_ready(rig: Rig) -> None:
    rig.workflow.lack = rig.store.lack = "a socket of it has been removed"
    assert rig.host.shortcomings() == [
        "store main: a socket of it has been removed",
        "workflow provider local: a socket of it has been removed",
    ]
    assert rig.host.readiness() is None
