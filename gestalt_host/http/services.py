"""What the HTTP API needs from the rest of the host, as interfaces: the routes know nothing else of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from gestalt_host.access.subjects import Principal
from gestalt_host.invocation.model import OperationResult, Plugin
from gestalt_host.workflows.model import (
    Event,
    EventTrigger,
    EventTriggerRequest,
    Run,
    RunFilter,
    Schedule,
    ScheduleRequest,
)


class Workflows(Protocol):
    """The workflow manager. ``owner`` is one of ``workflows.model.OWNERS``; lists come in their documented order."""

    async def create_schedule(
        self, who: Principal, request: ScheduleRequest, *, idempotency_key: str = ""
    ) -> Schedule: ...
    async def get_schedule(self, who: Principal, schedule_id: str, *, owner: str = "") -> Schedule: ...
    async def list_schedules(self, who: Principal, *, owner: str = "") -> Sequence[Schedule]: ...
    async def update_schedule(self, who: Principal, schedule_id: str, request: ScheduleRequest) -> Schedule: ...
    async def delete_schedule(self, who: Principal, schedule_id: str) -> None: ...
    async def pause_schedule(self, who: Principal, schedule_id: str) -> Schedule: ...
    async def resume_schedule(self, who: Principal, schedule_id: str) -> Schedule: ...

    async def create_event_trigger(
        self, who: Principal, request: EventTriggerRequest, *, idempotency_key: str = ""
    ) -> EventTrigger: ...
    async def get_event_trigger(self, who: Principal, trigger_id: str, *, owner: str = "") -> EventTrigger: ...
    async def list_event_triggers(self, who: Principal, *, owner: str = "") -> Sequence[EventTrigger]: ...
    async def update_event_trigger(
        self, who: Principal, trigger_id: str, request: EventTriggerRequest
    ) -> EventTrigger: ...
    async def delete_event_trigger(self, who: Principal, trigger_id: str) -> None: ...
    async def pause_event_trigger(self, who: Principal, trigger_id: str) -> EventTrigger: ...
    async def resume_event_trigger(self, who: Principal, trigger_id: str) -> EventTrigger: ...

    async def publish_event(self, who: Principal, event: Event) -> Event: ...
    async def list_runs(self, who: Principal, run_filter: RunFilter, *, owner: str = "") -> Sequence[Run]: ...
    async def get_run(self, who: Principal, run_id: str, *, owner: str = "") -> Run: ...
    async def cancel_run(self, who: Principal, run_id: str, reason: str) -> Run: ...


class Invocations(Protocol):
    """The invoker; ``public`` refuses hidden operations and internal connections."""

    def require_access(self, who: Principal, plugin: str) -> Plugin: ...

    async def invoke(
        self,
        who: Principal,
        plugin: str,
        operation: str,
        params: dict[str, Any],
        *,
        connection: str = "",
        instance: str = "",
        public: bool = False,
    ) -> OperationResult: ...


class Plugins(Protocol):
    """The plugins that are configured here, in the order of their names."""

    def __iter__(self) -> Iterator[Plugin]: ...


@dataclass(frozen=True, slots=True)
class HttpServices:
    """The host's parts behind the API.

    Attributes:
        authenticate: Caller of a request, from its headers (names in any letter case). Raises ``NotAuthenticated``
            with the text of http-api.md 2.1.
        readiness: Why the host is not ready yet, None when it is.
        base_url: Public base URL of the server.
        agents_available: Whether an agent provider can be used.
        metrics: Registry behind ``/metrics``; None where metrics are disabled.
    """

    manager: Workflows
    invoker: Invocations
    plugins: Plugins
    authenticate: Callable[[Mapping[str, str]], Awaitable[Principal]]
    readiness: Callable[[], str | None]
    base_url: str = ""
    agents_available: bool = False
    metrics: CollectorRegistry | None = None
