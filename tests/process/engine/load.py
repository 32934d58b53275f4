"""Clients: they start, publish, signal, cancel and change objects without pause, and note what they are told.

What may be repeated is repeated until it is answered, as a careful client does; the rest is asked once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from operator import methodcaller
from random import Random
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from gestalt_sdk.gen.extension.v1 import policies_pb2
from gestalt_sdk.gen.v1 import workflow_pb2
from tests.process.engine.evidence import Expected, Told, schedule_seen, trigger_seen
from tests.process.engine.installation import Installation, Unanswered
from tests.support.rigs.workflow import Workflow, target
from tests.support.waiting import taking

MINUTELY = "* * * * *"
STEP_S = (2.0, 25.0)
"""How far the clock leaps ahead at once."""
OUTAGE_S = 600.0
RETRIED = policies_pb2.RunPolicy(
    retry=policies_pb2.RetryPolicy(
        max_attempts=4, initial_backoff=Duration(seconds=1), retry_on=[policies_pb2.RETRY_ON_SERVER_ERROR]
    )
)
REPEATED = policies_pb2.RunPolicy(
    retry=policies_pb2.RetryPolicy(
        max_attempts=4,
        initial_backoff=Duration(seconds=1),
        retry_on=[policies_pb2.RETRY_ON_SERVER_ERROR, policies_pb2.RETRY_ON_INTERRUPTED],
    )
)
SCHEDULES = {
    "latest": (policies_pb2.SchedulePolicy(), "run"),
    "all": (policies_pb2.SchedulePolicy(catchup=policies_pb2.CatchUp(mode="CATCH_UP_MODE_ALL", cap=500)), "run"),
    "skip": (policies_pb2.SchedulePolicy(overlap="OVERLAP_POLICY_SKIP"), "slow"),
    "queue": (policies_pb2.SchedulePolicy(overlap="OVERLAP_POLICY_QUEUE_ONE"), "slow"),
    "cancel": (policies_pb2.SchedulePolicy(overlap="OVERLAP_POLICY_CANCEL_PREVIOUS"), "slow"),
    "retried": (policies_pb2.SchedulePolicy(run=RETRIED), "flaky"),
}
TRIGGERS = {
    "a1": ("a", "run", policies_pb2.RunPolicy()),
    "a2": ("a", "slow", policies_pb2.RunPolicy()),
    "b1": ("b", "flaky", RETRIED),
    "c1": ("c", "bad", policies_pb2.RunPolicy()),
}


class Load:
    """Goes on until ``stopping`` is set; ``told`` is what clients learned."""

    def __init__(self, installation: Installation, seed: int, *, repeated: bool = True) -> None:
        """``repeated``: some runs may be invoked again when their process died."""
        self._installation = installation
        self._random = Random(f"{seed}/load")
        self._repeated = repeated
        self._numbers = 0
        self._runs: list[str] = []
        self._keyed: list[str] = []
        self.told = Told()
        self.expected = Expected(
            triggers={id: type for id, (type, _, _) in TRIGGERS.items()},
            schedules={id: id == "all" for id in SCHEDULES},
            superseding={"cancel"},
        )
        self.stopping = asyncio.Event()

    async def prepare(self) -> None:
        self.expected.since = self._installation.clock()
        for id, (policy, operation) in SCHEDULES.items():
            fields = {"target": target(operation), "policy": policy}
            stored = await self._installation.insist(methodcaller("upsert_schedule", id, MINUTELY, **fields))
            self.told.objects[f"schedule/{id}"] = schedule_seen(stored)
        for id, (type, operation, run_policy) in TRIGGERS.items():
            request = methodcaller("upsert_trigger", id, type, operation, policy=run_policy)
            trigger = await self._installation.insist(request)
            self.told.objects[f"trigger/{id}"] = trigger_seen(trigger)

    def begin(self, tasks: asyncio.TaskGroup, pause_s: float) -> None:
        """``pause_s``: mean time between two calls of one client."""
        acts: list[Callable[[], Awaitable[None]]] = [
            self._start, self._start, self._publish, self._signal_or_start, self._signal, self._cancel,
            self._change_schedule, self._change_trigger,
        ]  # fmt: skip
        for act in acts:
            tasks.create_task(self._keep_on(act, pause_s))
        tasks.create_task(self._pass_time())

    async def _keep_on(self, act: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while not self.stopping.is_set():
            await taking(self._random.expovariate(1 / pause_s))
            await act()

    async def _pass_time(self) -> None:
        while not self.stopping.is_set():
            await taking(self._random.uniform(0.1, 0.5))
            self._installation.clock.advance(self._random.uniform(*STEP_S))

    def _next(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}{self._numbers}"

    async def _once(self, request: Callable[[Workflow], Awaitable[Any]]) -> Any:
        """The answer; None when there was none, or when it was refused because its run has ended."""
        try:
            return await self._installation.call(request)
        except Unanswered:
            return None
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                return None
            raise

    # Runs

    async def _start(self) -> None:
        operation, policy = self._random.choice(
            [("run", None)] * 5 + [("slow", None), ("bad", None), ("flaky", RETRIED), ("flaky", self._policy())]
        )
        key = self._next("start") if self._random.random() < 0.7 else ""

        def request(workflow: Workflow) -> Awaitable[Any]:
            return workflow.start_run(operation, idempotency_key=key, policy=policy)

        for _ in range(2 if key and self._random.random() < 0.2 else 1):
            run = await (self._installation.insist(request) if key else self._once(request))
            if run is not None:
                self.told.runs[key].add(run.id)
                self._runs.append(run.id)

    def _policy(self) -> policies_pb2.RunPolicy:
        return REPEATED if self._repeated else RETRIED

    def _recent(self, runs: list[str]) -> str:
        return runs[-1 - min(int(self._random.expovariate(0.5)), len(runs) - 1)]

    async def _cancel(self) -> None:
        if not self._runs:
            return
        run_id = self._recent(self._runs)
        self.told.cancellations.setdefault(run_id, False)
        if await self._once(lambda workflow: workflow.cancel_run(run_id, "enough")) is not None:
            self.told.cancellations[run_id] = True

    # Events

    async def _publish(self) -> None:
        id, type = self._next("event"), self._random.choice(("a", "a", "b", "c", "nobody"))
        self.told.events[id] = (type, False)
        if self._random.random() < 0.2:  # once, and then never again: all of its runs, or none
            try:
                await self._installation.call(lambda workflow: workflow.publish(id, type))
            except Unanswered:
                return
        else:
            await self._installation.insist(lambda workflow: workflow.publish(id, type))
        self.told.events[id] = (type, True)

    # Signals

    async def _signal_or_start(self) -> None:
        key, idempotency = (
            f"key{self._random.randrange(6)}",
            self._next("signal") if self._random.random() < 0.7 else "",
        )
        operation = self._random.choice(("run", "run", "slow"))

        def request(workflow: Workflow) -> Awaitable[Any]:
            return workflow.signal_or_start(key, "go", operation=operation, idempotency_key=idempotency)

        delivery = await (self._installation.insist(request) if idempotency else self._once(request))
        if delivery is not None:
            self._delivered(delivery, idempotency)
            if delivery.started_run:
                self._keyed.append(delivery.run.id)
                self._runs += [delivery.run.id] * (self._random.random() < 0.1)

    async def _signal(self) -> None:
        if not self._keyed:
            return
        run_id = self._recent(self._keyed)
        delivery = await self._once(lambda workflow: workflow.signal(run_id, "more"))
        if delivery is not None:
            self._delivered(delivery, "")

    def _delivered(self, delivery: workflow_pb2.SignalWorkflowRunResponse, idempotency: str) -> None:
        self.told.signals.add((delivery.run.id, delivery.signal.id, delivery.signal.sequence))
        if idempotency:
            self.told.signal_keys[idempotency].add((delivery.run.id, delivery.signal.id))

    # Objects

    async def _change_schedule(self) -> None:
        id = f"changing{self._random.randrange(3)}"
        change = self._random.choice(("upsert", "upsert", "pause", "resume", "delete"))
        cron = self._random.choice((MINUTELY, "*/2 * * * *"))
        seen = await self._change(id, change, lambda w: w.upsert_schedule(id, cron), "Schedule", "schedule_id")
        self.told.objects[f"schedule/{id}"] = seen and schedule_seen(seen)

    async def _change_trigger(self) -> None:
        id = f"changing{self._random.randrange(3)}"
        change = self._random.choice(("upsert", "upsert", "pause", "resume", "delete"))
        type = self._random.choice(("a", "b"))
        seen = await self._change(id, change, lambda w: w.upsert_trigger(id, type), "EventTrigger", "trigger_id")
        self.told.objects[f"trigger/{id}"] = seen and trigger_seen(seen)

    async def _change(
        self, id: str, change: str, upsert: Callable[[Workflow], Awaitable[Any]], kind: str, field: str
    ) -> Any:
        """The object as it is after the change; None when there is none."""

        def request(workflow: Workflow) -> Awaitable[Any]:
            if change == "upsert":
                return upsert(workflow)
            message = getattr(workflow_pb2, f"{change.title()}WorkflowProvider{kind}Request")(**{field: id})
            return getattr(workflow.rpc, f"{change.title()}{kind}")(message, timeout=30)

        try:
            answer = await self._installation.insist(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return None if change == "delete" else answer
