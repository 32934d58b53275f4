"""Runs: list, look up, cancel, start, signal (semantics.md 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime

from gestalt_host.access.subjects import NOBODY, Principal
from gestalt_host.errors import InvalidArgument, InvalidInvocation, ProviderRefused, WorkflowObjectNotFound
from gestalt_host.workflows.model import (
    ExecutionReference,
    Run,
    RunQuery,
    Signal,
    SignalResult,
    Target,
)
from gestalt_host.workflows.objects.managed import AMBIGUOUS
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.providers.ordering import merged, place_of
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.ids import (
    effective_credential_subject,
    run_reference_id,
    signal_or_start_reference_id,
)
from gestalt_host.workflows.references.references import principal_of, reference_for
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.references.visibility import FoundObject, Visibility, require_subject
from gestalt_host.workflows.sizes import check_key, check_signal
from gestalt_host.workflows.targets.equality import same_target
from gestalt_host.workflows.targets.permissions import permission_scope
from gestalt_host.workflows.targets.resolution import TargetResolver

LISTED_RESULT_BYTES = 64 * 1024
"""So much of a result is in a list."""


class ManagedRuns:
    def __init__(
        self,
        providers: WorkflowProviders,
        references: ReferenceStore,
        resolver: TargetResolver,
        visibility: Visibility,
        now: Callable[[], datetime],
    ) -> None:
        self._providers = providers
        self._references = references
        self._resolver = resolver
        self._visibility = visibility
        self._now = now

    async def list(self, who: Principal, run_filter: RunQuery, *, created_by: str = "") -> AsyncIterator[Run]:
        """Yield the caller's runs, newest first, those of deleted schedules and triggers too.

        They are read as they are taken (``WorkflowProviderClient.runs_of``). A result over ``LISTED_RESULT_BYTES`` is
        cut, and ``result_truncated`` is the size of the whole, which ``get`` returns.
        """
        subjects = self._visibility.subjects(who, created_by)
        lists = [
            client.runs_of(
                subjects, plugin=run_filter.plugin, status=run_filter.status, result_bytes=LISTED_RESULT_BYTES
            )
            for client in self._providers.all()
        ]
        async for found in merged(lists, lambda item: place_of(item.object)):
            if self._visibility.shown(who, found):
                yield found.object

    async def get(self, who: Principal, run_id: str, *, created_by: str = "") -> Run:
        return (await self._find(who, run_id, created_by=created_by)).object

    async def cancel(self, who: Principal, run_id: str, reason: str) -> Run:
        found = await self._find(who, run_id)
        try:
            run = await found.client.cancel_run(found.object.id, reason, who.actor)
        except ProviderRefused as error:
            if error.code == "NOT_FOUND":
                raise WorkflowObjectNotFound("run", run_id) from error
            raise
        if run.execution_ref != found.reference.id or not same_target(run.target, found.reference.target):
            raise WorkflowObjectNotFound("run", run_id)
        return run

    async def start(
        self, who: Principal, target: Target, *, provider: str = "", idempotency_key: str = "", workflow_key: str = ""
    ) -> Run:
        """Start a run now, as the caller.

        With an idempotency key that the caller has used before, its earlier run is the answer; another subject's run
        never is, whatever the provider scopes its keys by.
        """
        require_subject(who)
        check_key("idempotencyKey", idempotency_key)
        check_key("workflowKey", workflow_key)
        client = self._providers.select(provider)
        resolved = await self._resolver.resolve(who, target)
        extra = self._resolver.declared_permissions(who, resolved)
        reference = reference_for(who, client.name, resolved, run_reference_id(), extra)
        await self._references.put(client, reference)
        try:
            run = await client.start_run(
                resolved,
                who.actor,
                reference.id,
                idempotency_key=idempotency_key,
                workflow_key=workflow_key,
                cause=who.next_cause,
            )
        except ProviderRefused as error:
            # After these codes the run may exist all the same, and it executes with this reference.
            if error.code not in AMBIGUOUS:
                await self._references.revoke(client, reference)
            raise
        if run.execution_ref != reference.id:
            # The key has started an earlier run: no run uses the new reference.
            await self._references.revoke(client, reference)
            earlier = await self._references.find(client, run.execution_ref)
            if earlier is None or earlier.subject_id != who.subject_id:
                raise WorkflowObjectNotFound("run", run.id)
        elif not same_target(run.target, resolved):
            await self._references.revoke(client, reference)
        if not same_target(run.target, resolved):
            raise WorkflowObjectNotFound("run", run.id)
        return run

    async def signal(self, who: Principal, run_id: str, signal: Signal) -> SignalResult:
        """Send a signal to a run of the caller; a run whose reference is revoked takes none."""
        found = await self._find(who, run_id)
        signal = self._normalised(who, signal)
        if found.reference.revoked_at is not None:
            # Checked before the provider is asked: a signal that was stored cannot be answered "not found".
            raise WorkflowObjectNotFound("run", run_id)
        try:
            result = await found.client.signal_run(found.object.id, signal)
        except ProviderRefused as error:
            if error.code == "NOT_FOUND":
                raise WorkflowObjectNotFound("run", run_id) from error
            raise
        if result.run.execution_ref != found.reference.id:
            await self._require_own(who, found.client, result.run)
        return result

    async def signal_or_start(
        self,
        who: Principal,
        workflow_key: str,
        target: Target,
        signal: Signal,
        *,
        provider: str = "",
        idempotency_key: str = "",
    ) -> SignalResult:
        """Signal the active run of a workflow key, or start one with the signal queued."""
        require_subject(who)
        if not workflow_key:
            raise InvalidArgument("workflow key is required")
        check_key("idempotencyKey", idempotency_key)
        check_key("workflowKey", workflow_key)
        client = self._providers.select(provider)
        resolved = await self._resolver.resolve(who, target)
        signal = self._normalised(who, signal)
        extra = self._resolver.declared_permissions(who, resolved)
        draft = reference_for(who, client.name, resolved, "", extra)
        reference = replace(draft, id=signal_or_start_reference_id(draft, workflow_key))
        if not self._resolver.allows(principal_of(reference), resolved):
            raise WorkflowObjectNotFound("run", workflow_key)
        existing = await self._references.find(client, reference.id)
        if existing is not None and not _same_reference(existing, reference):
            raise InvalidInvocation(f"workflow execution ref {reference.id} is in use for something else")
        if existing is None or existing.revoked_at is not None or existing.retired_at is not None:
            await self._references.put(client, reference)
        result = await client.signal_or_start_run(
            workflow_key,
            resolved,
            signal,
            who.actor,
            reference.id,
            idempotency_key=idempotency_key,
            cause=who.next_cause,
        )
        if result.run.execution_ref != reference.id:
            await self._require_own(who, client, result.run)
        return result

    # ------------------------------------------------------------------------------------------------------------------

    async def _find(self, who: Principal, run_id: str, *, created_by: str = "") -> FoundObject[Run]:
        return await self._visibility.find(
            who,
            "run",
            run_id,
            WorkflowProviderClient.get_run,
            created_by=created_by,
            active_only=False,
            could_be=lambda reference: True,
        )

    async def _require_own(self, who: Principal, client: WorkflowProviderClient, run: Run) -> None:
        """Require that the run of an answer, which may have an older reference, is the caller's and still active."""
        reference = await self._references.find(client, run.execution_ref)
        if reference is None or reference.subject_id != who.subject_id or reference.revoked_at is not None:
            raise WorkflowObjectNotFound("run", run.id)
        if not self._resolver.allows(principal_of(reference), reference.target):
            raise WorkflowObjectNotFound("run", run.id)

    def _normalised(self, who: Principal, signal: Signal) -> Signal:
        if not signal.name:
            raise InvalidArgument("workflow signal name is required")
        check_signal(signal)
        return replace(
            signal,
            created_by=who.actor if signal.created_by == NOBODY else signal.created_by,
            created_at=signal.created_at or self._now(),
        )


def _same_reference(stored: ExecutionReference, wanted: ExecutionReference) -> bool:
    return (
        stored.provider == wanted.provider
        and stored.caller_plugin == wanted.caller_plugin
        and stored.subject_id == wanted.subject_id
        and effective_credential_subject(stored) == effective_credential_subject(wanted)
        and permission_scope(stored.permissions) == permission_scope(wanted.permissions)
        and same_target(stored.target, wanted.target)
    )
