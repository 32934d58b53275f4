"""The workflow manager: everything that people and plugins do with schedules, triggers, runs and events.

It authorizes, produces execution references, and leaves storing and firing to the workflow providers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.workflows.objects.events import ManagedEvents
from gestalt_host.workflows.objects.managed import ManagedObjects
from gestalt_host.workflows.objects.runs import ManagedRuns
from gestalt_host.workflows.objects.schedules import SCHEDULES
from gestalt_host.workflows.objects.triggers import EVENT_TRIGGERS
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.store import ReferenceStore, utc_now
from gestalt_host.workflows.references.visibility import Visibility
from gestalt_host.workflows.targets.resolution import TargetResolver


class WorkflowManager:
    """The four collections of the workflow system over all configured providers.

    Its callers are the HTTP routes and the gRPC service of plugins. They hand over texts that are trimmed and not blank
    where the contract requires one; ids alone are trimmed here, so that "not found" shows an id as it was asked for.
    What a cron expression, a time zone or a match means is the provider's to judge. Errors: ``gestalt_host.errors``.
    """

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
        self.schedules = ManagedObjects(SCHEDULES, providers, references, resolver, visibility)
        self.triggers = ManagedObjects(EVENT_TRIGGERS, providers, references, resolver, visibility)
        self.runs = ManagedRuns(providers, references, resolver, visibility, now)
        self.events = ManagedEvents(providers, now)
