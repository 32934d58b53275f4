"""Creating, reading, changing and deleting schedules and event triggers alike (semantics.md 8).

What differs between the two is an ``ObjectKind``, in ``schedules`` and ``triggers``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from gestalt_host.access.subjects import Principal
from gestalt_host.errors import (
    HostError,
    InvalidInvocation,
    ProviderRefused,
    ProviderUnavailable,
    WorkflowObjectNotFound,
)
from gestalt_host.workflows.model import (
    EventTrigger,
    EventTriggerSpec,
    ExecutionReference,
    Schedule,
    ScheduleSpec,
    Target,
    target_plugin,
)
from gestalt_host.workflows.providers.client import RETARGET, RETIRE, Referenced, WorkflowProviderClient
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.ids import idempotency_scope
from gestalt_host.workflows.references.references import reference_for
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.references.visibility import FoundObject, Visibility, require_subject
from gestalt_host.workflows.targets.equality import same_target
from gestalt_host.workflows.targets.resolution import TargetResolver

Managed = TypeVar("Managed", Schedule, EventTrigger)
Request = TypeVar("Request", ScheduleSpec, EventTriggerSpec)

AMBIGUOUS = frozenset({"DEADLINE_EXCEEDED", "UNKNOWN", "INTERNAL", "CANCELLED", "ABORTED"})
"""Codes after which a write may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Upsert(Generic[Request]):
    """One upsert, as the provider is asked for it; ``request.target`` is resolved."""

    object_id: str
    request: Request
    reference: ExecutionReference
    requested_by: Principal
    retarget: bool = False
    retire: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ObjectKind(Generic[Managed, Request]):
    """The differences between schedules and event triggers.

    Attributes:
        word: The word of messages, ``schedule`` or ``trigger``.
        new_id, reference_id: Ids, random or from an idempotency scope.
        same: Whether the stored object is what the request asks for, target apart.
    """

    word: str
    new_id: Callable[[str], str]
    reference_id: Callable[[str, str], str]
    reference_prefix: str
    same: Callable[[Managed, Request], bool]
    with_target: Callable[[Request, Target], Request]
    get: Callable[[WorkflowProviderClient, str], Awaitable[Managed]]
    of_subjects: Callable[[WorkflowProviderClient, Sequence[str]], Awaitable[list[Referenced[Managed]]]]
    upsert: Callable[[WorkflowProviderClient, Upsert[Request]], Awaitable[Managed]]
    delete: Callable[[WorkflowProviderClient, str, str], Awaitable[None]]
    pause: Callable[[WorkflowProviderClient, str], Awaitable[Managed]]
    resume: Callable[[WorkflowProviderClient, str], Awaitable[Managed]]


class ManagedObjects(Generic[Managed, Request]):
    def __init__(
        self,
        kind: ObjectKind[Managed, Request],
        providers: WorkflowProviders,
        references: ReferenceStore,
        resolver: TargetResolver,
        visibility: Visibility,
    ) -> None:
        self._kind: ObjectKind[Managed, Request] = kind
        self._providers = providers
        self._references = references
        self._resolver = resolver
        self._visibility = visibility

    async def create(self, who: Principal, request: Request, *, idempotency_key: str = "") -> Managed:
        """Create the object; with an idempotency key, at most once for (subject, caller plugin, key).

        Raises:
            InvalidInvocation: the key was used for a different request.
        """
        require_subject(who)
        client = self._providers.select(request.provider)
        target = self._resolver.resolve(who, request.target)
        request = self._kind.with_target(request, target)
        scope = ""
        if idempotency_key:
            scope = idempotency_scope(who.subject_id, who.caller_plugin, idempotency_key)
        object_id = self._kind.new_id(scope)
        if scope:
            existing = await self._own(who, object_id)
            if existing is not None:
                same_place = existing.provider == client.name
                if same_place and self._kind.same(existing, request) and same_target(existing.target, target):
                    return existing
                raise InvalidInvocation(f"workflow {self._kind.word} idempotency key reused with different request")
        reference = self._reference(who, client, target, self._kind.reference_id(object_id, scope))
        await self._references.put(client, reference)
        return await self._upsert(client, Upsert(object_id, request, reference, who))

    async def get(self, who: Principal, object_id: str, *, created_by: str = "") -> Managed:
        return (await self._find(who, object_id, created_by=created_by)).object

    async def list(self, who: Principal, *, created_by: str = "") -> list[Managed]:
        """Return the caller's objects, oldest first."""
        found = await self._visibility.list(who, self._kind.of_subjects, created_by)
        return sorted(found, key=lambda item: (item.created_at or _EPOCH, item.id))

    async def update(self, who: Principal, object_id: str, request: Request) -> Managed:
        """Replace the object whole; without a provider it stays where it is, with another one it moves."""
        found = await self._find(who, object_id, writing=True)
        client = self._providers.select(request.provider) if request.provider else found.client
        target = self._resolver.resolve(who, request.target)
        wanted = found.object.id
        reference = self._reference(who, client, target, self._kind.reference_id(wanted, ""))
        await self._references.put(client, reference)
        moving = client.name != found.client.name
        retire = not moving and client.has(RETIRE)
        other_plugin = found.object.target is not None and target_plugin(found.object.target) != target_plugin(target)
        write = Upsert(
            object_id=wanted,
            request=self._kind.with_target(request, target),
            reference=reference,
            requested_by=who,
            retarget=not moving and other_plugin and client.has(RETARGET),
            retire=found.reference.id if retire else "",
            created_at=found.object.created_at if moving else None,
        )
        async with self._references.lock(found.client.name, found.reference.id):
            updated = await self._upsert(client, write)
            if moving:
                await self._delete_moved(found, client, reference)
        if not retire and not (moving and found.client.has(RETIRE)):
            await self._references.revoke(found.client, found.reference)
        return updated

    async def delete(self, who: Principal, object_id: str) -> None:
        found = await self._find(who, object_id, writing=True)
        retire = found.client.has(RETIRE)
        async with self._references.lock(found.client.name, found.reference.id):
            with _not_found(self._kind.word, object_id):
                await self._kind.delete(found.client, found.object.id, found.reference.id if retire else "")
        if not retire:
            await self._references.revoke(found.client, found.reference)

    async def pause(self, who: Principal, object_id: str) -> Managed:
        found = await self._find(who, object_id, writing=True)
        with _not_found(self._kind.word, object_id):
            return await self._kind.pause(found.client, found.object.id)

    async def resume(self, who: Principal, object_id: str) -> Managed:
        found = await self._find(who, object_id, writing=True)
        with _not_found(self._kind.word, object_id):
            return await self._kind.resume(found.client, found.object.id)

    # ------------------------------------------------------------------------------------------------------------------

    async def _find(
        self, who: Principal, object_id: str, *, created_by: str = "", writing: bool = False
    ) -> FoundObject[Managed]:
        prefix = f"{self._kind.reference_prefix}{object_id.strip()}:"

        def could_be(reference: ExecutionReference) -> bool:
            active = reference.revoked_at is None and reference.retired_at is None
            return active and reference.id.startswith(prefix)

        return await self._visibility.find(
            who,
            self._kind.word,
            object_id,
            self._kind.get,
            created_by=created_by,
            active_only=True,
            writing=writing,
            could_be=could_be,
        )

    def _reference(
        self, who: Principal, client: WorkflowProviderClient, target: Target, reference_id: str
    ) -> ExecutionReference:
        extra = self._resolver.declared_permissions(who, target)
        return reference_for(who, client.name, target, reference_id, extra)

    async def _own(self, who: Principal, object_id: str) -> Managed | None:
        """Find the object with a derived id that an earlier request of this caller made, in any provider."""

        async def find(client: WorkflowProviderClient) -> Managed | None:
            try:
                found = await self._kind.get(client, object_id)
            except ProviderRefused as error:
                if error.code == "NOT_FOUND":
                    return None
                raise
            reference = await self._references.find(client, found.execution_ref)
            if reference is None or reference.revoked_at is not None or reference.retired_at is not None:
                return None
            return found if reference.subject_id == who.subject_id else None

        answers = await asyncio.gather(*map(find, self._providers.all()))
        return next((found for found in answers if found is not None), None)

    async def _upsert(self, client: WorkflowProviderClient, write: Upsert[Request]) -> Managed:
        """Write the object; when that fails its new reference is revoked.

        After a failure that does not tell whether the object was written it is read back. With the new reference it was
        written, and revoking that reference would hide the object from its creator.
        """
        try:
            return await self._kind.upsert(client, write)
        except (ProviderRefused, ProviderUnavailable) as error:
            if isinstance(error, ProviderUnavailable) or error.code in AMBIGUOUS:
                try:
                    stored = await self._kind.get(client, write.object_id)
                except ProviderRefused as refused:
                    if refused.code != "NOT_FOUND":
                        raise error from None
                except HostError:
                    raise error from None
                else:
                    if stored.execution_ref == write.reference.id:
                        return stored
            await self._references.revoke(client, write.reference)
            raise

    async def _delete_moved(
        self, found: FoundObject[Managed], client: WorkflowProviderClient, reference: ExecutionReference
    ) -> None:
        """Finish a move: delete in the old provider, or undo the first half."""
        retire = found.reference.id if found.client.has(RETIRE) else ""
        try:
            await self._kind.delete(found.client, found.object.id, retire)
        except HostError as error:
            if isinstance(error, ProviderRefused) and error.code == "NOT_FOUND":
                return
            try:
                await self._kind.delete(client, found.object.id, "")
            finally:
                await self._references.revoke(client, reference)
            raise


class _not_found:  # noqa: N801 - reads as a statement
    """Turns a provider's NOT_FOUND into ``WorkflowObjectNotFound``."""

    def __init__(self, word: str, object_id: str) -> None:
        self._word = word
        self._object_id = object_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ProviderRefused) and error.code == "NOT_FOUND":
            raise WorkflowObjectNotFound(self._word, self._object_id) from error


_EPOCH = datetime(1, 1, 1, tzinfo=UTC)
