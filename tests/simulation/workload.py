"""Clients: they create, change and delete objects, publish, start, signal, cancel and revoke, and note the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache
from random import Random
from typing import TypeVar

from gestalt_workflow.engine import Engine
from gestalt_workflow.events.replays import ReplayMode, ReplayRequest
from gestalt_workflow.model import ids
from gestalt_workflow.model.objects import Actor, Event, EventMatch, NewSignal, Reference, Target
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.objects.schedules import ScheduleRequest, checked_timing
from gestalt_workflow.objects.signals import Delivery, SignalOrStartRequest
from gestalt_workflow.objects.triggers import TriggerRequest
from gestalt_workflow.stored.records import REFERENCES, RUNS, SCHEDULES, TRIGGERS
from gestalt_workflow.wire.targets import describe_target

from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.simulation.world import Instance, World

T = TypeVar("T")

CRONS = ("* * * * *", "* * * * *", "*/2 * * * *", "1-59/3 * * * *", "*/5 0-23 * * *", "0 * * * *", "30 2 * * *")
ZONES = ("UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")
ALICE = Actor("user:alice", "user", "Alice", "session")
BOB = Actor("user:bob", "user", "Bob", "session")
EVE = Actor("user:eve", "user", "Eve", "session")
ATTEMPTS = 5
SCHEDULE_IDS = ("s0", "s1", "s2", "s3")
TRIGGER_IDS = ("t0", "t1", "t2", "t3")


@cache
def plugin_target(plugin: str) -> Target:
    message = pb.BoundWorkflowTarget()
    message.plugin.plugin_name = plugin
    message.plugin.operation = "run"
    message.plugin.input.SetInParent()
    return describe_target(message)


@cache
def agent_target() -> Target:
    message = pb.BoundWorkflowTarget()
    message.agent.provider_name = "thinker"
    message.agent.prompt = "think"
    message.agent.timeout_seconds = 30
    return describe_target(message)


@cache
def signal_data() -> bytes:
    return pb.WorkflowSignal(name="go").SerializeToString()


class Workload:
    def __init__(self, seed: int, world: World) -> None:
        self._world = world
        self._told = world.invariants.told
        self._random = Random(f"{seed}/clients")
        self._floods = Random(f"{seed}/flood")
        self._references: list[Reference] = []
        self._runs: list[str] = []
        self._numbers = 0

    async def prepare(self) -> None:
        """What is there from the beginning."""
        for number in range(5):
            reference = Reference(
                f"ref{number}",
                self._random.choice((ALICE, BOB)).subject_id,
                b"",
                self._world.clock(),
                signed=self._random.random() < 0.8,
            )
            self._references.append(reference)
            await self._until_answered(f"put {reference.id}", lambda e, r=reference: e.references.put(r))  # type: ignore[misc]
        for schedule_id, trigger_id in zip(SCHEDULE_IDS[:2], TRIGGER_IDS[:2], strict=True):
            await self._upsert_schedule(schedule_id, paused=False)
            await self._upsert_trigger(trigger_id, paused=False)

    async def client(self) -> None:
        """One client: calls, one after another, until it is cancelled."""
        actions: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (3, lambda: self._upsert_schedule(self._random.choice(SCHEDULE_IDS), paused=self._random.random() < 0.15)),
            (4, self._change_schedule),
            (3, lambda: self._upsert_trigger(self._random.choice(TRIGGER_IDS), paused=self._random.random() < 0.15)),
            (3, self._change_trigger),
            (10, self._publish),
            (2, self._replay),
            (10, self._start),
            (5, self._signal),
            (8, self._signal_or_start),
            (5, self._cancel),
            (1, self._revoke),
        ]
        weights = [weight for weight, _ in actions]
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._world.plan.pause_between_calls_s))
            ((_, act),) = self._random.choices(actions, weights)
            await act()

    # Calls

    def _name(self, prefix: str, count: int) -> str:
        return f"{prefix}{self._random.randrange(count)}"

    def _next(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}{self._numbers}"

    def _reference(self) -> str:
        return self._random.choice(self._references).id if self._random.random() < 0.9 else ""

    async def _once(self, what: str, request: Callable[[Engine], Awaitable[T]]) -> tuple[T, Instance] | None:
        """The answer, None when there was none, or a refusal."""
        self._world.note(f"client: {what}")
        try:
            answer = await self._world.call(request)
        except GestaltError as error:
            self._world.note(f"client: {what}: {type(error).__name__}: {error}")
            return None
        self._world.note(f"client: {what}: answered by {answer[1].name}")
        return answer

    async def _until_answered(self, what: str, request: Callable[[Engine], Awaitable[T]]) -> tuple[T, Instance]:
        while (answer := await self._once(what, request)) is None:
            await asyncio.sleep(0.5)
        return answer

    # Objects

    async def _upsert_schedule(self, schedule_id: str, *, paused: bool) -> None:
        cron, zone = self._random.choice(CRONS), self._random.choice(ZONES)
        reference, retire = self._reference(), self._reference() if self._random.random() < 0.2 else ""
        target = plugin_target("svc")

        def request(engine: Engine) -> Awaitable[object]:
            timing = checked_timing(cron, zone, self._world.clock())
            return engine.schedules.upsert(
                ScheduleRequest(schedule_id, *timing[:2], target, timing[2], paused, ALICE, reference, retire=retire)
            )

        answer = await self._once(f"upsert schedule {schedule_id} {cron!r} {zone} paused={paused}", request)
        if answer is not None:
            self._world.invariants.answered(SCHEDULES, schedule_id, answer[0].revision)  # type: ignore[attr-defined]

    async def _change_schedule(self) -> None:
        schedule_id = self._random.choice(SCHEDULE_IDS)
        change = self._random.choice(("pause", "resume", "resume", "delete"))
        await self._change(SCHEDULES, schedule_id, change, lambda engine: engine.schedules)

    async def _upsert_trigger(self, trigger_id: str, *, paused: bool) -> None:
        match = EventMatch(
            self._name("type", 2), self._random.choice(("", "a", "b")), self._random.choice(("", "", "x"))
        )
        reference, retire = self._reference(), self._reference() if self._random.random() < 0.2 else ""
        wanted = TriggerRequest(trigger_id, match, plugin_target("svc"), paused, BOB, reference, retire=retire)
        answer = await self._once(f"upsert trigger {trigger_id} {match}", lambda e: e.triggers.upsert(wanted))
        if answer is not None:
            self._world.invariants.answered(TRIGGERS, trigger_id, answer[0].revision)

    async def _change_trigger(self) -> None:
        change = self._random.choice(("pause", "resume", "resume", "delete"))
        await self._change(TRIGGERS, self._random.choice(TRIGGER_IDS), change, lambda engine: engine.triggers)

    async def _change(self, store: str, id: str, change: str, of: Callable[[Engine], object]) -> None:
        if change == "delete":
            self._told.deletions.add((store, id))
        answer = await self._once(f"{change} {id}", lambda engine: getattr(of(engine), change)(id))
        if answer is not None:
            self._world.invariants.answered(store, id, answer[0] and answer[0].revision)

    async def _revoke(self) -> None:
        place = self._random.randrange(len(self._references))
        reference = self._references[place]
        if reference.revoked_at is not None:
            return
        revoked = replace(reference, revoked_at=self._world.clock())
        self._references[place] = revoked
        for _ in range(ATTEMPTS):
            answer = await self._once(f"revoke {reference.id}", lambda e: e.references.put(revoked))
            if answer is not None:
                stored, instance = answer
                self._world.invariants.answered(REFERENCES, stored.id, stored.revision)
                self._told.revoked[stored.id] = (self._world.loop.now, instance)
                break
        # Nobody knows it before it was put: a revocation that came first would be replaced by that put.
        later = replace(reference, id=self._next("later-ref"))
        await self._until_answered("put another", lambda e: e.references.put(later))
        self._references.append(later)

    # Events

    async def _publish(self) -> None:
        if self._told.publications and self._random.random() < 0.3:
            publication = self._random.choice(list(self._told.publications.values()))
        else:
            event_id = self._next("event")
            event = Event(
                event_id, self._random.choice(("a", "b")), self._name("type", 2), self._random.choice(("", "x")), b""
            )
            publication = self._told.published(event, TRIGGER_IDS)
        for _ in range(ATTEMPTS):
            began = self._world.loop.now
            event = publication.event
            answer = await self._once(f"publish {event.id} {event.type}", lambda e: e.events.publish(event, ALICE))  # noqa: B023
            if answer is not None:
                publication.acknowledged.append((began, self._world.loop.now))
                return

    async def _replay(self) -> None:
        if not self._told.publications:
            return
        event = self._random.choice(list(self._told.publications.values())).event
        mode = self._random.choice((ReplayMode.MISSING, ReplayMode.FORCED, ReplayMode.DRY_RUN))
        replay_id = self._next("replay")
        for trigger_id in TRIGGER_IDS:
            run_id = ids.replayed_run(trigger_id, event.source, event.id, replay_id)
            self._told.event_runs[run_id] = (trigger_id, event)
        wanted = ReplayRequest(ids.kept_event(event.source, event.id), replay_id, mode, (), BOB)
        for _ in range(ATTEMPTS):
            answer = await self._once(f"replay {event.id} {mode.name}", lambda e: e.events.replay(wanted))
            if answer is not None:
                (replay, _), _ = answer
                if mode is not ReplayMode.DRY_RUN:
                    self._told.replays[event.id, replay_id].add(tuple(replay.run_ids))
                if self._random.random() < 0.7:
                    return

    # Runs

    async def _start(self) -> None:
        keyed = self._random.random() < 0.2
        target = agent_target() if self._random.random() < 0.15 else plugin_target(self._name("plugin", 2))
        actor = self._random.choice((ALICE, BOB))
        key = self._name("once", 12) if self._random.random() < 0.6 else ""
        wanted = StartRequest(target, key, self._name("key", 3) if keyed else "", actor, self._reference())
        scope = f"{target.plugin}/{actor.subject_id}/{key}" if key else ""
        for _ in range(ATTEMPTS if key else 1):
            answer = await self._once(f"start {scope} {wanted.workflow_key}", lambda e: e.runs.start(wanted))
            if answer is not None:
                self._started(answer[0].id, scope)
                self._world.invariants.answered(RUNS, answer[0].id, answer[0].revision)
                return

    async def flood(self) -> None:
        """One subject starts many runs at once, some times."""
        random, plan = self._floods, self._world.plan
        for _ in range(3):
            await asyncio.sleep(random.uniform(1.0, plan.active_s / 4))
            for _ in range(plan.flood):
                wanted = StartRequest(plugin_target(f"plugin{random.randrange(2)}"), created_by=EVE)
                answer = await self._once("flood", lambda e: e.runs.start(wanted))  # noqa: B023
                if answer is not None:
                    self._started(answer[0].id, "")

    def _started(self, run_id: str, scope: str) -> None:
        self._told.runs[scope].add(run_id)
        self._runs.append(run_id)

    async def _cancel(self) -> None:
        if not self._runs:
            return
        run_id = self._runs[-1 - min(int(self._random.expovariate(0.5)), len(self._runs) - 1)]
        answer = await self._once(f"cancel {run_id}", lambda e: e.runs.cancel(run_id, "enough"))
        if answer is not None:
            self._told.canceled.add(run_id)
            self._world.invariants.answered(RUNS, run_id, answer[0].revision)

    # Signals

    def _new_signal(self) -> NewSignal:
        key = self._next("signal") if self._random.random() < 0.6 else ""
        return NewSignal(signal_data(), idempotency_key=key, subject_id=ALICE.subject_id)

    async def _signal(self) -> None:
        if not self._runs:
            return
        run_id = self._runs[-1 - min(int(self._random.expovariate(0.3)), len(self._runs) - 1)]
        signal = self._new_signal()
        await self._deliver(f"signal {run_id}", signal, lambda e: e.signals.signal(run_id, signal), "")

    async def _signal_or_start(self) -> None:
        target = plugin_target(self._name("plugin", 2))
        signal = self._new_signal()
        wanted = SignalOrStartRequest(self._name("key", 3), target, signal, ALICE, self._reference())
        scope = f"{target.plugin}/{signal.idempotency_key}"
        what = f"signal or start {target.plugin} {wanted.workflow_key}"
        await self._deliver(what, signal, lambda e: e.signals.signal_or_start(wanted), scope)

    async def _deliver(
        self, what: str, signal: NewSignal, request: Callable[[Engine], Awaitable[Delivery]], scope: str
    ) -> None:
        for _ in range(ATTEMPTS if signal.idempotency_key else 1):
            answer = await self._once(f"{what} {signal.idempotency_key}", request)
            if answer is None:
                continue
            delivery = answer[0]
            self._told.signals.append((delivery.run.id, delivery.signal.id, delivery.signal.sequence))
            if scope and signal.idempotency_key:
                self._told.signal_keys[scope].add((delivery.run.id, delivery.signal.id))
            if delivery.started_run:
                self._runs.append(delivery.run.id)
            if self._random.random() < 0.8:
                return
