"""The manager and the executor with our own workflow provider and store, each in its own process."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.sign_in.users import Users
from gestalt_host.access.tokens.invocation_tokens import InvocationTokens
from gestalt_host.config.model import EventTriggerConfig, ScheduleConfig
from gestalt_host.errors import ProviderRefused, WorkflowObjectNotFound
from gestalt_host.hostservices.indexeddb_relay import indexeddb_relay
from gestalt_host.hostservices.workflow_host import workflow_host
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import ConfiguredPlugin
from gestalt_host.invocation.plugin_client import PluginClient
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.packages import bundled, find_manifest, read_manifest
from gestalt_host.packages.languages.python import launch_command
from gestalt_host.supervisor import HostService, ProviderProcess, ProviderSpec, Store
from gestalt_host.workflows.execution import RunExecutor, RunReport
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.model import (
    Event,
    EventMatch,
    EventTriggerSpec,
    PluginTarget,
    Run,
    RunQuery,
    ScheduleSpec,
    Signal,
)
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.reconcile import Reconciliation
from gestalt_host.workflows.references.signing import ReferenceSigner
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.transport.environment import parse_address
from gestalt_sdk.transport.values import from_struct
from tests.support.fakes.workflow_provider import FakePlugin
from tests.support.rigs.host import ANN, BOB, KEY, operations
from tests.support.rigs.links import serving
from tests.support.waiting import eventually

SYNC = PluginTarget("roadmap", "sync", input={"mode": "incremental", "n": 1})
POST = PluginTarget("slack", "post")
MOST_LISTED = {"local": 1024 * 1024, "second": 4096}
"""Bytes of a plain list that each provider gives."""


class CountingReferences(ReferenceStore):
    """Counts how often the executor or the manager has to ask for a reference."""

    fetched = 0

    async def find(self, *arguments: Any, **options: Any) -> Any:
        self.fetched += 1
        return await super().find(*arguments, **options)


class CountedLink:
    """A provider's link that counts the calls which the host makes through it."""

    def __init__(self, process: ProviderProcess, calls: Counter[str]) -> None:
        self._process = process
        self._calls = calls

    @property
    def channel(self) -> Any:
        return self

    def unary_unary(self, path: str, *arguments: Any, **options: Any) -> Any:
        called = self._process.channel.unary_unary(path, *arguments, **options)

        def call(*request: Any, **details: Any) -> Any:
            self._calls[path.rpartition("/")[2]] += 1
            return called(*request, **details)

        return call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)


@dataclass
class System:
    manager: WorkflowManager
    plugin: FakePlugin
    references: CountingReferences
    reconciliation: Reconciliation
    users: Users
    reports: list[RunReport]
    calls: Counter[str]
    """Calls from the host to its workflow providers, by method."""

    async def finished(self, who: Any, run_id: str) -> Run:
        async def ended() -> Run | None:
            run = await self.manager.runs.get(who, run_id)
            return run if run.status in ("succeeded", "failed", "canceled") else None

        return await eventually(ended)

    async def runs(self, who: Any, count: int, **options: Any) -> list[Run]:
        async def there() -> list[Run] | None:
            found = [run async for run in self.manager.runs.list(who, RunQuery(), **options)]
            ended = [run for run in found if run.status in ("succeeded", "failed", "canceled")]
            return ended if len(ended) >= count else None

        return await eventually(there)


async def _spec(name: str, source: str, kind: ProviderKind, **members: Any) -> ProviderSpec:
    manifest = read_manifest(find_manifest(bundled(source)))
    return ProviderSpec(name=name, kind=kind, command=await launch_command(manifest, os.environ), **members)


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    async with AsyncExitStack() as stack:
        spec = await _spec(
            "state", "indexeddb_store", ProviderKind.INDEXEDDB, config={"dsn": f"sqlite://{tmp_path / 'state.db'}"}
        )
        store = Store(spec, "", indexeddb_relay)
        await store.start()
        stack.push_async_callback(store.stop)
        plugin = FakePlugin()
        plugin_link = await stack.enter_async_context(serving(plugin.register, tmp_path, "plugin"))
        runner = PluginClient(plugin_link)
        registry = PluginRegistry(
            [
                ConfiguredPlugin("roadmap", runner, operations("sync", "noop")),
                ConfiguredPlugin("slack", runner, operations("post")),
            ]
        )
        authorizer = Authorizer(no_auth=True)
        invoker = Invoker(registry, authorizer, InvocationTokens())
        references = CountingReferences(ReferenceSigner(KEY))
        reports: list[RunReport] = []
        executor = RunExecutor(invoker, references, observer=reports.append)
        processes, clients = [], []
        calls: Counter[str] = Counter()

        def dialled_by(process: ProviderProcess) -> list[HostService]:
            clients.append(WorkflowProviderClient(CountedLink(process, calls)))
            return [workflow_host(clients[-1], executor)]

        for name in ("local", "second"):
            binding = await store.bind(f"workflow_{name}")
            spec = await _spec(
                name,
                "indexeddb",
                ProviderKind.WORKFLOW,
                config={"pollInterval": "1s", "maxListBytes": MOST_LISTED[name]},
                sockets=binding.sockets,
            )
            process = ProviderProcess(spec, services=dialled_by)
            await process.start()
            stack.push_async_callback(process.stop, 5)
            processes.append(process)
        providers = WorkflowProviders(clients, "local")
        resolver = TargetResolver(registry, authorizer, None)
        socket = (await store.bind("_host")).socket
        db = IndexedDB.connect(parse_address(socket, variable="the host's scope"))
        stack.push_async_callback(db.close)
        users = Users(db)
        await users.create_store()
        for process in processes:
            await process.begin()
        yield System(
            manager=WorkflowManager(providers, references, resolver, authorizer),
            plugin=plugin,
            references=references,
            reconciliation=Reconciliation(providers, references, registry),
            users=users,
            reports=reports,
            calls=calls,
        )


async def test_schedules_and_triggers_live_in_real_providers(system: System) -> None:
    manager = system.manager
    who = await system.users.anonymous()
    assert await system.users.anonymous() == who
    made = await manager.schedules.create(who, ScheduleSpec("0 3 * * *", SYNC, "Europe/Paris"))
    assert (made.timezone, made.target, made.created_by) == ("Europe/Paris", SYNC, who.actor)
    assert made.next_run_at is not None
    assert await manager.schedules.get(who, made.id) == made
    assert await manager.schedules.list(who) == [made]
    assert await manager.schedules.list(ANN) == []
    assert (await manager.schedules.pause(who, made.id)).paused
    assert not (await manager.schedules.resume(who, made.id)).paused

    other = await manager.schedules.update(who, made.id, ScheduleSpec("5 3 * * *", POST))
    assert (other.target, other.timezone, other.created_at) == (POST, "UTC", made.created_at)
    moved = await manager.schedules.update(who, made.id, ScheduleSpec("5 3 * * *", POST, provider="second"))
    assert (moved.id, moved.provider, moved.created_at) == (made.id, "second", made.created_at)
    assert [item.id for item in await manager.schedules.list(who)] == [made.id]
    back = await manager.schedules.update(who, made.id, ScheduleSpec("5 3 * * *", SYNC, provider="local"))
    assert back.provider == "local"
    with pytest.raises(ProviderRefused) as refused:
        await manager.schedules.update(who, made.id, ScheduleSpec("61 * * * *", SYNC))
    assert refused.value.code == "INVALID_ARGUMENT"
    assert "minute" in str(refused.value)
    assert await manager.schedules.get(who, made.id) == back
    await manager.schedules.delete(who, made.id)
    with pytest.raises(WorkflowObjectNotFound):
        await manager.schedules.get(who, made.id)

    trigger = await manager.triggers.create(who, EventTriggerSpec(EventMatch("a.b", "src"), SYNC))
    moved_trigger = await manager.triggers.update(
        who, trigger.id, EventTriggerSpec(EventMatch("a.b"), SYNC, provider="second")
    )
    assert (moved_trigger.provider, moved_trigger.created_at) == ("second", trigger.created_at)
    await manager.triggers.delete(who, trigger.id)
    assert await manager.triggers.list(who) == []


async def test_what_one_user_makes_does_not_fill_the_lists_of_another(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain list of all users' objects would be more than the provider gives in one message."""
    monkeypatch.setattr("gestalt_host.workflows.providers.client.QUERY_PAGE", 3)
    manager = system.manager
    schedule, trigger = ScheduleSpec("0 3 * * *", SYNC, provider="second"), EventTriggerSpec(EventMatch("a.b"), SYNC)
    trigger = replace(trigger, provider="second")
    await asyncio.gather(*(manager.schedules.create(ANN, schedule) for _ in range(20)))
    await asyncio.gather(*(manager.triggers.create(ANN, trigger) for _ in range(20)))
    theirs = await manager.schedules.create(BOB, schedule), await manager.triggers.create(BOB, trigger)
    assert await manager.schedules.list(BOB) == [theirs[0]]
    assert await manager.triggers.list(BOB) == [theirs[1]]
    assert len(await manager.schedules.list(ANN)) == len(await manager.triggers.list(ANN)) == 20


async def test_a_key_makes_its_object_again_after_it_was_deleted(system: System) -> None:
    request = ScheduleSpec("0 3 * * *", SYNC)
    made = await system.manager.schedules.create(ANN, request, idempotency_key="k")
    assert (await system.manager.schedules.create(ANN, request, idempotency_key="k")) == made
    await system.manager.schedules.delete(ANN, made.id)
    again = await system.manager.schedules.create(ANN, request, idempotency_key="k")
    assert again.id == made.id
    assert await system.manager.schedules.list(ANN) == [again]
    assert await system.manager.schedules.get(ANN, again.id) == again


async def test_a_run_of_an_event_costs_the_host_no_look_at_its_reference(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = system.manager
    trigger = await manager.triggers.create(ANN, EventTriggerSpec(EventMatch("a.b"), SYNC))
    system.references.fetched = 0
    events = [Event(id=f"e{n}", type="a.b", data={"n": n}) for n in range(10)]
    await asyncio.gather(*(manager.events.publish(BOB, event) for event in events))
    await manager.events.publish(BOB, Event(id="e0", type="a.b"))

    async def all_called() -> bool | None:
        return len(system.reports) >= 10 or None

    await eventually(all_called)
    assert system.references.fetched == 0
    runs = await system.runs(ANN, 10)
    assert len(runs) == 10
    assert {run.status for run in runs} == {"succeeded"}
    assert {run.created_by.subject_id for run in runs} == {"user:ann"}
    assert {run.published_by for run in runs} == {BOB.actor}
    assert [run async for run in manager.runs.list(BOB, RunQuery())] == []
    monkeypatch.setattr("gestalt_host.workflows.providers.client.QUERY_PAGE", 3)  # more pages than one
    for wanted in (RunQuery(), RunQuery(plugin="roadmap"), RunQuery(plugin="roadmap", status="succeeded")):
        assert sorted([run.id async for run in manager.runs.list(ANN, wanted)]) == sorted(run.id for run in runs)
    for wanted in (RunQuery(plugin="slack"), RunQuery(status="failed"), RunQuery(status="Succeeded")):
        assert [run async for run in manager.runs.list(ANN, wanted)] == []
    workflow = from_struct(system.plugin.requests[0].context.workflow)
    assert workflow["publishedBy"]["subjectId"] == "user:bob"
    assert workflow["trigger"]["triggerId"] == trigger.id
    assert len({request.idempotency_key for request in system.plugin.requests}) == 10
    assert {(report.target, report.trigger, report.status) for report in system.reports} == {
        ("roadmap.sync", "event", 200)
    }


async def test_budget_a_run_costs_two_calls(system: System) -> None:
    """Design 4: provider to host, host to plugin; its reference travels with the first, so nothing is asked back."""
    await system.manager.triggers.create(ANN, EventTriggerSpec(EventMatch("a.b"), SYNC))
    system.calls.clear()
    for number in range(10):
        await system.manager.events.publish(BOB, Event(id=f"e{number}", type="a.b"))

    async def all_called() -> bool | None:
        return len(system.reports) >= 10 or None

    await eventually(all_called)
    assert (len(system.reports), len(system.plugin.requests)) == (10, 10)
    assert system.calls == {"PublishEvent": 20}  # each of the two providers is told of each event, and asked nothing


@pytest.mark.trap("d")
async def test_runs_of_an_object_that_was_replaced_or_deleted_still_execute(system: System) -> None:
    manager = system.manager
    release = asyncio.Event()

    async def wait() -> None:
        await release.wait()

    trigger = await manager.triggers.create(ANN, EventTriggerSpec(EventMatch("a.b"), SYNC))
    system.plugin.started = wait
    for number in range(8):
        await manager.events.publish(ANN, Event(id=str(number), type="a.b"))
    await manager.triggers.update(ANN, trigger.id, EventTriggerSpec(EventMatch("a.b"), POST))
    await manager.triggers.delete(ANN, trigger.id)
    release.set()
    runs = await system.runs(ANN, 8)
    assert [run.status for run in runs] == ["succeeded"] * 8


async def test_start_cancel_and_signal(system: System) -> None:
    manager = system.manager
    run = await manager.runs.start(ANN, SYNC, idempotency_key="k")
    assert (await system.finished(ANN, run.id)).result_body == '{"ok":true}'
    again = await manager.runs.start(ANN, SYNC, idempotency_key="k")
    assert again.id == run.id
    theirs = await manager.runs.start(BOB, SYNC, idempotency_key="k")
    assert theirs.id != run.id, "keys are scoped by subject"
    with pytest.raises(ProviderRefused) as refused:
        await manager.runs.cancel(ANN, run.id, "late")
    assert refused.value.code == "FAILED_PRECONDITION"

    forever = asyncio.Event()
    system.plugin.started = forever.wait
    slow = await manager.runs.start(ANN, POST)

    async def running() -> Run | None:
        found = await manager.runs.get(ANN, slow.id)
        return found if found.status == "running" else None

    await eventually(running)
    with pytest.raises(WorkflowObjectNotFound):
        await manager.runs.cancel(BOB, slow.id, "not mine")
    canceled = await manager.runs.cancel(ANN, slow.id, " stop ")
    assert (canceled.status, canceled.status_message) == ("canceled", "stop")

    async def plugin_canceled() -> bool | None:
        return bool(system.plugin.canceled) or None

    await eventually(plugin_canceled)
    system.plugin.started = None

    result = await manager.runs.signal_or_start(ANN, "order-42", SYNC, Signal(name="go", payload={"action": "x"}))
    assert result.started_run
    assert (await system.finished(ANN, result.run.id)).status == "succeeded"
    request = system.plugin.requests[-1]
    assert from_struct(request.context.workflow)["signals"][0]["payload"]["action"] == "x"
    assert request.idempotency_key.startswith(f"workflow:local:{result.run.id}:signal-batch-")
    stranger = await manager.runs.signal_or_start(BOB, "order-42", SYNC, Signal(name="go"))
    assert stranger.run.id != result.run.id, "keys are scoped by subject"


async def test_configured_triggers_run_as_the_configuration(system: System) -> None:
    schedules = [ScheduleConfig("nightly", "local", "0 3 * * *", PluginTarget("roadmap", "sync"))]
    triggers = [EventTriggerConfig("notify", "local", EventMatch("a.b"), PluginTarget("slack", "post"))]
    operator = await system.users.anonymous()
    for _ in range(2):
        await system.reconciliation.run(schedules, triggers)
    (before,) = await system.manager.schedules.list(operator, created_by="config")
    await system.manager.events.publish(operator, Event(type="a.b"))
    (run,) = await system.runs(operator, 1, created_by="config")
    assert (run.created_by.subject_id, run.published_by) == ("system:config", operator.actor)
    assert system.plugin.requests[-1].context.subject.id == "system:config"
    assert [run async for run in system.manager.runs.list(operator, RunQuery())] == []
    moved = [ScheduleConfig("nightly", "local", "0 3 * * *", PluginTarget("slack", "post"))]
    await system.reconciliation.run(moved, [])
    (after,) = await system.manager.schedules.list(operator, created_by="config")
    assert (after.id, after.next_run_at, after.created_at) == (before.id, before.next_run_at, before.created_at)
    assert after.target == PluginTarget("slack", "post")
    assert await system.manager.triggers.list(operator, created_by="all") == []


@pytest.mark.trap(24)
async def test_references_work_through_every_wrapper_around_a_provider(system: System) -> None:
    """The manager reaches the real provider through the supervisor's link, as in the daemon."""
    made = await system.manager.schedules.create(ANN, ScheduleSpec("0 3 * * *", PluginTarget("roadmap", "sync")))
    assert await system.manager.schedules.get(ANN, made.id) == made
    run = await system.manager.runs.start(ANN, PluginTarget("roadmap", "sync"))
    assert (await system.finished(ANN, run.id)).status == "succeeded"
