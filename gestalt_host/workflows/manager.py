"""The workflow manager: everything that people and plugins do with schedules, triggers, runs and events.

It authorizes, produces execution references, and leaves storing and firing to the workflow providers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.subjects import Principal
from gestalt_host.workflows.model import (
    Event,
    EventTrigger,
    EventTriggerRequest,
    Run,
    RunFilter,
    Schedule,
    ScheduleRequest,
    Signal,
    SignalResult,
    Target,
)
from gestalt_host.workflows.objects.events import Events
from gestalt_host.workflows.objects.managed import ManagedObjects
from gestalt_host.workflows.objects.runs import Runs
from gestalt_host.workflows.objects.schedules import SCHEDULES
from gestalt_host.workflows.objects.triggers import EVENT_TRIGGERS
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.store import ReferenceStore, utc_now
from gestalt_host.workflows.references.visibility import Visibility
from gestalt_host.workflows.targets.resolution import TargetResolver


class WorkflowManager:
    """``who`` is the caller; ``owner`` one of ``model.OWNERS``. Ids are trimmed. Errors: ``gestalt_host.errors``."""

    def __init__(
        self,
        providers: WorkflowProviders,
        references: ReferenceStore,
        resolver: TargetResolver,
        authorizer: Authorizer,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        visibility = Visibility(providers, references, resolver, authorizer)
        self._schedules = ManagedObjects(SCHEDULES, providers, references, resolver, visibility)
        self._triggers = ManagedObjects(EVENT_TRIGGERS, providers, references, resolver, visibility)
        self._runs = Runs(providers, references, resolver, visibility, now)
        self._events = Events(providers, now)

    # Schedules --------------------------------------------------------------------------------------------------------

    async def create_schedule(self, who: Principal, request: ScheduleRequest, *, idempotency_key: str = "") -> Schedule:
        return await self._schedules.create(who, request, idempotency_key=idempotency_key)

    async def get_schedule(self, who: Principal, schedule_id: str, *, owner: str = "") -> Schedule:
        return await self._schedules.get(who, schedule_id, owner=owner)

    async def list_schedules(self, who: Principal, *, owner: str = "") -> list[Schedule]:
        return await self._schedules.list(who, owner=owner)

    async def update_schedule(self, who: Principal, schedule_id: str, request: ScheduleRequest) -> Schedule:
        return await self._schedules.update(who, schedule_id, request)

    async def delete_schedule(self, who: Principal, schedule_id: str) -> None:
        await self._schedules.delete(who, schedule_id)

    async def pause_schedule(self, who: Principal, schedule_id: str) -> Schedule:
        return await self._schedules.pause(who, schedule_id)

    async def resume_schedule(self, who: Principal, schedule_id: str) -> Schedule:
        return await self._schedules.resume(who, schedule_id)

    # Event triggers ---------------------------------------------------------------------------------------------------

    async def create_event_trigger(
        self, who: Principal, request: EventTriggerRequest, *, idempotency_key: str = ""
    ) -> EventTrigger:
        return await self._triggers.create(who, request, idempotency_key=idempotency_key)

    async def get_event_trigger(self, who: Principal, trigger_id: str, *, owner: str = "") -> EventTrigger:
        return await self._triggers.get(who, trigger_id, owner=owner)

    async def list_event_triggers(self, who: Principal, *, owner: str = "") -> list[EventTrigger]:
        return await self._triggers.list(who, owner=owner)

    async def update_event_trigger(self, who: Principal, trigger_id: str, request: EventTriggerRequest) -> EventTrigger:
        return await self._triggers.update(who, trigger_id, request)

    async def delete_event_trigger(self, who: Principal, trigger_id: str) -> None:
        await self._triggers.delete(who, trigger_id)

    async def pause_event_trigger(self, who: Principal, trigger_id: str) -> EventTrigger:
        return await self._triggers.pause(who, trigger_id)

    async def resume_event_trigger(self, who: Principal, trigger_id: str) -> EventTrigger:
        return await self._triggers.resume(who, trigger_id)

    # Events and runs --------------------------------------------------------------------------------------------------

    async def publish_event(self, who: Principal, event: Event, *, provider: str = "") -> Event:
        return await self._events.publish(who, event, provider=provider)

    async def list_runs(self, who: Principal, run_filter: RunFilter, *, owner: str = "") -> list[Run]:
        return await self._runs.list(who, run_filter, owner=owner)

    async def get_run(self, who: Principal, run_id: str, *, owner: str = "") -> Run:
        return await self._runs.get(who, run_id, owner=owner)

    async def cancel_run(self, who: Principal, run_id: str, reason: str) -> Run:
        return await self._runs.cancel(who, run_id, reason)

    async def start_run(
        self, who: Principal, target: Target, *, provider: str = "", idempotency_key: str = "", workflow_key: str = ""
    ) -> Run:
        return await self._runs.start(
            who, target, provider=provider, idempotency_key=idempotency_key, workflow_key=workflow_key
        )

    async def signal_run(self, who: Principal, run_id: str, signal: Signal) -> SignalResult:
        return await self._runs.signal(who, run_id, signal)

    async def signal_or_start_run(
        self,
        who: Principal,
        workflow_key: str,
        target: Target,
        signal: Signal,
        *,
        provider: str = "",
        idempotency_key: str = "",
    ) -> SignalResult:
        return await self._runs.signal_or_start(
            who, workflow_key, target, signal, provider=provider, idempotency_key=idempotency_key
        )
