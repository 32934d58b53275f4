"""Answer runs, events and objects by page: which index serves a filter, what is left to test, how a page continues.

Every combination of filters is served by one index that ends in the creation time (``slot`` for a schedule), read from
its newest end. What the index does not answer is tested record by record, at most ``EXAMINED`` in one call; the page
then ends early and its token goes on from there. Counts by status alone are counts of the store's index.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from gestalt_workflow.events.kept_events import KeptEvent, event_from_record
from gestalt_workflow.model.clock import to_micros
from gestalt_workflow.model.errors import InvalidRequest
from gestalt_workflow.model.objects import EventTrigger, Reference, Run, RunStatus, Schedule
from gestalt_workflow.stored.records import (
    EVENTS,
    REFERENCES,
    RUNS,
    SCHEDULES,
    TRIGGERS,
    reference_from_record,
    run_from_record,
    schedule_from_record,
    trigger_from_record,
    with_result_cut,
)
from gestalt_workflow.stored.storage import KeyRange, Record, Storage
from gestalt_workflow.wire.payloads import operation_of

PAGE = 100
PAGE_LIMIT = 1000
EXAMINED = 5000
"""Records that one call looks at, a page more at most."""
EXAMINED_PAGE = 500
COUNTED = 20_000
ANSWER_BYTES = 1024 * 1024
"""An answer that holds this much takes no further page of the store; such a page has 3 MiB at most."""
_LAST_CHARACTER = "\U0010ffff"

T = TypeVar("T")
Kept = TypeVar("Kept", Schedule, EventTrigger)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are asked for, as in queries.proto; blank, empty and None leave everything in."""

    statuses: frozenset[RunStatus] = frozenset()
    target_owner: str = ""
    operation: str = ""
    schedule_id: str = ""
    trigger_id: str = ""
    subject_id: str = ""
    created_from: datetime | None = None
    created_before: datetime | None = None
    slot_from: datetime | None = None
    slot_before: datetime | None = None

    def __post_init__(self) -> None:
        if (self.slot_from or self.slot_before) and not self.schedule_id:
            raise InvalidRequest("filter.slot_from and filter.slot_before need filter.schedule_id")

    def meets(self, run: Run) -> bool:
        """Return whether the run is one of those."""
        return (
            (not self.statuses or run.status in self.statuses)
            and self.target_owner in ("", run.target.plugin)
            and self.schedule_id in ("", run.trigger.schedule_id)
            and self.trigger_id in ("", run.trigger.trigger_id)
            and self.subject_id in ("", run.created_by.subject_id.strip())
            and (self.created_from is None or run.created_at >= self.created_from)
            and (self.created_before is None or run.created_at < self.created_before)
            and _within(run.trigger.slot, self.slot_from, self.slot_before)
            and (not self.operation or operation_of(run.target) == self.operation)
        )


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for, as in events.proto; blank and None leave everything in."""

    type: str = ""
    source: str = ""
    subject: str = ""
    publisher_id: str = ""
    published_from: datetime | None = None
    published_before: datetime | None = None

    @property
    def by_index(self) -> bool:
        """Whether the index alone decides."""
        return not (self.source or self.subject or self.publisher_id)

    def meets(self, kept: KeptEvent) -> bool:
        """Return whether the event is one of those, apart from its type and time, which the index decides."""
        return (
            self.source in ("", kept.event.source)
            and self.subject in ("", kept.event.subject)
            and self.publisher_id in ("", kept.published_by.subject_id.strip())
        )


@dataclass(frozen=True, slots=True)
class ObjectFilter:
    """Which schedules, triggers or references are asked for; a blank field leaves everything in."""

    subject_id: str = ""
    id_prefix: str = ""


@dataclass(frozen=True, slots=True)
class FoundPage(Generic[T]):
    """One page of what was asked for; a blank token ends it all."""

    items: list[T]
    next_token: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many runs there are in each state; ``incomplete``: only the newest were counted."""

    by_status: dict[RunStatus, int]
    incomplete: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which index range to read, and how.

    Attributes:
        key_of: Gives the last part of the record's index key.
        exact: Every record in the range matches, so none needs testing.
        over: ``over(record)`` is true when no record after this one can match.
    """

    store: str
    index: str
    values: tuple[str | int, ...]
    key_of: Callable[[Record], int]
    range: KeyRange | None = None
    exact: bool = False
    direction: Literal["next", "prev"] = "prev"
    over: Callable[[Record], bool] | None = None


@dataclass(frozen=True, slots=True)
class _Position:
    """Where an answer goes on: a page of the store, and the key and id of its last record that was dealt with."""

    store_token: bytes = b""
    key: int | None = None
    id: str = ""


class Queries:
    """Every query of one engine. Page sizes are at most ``PAGE_LIMIT``, 0 means ``PAGE``."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def runs(self, wanted: RunFilter, page_size: int, page_token: str, result_bytes: int = 0) -> FoundPage[Run]:
        """Return a page of runs, newest first; ``result_bytes``: longer results are cut, 0: none is.

        Raises:
            InvalidRequest: the page token is of another filter or malformed, or a number is out of range.
        """
        if result_bytes < 0:
            raise InvalidRequest(f"result_bytes is {result_bytes}; accepted are 1 and more, and 0 for whole results")

        def in_brief(record: Record) -> Record:
            return with_result_cut(record, result_bytes)

        return await self._page(
            _run_plan(wanted),
            run_from_record,
            wanted.meets,
            page_size,
            page_token,
            repr(wanted),
            "query runs",
            in_brief=in_brief if result_bytes else None,
        )

    async def count(self, wanted: RunFilter) -> Counts:
        """Return the runs by status, for each status that is asked for."""
        statuses = sorted(wanted.statuses or RunStatus)
        bare = RunFilter(wanted.statuses, created_from=wanted.created_from, created_before=wanted.created_before)
        if wanted == bare:
            counts = {}
            for status in statuses:
                plan = _indexed("status", int(status), wanted, exact=True)
                counts[status] = await self._storage.count(
                    RUNS, plan.index, plan.values, "count runs", range=plan.range
                )
            return Counts(counts, incomplete=False)
        seen: Counter[RunStatus] = Counter()
        plan = _run_plan(wanted)
        token, examined = b"", 0
        while True:
            page = await self._storage.page(
                RUNS, plan.index, plan.values, "count runs", range=plan.range, token=token, direction="prev"
            )
            decoded = self._storage.decoded(RUNS, page.records, run_from_record)
            seen.update(run.status for _, run in decoded if wanted.meets(run))
            examined += len(page.entries)
            token = page.next_token
            if plan.over is not None and page.records and plan.over(page.records[-1]):
                token = b""
            if not token or examined >= COUNTED:
                return Counts({status: seen[status] for status in statuses}, incomplete=bool(token))

    async def events(self, wanted: EventFilter, page_size: int, page_token: str) -> FoundPage[KeptEvent]:
        """Return a page of events, those published last first; raises as ``runs`` does."""
        return await self._page(
            _event_plan(wanted), event_from_record, wanted.meets, page_size, page_token, repr(wanted), "list events"
        )

    async def schedules(self, wanted: ObjectFilter, page_size: int, page_token: str) -> FoundPage[Schedule]:
        """Return a page of schedules, oldest first, or by id with a prefix; raises as ``runs`` does."""
        return await self._objects(SCHEDULES, schedule_from_record, wanted, page_size, page_token)

    async def triggers(self, wanted: ObjectFilter, page_size: int, page_token: str) -> FoundPage[EventTrigger]:
        """Return a page of triggers, oldest first, or by id with a prefix; raises as ``runs`` does."""
        return await self._objects(TRIGGERS, trigger_from_record, wanted, page_size, page_token)

    async def references(self, wanted: ObjectFilter, page_size: int, page_token: str) -> FoundPage[Reference]:
        """Return a page of references, oldest first, or by id with a prefix; raises as ``runs`` does."""
        subject_id, step = wanted.subject_id, "query execution references"
        if wanted.id_prefix:

            def theirs(item: Reference) -> bool:
                return subject_id in ("", item.subject_id)

            return await self._by_id(
                REFERENCES, reference_from_record, theirs, page_size, page_token, wanted.id_prefix, subject_id, step
            )
        index, values = ("subject", (subject_id,)) if subject_id else ("created", ())
        plan = _Plan(REFERENCES, index, values, _created_time, exact=True, direction="next")
        return await self._page(plan, reference_from_record, _all, page_size, page_token, subject_id, step)

    async def _objects(
        self, store: str, decode: Callable[[Record], Kept], wanted: ObjectFilter, page_size: int, page_token: str
    ) -> FoundPage[Kept]:
        subject_id, step = wanted.subject_id, f"query {store}"

        def theirs(item: Kept) -> bool:
            return subject_id in ("", item.created_by.subject_id.strip())

        if wanted.id_prefix:
            return await self._by_id(store, decode, theirs, page_size, page_token, wanted.id_prefix, subject_id, step)
        plan = _Plan(store, "created", (), _created_time, exact=not subject_id, direction="next")
        return await self._page(plan, decode, theirs, page_size, page_token, subject_id, step)

    async def _by_id(
        self,
        store: str,
        decode: Callable[[Record], T],
        meets: Callable[[T], bool],
        page_size: int,
        page_token: str,
        prefix: str,
        asked: str,
        step: str,
    ) -> FoundPage[T]:
        """Return those whose id begins with the prefix; a page may have fewer than asked for, or none."""
        fingerprint = _query_fingerprint(store, f"{prefix}\0{asked}")
        within = KeyRange(prefix, prefix + _LAST_CHARACTER, upper_open=True)
        page = await self._storage.page_by_id(
            store, within, step, limit=_page_size(page_size), token=_position(page_token, fingerprint).store_token
        )
        items = [item for _, item in self._storage.decoded(store, page.records, decode) if meets(item)]
        return FoundPage(items, _token(_Position(page.next_token), fingerprint) if page.next_token else "")

    async def _page(
        self,
        plan: _Plan,
        decode: Callable[[Record], T],
        meets: Callable[[T], bool],
        page_size: int,
        page_token: str,
        asked: str,
        step: str,
        *,
        in_brief: Callable[[Record], Record] | None = None,
    ) -> FoundPage[T]:
        """Return a page; ``in_brief`` makes records smaller before they are gathered."""
        size = _page_size(page_size)
        fingerprint = _query_fingerprint(plan.store, asked)
        position = _position(page_token, fingerprint)
        items: list[T] = []
        examined = size_bytes = 0
        while True:
            page = await self._storage.page(
                plan.store,
                plan.index,
                plan.values,
                step,
                limit=size - len(items) if plan.exact else max(EXAMINED_PAGE, size),
                range=plan.range,
                token=position.store_token,
                direction=plan.direction,
            )
            records = page.records if in_brief is None else list(map(in_brief, page.records))
            for record, item in self._storage.decoded(plan.store, records, decode):
                if _behind(plan, record, position):
                    continue
                if plan.over is not None and plan.over(record):
                    return FoundPage(items, "")
                if meets(item):
                    items.append(item)
                    size_bytes += _size(record)
                if len(items) == size:
                    if record is records[-1]:
                        break
                    stop = _Position(position.store_token, plan.key_of(record), record["id"])
                    return FoundPage(items, _token(stop, fingerprint))
            examined += len(page.entries)
            if not page.next_token:
                return FoundPage(items, "")
            position = _Position(page.next_token)
            if len(items) == size or examined >= EXAMINED or size_bytes >= ANSWER_BYTES:
                return FoundPage(items, _token(position, fingerprint))


def _run_plan(wanted: RunFilter) -> _Plan:
    """Return the plan with the index that leaves the least to test."""
    if wanted.schedule_id:
        over = None
        if wanted.slot_from is not None:
            first = to_micros(wanted.slot_from)
            over = lambda record: _slot(record) < first  # noqa: E731
        return _Plan(RUNS, "slot", (wanted.schedule_id,), _slot, over=over)
    if wanted.trigger_id:
        return _indexed("trigger", wanted.trigger_id, wanted)
    if wanted.subject_id:
        return _indexed("subject", wanted.subject_id, wanted)
    if wanted.target_owner:
        return _indexed("target", wanted.target_owner, wanted)
    if len(wanted.statuses) == 1:
        (status,) = wanted.statuses
        return _indexed("status", int(status), wanted, exact=not wanted.operation)
    key_range = None
    if wanted.created_from is not None or wanted.created_before is not None:
        key_range = KeyRange(lower=wanted.created_from, upper=wanted.created_before, upper_open=True)
    exact = not wanted.statuses and not wanted.operation
    return _Plan(RUNS, "created", (), _created, key_range, exact=exact)


def _indexed(index: str, value: str | int, wanted: RunFilter, *, exact: bool = False) -> _Plan:
    """Return the plan for one of the indexes [value, created_us]."""
    key_range = _time_range([value], wanted.created_from, wanted.created_before)
    return _Plan(RUNS, index, (value,), _created, key_range, exact=exact)


def _event_plan(wanted: EventFilter) -> _Plan:
    values = [wanted.type] if wanted.type else []
    key_range = _time_range(values, wanted.published_from, wanted.published_before)
    index = "type" if wanted.type else "created"
    return _Plan(EVENTS, index, tuple(values), _created, key_range, exact=wanted.by_index)


def _time_range(values: Sequence[str | int], start: datetime | None, end: datetime | None) -> KeyRange | None:
    """Return the bounds of an index that ends in ``created_us``; None without any."""
    if start is None and end is None:
        return None
    return KeyRange(
        lower=[*values, to_micros(start)] if start is not None else None,
        upper=[*values, to_micros(end)] if end is not None else None,
        upper_open=True,
    )


def _behind(plan: _Plan, record: Record, position: _Position) -> bool:
    """Return whether an earlier page of the answer has dealt with the record."""
    if position.key is None:
        return False
    here, last = (plan.key_of(record), record["id"]), (position.key, position.id)
    return here >= last if plan.direction == "prev" else here <= last


def _created(record: Record) -> int:
    created = record["created_us"]
    assert isinstance(created, int)
    return created


def _created_time(record: Record) -> int:
    created = record["created_at"]
    assert isinstance(created, datetime)
    return to_micros(created)


def _slot(record: Record) -> int:
    slot = record["slot"]
    assert isinstance(slot, datetime)
    return to_micros(slot)


def _within(moment: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    if start is None and end is None:
        return True
    return moment is not None and (start is None or moment >= start) and (end is None or moment < end)


def _all(_: object) -> bool:
    return True


def _page_size(asked: int) -> int:
    if not 0 <= asked <= PAGE_LIMIT:
        raise InvalidRequest(f"page_size is {asked}; accepted are 1 to {PAGE_LIMIT}, and 0 for {PAGE}")
    return asked or PAGE


def _size(record: Record) -> int:
    return 200 + sum(len(value) for value in record.values() if isinstance(value, (bytes, str)))


def _query_fingerprint(store: str, asked: str) -> str:
    """Return the fingerprint of the query that a page token belongs to; a token with another one is refused."""
    return hashlib.sha256(f"{store}\0{asked}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _token(position: _Position, fingerprint: str) -> str:
    parts = [fingerprint, base64.b64encode(position.store_token).decode(), position.key, position.id]
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode()


def _position(page_token: str, fingerprint: str) -> _Position:
    if not page_token:
        return _Position()
    try:
        asked, store_token, key, id = json.loads(base64.urlsafe_b64decode(page_token.encode()))
        position = _Position(base64.b64decode(store_token), None if key is None else int(key), str(id))
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidRequest("page_token is not one that this provider gave") from error
    if asked != fingerprint:
        raise InvalidRequest("page_token belongs to a request with another filter")
    return position
