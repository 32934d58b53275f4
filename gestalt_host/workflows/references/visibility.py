"""Deciding who sees which workflow object (semantics.md 4, http-api.md 8.8).

An object is created by the subject of its own execution reference. What fails a check is not found, never forbidden.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from gestalt_host.access.policies.authorizer import Authorizer
from gestalt_host.access.subjects import CONFIG_SUBJECT_ID, Principal
from gestalt_host.errors import (
    AuthorizationDenied,
    HostError,
    NotAuthenticated,
    ProviderRefused,
    ProviderUnavailable,
    WorkflowObjectNotFound,
    quoted,
)
from gestalt_host.workflows.model import ExecutionReference
from gestalt_host.workflows.providers.client import WorkflowProviderClient
from gestalt_host.workflows.providers.joining import Object, Referenced
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.references.ids import CONFIG_ID_PREFIX
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.targets.equality import same_target
from gestalt_host.workflows.targets.resolution import TargetResolver

READINGS = 16
"""How often an object is read, when it was changed each time before its reference was read, until that is given up."""


@dataclass(frozen=True, slots=True)
class FoundObject(Generic[Object]):
    client: WorkflowProviderClient
    object: Object
    reference: ExecutionReference


def is_configured(object_id: str, reference: ExecutionReference) -> bool:
    """Return whether the object belongs to the configuration, and so is written by reconciliation alone."""
    return object_id.startswith(CONFIG_ID_PREFIX) and reference.subject_id == CONFIG_SUBJECT_ID


def is_active(reference: ExecutionReference) -> bool:
    """Return whether the reference has neither been revoked nor retired."""
    return reference.revoked_at is None and reference.retired_at is None


def _not_there(error: HostError) -> bool:
    return isinstance(error, ProviderRefused) and error.code == "NOT_FOUND"


class Visibility:
    def __init__(
        self, providers: WorkflowProviders, references: ReferenceStore, resolver: TargetResolver, authorizer: Authorizer
    ) -> None:
        self._providers = providers
        self._references = references
        self._resolver = resolver
        self._authorizer = authorizer

    def subjects(self, who: Principal, created_by: str = "") -> list[str]:
        """Return the subjects whose objects a request asks for.

        Args:
            created_by: One of ``model.CREATED_BY``.
        Raises:
            NotAuthenticated: a caller without subject.
            AuthorizationDenied: config-managed objects asked for by somebody else than the operator.
        """
        require_subject(who)
        if not created_by:
            return [who.subject_id]
        if not self._authorizer.reads_configured(who):
            raise AuthorizationDenied("config-managed objects are for administrators")
        both = list(dict.fromkeys((who.subject_id, CONFIG_SUBJECT_ID)))
        return {"config": [CONFIG_SUBJECT_ID], "all": both}[created_by]

    async def find(
        self,
        who: Principal,
        word: str,
        object_id: str,
        get: Callable[[WorkflowProviderClient, str], Awaitable[Object]],
        *,
        created_by: str = "",
        active_only: bool,
        writing: bool = False,
        could_be: Callable[[ExecutionReference], bool],
    ) -> FoundObject[Object]:
        """Find the object that the caller created (or, by ``created_by``, may read); every provider is asked at once.

        Args:
            active_only: Revoked and retired references do not count (schedules and triggers).
            could_be: Whether a reference might belong to this object; decides whether a provider that fails matters.
        Raises:
            ObjectNotFound: there is none, or it is not the caller's.
        """
        subjects = self.subjects(who, created_by)
        wanted = object_id.strip()
        if not wanted:
            raise WorkflowObjectNotFound(word, object_id)
        clients = self._providers.all()
        answers = await asyncio.gather(*(get(client, wanted) for client in clients), return_exceptions=True)
        failures: list[tuple[WorkflowProviderClient, HostError]] = []
        for client, answer in zip(clients, answers, strict=True):
            if isinstance(answer, ProviderRefused | ProviderUnavailable):
                if not _not_there(answer):
                    failures.append((client, answer))
                continue
            if isinstance(answer, BaseException):
                raise answer
            try:
                item, reference = await self._referenced(client, answer, get, active_only=active_only)
            except ProviderRefused as refused:
                if _not_there(refused):
                    continue
                raise
            if reference is None or not self._counts(client, reference, subjects):
                continue
            if writing and is_configured(wanted, reference):
                continue
            if self.shown(who, Referenced(item, reference, same_target(item.target, reference.target))):
                return FoundObject(client, item, reference)
        for client, error in failures:
            if await self._holds(client, subjects, could_be):
                raise error
        raise WorkflowObjectNotFound(word, object_id)

    async def list(
        self,
        who: Principal,
        fetch: Callable[[WorkflowProviderClient, Sequence[str]], Awaitable[Sequence[Referenced[Object]]]],
        created_by: str = "",
    ) -> list[Object]:
        """Return every object that the caller sees, unordered; all providers are asked at once."""
        subjects = self.subjects(who, created_by)
        answers = await asyncio.gather(*(fetch(client, subjects) for client in self._providers.all()))
        return [item.object for answer in answers for item in answer if self.shown(who, item)]

    async def _referenced(
        self,
        client: WorkflowProviderClient,
        item: Object,
        get: Callable[[WorkflowProviderClient, str], Awaitable[Object]],
        *,
        active_only: bool,
    ) -> tuple[Object, ExecutionReference | None]:
        """Return the object with the reference that it names, None when that does not exist or does not count.

        A reference that has ended between the two readings belongs to an object that was changed meanwhile: the object
        is read again. So both are as they were when the object was read.
        """
        for _ in range(READINGS):
            reference = await self._references.find(client, item.execution_ref)
            if not active_only or (reference is not None and is_active(reference)):
                return item, reference
            named, item = item.execution_ref, await get(client, item.id)
            if item.execution_ref == named:
                return item, None
        raise ProviderRefused("ABORTED", f"{quoted(item.id)} is being changed too often to be read; try again")

    def _counts(self, client: WorkflowProviderClient, reference: ExecutionReference, subjects: Sequence[str]) -> bool:
        return reference.subject_id in subjects and reference.provider in ("", client.name)

    def shown(self, who: Principal, found: Referenced[Object]) -> bool:
        """Return whether the caller sees an object of the subjects that were asked for."""
        if not found.same_target:
            return False
        if found.reference.subject_id != who.subject_id:
            return True  # Config-managed, and asked for by somebody who may read it.
        return self._resolver.allows(who, found.reference.target)

    async def _holds(
        self, client: WorkflowProviderClient, subjects: Sequence[str], could_be: Callable[[ExecutionReference], bool]
    ) -> bool:
        """Return whether a failing provider may have the object: it has such a reference, or cannot even tell."""
        try:
            for subject in subjects:
                if any(could_be(reference) for reference in await client.references_of(subject)):
                    return True
        except HostError:
            return True
        return False


def require_subject(who: Principal) -> None:
    if not who.subject_id:
        raise NotAuthenticated("workflow subject is required")
