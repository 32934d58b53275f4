"""Change an object that a user can name: read it, prepare the change, write it on condition that nobody was faster.

Schedules and event triggers are kept this way. What a change writes beside the object, and who is told of it, they say
themselves. The execution reference that a change replaces is retired in the same commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from gestalt_workflow.model.clock import Clock
from gestalt_workflow.model.errors import ObjectNotFound, OwnedByAnother, RevisionConflict, TooMuchContention
from gestalt_workflow.model.objects import EventTrigger, Schedule, Target
from gestalt_workflow.objects.references import References
from gestalt_workflow.stored.storage import Record, Storage, Write, WriteResult

ATTEMPTS = 16
"""How often a change is prepared, when another writer was faster each time, before it is given up."""

Stored = TypeVar("Stored", bound=Schedule | EventTrigger)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class DecidedOn:
    """What a change was decided on; by default nobody says, and it applies to whatever there is.

    Attributes:
        edit: The object, when that edit had made it what it was; 0 does not say.
        absent: That there was no such object.
    """

    edit: int = 0
    absent: bool = False


ANYTHING = DecidedOn()


class ObjectRequest(Protocol):
    """What the requests for a schedule and for a trigger have in common; see ``ScheduleRequest``."""

    @property
    def id(self) -> str: ...
    @property
    def target(self) -> Target: ...
    @property
    def retarget(self) -> bool: ...
    @property
    def retire(self) -> str: ...
    @property
    def decided_on(self) -> DecidedOn: ...


@dataclass(frozen=True, slots=True)
class Change(Generic[Stored]):
    """One change of an object, ready to be written.

    Attributes:
        after: The object as it is to be; as it was when it is deleted.
        writes: Everything to write, the object itself last. They may share a commit with those of other callers
            unless one of them is ``required``.
        committed: Called when they were written, to tell who has to know.
        beside: Written in the same commit; the change stands also where these are refused.
        noted: Called with what became of those.
    """

    after: Stored
    writes: Sequence[Write]
    committed: Callable[[], None]
    beside: Sequence[Write] = ()
    noted: Callable[[Sequence[WriteResult]], None] = lambda _: None


class StoredObjects(Generic[Stored]):
    """The objects of one kind."""

    def __init__(
        self,
        noun: str,
        store: str,
        decode: Callable[[Record], Stored],
        storage: Storage,
        references: References,
        clock: Clock,
    ) -> None:
        """``noun`` is what one of them is called, such as ``schedule``; ``store`` the object store that holds them."""
        self._noun = noun
        self._kind = f"workflow {noun}"
        self._store = store
        self._decode = decode
        self._storage = storage
        self._references = references
        self._clock = clock

    async def get(self, object_id: str) -> Stored:
        """Return the object; raise ``ObjectNotFound`` when there is none."""
        found = await self._find(object_id, f"get {self._noun}")
        if found is None:
            raise ObjectNotFound(self._kind, object_id)
        return found

    async def _find(self, object_id: str, step: str) -> Stored | None:
        return await self._storage.find(self._store, object_id, self._decode, step)

    async def _upsert(
        self, wanted: ObjectRequest, prepare: Callable[[Stored | None, datetime], Change[Stored]]
    ) -> Stored:
        """Create or replace the object.

        Raises:
            OwnedByAnother: its target is of another plugin, and the request does not retarget.
            ObjectNotFound, RevisionConflict: it is not what the request was decided on.
        """
        step = f"upsert {self._noun}"

        async def read() -> Stored | None:
            existing = await self._find(wanted.id, step) if wanted.id else None
            self._check(wanted.id, existing, wanted.decided_on)
            if existing is not None and existing.target.plugin != wanted.target.plugin and not wanted.retarget:
                raise OwnedByAnother(self._kind, wanted.id, existing.target.plugin)
            return existing

        return await self._change(step, read, prepare, wanted.retire)

    async def _update(
        self,
        object_id: str,
        verb: str,
        decided_on: DecidedOn,
        prepare: Callable[[Stored, datetime], Change[Stored]],
    ) -> Stored:
        """Change the object that exists; ``verb`` begins the texts of failures. Raises as ``_delete`` does."""
        return await self._change(f"{verb} {self._noun}", lambda: self._existing(object_id, decided_on), prepare)

    async def _delete(
        self,
        object_id: str,
        retire: str,
        decided_on: DecidedOn,
        prepare: Callable[[Stored, datetime], Change[Stored]],
    ) -> None:
        """Delete the object.

        Raises:
            ObjectNotFound: there is none.
            RevisionConflict: it is not what the deletion was decided on.
        """
        await self._change(f"delete {self._noun}", lambda: self._existing(object_id, decided_on), prepare, retire)

    async def _existing(self, object_id: str, decided_on: DecidedOn) -> Stored:
        existing = await self.get(object_id)
        self._check(object_id, existing, decided_on)
        return existing

    def _check(self, object_id: str, existing: Stored | None, decided_on: DecidedOn) -> None:
        if decided_on.absent and existing is not None:
            raise RevisionConflict(self._kind, object_id, "exists already")
        if decided_on.edit:
            if existing is None:
                raise ObjectNotFound(self._kind, object_id)
            if existing.edit != decided_on.edit:
                state = f"is at revision {existing.edit}, not at {decided_on.edit}: it has been changed meanwhile"
                raise RevisionConflict(self._kind, object_id, state)

    async def _change(
        self,
        step: str,
        read: Callable[[], Awaitable[Found]],
        prepare: Callable[[Found, datetime], Change[Stored]],
        retire: str = "",
    ) -> Stored:
        """Read, prepare and write until nobody else was faster.

        Args:
            retire: Id of the execution reference to retire in the same commit; blank for none.

        Raises:
            TooMuchContention: somebody else was faster each time.
        """
        for _ in range(ATTEMPTS):
            existing = await read()
            now = self._clock()
            change = prepare(existing, now)
            writes = change.writes
            retirement = await self._references.retirement(retire, now)
            if retirement is not None:
                writes = [*writes[:-1], replace(writes[-1], required=True), retirement[1]]
            alone = any(write.required for write in writes)
            write = self._storage.write_alone if alone else self._storage.write
            results = await write([*change.beside, *writes], step)
            change.noted(results[: len(change.beside)])
            if all(result.ok for result in results[len(change.beside) :]):
                if retirement is not None:
                    self._references.committed(retirement[0])
                change.committed()
                return change.after
        raise TooMuchContention(step)
