"""The simulated installation: engine processes on one store and one host, their supervisor, and what befalls them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from unittest import mock
from uuid import UUID

import gestalt_workflow.claims.recovery
import gestalt_workflow.dispatch.waiting_room
import gestalt_workflow.events.fan_outs
import gestalt_workflow.firing.scheduler
import gestalt_workflow.model.ids
import gestalt_workflow.objects.triggers
import structlog
from gestalt_workflow.config import Config
from gestalt_workflow.dispatch.host_client import WorkflowHost
from gestalt_workflow.engine import Engine
from gestalt_workflow.model.errors import StorageFailed

import gestalt_sdk.common.backoff
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.indexeddb import IndexedDB, Record
from tests.simulation.host import Invocation, SimulatedHost
from tests.simulation.invariants import Invariants
from tests.simulation.loop import NOWHERE, PROCESS, Process, VirtualLoop
from tests.simulation.plan import Plan
from tests.simulation.store import Fate, StoreClient, aborted, no_answer
from tests.support.fakes.database import Change
from tests.support.fakes.indexeddb_client import RecordDatabase

T = TypeVar("T")

DEADLINE_S = 30.0
"""Of every call to an engine and to the store."""
TICK_S = 20.0
"""Longest sleep of loops that know when to wake, where no clock is set; else they look each second."""
BUGS = {"loop.failed", "run.crashed", "storage.batch_failed"}
"""Log events that say that an engine met something it did not expect."""


class Disconnected(GestaltError):
    """The process died, or did not answer in time: whether the call was carried out is not known."""


class Instance(Process):
    """One life of one provider process."""

    def __init__(self, slot: int, number: int, machine: int, random: Random) -> None:
        super().__init__(f"p{slot}.{number}")
        self.slot = slot
        self.machine = machine
        self.owner = f"machine{machine}/{self.name}/{random.getrandbits(32):08x}"
        self.engine: Engine | None = None
        self.ready = False
        self.draining = asyncio.Event()
        self.gone = asyncio.Event()
        self.calls: dict[asyncio.Future[Any], None] = {}


class Wire:
    """Network between one process and the store: implements ``store.Network``."""

    def __init__(self, world: World, instance: Instance) -> None:
        self._world = world
        self._instance = instance

    def fate(self, call: str) -> Fate:
        return self._world.fate(call)

    def sending(self, call: str) -> bool:
        if self._world.over:
            return False
        return not self._world.perhaps_dies(self._instance, f"before {call}")

    def applied(self, call: str) -> None:
        self._world.perhaps_dies(self._instance, f"once {call} was executed")

    def answered(self, call: str) -> bool:
        return not self._world.perhaps_dies(self._instance, f"with the answer of {call}")


class World:
    """
    Attributes:
        trace: What happened, a line each, in order: the same for the same seed.
        over: The simulation has been judged; nothing counts any more.
    """

    def __init__(self, seed: int, plan: Plan, loop: VirtualLoop) -> None:
        self.plan = plan
        self.loop = loop
        self.trace: list[str] = []
        self.over = False
        self.healthy = plan.calm
        self.instances: list[Instance] = []
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.store_down_until = 0.0
        self.store_hangs = False
        self.jumps = [(0.0, timedelta())]
        """How far the clock of all processes was ahead of the right time, from which moment on."""
        self.healed_at = 0.0
        self.invariants = Invariants(self)
        self.database = RecordDatabase(self._committed)
        self._random = Random(f"{seed}/world")
        self._ids = Random(f"{seed}/ids")
        self.host = SimulatedHost(
            Random(f"{seed}/host"), self, hangs=plan.hangs, failures=plan.failures, longest_s=plan.longest_s
        )
        self.config = Config(
            poll_interval=timedelta(seconds=plan.poll_s),
            worker_count=plan.workers,
            claim_ttl=timedelta(seconds=plan.ttl_s),
            claim_renew_every=timedelta(seconds=plan.ttl_s / 3),
            max_concurrent_per_target=plan.limit or None,
            target_limits=plan.limits,
            runs_per_commit=plan.runs_per_commit,
        )
        self._lives = 0

    # Time and trace

    def clock(self) -> datetime:
        """What every process takes for the present moment."""
        return self.right_time() + self.ahead

    @property
    def ahead(self) -> timedelta:
        return self.jumps[-1][1]

    def right_time(self) -> datetime:
        return self.plan.beginning + timedelta(seconds=self.loop.now)

    def note(self, text: str) -> None:
        if not self.over:
            process = PROCESS.get()
            self.trace.append(f"{self.loop.now:12.4f} {process.name if process else '-':6} {text}")

    # Processes

    async def supervise(self, slot: int) -> None:
        """Keep one process running: start it, and again some time after it has ended."""
        while True:
            await self.allowed.wait()
            while self.ahead and self.plan.processes > 1:
                # One that begins while the clock is ahead cannot know it, and takes claims of others for ended.
                await asyncio.sleep(1.0)
            instance = self._start(slot)
            await instance.gone.wait()
            longest = 1.0 if self.healthy else self._random.choice((0.5, 5.0, 60.0))
            await asyncio.sleep(self._random.uniform(0.05, longest))

    def _start(self, slot: int) -> Instance:
        self._lives += 1
        machine = 0 if self.plan.one_machine else slot
        instance = Instance(slot, self._lives, machine, self._random)
        self.instances.append(instance)
        self.note(f"process {instance.name} starts")
        task = instance.spawn(self._serve(instance), "serve")
        task.add_done_callback(lambda done: self._served(instance, done), context=NOWHERE)
        return instance

    async def _serve(self, instance: Instance) -> None:
        client = StoreClient(self.database, Wire(self, instance), batched=self.plan.batched)
        engine = Engine(
            "sim",
            self.config,
            cast(IndexedDB, client),
            cast(WorkflowHost, self.host.client(instance)),
            self.clock,
            claimant=instance.owner,
            monotonic=self.loop.time,
        )
        try:
            await engine.open()
        except StorageFailed as error:
            self.note(f"cannot open: {error}")
            return
        instance.engine = engine
        engine.start()
        instance.ready = True
        await instance.draining.wait()
        instance.ready = False
        await engine.drain()
        await engine.close()

    def _served(self, instance: Instance, task: asyncio.Task[None]) -> None:
        if self.over:
            return
        if not task.cancelled() and task.exception() is not None:
            self.invariants.broken("no process ends with an error", f"{instance.name}: {task.exception()!r}")
        self.kill(instance, "ended")

    def kill(self, instance: Instance, why: str) -> None:
        if instance.dead:
            return
        self.note(f"process {instance.name} dies: {why}")
        instance.dead, instance.ready = True, False
        for call in instance.calls:
            if not call.done():
                call.set_exception(Disconnected(f"{instance.name} died"))
        instance.calls.clear()
        self.host.lost(instance)
        instance.gone.set()

    def perhaps_dies(self, instance: Instance, moment: str) -> bool:
        """Whether it is dead, perhaps since now."""
        if not (self.healthy or instance.dead) and self.plan.deaths and self._random.random() < self.plan.deaths / 3:
            self.kill(instance, moment)
        return instance.dead

    def living(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.ready and not instance.dead]

    def provably_dead(self, owner: str) -> bool:
        """As the process that asks sees it: only processes of its own machine."""
        asking = PROCESS.get()
        assert isinstance(asking, Instance)
        return any(i.owner == owner and i.dead and i.machine == asking.machine for i in self.instances)

    # Calls of clients

    async def call(self, request: Callable[[Engine], Awaitable[T]]) -> tuple[T, Instance]:
        """Have some process do it; its answer, and which one it was.

        Raises:
            Disconnected: no answer.
            GestaltError: what the engine raised.
        """
        await self.allowed.wait()
        living = self.living()
        if not living:
            await asyncio.sleep(1.0)
            raise Disconnected("no process is ready")
        instance = self._random.choice(living)
        await asyncio.sleep(self._random.uniform(0.0005, 0.005))
        if instance.dead:
            raise Disconnected("the process has just died")
        answer: asyncio.Future[T] = self.loop.create_future()
        instance.calls[answer] = None
        task = instance.spawn(self._answer(instance, request, answer), "call")
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await answer, instance
        except TimeoutError:
            task.cancel()
            raise Disconnected("no answer in time") from None
        finally:
            instance.calls.pop(answer, None)

    async def _answer(
        self, instance: Instance, request: Callable[[Engine], Awaitable[T]], answer: asyncio.Future[T]
    ) -> None:
        assert instance.engine is not None

        def settle(outcome: T | Exception) -> None:
            if answer.done():
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        outcome: T | Exception
        try:
            outcome = await request(instance.engine)
        except GestaltError as error:
            outcome = error
        except Exception as error:
            self.invariants.broken("no call ends with an unexpected error", repr(error))
            outcome = GestaltError(repr(error))
        self.loop.call_later(self._random.uniform(0.0005, 0.005), settle, outcome, context=NOWHERE)

    # Messages to the store

    def fate(self, call: str) -> Fate:
        random, plan = self._random, self.plan
        there, back = 0.0003 + random.random() * 0.002, 0.0003 + random.random() * 0.002
        if self.healthy:
            return Fate(there, back)
        if self.loop.now < self.store_down_until:
            wait = DEADLINE_S if self.store_hangs else there
            return Fate(wait, back, applied=False, error=no_answer(call))
        if random.random() < plan.slow:
            there, back = random.random() * random.choice((0.1, 4.0)), random.random() * random.choice((0.1, 4.0))
        kind = self._mishap(call)
        if not kind:
            return Fate(there, back)
        if call == "apply":
            self.note(f"{call}: {kind}")
        if kind == "aborted":
            return Fate(there, back, applied=False, error=aborted(call))
        wait = random.choice((back, back, DEADLINE_S))
        if kind == "late":
            return Fate(there, wait, late=random.choice((0.01, 1.0, 20.0)) * random.random(), error=no_answer(call))
        return Fate(there, wait, applied=kind == "lost answer", error=no_answer(call))

    def _mishap(self, call: str) -> str:
        draw = self._random.random()
        plan = self.plan
        for probability, kind in (
            (plan.lost_requests, "lost request"),
            (plan.lost_answers, "lost answer"),
            (plan.late, "late"),
            (plan.aborts if call == "apply" else 0.0, "aborted"),
        ):
            if draw < probability:
                return kind
            draw -= probability
        return ""

    def _committed(self, changes: list[Change[Record]]) -> None:
        if not self.over:
            self.invariants.committed(changes)

    # What the host tells

    def invoking(self, invocation: Invocation) -> bool:
        instance = cast(Instance, invocation.process)
        if self.over or self.perhaps_dies(instance, "before an invocation"):
            return False
        self.invariants.invoking(invocation)
        return True

    def began(self, invocation: Invocation) -> None:
        if not self.over:
            self.invariants.began(invocation)
            self.perhaps_dies(cast(Instance, invocation.process), "while invoking")

    def ended(self, invocation: Invocation) -> None:
        self.note(f"host: invocation {invocation.number} ended: {invocation.answer}")

    # Trouble

    def trouble(self) -> list[Callable[[], Awaitable[None]]]:
        """What goes on beside the clients until everything is made healthy."""
        plan = self.plan
        means: Sequence[tuple[float, Callable[[], Awaitable[None]]]] = (
            (plan.kill_every_s, self._kill_one),
            (plan.suspend_every_s, self._suspend_one),
            (plan.drain_every_s, self._drain_one),
            (plan.outage_every_s, self._store_fails),
            (plan.jump_every_s, self._clock_jumps),
        )
        found: list[Callable[[], Awaitable[None]]] = [
            partial(self._again_and_again, mean, act) for mean, act in means if mean
        ]
        if plan.blackout_s:
            found.append(self._blackout)
        return found

    async def _again_and_again(self, mean_s: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / mean_s))
            await act()

    async def _kill_one(self) -> None:
        if living := self.living():
            self.kill(self._random.choice(living), "killed")

    async def _suspend_one(self) -> None:
        awake = [instance for instance in self.living() if not instance.paused]
        if not awake:
            return
        instance = self._random.choice(awake)
        self.note(f"process {instance.name} is suspended")
        instance.paused = True
        await asyncio.sleep(self.plan.ttl_s * self._random.choice((0.3, 1.2, 3.0)) * self._random.uniform(0.5, 1.0))
        self.note(f"process {instance.name} goes on")
        self.loop.resume(instance)

    async def _drain_one(self) -> None:
        if living := self.living():
            instance = self._random.choice(living)
            self.note(f"process {instance.name} is asked to end")
            instance.draining.set()
            await asyncio.sleep(self._random.uniform(1.0, 40.0))
            self.kill(instance, "did not end in time")

    async def _store_fails(self) -> None:
        lasts = self._random.choice((0.5, 5.0, 40.0)) * self._random.random()
        self.store_hangs = self._random.random() < 0.3
        self.store_down_until = self.loop.now + lasts
        self.note(f"the store fails for {lasts:.3f} s, {'hanging' if self.store_hangs else 'refusing'}")

    async def _clock_jumps(self) -> None:
        ahead = timedelta(seconds=self._random.choice((90.0, 3 * 3600.0, 400 * 86400.0)) * self._random.random())
        self.jumps.append((self.loop.now, ahead))
        self.note(f"the clock is set {self.ahead} ahead")
        await asyncio.sleep(self._random.choice((2.0, 60.0, 200.0)) * self._random.random())
        self._set_right()

    def _set_right(self) -> None:
        if self.ahead:
            self.note("the clock is set right")
            self.jumps.append((self.loop.now, timedelta()))

    async def _blackout(self) -> None:
        await asyncio.sleep(self._random.uniform(0.2, 0.8) * self.plan.active_s)
        self.note(f"blackout for {self.plan.blackout_s} s")
        self.allowed.clear()
        for instance in self.instances:
            self.kill(instance, "blackout")
        await asyncio.sleep(self.plan.blackout_s)
        self.allowed.set()

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        self.note("everything is healthy from here on")
        self.healthy = True
        self.healed_at = self.loop.now
        self.store_down_until = 0.0
        self._set_right()
        self.allowed.set()
        for instance in self.instances:
            if instance.paused:
                self.loop.resume(instance)
        self.host.settle_down()

    # What the engine draws

    @contextmanager
    def determinism(self) -> Iterator[None]:
        """Everything that the engine would take from outside comes from the seed, and its log goes into the trace."""
        ids = SimpleNamespace(uuid4=lambda: UUID(int=self._ids.getrandbits(128)))
        secrets = SimpleNamespace(token_hex=lambda size: self._ids.randbytes(size).hex())
        before = structlog.get_config()
        with ExitStack() as stack:
            patch = lambda *where: stack.enter_context(mock.patch.object(*where))  # noqa: E731
            patch(gestalt_workflow.model.ids, "uuid", ids)
            for part in (gestalt_workflow.objects.triggers, gestalt_workflow.events.fan_outs):
                patch(part, "secrets", secrets)
            patch(gestalt_sdk.common.backoff, "random", self._ids)
            for part in (gestalt_workflow.claims.recovery, gestalt_workflow.events.fan_outs):
                patch(part, "provably_dead", self.provably_dead)
            for part in (gestalt_workflow.firing.scheduler, gestalt_workflow.dispatch.waiting_room):
                patch(part, "TICK_S", 1.0 if self.plan.jump_every_s else TICK_S)
            structlog.configure(processors=[self._logged], cache_logger_on_first_use=False)
            stack.callback(lambda: structlog.configure(**before))
            yield

    def _logged(self, logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        if not self.over:
            name = str(event.pop("event_name", ""))
            details = " ".join(f"{key}={value}" for key, value in event.items() if key != "exc_info")
            self.note(f"log {method} {name}: {details}")
            if name in BUGS:
                self.invariants.broken("the engine meets nothing unexpected", f"{name} {details} {_cause(event)}")
        raise structlog.DropEvent


def _cause(event: MutableMapping[str, Any]) -> str:
    error = event.get("exc_info")
    return repr(error if isinstance(error, BaseException) else sys.exc_info()[1])
