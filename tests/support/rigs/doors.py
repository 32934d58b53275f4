"""The HTTP APIs of two hosts on the same workflow providers, and both kinds of object behind one set of names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gestalt_host.http.app import create_app
from gestalt_host.http.services import HttpServices
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.model import EventMatch, EventTriggerSpec, PluginTarget, ScheduleSpec
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.signing import ReferenceSigner
from gestalt_host.workflows.references.store import ReferenceStore
from tests.support.rigs.host import ANN, KEY, Rig

TARGET = {"plugin": {"name": "roadmap", "operation": "sync"}}


@dataclass
class Kind:
    """Schedules or triggers: where they are, what they are called, and what a request for one needs."""

    path: str
    name: str
    body: dict[str, Any]
    word: str

    def provided(self, rig: Rig, provider: str = "local") -> dict[str, Any]:
        found: dict[str, Any] = getattr(rig.providers[provider], f"{self.word}s")
        return found

    def one(self, object_id: str) -> str:
        return f"{self.path}/{object_id}"

    def wanted(self, provider: str = "", **members: Any) -> dict[str, Any]:
        return {**self.body, "target": TARGET, **({"provider": provider} if provider else {}), **members}

    def spec(self) -> Any:
        """The request for one, as the manager takes it."""
        target = PluginTarget("roadmap", "sync")
        if self.word == "schedule":
            return ScheduleSpec("0 3 * * *", target)
        return EventTriggerSpec(EventMatch("a"), target)


KINDS = [
    Kind("/api/v1/workflow/schedules", "Schedule", {"cron": "0 3 * * *"}, "schedule"),
    Kind("/api/v1/workflow/event-triggers", "EventTrigger", {"match": {"type": "a.b"}}, "trigger"),
]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.word)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@asynccontextmanager
async def door(rig: Rig, manager: WorkflowManager) -> AsyncIterator[httpx.AsyncClient]:
    async def authenticate(headers: Any) -> Any:
        return ANN

    services = HttpServices(manager, rig.invoker, rig.registry, authenticate, readiness=lambda: None)
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://gestalt.test") as client:
        yield client


@pytest.fixture
def second(rig: Rig) -> WorkflowManager:
    """The manager of another host on the same providers."""
    providers = WorkflowProviders(rig.clients.values(), default="local")
    return WorkflowManager(providers, ReferenceStore(ReferenceSigner(KEY)), rig.resolver, rig.authorizer)


@pytest.fixture
async def doors(rig: Rig, second: WorkflowManager) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """The HTTP APIs of two hosts on the same providers."""
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(door(rig, rig.manager)),
            await stack.enter_async_context(door(rig, second)),
        )


def once_before(rig: Rig, method: str, act: Callable[[], Awaitable[Any]], provider: str = "local") -> list[Any]:
    """Act before the provider takes the next call of that method; what it answered is in the list afterwards."""
    answers: list[Any] = []
    fake = rig.providers[provider]

    async def before(name: str) -> None:
        if name == method and fake.before is before:
            fake.before = None
            answers.append(await act())

    fake.before = before
    return answers


async def created(client: httpx.AsyncClient, kind: Kind, provider: str = "") -> httpx.Response:
    answer = await client.post(kind.path, json=kind.wanted(provider))
    assert answer.status_code == 201, answer.text
    return answer
