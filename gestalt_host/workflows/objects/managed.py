"""Creating, reading, changing and deleting schedules and event triggers alike (semantics.md 8).

What differs between the two is an ``ObjectKind``, in ``schedules`` and ``triggers``. A change is written on condition
that the object still is what was read (decision 31). Who was slower than a change through another host reads again; in
this host changes of one object are made one after the other, which is all there is for a provider without revisions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypedDict, TypeVar

from gestalt_host.access.subjects import Principal
from gestalt_host.errors import (
    CapabilityMissing,
    ChangedMeanwhile,
    HostError,
    InvalidInvocation,
    ProviderRefused,
    ProviderUnavailable,
    RevisionMismatch,
    WorkflowObjectNotFound,
    quoted,
)
from gestalt_host.workflows.model import (
    EventTrigger,
    EventTriggerSpec,
    ExecutionReference,
    IfMatch,
    Schedule,
    ScheduleSpec,
    Target,
    target_plugin,
)
from gestalt_host.workflows.providers.client import RETARGET, RETIRE, REVISIONS, WorkflowProviderClient
from gestalt_host.workflows.providers.joining import Referenced
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.ids import idempotency_scope
from gestalt_host.workflows.references.references import reference_for
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.references.visibility import FoundObject, Visibility, is_active, require_subject
from gestalt_host.workflows.sizes import check_key
from gestalt_host.workflows.targets.equality import same_target
from gestalt_host.workflows.targets.resolution import TargetResolver
from gestalt_host.workflows.turns import Turns

Managed = TypeVar("Managed", Schedule, EventTrigger)
Request = TypeVar("Request", ScheduleSpec, EventTriggerSpec)
Written = TypeVar("Written")

ATTEMPTS = 16
"""How often a change is decided anew, when another host was faster each time, before it is given up."""

AMBIGUOUS = frozenset({"DEADLINE_EXCEEDED", "UNKNOWN", "INTERNAL", "CANCELLED", "ABORTED"})
"""Codes after which a write may or may not have happened."""


class DecidedOn(TypedDict):
    """The members of an ``Upsert`` that say what it was decided on."""

    if_revision: int
    if_absent: bool


@dataclass(frozen=True, slots=True)
class Upsert(Generic[Request]):
    """One upsert, as the provider is asked for it; ``request.target`` is resolved.

    Attributes:
        if_revision: Of the object that it replaces; 0 where there is none, or where the provider has no revisions.
        if_absent: There is none to replace.
    """

    object_id: str
    request: Request
    reference: ExecutionReference
    requested_by: Principal
    retarget: bool = False
    retire: str = ""
    created_at: datetime | None = None
    if_revision: int = 0
    if_absent: bool = False


@dataclass(frozen=True, slots=True)
class ObjectKind(Generic[Managed, Request]):
    """The differences between schedules and event triggers.

    Attributes:
        word: The word of messages, ``schedule`` or ``trigger``.
        new_id, reference_id: Ids, random or from an idempotency scope.
        same: Whether the stored object is what the request asks for, target apart.
        check: Raises ``InvalidArgument`` for a request with a text that is too long.
        delete: Takes the reference to retire, blank for none, and like ``pause`` and ``resume`` the revision that the
            change was decided on, 0 for whatever there is.
    """

    word: str
    new_id: Callable[[str], str]
    reference_id: Callable[[str, str], str]
    reference_prefix: str
    same: Callable[[Managed, Request], bool]
    with_target: Callable[[Request, Target], Request]
    check: Callable[[Request], None]
    get: Callable[[WorkflowProviderClient, str], Awaitable[Managed]]
    of_subjects: Callable[[WorkflowProviderClient, Sequence[str]], Awaitable[list[Referenced[Managed]]]]
    upsert: Callable[[WorkflowProviderClient, Upsert[Request]], Awaitable[Managed]]
    delete: Callable[[WorkflowProviderClient, str, str, int], Awaitable[None]]
    pause: Callable[[WorkflowProviderClient, str, int], Awaitable[Managed]]
    resume: Callable[[WorkflowProviderClient, str, int], Awaitable[Managed]]


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
        self._turns = Turns()

    async def create(self, who: Principal, request: Request, *, idempotency_key: str = "") -> Managed:
        """Create the object; with an idempotency key, at most once for (subject, caller plugin, key).

        Raises:
            InvalidInvocation: the key was used for a different request.
        """
        require_subject(who)
        self._kind.check(request)
        check_key("idempotencyKey", idempotency_key)
        client = self._providers.select(request.provider)
        target = await self._resolver.resolve_for_later(who, request.target)
        request = self._kind.with_target(request, target)
        scope = idempotency_scope(who.subject_id, who.caller_plugin, idempotency_key) if idempotency_key else ""
        object_id = self._kind.new_id(scope)

        async def attempt() -> Managed:
            leftover: Managed | None = None
            if scope:
                existing, leftover = await self._derived(who, client, object_id)
                if existing is not None:
                    return self._same_or_refused(existing, client, request)
            reference = self._reference(who, client, target, self._kind.reference_id(object_id, scope))
            await self._references.put(client, reference)
            made = await self._upsert(client, Upsert(object_id, request, reference, who, **decided_on(leftover)))
            return self._same_or_refused(made, client, request) if scope else made

        return await self._in_turn(object_id, attempt)

    def _same_or_refused(self, existing: Managed, client: WorkflowProviderClient, request: Request) -> Managed:
        same = existing.provider == client.name and self._kind.same(existing, request)
        if same and same_target(existing.target, request.target):
            return existing
        raise InvalidInvocation(f"workflow {self._kind.word} idempotency key reused with different request")

    async def get(
        self, who: Principal, object_id: str, *, created_by: str = "", if_match: IfMatch | None = None
    ) -> Managed:
        """Return the object. Raises as ``update`` does."""
        found = await self._find(who, object_id, created_by=created_by)
        self._check(found, if_match)
        return found.object

    async def list(self, who: Principal, *, created_by: str = "") -> list[Managed]:
        """Return the caller's objects, oldest first."""
        found = await self._visibility.list(who, self._kind.of_subjects, created_by)
        return sorted(found, key=lambda item: (item.created_at or _EPOCH, item.id))

    async def update(
        self, who: Principal, object_id: str, request: Request, *, if_match: IfMatch | None = None
    ) -> Managed:
        """Replace the object whole; without a provider it stays where it is, with another one it moves.

        Raises:
            WorkflowObjectNotFound: there is none: an update never creates.
            RevisionMismatch, CapabilityMissing: it is not what ``if_match`` asks for, or its provider cannot tell.
        """

        async def write(found: FoundObject[Managed]) -> Managed:
            return await self._replace(who, found, request)

        return await self._change(who, object_id, if_match, write)

    async def _replace(self, who: Principal, found: FoundObject[Managed], request: Request) -> Managed:
        self._kind.check(request)
        client = self._providers.select(request.provider) if request.provider else found.client
        target = await self._resolver.resolve_for_later(who, request.target)
        wanted = found.object.id
        moving = client.name != found.client.name
        replaced = await self._stored(client, wanted) if moving else found.object
        reference = self._reference(who, client, target, self._kind.reference_id(wanted, ""))
        await self._references.put(client, reference)
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
            **decided_on(replaced),
        )
        async with self._references.lock(found.client.name, found.reference.id):
            updated = await self._upsert(client, write)
            if moving:
                await self._delete_moved(found, client, updated, reference)
        if not retire and not (moving and found.client.has(RETIRE)):
            await self._references.revoke(found.client, found.reference)
        return updated

    async def delete(self, who: Principal, object_id: str, *, if_match: IfMatch | None = None) -> None:
        """Delete the object. Raises as ``update`` does."""

        async def write(found: FoundObject[Managed]) -> None:
            retire = found.client.has(RETIRE)
            async with self._references.lock(found.client.name, found.reference.id):
                await self._kind.delete(
                    found.client, found.object.id, found.reference.id if retire else "", found.object.revision
                )
            if not retire:
                await self._references.revoke(found.client, found.reference)

        with _not_found(self._kind.word, object_id):
            await self._change(who, object_id, if_match, write)

    async def pause(self, who: Principal, object_id: str, *, if_match: IfMatch | None = None) -> Managed:
        """Pause the object. Raises as ``update`` does."""

        async def write(found: FoundObject[Managed]) -> Managed:
            return await self._kind.pause(found.client, found.object.id, found.object.revision)

        with _not_found(self._kind.word, object_id):
            return await self._change(who, object_id, if_match, write)

    async def resume(self, who: Principal, object_id: str, *, if_match: IfMatch | None = None) -> Managed:
        """Let the object fire again. Raises as ``update`` does."""

        async def write(found: FoundObject[Managed]) -> Managed:
            return await self._kind.resume(found.client, found.object.id, found.object.revision)

        with _not_found(self._kind.word, object_id):
            return await self._change(who, object_id, if_match, write)

    # ------------------------------------------------------------------------------------------------------------------

    async def _change(
        self,
        who: Principal,
        object_id: str,
        if_match: IfMatch | None,
        write: Callable[[FoundObject[Managed]], Awaitable[Written]],
    ) -> Written:
        """Find the object, check what the caller wants it to be, and write what follows from what was found."""

        async def attempt() -> Written:
            found = await self._find(who, object_id, writing=True)
            self._check(found, if_match)
            return await write(found)

        return await self._in_turn(object_id.strip(), attempt)

    async def _in_turn(self, object_id: str, attempt: Callable[[], Awaitable[Written]]) -> Written:
        """Make the attempt when it is its turn in this host; again when another host was faster."""
        async with self._turns.of(object_id):
            for _ in range(ATTEMPTS - 1):
                with contextlib.suppress(ChangedMeanwhile):
                    return await attempt()
            return await attempt()

    def _check(self, found: FoundObject[Managed], if_match: IfMatch | None) -> None:
        if if_match is None:
            return
        if not found.client.has(REVISIONS):
            raise CapabilityMissing(
                f"If-Match needs the capability {REVISIONS}, which workflow provider {quoted(found.client.name)} "
                "does not offer"
            )
        if if_match.revisions is not None and found.object.revision not in if_match.revisions:
            raise RevisionMismatch(self._kind.word, found.object.id)

    async def _find(
        self, who: Principal, object_id: str, *, created_by: str = "", writing: bool = False
    ) -> FoundObject[Managed]:
        prefix = f"{self._kind.reference_prefix}{object_id.strip()}:"

        def could_be(reference: ExecutionReference) -> bool:
            return is_active(reference) and reference.id.startswith(prefix)

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

    async def _derived(
        self, who: Principal, client: WorkflowProviderClient, object_id: str
    ) -> tuple[Managed | None, Managed | None]:
        """Look in every provider for an object with a derived id, which an earlier request of this caller made.

        Returns:
            The caller's object; and, where that is None, one whose reference has ended, which ``client`` still has.
        """

        async def find(asked: WorkflowProviderClient) -> tuple[Managed | None, bool]:
            found = await self._stored(asked, object_id)
            if found is None:
                return None, False
            reference = await self._references.find(asked, found.execution_ref)
            own = reference is not None and is_active(reference) and reference.subject_id == who.subject_id
            return found, own

        clients = self._providers.all()
        answers = await asyncio.gather(*map(find, clients))
        own = next((found for found, is_own in answers if is_own), None)
        return own, None if own is not None else answers[clients.index(client)][0]

    async def _stored(self, client: WorkflowProviderClient, object_id: str) -> Managed | None:
        try:
            return await self._kind.get(client, object_id)
        except ProviderRefused as error:
            if error.code == "NOT_FOUND":
                return None
            raise

    async def _upsert(self, client: WorkflowProviderClient, write: Upsert[Request]) -> Managed:
        """Write the object; when that fails its new reference is revoked.

        After a failure that does not tell whether the object was written it is read back. With the new reference it was
        written, and revoking that reference would hide the object from its creator.
        """
        try:
            return await self._kind.upsert(client, write)
        except (ProviderRefused, ProviderUnavailable) as error:
            if _is_ambiguous(error):
                try:
                    stored = await self._stored(client, write.object_id)
                except HostError:
                    raise error from None
                if stored is not None and stored.execution_ref == write.reference.id:
                    return stored
            await self._references.revoke(client, write.reference)
            raise

    async def _delete_moved(
        self,
        found: FoundObject[Managed],
        client: WorkflowProviderClient,
        moved: Managed,
        reference: ExecutionReference,
    ) -> None:
        """Finish a move: delete in the old provider, or undo the first half.

        Raises:
            ChangedMeanwhile: somebody has changed or deleted what is being moved.
        """
        retire = found.reference.id if found.client.has(RETIRE) else ""
        try:
            await self._kind.delete(found.client, found.object.id, retire, found.object.revision)
        except HostError as error:
            if _is_ambiguous(error) and not isinstance(error, ChangedMeanwhile):
                with contextlib.suppress(HostError):
                    if await self._stored(found.client, found.object.id) is None:
                        return  # it was deleted, and the answer was lost
            try:
                await self._kind.delete(client, moved.id, "", moved.revision)
            finally:
                await self._references.revoke(client, reference)
            raise


def decided_on(existing: Schedule | EventTrigger | None) -> DecidedOn:
    """Return the members of an ``Upsert`` that say what was there when it was decided on."""
    return (
        {"if_revision": 0, "if_absent": True}
        if existing is None
        else {"if_revision": existing.revision, "if_absent": False}
    )


def _is_ambiguous(error: HostError) -> bool:
    """Return whether the write that failed so may have been made."""
    return isinstance(error, ProviderUnavailable) or (isinstance(error, ProviderRefused) and error.code in AMBIGUOUS)


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
