"""The workflow host of the simulation: invocations take their time, fail or hang, and every one is journalled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from gestalt_workflow.model.objects import InvocationFailed, InvocationResult, Outcome, Reference, Run, Signal

from tests.simulation.loop import NOWHERE, Process


@dataclass(slots=True)
class Invocation:
    """One call of the host. Times are seconds since the beginning; ``began`` None: it never reached the host.

    Attributes:
        answer: What the host answered, whether or not the answer was received.
    """

    number: int
    run: Run
    signals: tuple[Signal, ...]
    reference: Reference | None
    process: Process
    sent: float
    began: float | None = None
    ended: float | None = None
    answer: Outcome | None = None
    finish: list[asyncio.TimerHandle] = field(default_factory=list)


class Observer(Protocol):
    """Told of invocations; may kill the process that is calling."""

    def invoking(self, invocation: Invocation) -> bool:
        """It is about to be sent; False when its process dies before."""

    def began(self, invocation: Invocation) -> None: ...

    def ended(self, invocation: Invocation) -> None: ...


class SimulatedHost:
    """All processes call the same one, each through a ``HostClient``."""

    def __init__(self, random: Random, observer: Observer, *, hangs: float, failures: float, longest_s: float) -> None:
        self._random = random
        self._observer = observer
        self._hangs = hangs
        self._failures = failures
        self._longest_s = longest_s
        self.journal: list[Invocation] = []
        self.hanging: list[Invocation] = []
        self._answers: dict[int, asyncio.Future[Outcome]] = {}

    def client(self, process: Process) -> HostClient:
        return HostClient(self, process)

    def settle_down(self) -> None:
        """What hangs ends now; nothing hangs, fails or takes long any more."""
        self._hangs = self._failures = 0.0
        self._longest_s = 2.0
        for invocation in self.hanging:
            self._end(invocation, InvocationFailed("hung until now"))
        self.hanging.clear()

    async def invoke(
        self, process: Process, run: Run, signals: Sequence[Signal], reference: Reference | None
    ) -> Outcome:
        loop = asyncio.get_running_loop()
        invocation = Invocation(len(self.journal), run, tuple(signals), reference, process, sent=loop.time())
        if not self._observer.invoking(invocation):
            return await loop.create_future()
        self.journal.append(invocation)
        answer: asyncio.Future[Outcome] = loop.create_future()
        self._answers[invocation.number] = answer
        arrival = loop.call_later(self._random.uniform(0.0005, 0.01), self._begin, invocation, context=NOWHERE)
        try:
            return await answer
        finally:
            if invocation.began is None:
                arrival.cancel()
            elif invocation.ended is None:
                self._cancel(invocation)

    def _begin(self, invocation: Invocation) -> None:
        loop = asyncio.get_running_loop()
        invocation.began = loop.time()
        self._observer.began(invocation)
        draw = self._random.random()
        if draw < self._hangs:
            self.hanging.append(invocation)
            return
        outcome: Outcome
        if draw < self._hangs + self._failures:
            outcome = InvocationFailed(f"failure {invocation.number}")
        elif draw < self._hangs + 2 * self._failures:
            outcome = InvocationResult(self._random.choice((400, 404, 500)), f"refusal {invocation.number}")
        else:
            outcome = InvocationResult(200, f"result {invocation.number}")
        takes = self._random.choice((0.002, 0.05, 1.0, self._longest_s)) * self._random.random()
        invocation.finish.append(loop.call_later(takes, self._end, invocation, outcome, context=NOWHERE))

    def _end(self, invocation: Invocation, outcome: Outcome) -> None:
        if invocation.ended is not None:
            return
        loop = asyncio.get_running_loop()
        invocation.ended, invocation.answer = loop.time(), outcome
        self._observer.ended(invocation)
        answer = self._answers.pop(invocation.number)
        loop.call_later(self._random.uniform(0.0005, 0.01), _answer, answer, outcome, context=NOWHERE)

    def _cancel(self, invocation: Invocation) -> None:
        """Its caller gave up: the target is told, which takes a moment."""
        for handle in invocation.finish:
            handle.cancel()
        loop = asyncio.get_running_loop()
        outcome = InvocationFailed("canceled by the caller")
        loop.call_later(self._random.uniform(0.0005, 0.01), self._end, invocation, outcome, context=NOWHERE)

    def lost(self, process: Process) -> None:
        """The process died. Some targets notice and stop, others run to their end."""
        for invocation in self.journal:
            running = invocation.process is process and invocation.began is not None and invocation.ended is None
            if running and self._random.random() < 0.5:
                self._cancel(invocation)


class HostClient:
    """What one process holds of the host; stands in for ``gestalt_workflow.dispatch.host_client.WorkflowHost``."""

    def __init__(self, host: SimulatedHost, process: Process) -> None:
        self._host = host
        self._process = process

    async def invoke(self, run: Run, signals: Sequence[Signal], reference: Reference | None) -> Outcome:
        return await self._host.invoke(self._process, run, signals, reference)

    async def close(self) -> None:
        return None


def _answer(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
