"""Clients of a host that faults befall: they publish events and call operations, and note what they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Any

import httpx

from tests.process.engine.evidence import Expected, Told
from tests.process.providers.installation import PLUGIN, Installation
from tests.support.waiting import until

TRIGGERS = (("a", "run"), ("a", "slow"), ("b", "slow"))
SCHEDULES = ("run", "slow")
MEAN_PAUSE_S = 0.1
ANSWERED_WITHIN_S = 120.0
STEP_S = (5.0, 30.0)
"""How far the clock of schedules leaps ahead at once."""


class Load:
    """
    Attributes:
        told: Which events were acknowledged.
        answers: Status of each direct call by its key; None: there was no answer.
    """

    def __init__(self, installation: Installation, seed: int) -> None:
        self._installation = installation
        self._seed = seed
        self._stopping = threading.Event()
        self.told = Told()
        self.expected = Expected()
        self.answers: dict[str, int | None] = {}

    def prepare(self) -> None:
        """Make the triggers and schedules."""
        self.expected.since = self._installation.clock()
        for operation in SCHEDULES:
            body = {"cron": "* * * * *", "target": {"plugin": {"name": PLUGIN, "operation": operation}}}
            self.expected.schedules[self._made("/workflow/schedules", body)] = False
        for type, operation in TRIGGERS:
            body = {"match": {"type": type}, "target": {"plugin": {"name": PLUGIN, "operation": operation}}}
            self.expected.triggers[self._made("/workflow/event-triggers", body)] = type

    def _made(self, path: str, body: dict[str, Any]) -> str:
        answer = self._installation.host.post(path, body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Clients work in the ``with``; what one of them met that it should not have is raised at its end."""
        acts: list[Callable[[httpx.Client, Random, str], None]] = [self._publish, self._publish, self._call]
        with ThreadPoolExecutor(len(acts) + 1) as pool:
            working: list[Future[None]] = [pool.submit(self._keep_on, act, n) for n, act in enumerate(acts)]
            working.append(pool.submit(self._pass_time))
            try:
                yield
            finally:
                self._stopping.set()
        for client in working:
            client.result()

    def _keep_on(self, act: Callable[[httpx.Client, Random, str], None], number: int) -> None:
        random, count = Random(f"{self._seed}/client{number}"), 0
        with httpx.Client(base_url=f"{self._installation.host.url}/api/v1", timeout=30) as client:
            while not self._stopping.wait(random.expovariate(1 / MEAN_PAUSE_S)):
                count += 1
                act(client, random, f"{number}-{count}")

    def _pass_time(self) -> None:
        random = Random(f"{self._seed}/time")
        while not self._stopping.wait(random.uniform(0.2, 1.0)):
            self._installation.clock.advance(random.uniform(*STEP_S))

    def _publish(self, client: httpx.Client, random: Random, id: str) -> None:
        type = random.choice(("a", "a", "b", "nobody"))
        body = {"type": type, "source": "load", "id": id}
        self.told.events[id] = (type, False)
        if random.random() < 0.2:  # once, and then never again: all of its runs, or none
            answered = self._ask(client, "/workflow/events", body) is not None
        else:
            until(
                lambda: self._ask(client, "/workflow/events", body), within_s=ANSWERED_WITHIN_S, what=lambda: f"{body}"
            )
            answered = True
        self.told.events[id] = (type, answered)

    def _ask(self, client: httpx.Client, path: str, body: Any) -> httpx.Response | None:
        """The answer of success; None when there was none, or one that says that the host or a provider is away."""
        try:
            answer = client.post(path, json=body)
        except httpx.TransportError:
            return None
        assert answer.is_success or answer.status_code >= 500, f"{path} {body}: {answer.status_code} {answer.text}"
        return answer if answer.is_success else None

    def _call(self, client: httpx.Client, random: Random, key: str) -> None:
        operation = random.choice(("run", "run", "slow"))
        self.answers[key] = None
        answer = self._ask(client, f"/{PLUGIN}/{operation}", {"key": key})
        self.answers[key] = None if answer is None else answer.status_code
