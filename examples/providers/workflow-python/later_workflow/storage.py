"""Records: which object stores there are, what is in an index, and how changes are made.

Each object is kept as the contract's own message, as bytes; beside it only what an index needs. A change reads and
writes within one transaction. The store runs those that may write the same object stores one after another, also those
of other processes, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from google.protobuf.message import Message

from gestalt_sdk import IndexedDB
from gestalt_sdk.common import Backoff
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.indexeddb import (
    IndexSchema,
    KeyRange,
    ObjectStoreSchema,
    Record,
    Transaction,
    TransactionFailed,
)
from gestalt_sdk.transport import from_struct, from_timestamp
from later_workflow.checks import NotConfigured, TooLarge, Unknown

T = TypeVar("T")
M = TypeVar("M", bound=Message)
Work = Callable[[Transaction], Awaitable[T]]

CREATED = IndexSchema("created", ["created_at"])
STORES = {
    # Only a schedule that will fire has `due_at`, so the index has no others. The rest likewise:
    "schedules": [CREATED, IndexSchema("due", ["due_at"])],
    "triggers": [CREATED, IndexSchema("type", ["type", "created_at"])],
    # `rank_at`: while the run waits for a worker. `claimant` and `claim`: while it is being invoked, by whom, and
    # which of the invocations it is: a run with a workflow key has many, and each records its own outcome alone.
    "runs": [CREATED, IndexSchema("queue", ["rank_at"]), IndexSchema("held", ["claimant"])],
    "workflow_keys": [],
    # `waits_for`: the run that has yet to take the signal.
    "signals": [
        IndexSchema("sequence", ["run_id", "sequence"], unique=True),
        IndexSchema("waiting", ["waits_for", "sequence"]),
    ],
    "signal_keys": [],
    "references": [CREATED, IndexSchema("subject", ["subject_id", "created_at"])],
    "claimants": [],
}


@dataclass(frozen=True)
class Kind(Generic[M]):
    """What an object store holds: what people call it, and its message."""

    store: str
    title: str
    message: type[M]


SCHEDULES = Kind("schedules", "workflow schedule", pb.BoundWorkflowSchedule)
TRIGGERS = Kind("triggers", "workflow event trigger", pb.BoundWorkflowEventTrigger)
RUNS = Kind("runs", "workflow run", pb.BoundWorkflowRun)
REFERENCES = Kind("references", "workflow execution reference", pb.WorkflowExecutionReference)
SIGNALS = Kind("signals", "workflow signal", pb.WorkflowSignal)
Kept = pb.BoundWorkflowSchedule | pb.BoundWorkflowEventTrigger | pb.BoundWorkflowRun | pb.WorkflowExecutionReference

MOST_ATTEMPTS = 16
MOST_LIST_BYTES = 63 << 20
RECONNECT_S = 2.0

# Among runs that wait, one of a rank that is larger by one goes behind what came ten seconds later.
RANK = timedelta(seconds=10)
RANK_EVENT, RANK_KEYED, RANK_PLUGIN, RANK_AGENT_EVENT, RANK_AGENT = 0, 10, 20, 30, 40


class Storage:
    """Reads and changes; says when there is something to do."""

    def __init__(self) -> None:
        self._db: IndexedDB | None = None
        self.provider_name = ""
        self.runs_wait = asyncio.Event()
        self.schedules_changed = asyncio.Event()

    async def open(self, db: IndexedDB, provider_name: str) -> None:
        """Use this database; object stores that are there already stay as they are."""
        for name, indexes in STORES.items():
            await db.create_object_store(name, ObjectStoreSchema(indexes))
        self._db, self.provider_name = db, provider_name

    @property
    def db(self) -> IndexedDB:
        """Return the database. Raises ``NotConfigured``."""
        if self._db is None:
            raise NotConfigured("provider is not configured")
        return self._db

    async def connected(self) -> IndexedDB:
        """Return the database, after waiting a little while its connection is lost: a store may be starting again."""
        await self.db.reachable(RECONNECT_S)
        return self.db

    async def change(self, stores: tuple[str, ...], work: Work[T]) -> T:
        """Do the work in a transaction over these stores, again when others were faster; return what it returns."""
        backoff = Backoff(first_s=0.01, limit_s=1)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                async with (await self.connected()).transaction(stores, "readwrite") as transaction:
                    return await work(transaction)
            except TransactionFailed as error:
                if error.code != "ABORTED" or attempt == MOST_ATTEMPTS:
                    raise
            await backoff.wait()
        raise AssertionError("unreachable")

    async def get(self, kind: Kind[M], id: str) -> M:
        """Return the object. Raises ``Unknown``."""
        return message_of(kind, known(kind, id, await (await self.connected()).store(kind.store).find(id)))

    async def all(self, kind: Kind[M], index: str, *values: str) -> list[M]:
        """Return the objects of an index, read page by page. Raises ``TooLarge`` when no message holds them."""
        found: list[M] = []
        entries = (await self.connected()).store(kind.store).index(index)
        size, token = 0, b""
        while True:
            page = await entries.page(*values, token=token, limit=100)
            for record in page.records:
                size += len(record["message"]) + 8
                found.append(message_of(kind, record))
            if size > MOST_LIST_BYTES:
                text = f"the {kind.store} have more than {MOST_LIST_BYTES} bytes, and do not fit into one answer"
                raise TooLarge(text)
            if not page.next_token:
                return found
            token = page.next_token

    async def first(self, store: str, index: str, count: int, range: KeyRange | None = None) -> list[Record]:
        """Return the first records of an index."""
        entries = (await self.connected()).store(store).index(index)
        return (await entries.page(range=range, limit=count)).records


def known(kind: Kind[M], id: str, record: Record | None) -> Record:
    """Return the record. Raises ``Unknown`` where there is none."""
    if record is None:
        raise Unknown(f'{kind.title} "{id}" not found')
    return record


def message_of(kind: Kind[M], record: Record) -> M:
    """Return the object that a record holds."""
    return kind.message.FromString(record["message"])


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def _record(message: Kept, **fields: object) -> Record:
    present = {name: value for name, value in fields.items() if value is not None}
    return {
        "id": message.id,
        "created_at": from_timestamp(message.created_at),
        "message": _bytes(message),
        **present,
    }


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def schedule_record(schedule: pb.BoundWorkflowSchedule) -> Record:
    """Return how a schedule is kept."""
    fires = schedule.HasField("next_run_at") and not schedule.paused
    return _record(schedule, due_at=from_timestamp(schedule.next_run_at) if fires else None)


def trigger_record(trigger: pb.BoundWorkflowEventTrigger) -> Record:
    """Return how a trigger is kept."""
    return _record(trigger, type=trigger.match.type)


def reference_record(reference: pb.WorkflowExecutionReference) -> Record:
    """Return how an execution reference is kept."""
    return _record(reference, subject_id=reference.subject_id)


def run_record(
    run: pb.BoundWorkflowRun, *, next_sequence: int = 1, claimant: str | None = None, claim: str | None = None
) -> Record:
    """Return how a run is kept; one that is pending begins to wait now."""
    pending = run.status == pb.WORKFLOW_RUN_STATUS_PENDING
    rank_at = now() + rank_of(run) * RANK if pending else None
    return _record(run, next_sequence=next_sequence, claimant=claimant, claim=claim, rank_at=rank_at)


def signal_record(signal: pb.WorkflowSignal, run_id: str, *, started_run: bool) -> Record:
    """Return how a signal is kept that no invocation has taken yet."""
    return {
        "id": signal.id,
        "message": _bytes(signal),
        "run_id": run_id,
        "sequence": signal.sequence,
        "started_run": started_run,
        "waits_for": run_id,
    }


def rank_of(run: pb.BoundWorkflowRun) -> int:
    """Return the run's place among those that wait: smaller goes first."""
    by_event = run.trigger.HasField("event")
    if run.target.HasField("agent"):
        asked: object = from_struct(run.target.agent.metadata)
        for name in ("_gestalt", "workflow", "dispatchPriority"):
            asked = asked.get(name, "") if isinstance(asked, Mapping) else ""
        with_text = str(asked).strip().removesuffix(".0")
        if with_text.isdecimal() and 1 <= int(with_text) <= 10**6:
            return int(with_text)
    elif by_event:
        return RANK_EVENT
    if run.workflow_key:
        return RANK_KEYED
    if run.target.HasField("plugin"):
        return RANK_PLUGIN
    return RANK_AGENT_EVENT if by_event else RANK_AGENT
