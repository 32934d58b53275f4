"""A host behind the HTTP API without processes: a manager in memory and plugins that are functions.

The plugins are those of ``tests/conformance/README.md``, so the recorded conversations can be played against it. The
invoker, the registry and the resolution of targets are the real ones.
"""

from __future__ import annotations

import asyncio
import builtins
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic
from zoneinfo import ZoneInfo, available_timezones

import orjson
from croniter import croniter
from prometheus_client import CollectorRegistry

from gestalt_host.access.credentials.connections import Connection
from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.subjects import CONFIG_ACTOR, Actor, Principal
from gestalt_host.access.tokens.invocation_tokens import InvocationTokens
from gestalt_host.config.model import Policy
from gestalt_host.errors import ProviderRefused, ProviderUnknown, WorkflowObjectNotFound, quoted
from gestalt_host.http.services import HttpServices
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import ConfiguredPlugin, Invocation, OperationResult
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_host.supervisor.reports import ProviderReport
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.model import (
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    EventTriggerSpec,
    IfMatch,
    PluginTarget,
    Run,
    RunQuery,
    Schedule,
    ScheduleSpec,
)
from gestalt_host.workflows.objects.events import ManagedEvents
from gestalt_host.workflows.objects.managed import Managed, ManagedObjects, Request
from gestalt_host.workflows.objects.runs import ManagedRuns
from gestalt_host.workflows.providers.joining import Object
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_sdk.transport.values import rfc3339
from tests.support.waiting import taking

USER = Principal(Actor("user:0b6c2f4e-5a51-4c3e-9f0f-3f7a4be7d1aa", "user", "", "env"))
CONFIG = Principal(CONFIG_ACTOR)
FINISHED = ("succeeded", "failed", "canceled")


RIG_PARAMETERS = (
    CatalogueParameter("mode"),
    CatalogueParameter("n", "integer"),
    CatalogueParameter("sleep", "integer"),
)


class FakeRunner:
    """Carries out noop, fail and sync as the rig plugin does; everything else answers its parameters."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Invocation] = []
        self.result: OperationResult | Exception | None = None

    async def invoke(self, invocation: Invocation) -> OperationResult:
        self.seen.append(invocation)
        if isinstance(self.result, Exception):
            raise self.result
        if self.result is not None:
            return self.result
        if invocation.operation == "fail":
            return OperationResult(500, '{"error":"internal error"}')
        params: Any = invocation.params
        await taking(params.get("sleep", 0) / 1000)
        at = rfc3339(datetime.now(UTC))
        return OperationResult(
            200, orjson.dumps({"name": self.name, "subject": invocation.subject.subject_id, "at": at}).decode()
        )


def rig_plugin(name: str, *extra: CatalogueOperation) -> ConfiguredPlugin:
    rows = [
        CatalogueOperation(word, "POST", title=word.title(), parameters=RIG_PARAMETERS)
        for word in ("noop", "fail", "sync")
    ]
    connections = {key: Connection(key) for key in ("default", "alerts", "_plugin")}
    return ConfiguredPlugin(
        name=name,
        runner=FakeRunner(name),
        operations={row.id: row for row in (*rows, *extra)},
        display_name="Rig plugin",
        description="A measuring plugin",
        connections=connections,
        default_connection="default",
    )


class FakeState:
    """What the collections of a ``FakeManager`` share."""

    def __init__(self, resolver: TargetResolver, invoker: Invoker) -> None:
        self.resolver = resolver
        self.invoker = invoker
        self.failure: Exception | None = None
        """Raised by every call while it is set."""
        self.seen: list[Any] = []

    def begin(self, request: Any) -> None:
        self.seen.append(request)
        if self.failure is not None:
            raise self.failure

    def check_provider(self, name: str) -> None:
        if name not in ("", "local"):
            raise ProviderUnknown(f'workflow provider {quoted(name)} is not configured; configured: "local"')


class Table(Generic[Object]):
    """Objects by id, each with the subject that it belongs to; the configuration's is ``system:config``."""

    def __init__(self, word: str, state: FakeState) -> None:
        self.word = word
        self.state = state
        self.stored: dict[str, tuple[str, Object]] = {}

    def all(self, who: Principal, created_by: str) -> list[Object]:
        self.state.begin(created_by)
        return [item for held_by, item in self.stored.values() if held_by in _subjects(who, created_by)]

    def visible(self, who: Principal, object_id: str, created_by: str = "") -> Object:
        self.state.begin(object_id)
        held_by, item = self.stored.get(object_id.strip(), ("", None))
        if item is None or held_by not in _subjects(who, created_by):
            raise WorkflowObjectNotFound(self.word, object_id)
        return item


def _subjects(who: Principal, created_by: str) -> set[str]:
    return {"": {who.subject_id}, "config": {CONFIG_ACTOR.subject_id}}.get(
        created_by, {who.subject_id, CONFIG_ACTOR.subject_id}
    )


class FakeObjects(ManagedObjects[Managed, Request]):
    """Schedules or triggers in a dict."""

    def __init__(self, word: str, state: FakeState) -> None:
        self.table: Table[Managed] = Table(word, state)
        self.stored: dict[str, tuple[str, Managed]] = self.table.stored
        self.state = state

    async def make(self, who: Principal, request: Request, object_id: str, created: Any) -> Managed:
        raise NotImplementedError

    async def put(self, who: Principal, request: Request, object_id: str, created: Any) -> Managed:
        self.state.begin(request)
        self.state.check_provider(request.provider)
        item = await self.make(who, request, object_id, created)
        self.stored[object_id] = (who.subject_id, item)
        return item

    async def create(self, who: Principal, request: Request, *, idempotency_key: str = "") -> Managed:
        return await self.put(who, request, str(uuid.uuid4()), datetime.now(UTC))

    async def get(
        self, who: Principal, object_id: str, *, created_by: str = "", if_match: IfMatch | None = None
    ) -> Managed:
        return self.table.visible(who, object_id, created_by)

    async def list(self, who: Principal, *, created_by: str = "") -> builtins.list[Managed]:
        return sorted(self.table.all(who, created_by), key=lambda item: (item.created_at or datetime.min, item.id))

    async def update(
        self, who: Principal, object_id: str, request: Request, *, if_match: IfMatch | None = None
    ) -> Managed:
        before = self.table.visible(who, object_id)
        return await self.put(who, request, before.id, before.created_at)

    async def delete(self, who: Principal, object_id: str, *, if_match: IfMatch | None = None) -> None:
        del self.stored[self.table.visible(who, object_id).id]

    async def pause(self, who: Principal, object_id: str, *, if_match: IfMatch | None = None) -> Managed:
        return self._set(who, object_id, True)

    async def resume(self, who: Principal, object_id: str, *, if_match: IfMatch | None = None) -> Managed:
        return self._set(who, object_id, False)

    def _set(self, who: Principal, object_id: str, paused: bool) -> Managed:
        item = replace(self.table.visible(who, object_id), paused=paused, updated_at=datetime.now(UTC))
        self.stored[item.id] = (self.stored[item.id][0], item)
        return item


class FakeSchedules(FakeObjects[Schedule, ScheduleSpec]):
    async def make(self, who: Principal, request: ScheduleSpec, object_id: str, created: Any) -> Schedule:
        target = await self.state.resolver.resolve_for_later(who, request.target)
        zone = request.timezone or "UTC"
        if len(request.cron.split()) != 5 or not croniter.is_valid(request.cron.replace("?", "*")):
            raise ProviderRefused("INVALID_ARGUMENT", f"cron {quoted(request.cron)} is not a cron expression")
        if zone not in available_timezones():
            raise ProviderRefused("INVALID_ARGUMENT", f"timezone {quoted(zone)} is not an IANA name")
        now = datetime.now(UTC)
        following = croniter(request.cron.replace("?", "*"), now.astimezone(ZoneInfo(zone))).get_next(datetime)
        return Schedule(
            id=object_id,
            provider="local",
            cron=request.cron,
            timezone=zone,
            target=target,
            paused=request.paused,
            created_at=created,
            updated_at=now,
            next_run_at=following.astimezone(UTC),
        )


class FakeTriggers(FakeObjects[EventTrigger, EventTriggerSpec]):
    async def make(self, who: Principal, request: EventTriggerSpec, object_id: str, created: Any) -> EventTrigger:
        return EventTrigger(
            id=object_id,
            provider="local",
            match=request.match,
            target=await self.state.resolver.resolve_for_later(who, request.target),
            paused=request.paused,
            created_at=created,
            updated_at=datetime.now(UTC),
        )


class FakeRuns(ManagedRuns):
    def __init__(self, state: FakeState) -> None:
        self.table: Table[Run] = Table("run", state)
        self.stored = self.table.stored
        self.state = state
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def begin(
        self, run_id: str, held_by: str, actor: Actor, trigger: EventTrigger, event: Event, publisher: Principal
    ) -> None:
        now = datetime.now(UTC)
        run = Run(
            id=run_id,
            provider="local",
            status="running",
            target=trigger.target,
            trigger=EventTriggerInvocation(trigger.id, event),
            created_at=now,
            started_at=now,
            created_by=actor,
            published_by=publisher.actor if publisher.actor != actor else None,
        )
        self.stored[run_id] = (held_by, run)
        self.tasks[run_id] = asyncio.get_running_loop().create_task(self._execute(run))

    async def _execute(self, run: Run) -> None:
        target = run.target
        assert isinstance(target, PluginTarget)
        result = await self.state.invoker.invoke(
            Principal(run.created_by), target.plugin, target.operation, target.input, connection=target.connection
        )
        failed = result.status >= 400
        ended = replace(
            run,
            status="failed" if failed else "succeeded",
            completed_at=datetime.now(UTC),
            status_message=f"workflow operation returned status {result.status}" if failed else "",
            result_body=result.body,
        )
        self.stored[run.id] = (self.stored[run.id][0], ended)

    async def list(self, who: Principal, run_filter: RunQuery, *, created_by: str = "") -> AsyncIterator[Run]:
        self.state.begin((run_filter, created_by))
        found = [
            run
            for run in self.table.all(who, created_by)
            if run_filter.status in ("", run.status)
            and (not run_filter.plugin or getattr(run.target, "plugin", None) == run_filter.plugin)
        ]
        for run in sorted(found, key=lambda run: run.created_at or datetime.min, reverse=True):
            yield run

    async def get(self, who: Principal, run_id: str, *, created_by: str = "") -> Run:
        return self.table.visible(who, run_id, created_by)

    async def cancel(self, who: Principal, run_id: str, reason: str) -> Run:
        self.state.begin(reason)
        run = self.table.visible(who, run_id)
        if run.status in FINISHED:
            raise ProviderRefused("FAILED_PRECONDITION", f"workflow run {quoted(run.id)} is {run.status}")
        if run.id in self.tasks:
            self.tasks[run.id].cancel()
        ended = replace(run, status="canceled", status_message=reason or "canceled", completed_at=datetime.now(UTC))
        self.stored[run.id] = (self.stored[run.id][0], ended)
        return ended


class FakeEvents(ManagedEvents):
    def __init__(self, state: FakeState, triggers: FakeTriggers, runs: FakeRuns) -> None:
        self.state = state
        self.triggers = triggers
        self.runs = runs

    async def publish(self, who: Principal, event: Event, *, provider: str = "") -> Event:
        self.state.begin(event)
        event = replace(
            event,
            id=event.id or str(uuid.uuid4()),
            spec_version=event.spec_version or "1.0",
            time=event.time or datetime.now(UTC),
        )
        for held_by, trigger in list(self.triggers.stored.values()):
            match = trigger.match
            if trigger.paused or match.type != event.type:
                continue
            if match.source not in ("", event.source) or match.subject not in ("", event.subject):
                continue
            digest = hashlib.sha256(f"{trigger.id}\0{event.source}\0{event.id}".encode()).hexdigest()[:32]
            run_id = f"event:{digest}"
            if run_id not in self.runs.stored:
                actor = CONFIG_ACTOR if held_by == CONFIG_ACTOR.subject_id else who.actor
                self.runs.begin(run_id, held_by, actor, trigger, event, who)
        return event


class FakeManager(WorkflowManager):
    """Schedules, triggers and runs in dicts, with the signatures of the real collections."""

    schedules: FakeSchedules
    triggers: FakeTriggers
    runs: FakeRuns

    def __init__(self, resolver: TargetResolver, invoker: Invoker) -> None:
        self.state = FakeState(resolver, invoker)
        self.schedules = FakeSchedules("schedule", self.state)
        self.triggers = FakeTriggers("trigger", self.state)
        self.runs = FakeRuns(self.state)
        self.events = FakeEvents(self.state, self.triggers, self.runs)

    def add_config_trigger(self, event_type: str, target: PluginTarget) -> EventTrigger:
        request = EventTriggerSpec(EventMatch(event_type), target)
        key = "cfg_" + hashlib.sha256(repr(request).encode()).hexdigest()
        now = datetime.now(UTC)
        trigger = EventTrigger(
            id=key, provider="local", match=request.match, target=target, paused=False, created_at=now, updated_at=now
        )
        self.triggers.stored[key] = (CONFIG.subject_id, trigger)
        return trigger

    async def close(self) -> None:
        for task in self.runs.tasks.values():
            task.cancel()
        await asyncio.gather(*self.runs.tasks.values(), return_exceptions=True)


@dataclass
class FakeHost:
    """The services, and the knobs that a test turns."""

    plugins: PluginRegistry
    manager: FakeManager
    caller: Principal | Exception = USER
    not_ready: str | None = None
    reports: Sequence[ProviderReport] = ()

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        if isinstance(self.caller, Exception):
            raise self.caller
        return self.caller

    def runner(self, plugin: str) -> FakeRunner:
        runner = self.plugins.get(plugin).runner
        assert isinstance(runner, FakeRunner)
        return runner

    def services(self, *, base_url: str = "http://127.0.0.1", metrics: bool = False) -> HttpServices:
        return HttpServices(
            manager=self.manager,
            invoker=self.manager.state.invoker,
            plugins=self.plugins,
            authenticate=self.authenticate,
            readiness=lambda: self.not_ready,
            providers=lambda: self.reports,
            base_url=base_url,
            metrics=CollectorRegistry() if metrics else None,
        )


def fake_host(*extra: ConfiguredPlugin, policies: Mapping[str, Policy] | None = None) -> FakeHost:
    """Make the host; ``policies`` by the plugin that has the policy."""
    plugins = PluginRegistry([rig_plugin(name) for name in ("roadmap", "slack", "search")] + list(extra))
    policies = policies or {}
    authorizer = Authorizer(policies, {name: name for name in policies}, no_auth=True)
    invoker = Invoker(plugins, authorizer, InvocationTokens())
    manager = FakeManager(TargetResolver(plugins, authorizer, None), invoker)
    for name, connection, mode in (("slack", "alerts", "a"), ("search", "default", "b")):
        target = PluginTarget(name, "noop", connection, input={"mode": mode})
        manager.add_config_trigger("roadmap.sync.completed", target)
    return FakeHost(plugins, manager)
