"""Schedules and event triggers of the configuration, brought into the workflow providers at start (config.md 17).

An object that is there as configured is not written, so it keeps its reference and its next run. Id and creator alone
tell that an object belongs to the configuration, so a changed target is an ordinary update.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

import structlog

from gestalt_host.access.subjects import CONFIG_ACTOR, CONFIG_SUBJECT_ID, Actor, Principal
from gestalt_host.config import model as config
from gestalt_host.errors import ChangedMeanwhile, HostError, ProviderRefused, ProviderUnavailable, quoted
from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.workflows.model import (
    EventTrigger,
    EventTriggerSpec,
    ExecutionReference,
    Permission,
    Schedule,
    ScheduleSpec,
    Target,
    target_plugin,
)
from gestalt_host.workflows.objects.managed import ATTEMPTS, Managed, ObjectKind, Request, Upsert, decided_on
from gestalt_host.workflows.objects.schedules import SCHEDULES
from gestalt_host.workflows.objects.triggers import EVENT_TRIGGERS
from gestalt_host.workflows.providers.client import RETARGET, RETIRE, WorkflowProviderClient
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.ids import CONFIG_ID_PREFIX, config_schedule_id, config_trigger_id
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.targets.configured import check_credentials, internal_target, permissions_from
from gestalt_host.workflows.targets.equality import same_target
from gestalt_host.workflows.targets.inputs import check_target_input

log = structlog.get_logger()

REFERENCE_NAME = "Gestalt config"
_CONFIG = Principal(actor=CONFIG_ACTOR, credential_subject_id=CONFIG_SUBJECT_ID)


class ReconciliationFailed(HostError):
    """The configured workflows could not be brought in; the host does not start. The text names the object."""


@dataclass(frozen=True, slots=True)
class Desired(Generic[Request]):
    """One configured object. ``label`` is how messages call it."""

    key: str
    object_id: str
    provider: str
    request: Request
    permissions: tuple[Permission, ...]
    label: str


class Reconciliation:
    def __init__(self, providers: WorkflowProviders, references: ReferenceStore, plugins: PluginRegistry) -> None:
        self._providers = providers
        self._references = references
        self._plugins = plugins

    async def run(
        self, schedules: Iterable[config.ScheduleConfig], triggers: Iterable[config.EventTriggerConfig]
    ) -> None:
        """Create, update and delete until the providers hold what the configuration says; schedules first.

        Runs before the providers are told to start and before anybody can call. Nothing is rolled back.

        Raises:
            ReconciliationFailed: naming the object and the reason.
        """
        await self._kind(SCHEDULES, [_schedule(item) for item in schedules], WorkflowProviderClient.schedules_named)
        await self._kind(EVENT_TRIGGERS, [_trigger(item) for item in triggers], WorkflowProviderClient.triggers_named)

    async def _kind(
        self,
        kind: ObjectKind[Managed, Request],
        desired: Sequence[Desired[Request]],
        named: Callable[[WorkflowProviderClient, str], Awaitable[list[Managed]]],
    ) -> None:
        for item in sorted(desired, key=lambda entry: entry.key):
            try:
                await self._decided_anew(kind, item)
            except ReconciliationFailed:
                raise
            except HostError as error:
                raise ReconciliationFailed(f"{item.label}: {error}") from error
        kept = {(item.provider, item.object_id) for item in desired}
        for client in self._providers.all():
            await self._clean_up(kind, client, kept, named)

    async def _decided_anew(self, kind: ObjectKind[Managed, Request], item: Desired[Request]) -> None:
        """Bring the object in; again when another host that starts at the same time was faster."""
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(ChangedMeanwhile):
                return await self._bring_in(kind, item)
        await self._bring_in(kind, item)

    async def _bring_in(self, kind: ObjectKind[Managed, Request], item: Desired[Request]) -> None:
        client = self._providers.select(item.provider)
        target = item.request.target
        check_credentials(self._plugins, item.label, target)
        existing = await self._existing(kind, client, item.object_id)
        if existing is not None and not is_created_by_config(existing):
            raise ReconciliationFailed(
                f"{item.label} conflicts with existing unmanaged {kind.word} id {quoted(item.object_id)}"
            )
        if existing is None or not same_target(existing.target, target):
            # One that is there with this target stays as it is, also where a new version of the plugin takes less.
            check_target_input(self._plugins, target)
        old, readable = await self._old_reference(client, existing)
        wanted = ExecutionReference(
            id=kind.reference_id(item.object_id, ""),
            provider=client.name,
            target=target,
            subject_id=CONFIG_SUBJECT_ID,
            subject_kind=CONFIG_ACTOR.subject_kind,
            display_name=REFERENCE_NAME,
            auth_source=CONFIG_ACTOR.auth_source,
            credential_subject_id=CONFIG_SUBJECT_ID,
            permissions=item.permissions,
        )
        same_object = (
            existing is not None and kind.same(existing, item.request) and same_target(existing.target, target)
        )
        if old is not None and self._reusable(old, wanted):
            if same_object:
                return
            await self._write(kind, client, item, existing, old, retire="")
            return
        try:
            await self._references.put(client, wanted)
        except HostError as error:
            if not (same_object and existing is not None and existing.execution_ref):
                raise
            # The provider has the object as it is wanted, so the host starts although its store is not available.
            log.warning(
                "a configured object keeps its old execution reference",
                event_name="reconcile.reference_kept",
                object=item.label,
                error=str(error),
            )
            return
        retire = old.id if old is not None and client.has(RETIRE) else ""
        try:
            await self._write(kind, client, item, existing, wanted, retire=retire)
        except HostError:
            await self._references.revoke(client, wanted)
            raise
        if not readable:
            log.warning(
                "an execution reference could not be read; replaced, not revoked",
                event_name="reconcile.reference_unreadable",
                object=item.label,
            )
        elif old is not None and not retire and old.revoked_at is None:
            await self._references.revoke(client, old)

    async def _existing(
        self, kind: ObjectKind[Managed, Request], client: WorkflowProviderClient, object_id: str
    ) -> Managed | None:
        try:
            return await kind.get(client, object_id)
        except ProviderRefused as error:
            if error.code == "NOT_FOUND":
                return None
            raise

    async def _old_reference(
        self, client: WorkflowProviderClient, existing: Schedule | EventTrigger | None
    ) -> tuple[ExecutionReference | None, bool]:
        """Return the object's present reference, and whether it could be read."""
        if existing is None:
            return None, True
        try:
            return await self._references.find(client, existing.execution_ref), True
        except (ProviderRefused, ProviderUnavailable):
            return None, False

    def _reusable(self, old: ExecutionReference, wanted: ExecutionReference) -> bool:
        """Return whether the old reference says what is wanted; one that another key signed is signed on use."""
        if old.revoked_at is not None or old.retired_at is not None:
            return False
        same_identity = (
            old.provider == wanted.provider
            and old.subject_id == wanted.subject_id
            and old.subject_kind == wanted.subject_kind
            and old.display_name == wanted.display_name
            and old.auth_source == wanted.auth_source
            and old.credential_subject_id == wanted.credential_subject_id
        )
        signer = self._references.signer
        forged = signer.knows(old) and not signer.valid(old)
        return (
            same_identity
            and not forged
            and old.permissions == wanted.permissions
            and same_target(old.target, wanted.target)
        )

    async def _write(
        self,
        kind: ObjectKind[Managed, Request],
        client: WorkflowProviderClient,
        item: Desired[Request],
        existing: Managed | None,
        reference: ExecutionReference,
        *,
        retire: str,
    ) -> None:
        """Upsert as the configuration. A provider that cannot change the target plugin gets the object anew."""
        target = item.request.target
        replaced = existing
        moves = existing is not None and (
            existing.target is None or target_plugin(existing.target) != target_plugin(target)
        )
        if moves and not client.has(RETARGET):
            assert existing is not None
            await kind.delete(client, item.object_id, "", existing.revision)
            replaced = None
        await kind.upsert(
            client,
            Upsert(
                object_id=item.object_id,
                request=item.request,
                reference=reference,
                requested_by=_CONFIG,
                retarget=moves and client.has(RETARGET),
                retire=retire,
                **decided_on(replaced),
            ),
        )
        log.info(
            "configured object written",
            event_name="reconcile.created" if existing is None else "reconcile.updated",
            object=item.label,
            provider=client.name,
            id=item.object_id,
        )

    async def _clean_up(
        self,
        kind: ObjectKind[Managed, Request],
        client: WorkflowProviderClient,
        kept: set[tuple[str, str]],
        named: Callable[[WorkflowProviderClient, str], Awaitable[list[Managed]]],
    ) -> None:
        """Delete the configuration's objects that it no longer has. Objects of anybody else are not touched, nor those
        that a plugin made while it ran as the configuration: their ids do not look like these."""
        try:
            present = await named(client, CONFIG_ID_PREFIX)
        except HostError as error:
            log.warning(
                "clean-up of configured objects skipped",
                event_name="reconcile.clean_up_skipped",
                provider=client.name,
                kind=kind.word,
                error=str(error),
            )
            return
        for item in present:
            if not is_created_by_config(item):
                continue
            if (client.name, item.id) in kept:
                continue
            retire = item.execution_ref if client.has(RETIRE) else ""
            try:
                await kind.delete(client, item.id, retire, item.revision)
            except ChangedMeanwhile as error:
                if error.code == "ABORTED":
                    log.warning(
                        "a configured object that is not wanted here stays: another host has just written it",
                        event_name="reconcile.delete_left",
                        provider=client.name,
                        id=item.id,
                    )
                continue
            except HostError as error:
                if not (isinstance(error, ProviderRefused) and error.code == "NOT_FOUND"):
                    log.error(
                        "a configured object that is no longer wanted could not be deleted",
                        event_name="reconcile.delete_failed",
                        provider=client.name,
                        id=item.id,
                        error=str(error),
                    )
                    continue
            log.info("configured object deleted", event_name="reconcile.deleted", provider=client.name, id=item.id)
            if not retire:
                old, _ = await self._old_reference(client, item)
                if old is not None and old.revoked_at is None:
                    await self._references.revoke(client, old)


def is_created_by_config(item: Schedule | EventTrigger) -> bool:
    creator: Actor = item.created_by
    return (
        creator.subject_id == CONFIG_SUBJECT_ID
        and creator.subject_kind == CONFIG_ACTOR.subject_kind
        and creator.auth_source == CONFIG_ACTOR.auth_source
    )


def _label(word: str, key: str, target: Target) -> str:
    what = "agent" if target_plugin(target).startswith("agent:") else "plugin"
    return f"workflow {word} {quoted(key)} for {what} {quoted(target_plugin(target).removeprefix('agent:'))}"


def _schedule(item: config.ScheduleConfig) -> Desired[ScheduleSpec]:
    target = internal_target(item.target)
    request = ScheduleSpec(
        cron=item.cron, target=target, timezone=item.timezone, paused=item.paused, provider=item.provider
    )
    return Desired(
        key=item.key,
        object_id=config_schedule_id(item.key),
        provider=item.provider,
        request=request,
        permissions=permissions_from(target, item.permissions),
        label=_label("schedule", item.key, target),
    )


def _trigger(item: config.EventTriggerConfig) -> Desired[EventTriggerSpec]:
    target = internal_target(item.target)
    request = EventTriggerSpec(match=item.match, target=target, paused=item.paused, provider=item.provider)
    return Desired(
        key=item.key,
        object_id=config_trigger_id(item.key),
        provider=item.provider,
        request=request,
        permissions=permissions_from(target, item.permissions),
        label=_label("event trigger", item.key, target),
    )
