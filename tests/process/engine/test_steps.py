"""Kill -9 at each step: before and after every message of the life of one run of each kind, and of a start.

A life is lived again and again, and cut one message later each time, until it is over before the cut.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

import grpc
import pytest
from gestalt_workflow.model import ids
from gestalt_workflow.model.errors import StorageFailed
from gestalt_workflow.model.objects import Run, RunStatus
from gestalt_workflow.stored.records import RUNS, run_from_record
from gestalt_workflow.stored.storage import Storage
from google.protobuf.duration_pb2 import Duration

from gestalt_sdk.gen.extension.v1 import policies_pb2
from gestalt_sdk.gen.v1 import workflow_pb2
from gestalt_sdk.indexeddb import IndexedDB
from tests.process.engine.cuts import CutStore, Place, Trap
from tests.process.engine.evidence import Expected, ObjectSeen, Told, schedule_seen, trigger_seen
from tests.process.engine.installation import LONG_LEASE, Installation, Member, open_installation
from tests.process.engine.load import MINUTELY
from tests.process.engine.proof import judge, report
from tests.support.rigs.workflow import Workflow
from tests.support.waiting import eventually

T = TypeVar("T")

QUIET: dict[str, Any] = {"pollInterval": "1h", "runsPerCommit": 2, **LONG_LEASE}
"""Every message belongs to the life that is lived; an event with more than two triggers is fanned out."""
FANNED_OUT = tuple(f"c{number}" for number in range(5))
SOON = policies_pb2.RunPolicy(
    retry=policies_pb2.RetryPolicy(max_attempts=4, initial_backoff=Duration(nanos=50_000_000))
)
LOOKS = 4
MOST_MESSAGES = 80


class Stage:
    """One installation, its trap, and what was told so far."""

    def __init__(self, installation: Installation, member: Member, trap: Trap, store: CutStore, victim: str) -> None:
        self.installation = installation
        self.member = member
        self.trap = trap
        self.victim = victim
        self.told = Told()
        triggers = {"a1": "a", "a2": "a", "b1": "b", **dict.fromkeys(FANNED_OUT, "c")}
        self.expected = Expected(triggers=triggers, deaths=member.deaths)
        self._store = store

    async def look(self, read: Callable[[Storage], Awaitable[T]]) -> T | None:
        """Ask the store itself, so that looking is no message of the provider's; None while it is down."""
        channel = self.member.store.channel
        if channel is None:
            return None
        try:
            return await read(Storage(IndexedDB.over(channel)))
        except (StorageFailed, grpc.aio.UsageError):
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return None  # its channel was closed

    async def prepare(self) -> None:
        await self.ask(lambda w: w.upsert_trigger("a1", "a"))
        await self.ask(lambda w: w.upsert_trigger("a2", "a"))
        await self.ask(lambda w: w.upsert_trigger("b1", "b", "flaky", policy=SOON))
        for trigger_id in FANNED_OUT:
            await self.ask(lambda w: w.upsert_trigger(trigger_id, "c"))  # noqa: B023 - awaited before the next one

    async def ask(self, request: Callable[[Workflow], Awaitable[Any]], *, refusal: bool = False) -> Any:
        """The answer, after as many attempts as it takes; None when a ``refusal`` is one too."""
        try:
            return await self.installation.insist(request)
        except grpc.aio.AioRpcError as error:
            if refusal and error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                return None
            raise

    async def quiet(self) -> None:
        """Wait until the provider has nothing to say any more."""
        seen: list[int] = []

        async def probe() -> bool | None:
            seen.append(self._store.count)
            return True if len(seen) >= LOOKS and len(set(seen[-LOOKS:])) == 1 else None

        await eventually(probe)

    async def cut(self) -> str | None:
        """Where the trap has killed, None before."""
        return self.trap.at or None

    async def run_in(self, run_id: str, *statuses: RunStatus) -> Run:
        """Wait until the run has one of these statuses, or has ended."""

        async def probe() -> Run | None:
            run = await self.look(lambda storage: storage.find(RUNS, run_id, run_from_record, "test"))
            return run if run is not None and (run.status in statuses or run.status.terminal) else None

        return await eventually(probe, within_s=20)

    async def revive(self) -> None:
        """Start anew what the trap kills, whenever it does."""
        provider = self.victim == "provider"
        while True:
            await self.trap.sprung.wait()
            self.trap.sprung.clear()
            await self.member.kill(self.installation.clock, provider=provider, store=not provider)
            await self.member.boot(provider=provider, store=not provider)


@asynccontextmanager
async def open_stage(victim: str) -> AsyncIterator[Stage]:
    async with open_installation(0) as installation:
        store = installation.new_store()
        trap = Trap(lambda: killed.send_signal(signal.SIGKILL))
        cut = CutStore(str(store.socket), trap)
        await store.boot(start=False)
        async with cut.serving(installation.directory / "cut.sock"):
            member = installation.add(QUIET, store, store_socket=installation.directory / "cut.sock")
            killed = member.process if victim == "provider" else store
            if victim == "provider":
                installation.host.passing = trap.around_invocation
            await member.boot()
            stage = Stage(installation, member, trap, cut, victim)
            await stage.prepare()
            yield stage
            assert not cut.messages.keys() & {"Transaction", "OpenCursor"}, "these messages are not cut"
            # What is still on its way to the relay must not outlive it.
            await member.process.end(signal.SIGKILL)


# Lives


async def manual(stage: Stage, name: str) -> None:
    run = await stage.ask(lambda w: w.start_run(idempotency_key=name))
    stage.told.runs[name].add(run.id)
    await stage.run_in(run.id)


async def event(stage: Stage, name: str) -> None:
    await published(stage, name, "a", ("a1", "a2"))


async def retried(stage: Stage, name: str) -> None:
    await published(stage, name, "b", ("b1",))


async def fanned_out(stage: Stage, name: str) -> None:
    """The first two runs come with the event, the others two by two."""
    await published(stage, name, "c", FANNED_OUT)


async def published(stage: Stage, name: str, type: str, triggers: tuple[str, ...]) -> None:
    stage.told.events[name] = (type, False)
    await stage.ask(lambda w: w.publish(name, type))
    stage.told.events[name] = (type, True)
    for trigger_id in triggers:
        await stage.run_in(ids.event_run(trigger_id, "s", name))


async def schedule(stage: Stage, name: str) -> None:
    await stage.ask(lambda w: w.upsert_schedule(name, MINUTELY))
    stage.expected.schedules[name] = False
    stage.installation.clock.advance(61.0)

    async def fired() -> Run | None:
        page = await stage.look(lambda storage: storage.page(RUNS, "slot", [name], "test", limit=1))
        run = run_from_record(page.records[0]) if page is not None and page.records else None
        return run if run is not None and run.status.terminal else None

    await eventually(fired)
    request = workflow_pb2.DeleteWorkflowProviderScheduleRequest(schedule_id=name)
    await deleted(stage, lambda w: w.rpc.DeleteSchedule(request, timeout=20))


async def keyed(stage: Stage, name: str) -> None:
    """A signal starts the run, another comes while it is invoked, a third one by its key."""
    gate = stage.installation.host.gates["held"] = asyncio.Event()
    first = await stage.ask(lambda w: w.signal_or_start(name, operation="held", idempotency_key=f"{name}/1"))
    await stage.run_in(first.run.id, RunStatus.RUNNING)
    second = await stage.ask(lambda w: w.signal(first.run.id, idempotency_key=f"{name}/2"), refusal=True)
    third = await stage.ask(lambda w: w.signal_or_start(name, operation="held", idempotency_key=f"{name}/3"))
    gate.set()
    for delivery in (first, second, third):
        if delivery is not None:
            stage.told.signals.add((delivery.run.id, delivery.signal.id, delivery.signal.sequence))
            await stage.run_in(delivery.run.id)


async def canceled(stage: Stage, name: str) -> None:
    gate = stage.installation.host.gates["held"] = asyncio.Event()
    run = await stage.ask(lambda w: w.start_run("held", idempotency_key=name))
    stage.told.runs[name].add(run.id)
    await stage.run_in(run.id, RunStatus.RUNNING)
    stage.told.cancellations[run.id] = False
    answer = await stage.ask(lambda w: w.cancel_run(run.id, "enough"), refusal=True)
    stage.told.cancellations[run.id] = answer is not None
    gate.set()
    await stage.run_in(run.id)


async def objects(stage: Stage, name: str) -> None:
    """Each change is there once it was answered, whatever died meanwhile."""

    async def changed(kind: str, request: Callable[[Workflow], Awaitable[Any]]) -> None:
        seen = schedule_seen if kind == "schedule" else trigger_seen
        answer: ObjectSeen = seen(await stage.ask(request))
        assert seen(await stage.ask(read[kind])) == answer
        stage.told.objects[f"{kind}/{name}"] = answer

    read: dict[str, Callable[[Workflow], Awaitable[Any]]] = {
        "schedule": lambda w: w.get_schedule(name),
        "trigger": lambda w: w.rpc.GetEventTrigger(
            workflow_pb2.GetWorkflowProviderEventTriggerRequest(trigger_id=name), timeout=20
        ),
    }
    await changed("schedule", lambda w: w.upsert_schedule(name, "0 0 1 1 *"))
    pause = workflow_pb2.PauseWorkflowProviderScheduleRequest(schedule_id=name)
    await changed("schedule", lambda w: w.rpc.PauseSchedule(pause, timeout=20))
    await changed("schedule", lambda w: w.upsert_schedule(name, "0 0 2 1 *"))
    await changed("trigger", lambda w: w.upsert_trigger(name, "never"))
    await changed("trigger", lambda w: w.upsert_trigger(name, "ever"))
    request = workflow_pb2.DeleteWorkflowProviderEventTriggerRequest(trigger_id=name)
    await deleted(stage, lambda w: w.rpc.DeleteEventTrigger(request, timeout=20))
    stage.told.objects[f"trigger/{name}"] = None
    reference = await stage.ask(lambda w: w.put_reference(name))
    assert await stage.ask(lambda w: w.get_reference(name)) == reference


async def deleted(stage: Stage, request: Callable[[Workflow], Awaitable[Any]]) -> None:
    """Gone, perhaps by an earlier attempt whose answer was lost."""
    try:
        await stage.ask(request)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise


async def restart(stage: Stage, name: str) -> None:
    """A provider starts where another one was killed in the middle of everything."""
    number, place = stage.trap.disarm()
    gate = stage.installation.host.gates["held"] = asyncio.Event()
    run = await stage.ask(lambda w: w.start_run("held", idempotency_key=name))
    delivery = await stage.ask(lambda w: w.signal_or_start(name, operation="held", idempotency_key=name))
    for run_id in (run.id, delivery.run.id):
        await stage.run_in(run_id, RunStatus.RUNNING)
    waiting = await stage.ask(lambda w: w.signal(delivery.run.id, idempotency_key=f"{name}/2"))
    await stage.member.kill(stage.installation.clock)
    gate.set()
    stage.trap.arm(number, place)
    booting = asyncio.create_task(stage.member.boot())
    sprung = asyncio.create_task(stage.trap.sprung.wait())
    await asyncio.wait((booting, sprung), return_when=asyncio.FIRST_COMPLETED)
    if not booting.done():
        booting.cancel()  # killed; ``revive`` begins anew
    sprung.cancel()
    await asyncio.gather(booting, sprung, return_exceptions=True)
    stage.told.runs[name].add(run.id)
    for told in (delivery, waiting):
        stage.told.signals.add((told.run.id, told.signal.id, told.signal.sequence))
    for run_id in (run.id, delivery.run.id):
        assert (await stage.run_in(run_id)).stale


LIVES = (manual, event, fanned_out, retried, schedule, keyed, canceled, objects, restart)
# What the store holds before a message is what it holds after the one that came before.
PLACES = ["after", pytest.param("before", marks=pytest.mark.nightly)]
VICTIMS = [pytest.param("provider", id="provider"), pytest.param("store", id="store", marks=pytest.mark.nightly)]


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
@pytest.mark.timeout(300)
async def test_killed_at_each_message_nothing_is_lost_repeated_or_forgotten(
    life: Callable[[Stage, str], Awaitable[None]], place: Place, victim: str
) -> None:
    if life is restart and victim == "store":
        pytest.skip("a provider that cannot reach its store does not start: its host starts it again")
    async with open_stage(victim) as stage:
        cuts: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            reviving = tasks.create_task(stage.revive())
            await stage.quiet()
            if victim == "provider" and life not in (objects, restart):
                # Messages come in another order each time, so this one might be missed below.
                stage.trap.arm(1, place, only="InvokeOperation")
                await life(stage, f"{life.__name__}-invoked")
                cuts.append(await eventually(stage.cut))
                await stage.ask(lambda w: w.list_runs())  # revived
            for number in count(1):
                assert number < MOST_MESSAGES
                stage.trap.arm(number, place)
                await life(stage, f"{life.__name__}{number}")
                await stage.quiet()
                if not stage.trap.at:
                    assert stage.trap.passed_by
                    break
                cuts.append(stage.trap.at)
            reviving.cancel()
        stage.trap.disarm()
        stage.installation.host.passing = None
        evidence = await judge(stage.installation, stage.told, stage.expected)
    report(f"{life.__name__}: {cuts}", evidence)
    assert len(cuts) >= 3
