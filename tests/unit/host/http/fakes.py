"""A host behind the HTTP API without processes: a manager in memory and plugins that are functions.

The plugins are those of ``tests/conformance/README.md``, so the recorded conversations can be played against it. The
invoker, the registry and the resolution of targets are the real ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import orjson
from croniter import croniter
from prometheus_client import CollectorRegistry

from gestalt_host.access.credentials.connections import Connection
from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.subjects import CONFIG_ACTOR, Actor, Principal
from gestalt_host.access.tokens.invocation_tokens import InvocationTokens
from gestalt_host.errors import ObjectNotFound, ProviderRefused, ProviderUnknown, quoted
from gestalt_host.http.services import HttpServices
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import Execution, OperationResult, Plugin
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.packages.catalogue import Operation, Parameter
from gestalt_host.workflows.model import (
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    EventTriggerRequest,
    PluginTarget,
    Run,
    RunFilter,
    Schedule,
    ScheduleRequest,
)
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_sdk.transport.values import rfc3339

USER = Principal(Actor("user:0b6c2f4e-5a51-4c3e-9f0f-3f7a4be7d1aa", "user", "", "env"))
CONFIG = Principal(CONFIG_ACTOR)
FINISHED = ("succeeded", "failed", "canceled")


RIG_PARAMETERS = (Parameter("mode"), Parameter("n", "integer"), Parameter("sleep", "integer"))


class FakeRunner:
    """Carries out noop, fail and sync as the rig plugin does; everything else answers its parameters."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Execution] = []
        self.result: OperationResult | Exception | None = None

    async def execute(self, execution: Execution) -> OperationResult:
        self.seen.append(execution)
        if isinstance(self.result, Exception):
            raise self.result
        if self.result is not None:
            return self.result
        if execution.operation == "fail":
            return OperationResult(500, '{"error":"internal error"}')
        params: Any = execution.params
        await asyncio.sleep(params.get("sleep", 0) / 1000)
        at = rfc3339(datetime.now(UTC))
        return OperationResult(
            200, orjson.dumps({"name": self.name, "subject": execution.subject.subject_id, "at": at}).decode()
        )


def rig_plugin(name: str, *extra: Operation) -> Plugin:
    rows = [Operation(word, "POST", title=word.title(), parameters=RIG_PARAMETERS) for word in ("noop", "fail", "sync")]
    connections = {key: Connection(key) for key in ("default", "alerts", "_plugin")}
    return Plugin(
        name=name,
        runner=FakeRunner(name),
        operations={row.id: row for row in (*rows, *extra)},
        display_name="Rig plugin",
        description="A measuring plugin",
        connections=connections,
        default_connection="default",
    )


@dataclass
class FakeManager:
    """Schedules, triggers and runs in dicts. One owner per object; the configuration's is ``system:config``."""

    resolver: TargetResolver
    invoker: Invoker
    schedules: dict[str, tuple[str, Schedule]] = field(default_factory=dict)
    triggers: dict[str, tuple[str, EventTrigger]] = field(default_factory=dict)
    runs: dict[str, tuple[str, Run]] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    failure: Exception | None = None
    """Raised by every call while it is set."""
    seen: list[Any] = field(default_factory=list)

    # Schedules

    async def create_schedule(self, who: Principal, request: ScheduleRequest, *, idempotency_key: str = "") -> Schedule:
        return self._put_schedule(who, request, str(uuid.uuid4()), datetime.now(UTC))

    async def get_schedule(self, who: Principal, schedule_id: str, *, owner: str = "") -> Schedule:
        return self._visible("schedule", self.schedules, who, schedule_id, owner)

    async def list_schedules(self, who: Principal, *, owner: str = "") -> list[Schedule]:
        return sorted(self._all(self.schedules, who, owner), key=lambda item: (item.created_at, item.id))

    async def update_schedule(self, who: Principal, schedule_id: str, request: ScheduleRequest) -> Schedule:
        before = self._visible("schedule", self.schedules, who, schedule_id)
        return self._put_schedule(who, request, schedule_id, before.created_at)

    async def delete_schedule(self, who: Principal, schedule_id: str) -> None:
        self._visible("schedule", self.schedules, who, schedule_id)
        del self.schedules[schedule_id]

    async def pause_schedule(self, who: Principal, schedule_id: str) -> Schedule:
        return self._pause("schedule", self.schedules, who, schedule_id, True)

    async def resume_schedule(self, who: Principal, schedule_id: str) -> Schedule:
        return self._pause("schedule", self.schedules, who, schedule_id, False)

    def _put_schedule(self, who: Principal, request: ScheduleRequest, schedule_id: str, created: Any) -> Schedule:
        self._begin(request)
        self._check_provider(request.provider)
        target = self.resolver.resolve(who, request.target)
        zone = request.timezone or "UTC"
        if len(request.cron.split()) != 5 or not croniter.is_valid(request.cron.replace("?", "*")):
            raise ProviderRefused("INVALID_ARGUMENT", f"cron {quoted(request.cron)} is not a cron expression")
        if zone not in available_timezones():
            raise ProviderRefused("INVALID_ARGUMENT", f"timezone {quoted(zone)} is not an IANA name")
        now = datetime.now(UTC)
        following = croniter(request.cron.replace("?", "*"), now.astimezone(ZoneInfo(zone))).get_next(datetime)
        schedule = Schedule(
            id=schedule_id,
            provider="local",
            cron=request.cron,
            timezone=zone,
            target=target,
            paused=request.paused,
            created_at=created,
            updated_at=now,
            next_run_at=following.astimezone(UTC),
        )
        self.schedules[schedule_id] = (who.subject_id, schedule)
        return schedule

    # Triggers

    async def create_event_trigger(
        self, who: Principal, request: EventTriggerRequest, *, idempotency_key: str = ""
    ) -> EventTrigger:
        return self._put_trigger(who, request, str(uuid.uuid4()), datetime.now(UTC))

    async def get_event_trigger(self, who: Principal, trigger_id: str, *, owner: str = "") -> EventTrigger:
        return self._visible("trigger", self.triggers, who, trigger_id, owner)

    async def list_event_triggers(self, who: Principal, *, owner: str = "") -> list[EventTrigger]:
        return sorted(self._all(self.triggers, who, owner), key=lambda item: (item.created_at, item.id))

    async def update_event_trigger(self, who: Principal, trigger_id: str, request: EventTriggerRequest) -> EventTrigger:
        before = self._visible("trigger", self.triggers, who, trigger_id)
        return self._put_trigger(who, request, trigger_id, before.created_at)

    async def delete_event_trigger(self, who: Principal, trigger_id: str) -> None:
        self._visible("trigger", self.triggers, who, trigger_id)
        del self.triggers[trigger_id]

    async def pause_event_trigger(self, who: Principal, trigger_id: str) -> EventTrigger:
        return self._pause("trigger", self.triggers, who, trigger_id, True)

    async def resume_event_trigger(self, who: Principal, trigger_id: str) -> EventTrigger:
        return self._pause("trigger", self.triggers, who, trigger_id, False)

    def add_config_trigger(self, event_type: str, target: PluginTarget) -> EventTrigger:
        request = EventTriggerRequest(EventMatch(event_type), target)
        key = "cfg_" + hashlib.sha256(repr(request).encode()).hexdigest()
        return self._put_trigger(CONFIG, request, key, datetime.now(UTC))

    def _put_trigger(self, who: Principal, request: EventTriggerRequest, trigger_id: str, created: Any) -> EventTrigger:
        self._begin(request)
        self._check_provider(request.provider)
        trigger = EventTrigger(
            id=trigger_id,
            provider="local",
            match=request.match,
            target=self.resolver.resolve(who, request.target),
            paused=request.paused,
            created_at=created,
            updated_at=datetime.now(UTC),
        )
        self.triggers[trigger_id] = (who.subject_id, trigger)
        return trigger

    # Events and runs

    async def publish_event(self, who: Principal, event: Event, *, provider: str = "") -> Event:
        self._begin(event)
        event = replace(
            event,
            id=event.id or str(uuid.uuid4()),
            spec_version=event.spec_version or "1.0",
            time=event.time or datetime.now(UTC),
        )
        for owner, trigger in list(self.triggers.values()):
            match = trigger.match
            if trigger.paused or match.type != event.type:
                continue
            if match.source not in ("", event.source) or match.subject not in ("", event.subject):
                continue
            digest = hashlib.sha256(f"{trigger.id}\0{event.source}\0{event.id}".encode()).hexdigest()[:32]
            run_id = f"event:{digest}"
            if run_id not in self.runs:
                actor = CONFIG_ACTOR if owner == CONFIG_ACTOR.subject_id else who.actor
                self.start(run_id, owner, actor, trigger, event, who)
        return event

    def start(
        self, run_id: str, owner: str, actor: Actor, trigger: EventTrigger, event: Event, publisher: Principal
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
        self.runs[run_id] = (owner, run)
        self.tasks[run_id] = asyncio.get_running_loop().create_task(self._execute(run))

    async def _execute(self, run: Run) -> None:
        target = run.target
        assert isinstance(target, PluginTarget)
        result = await self.invoker.invoke(
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
        self.runs[run.id] = (self.runs[run.id][0], ended)

    async def list_runs(self, who: Principal, run_filter: RunFilter, *, owner: str = "") -> list[Run]:
        self._begin((run_filter, owner))
        found = [
            run
            for run in self._all(self.runs, who, owner)
            if run_filter.status in ("", run.status)
            and (not run_filter.plugin or getattr(run.target, "plugin", None) == run_filter.plugin)
        ]
        return sorted(found, key=lambda run: run.created_at, reverse=True)

    async def get_run(self, who: Principal, run_id: str, *, owner: str = "") -> Run:
        return self._visible("run", self.runs, who, run_id, owner)

    async def cancel_run(self, who: Principal, run_id: str, reason: str) -> Run:
        self._begin(reason)
        run = self._visible("run", self.runs, who, run_id)
        if run.status in FINISHED:
            raise ProviderRefused("FAILED_PRECONDITION", f"workflow run {quoted(run_id)} is {run.status}")
        if run_id in self.tasks:
            self.tasks[run_id].cancel()
        ended = replace(run, status="canceled", status_message=reason or "canceled", completed_at=datetime.now(UTC))
        self.runs[run_id] = (self.runs[run_id][0], ended)
        return ended

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    # What they share

    def _begin(self, request: Any) -> None:
        self.seen.append(request)
        if self.failure is not None:
            raise self.failure

    def _check_provider(self, name: str) -> None:
        if name not in ("", "local"):
            raise ProviderUnknown(f'workflow provider {quoted(name)} is not configured; configured: "local"')

    def _all(self, table: dict[str, tuple[str, Any]], who: Principal, owner: str) -> list[Any]:
        self._begin(owner)
        wanted = {"": {who.subject_id}, "config": {CONFIG_ACTOR.subject_id}}.get(owner)
        return [item for held_by, item in table.values() if wanted is None or held_by in wanted]

    def _visible(
        self, kind: str, table: dict[str, tuple[str, Any]], who: Principal, object_id: str, owner: str = ""
    ) -> Any:
        self._begin(object_id)
        held_by, item = table.get(object_id, ("", None))
        allowed = {"": {who.subject_id}, "config": {CONFIG_ACTOR.subject_id}}.get(
            owner, {who.subject_id, CONFIG_ACTOR.subject_id}
        )
        if item is None or held_by not in allowed:
            raise ObjectNotFound(kind, object_id)
        return item

    def _pause(self, kind: str, table: dict[str, tuple[str, Any]], who: Principal, object_id: str, paused: bool) -> Any:
        item = replace(self._visible(kind, table, who, object_id), paused=paused, updated_at=datetime.now(UTC))
        table[object_id] = (table[object_id][0], item)
        return item


@dataclass
class FakeHost:
    """The services, and the knobs that a test turns."""

    plugins: PluginRegistry
    manager: FakeManager
    caller: Principal | Exception = USER
    not_ready: str | None = None

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
            invoker=self.manager.invoker,
            plugins=self.plugins,
            authenticate=self.authenticate,
            readiness=lambda: self.not_ready,
            base_url=base_url,
            metrics=CollectorRegistry() if metrics else None,
        )


def fake_host(*extra: Plugin) -> FakeHost:
    plugins = PluginRegistry([rig_plugin(name) for name in ("roadmap", "slack", "search")] + list(extra))
    authorizer = Authorizer(no_auth=True)
    invoker = Invoker(plugins, authorizer, InvocationTokens())
    manager = FakeManager(TargetResolver(plugins, authorizer, None), invoker)
    for name, connection, mode in (("slack", "alerts", "a"), ("search", "default", "b")):
        target = PluginTarget(name, "noop", connection, input={"mode": mode})
        manager.add_config_trigger("roadmap.sync.completed", target)
    return FakeHost(plugins, manager)
