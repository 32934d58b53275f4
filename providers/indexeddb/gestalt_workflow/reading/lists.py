"""Answer the lists of WorkflowProvider: everything, oldest first, as long as it fits into one answer.

A list that does not fit is refused as soon as that is clear, mostly after its first page, so that asking for it costs
little however much is stored; the refusal names the paged way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gestalt_workflow.model.errors import AnswerTooLarge
from gestalt_workflow.model.objects import EventTrigger, Reference, Run, Schedule
from gestalt_workflow.stored.records import (
    REFERENCES,
    RUNS,
    SCHEDULES,
    TRIGGERS,
    reference_from_record,
    run_from_record,
    schedule_from_record,
    trigger_from_record,
)
from gestalt_workflow.stored.storage import IndexValue, Record, Storage

T = TypeVar("T")
FRAME_BYTES = 8
"""What a message takes in the answer beside its own size, at most."""
HOPELESS = 4
"""A list is refused after a page when the rest, were it like what was read, would exceed the limit this many times."""


class Sized(Protocol):
    """A message that knows its size."""

    def ByteSize(self) -> int:
        """Return the encoded size in bytes."""


M = TypeVar("M", bound=Sized)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One kind of objects: what it is called, where it is, and which call answers it in pages."""

    what: str
    store: str
    index: str
    decode: Callable[[Record], T]
    paged: str


ALL_RUNS: Listing[Run] = Listing("runs", RUNS, "created", run_from_record, "QueryRuns")
ALL_SCHEDULES: Listing[Schedule] = Listing("schedules", SCHEDULES, "created", schedule_from_record, "QuerySchedules")
ALL_TRIGGERS: Listing[EventTrigger] = Listing(
    "event triggers", TRIGGERS, "created", trigger_from_record, "QueryEventTriggers"
)
ALL_REFERENCES: Listing[Reference] = Listing(
    "execution references", REFERENCES, "created", reference_from_record, "QueryExecutionReferences"
)
REFERENCES_OF: Listing[Reference] = Listing(
    "execution references", REFERENCES, "subject", reference_from_record, "QueryExecutionReferences"
)


class Lists:
    """The lists of one engine."""

    def __init__(self, storage: Storage, limit_bytes: int) -> None:
        """``limit_bytes``: an answer may have at most so many."""
        self._storage = storage
        self._limit_bytes = limit_bytes

    async def messages(
        self, listing: Listing[T], to_message: Callable[[T], M], values: Sequence[IndexValue] = ()
    ) -> list[M]:
        """Return every object of the listing as a message.

        Args:
            values: Index values that the objects must have.

        Raises:
            AnswerTooLarge: together they exceed the limit.
        """
        step = f"list {listing.what}"
        messages: list[M] = []
        token, size = b"", 0
        while True:
            first = not token
            page = await self._storage.page(listing.store, listing.index, values, step, token=token)
            items = (item for _, item in self._storage.decoded(listing.store, page.records, listing.decode))
            for message in self._storage.shown(listing.store, items, to_message):
                size += message.ByteSize() + FRAME_BYTES
                if size > self._limit_bytes:
                    raise self._too_large(listing)
                messages.append(message)
            token = page.next_token
            if not token:
                return messages
            if first and messages:
                total = await self._storage.count(listing.store, listing.index, values, step)
                if size * total > HOPELESS * self._limit_bytes * len(messages):
                    raise self._too_large(listing)

    def _too_large(self, listing: Listing[T]) -> AnswerTooLarge:
        limit = self._limit_bytes
        shown = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
        return AnswerTooLarge(
            f"there are more {listing.what} than fit into one answer of {shown}; "
            f"gestalt.extension.v1.WorkflowQueries/{listing.paged} answers them in pages"
        )
