"""Define the objects of workflows as this provider works with them; no generated types.

Targets, triggers, events and signals travel through this provider unchanged, so they are kept as the encoded messages
they arrived in; beside them stand the few facts that scheduling and dispatch need. Times are aware UTC ``datetime``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from gestalt_workflow.model.policies import PLAIN, PLAIN_RUN, Pause, RunPolicy, SchedulePolicy

AGENT_DEADLINE = timedelta(minutes=5)
AGENT_GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, as the host says it; nothing is checked here."""

    subject_id: str = ""
    subject_kind: str = ""
    display_name: str = ""
    auth_source: str = ""


NOBODY = Actor()
CONFIG_SUBJECT = "system:config"


@dataclass(frozen=True, slots=True)
class Cause:
    """Where a chain of events and runs that cause each other began, and how long it is; as in causes.proto."""

    root: str
    chain: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """What a run invokes.

    Attributes:
        data: Encoded ``BoundWorkflowTarget``, normalised (semantics.md 15.6).
        plugin: Plugin name, or ``agent:`` and the agent provider's name.
        priority: Dispatch priority that an agent target asks for in its metadata, 0 when it does not.
        agent_timeout_s: Time an agent turn may take; None for a plugin operation.
    """

    data: bytes
    plugin: str
    priority: int = 0
    agent_timeout_s: int | None = None

    @property
    def is_agent(self) -> bool:
        """Whether it is an agent's turn and not a plugin operation."""
        return self.agent_timeout_s is not None


class SlotState(IntEnum):
    """What became of slots that did not fire."""

    COLLAPSED = 1
    OVERLAP = 2
    PAUSED = 3
    CATCH_UP = 4
    NEVER_LOADED = 5


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Consecutive slots of a schedule that did not fire, all for the same reason.

    Attributes:
        id: Blank until it has its place in the ledger.
        into: The later slot that fired in their place, for ``COLLAPSED``.
        run_id: The run in the way of the first, for ``OVERLAP``.
    """

    schedule_id: str
    first: datetime
    last: datetime
    count: int
    state: SlotState
    recorded_at: datetime
    into: datetime | None = None
    run_id: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule; ``next_run_at`` stays visible, but idle, while it is paused.

    Attributes:
        revision: Counts its writes.
        due_at: When to look at it next: its next slot and that slot's jitter, or the end of its pause. None: never.
        recent: Its last runs, as far as one of them may be in the way of the next.
        ranges: How many ranges of slots it has in the ledger so far.
        tail: The last of them, while no slot has fired since.
        ended_pause: A pause that ended by itself. If that was by a clock that was ahead it is in force again.
        early: Slots behind ``next_run_at`` that have fired already, because the clock was ahead: first and last of each
            unbroken sequence, in their order.
        edit: The revision that its last edit made: an upsert, a pause or a resume, not that it fired.
    """

    id: str
    cron: str
    timezone: str
    target: Target
    created_at: datetime
    updated_at: datetime
    paused: bool = False
    next_run_at: datetime | None = None
    created_by: Actor = NOBODY
    execution_ref: str = ""
    revision: int = 1
    policy: SchedulePolicy = PLAIN
    pause: Pause | None = None
    due_at: datetime | None = None
    recent: tuple[str, ...] = ()
    ranges: int = 0
    tail: SlotRange | None = None
    ended_pause: Pause | None = None
    early: tuple[tuple[datetime, datetime], ...] = ()
    edit: int = 1

    def fired_early(self, slot: datetime) -> datetime | None:
        """Return the end of the sequence in which that slot has fired early, None when it has not."""
        return next((last for first, last in self.early if first <= slot <= last), None)


@dataclass(frozen=True, slots=True)
class EventMatch:
    """Which events a trigger asks for; blank ``source`` and ``subject`` match any."""

    type: str
    source: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """A trigger: each event that it matches makes a run.

    Attributes:
        round: Its turn where many triggers are taken by page: 0 for one of the configuration, else how many triggers
            of its event type its subject had with it. None: made before rounds were kept.
    """

    id: str
    match: EventMatch
    target: Target
    created_at: datetime
    updated_at: datetime
    paused: bool = False
    created_by: Actor = NOBODY
    execution_ref: str = ""
    revision: int = 1
    policy: RunPolicy = PLAIN_RUN
    pause: Pause | None = None
    round: int | None = None

    @property
    def edit(self) -> int:
        """The revision that its last edit made; a trigger is written by edits alone."""
        return self.revision

    def at(self, now: datetime) -> EventTrigger:
        """Return the trigger as it is at that moment: a pause that has expired is none."""
        if not self.paused or self.pause is None or self.pause.until is None or self.pause.until > now:
            return self
        return replace(self, paused=False, pause=None)


@dataclass(frozen=True, slots=True)
class Event:
    """A published event; ``data`` is the encoded, normalised ``WorkflowEvent``."""

    id: str
    source: str
    type: str
    subject: str
    data: bytes


class RunStatus(IntEnum):
    """The states of a run; numbers as in the contract."""

    PENDING = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELED = 5

    @property
    def terminal(self) -> bool:
        """Whether the run has ended."""
        return self >= RunStatus.SUCCEEDED

    @property
    def ended(self) -> str:
        """How a run in this state has ended, for texts; only terminal states have it."""
        return {3: "has succeeded", 4: "has failed", 5: "has been canceled"}[self]

    @property
    def wire_name(self) -> str:
        """Name of the state in the contract."""
        return f"WORKFLOW_RUN_STATUS_{self.name}"


class TriggerKind(IntEnum):
    """What kind of thing made a run."""

    MANUAL = 1
    SCHEDULE = 2
    EVENT = 3


@dataclass(frozen=True, slots=True)
class RunTrigger:
    """What made the run; ``data`` is the encoded ``WorkflowRunTrigger``."""

    kind: TriggerKind
    data: bytes
    schedule_id: str = ""
    slot: datetime | None = None
    trigger_id: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        revision: Counts writes of the record; every write names the one it replaces.
        claimant, epoch, lease: The claim while running: name of the process that holds it, how often the run has been
            claimed, and until when the claim holds by itself (renewals are kept per process).
        rank_at: Rank in the queue while pending: the moment since when it waits, later by its priority. None while it
            is held back.
        not_before: Held back until then: the moment of its next attempt.
        blocked_by: Held back until this run has ended.
        attempt: How often it has been invoked for what it is to do now, the invocation under way included.
        key_row: Id of the row that reserves ``workflow_key``; blank for an unkeyed run.
        next_sequence, undelivered: Sequence of the next signal, and how many signals are not delivered yet.
        batch: Signals handed to the invocation under way.
        lane: The limit of its target behind which it was set aside; blank while it is in the queue.
        permits: Permits of the limits of its target that it holds while it runs.
        stale: It failed because its process ended; its signals' idempotency keys are free again.
        denied: It failed because the host refused to invoke it: who created it may not, or its reference was revoked.
        result_truncated: Size in bytes of the whole result where ``result_body`` is cut; 0 when it is whole.
        cause: What it goes back to; None where that follows from its trigger (``wire.messages``).
        timeline: What happened to it, as the lines that ``model.timeline`` reads.
    """

    id: str
    status: RunStatus
    target: Target
    trigger: RunTrigger
    created_at: datetime
    created_by: Actor = NOBODY
    published_by: Actor = NOBODY
    execution_ref: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    status_message: str = ""
    result_body: str = ""
    workflow_key: str = ""
    key_row: str = ""
    revision: int = 1
    claimant: str = ""
    epoch: int = 0
    lease: datetime | None = None
    rank_at: datetime | None = None
    next_sequence: int = 1
    undelivered: int = 0
    batch: tuple[str, ...] = ()
    stale: bool = False
    denied: bool = False
    policy: RunPolicy = PLAIN_RUN
    attempt: int = 0
    not_before: datetime | None = None
    blocked_by: str = ""
    result_truncated: int = 0
    timeline: str = ""
    lane: str = ""
    permits: tuple[str, ...] = ()
    cause: Cause | None = None

    @property
    def subject(self) -> str:
        """Whose turn it is claimed in: the id of who created it, or its schedule or trigger (decisions 3 and 24)."""
        return self.created_by.subject_id.strip()

    @property
    def size_bytes(self) -> int:
        """Roughly what it takes in memory and in the store."""
        return len(self.target.data) + len(self.trigger.data) + len(self.result_body) + len(self.timeline)

    @property
    def keyed(self) -> bool:
        """Whether it has a workflow key, and so takes signals."""
        return bool(self.workflow_key)

    @property
    def held_back(self) -> bool:
        """Whether it is pending, but in the waiting room and not in the queue."""
        return self.status is RunStatus.PENDING and self.rank_at is None

    @property
    def agent_deadline(self) -> datetime | None:
        """When a running agent turn is taken for lost even though its claim holds."""
        if self.target.agent_timeout_s is None or self.started_at is None:
            return None
        turn = timedelta(seconds=self.target.agent_timeout_s) if self.target.agent_timeout_s else AGENT_DEADLINE
        return self.started_at + turn + AGENT_GRACE


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal; ``data`` is the encoded ``WorkflowSignal`` with id and sequence as stored."""

    id: str
    run_id: str
    workflow_key: str
    sequence: int
    data: bytes
    created_at: datetime
    idempotency_key: str = ""
    started_run: bool = False
    delivered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewSignal:
    """A signal as it is asked for: blank id and sequence 0 are filled in when it is stored."""

    data: bytes
    id: str = ""
    idempotency_key: str = ""
    sequence: int = 0
    subject_id: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """An execution reference: ``data`` is the encoded message without its three times."""

    id: str
    subject_id: str
    data: bytes
    created_at: datetime
    revoked_at: datetime | None = None
    retired_at: datetime | None = None
    signed: bool = False
    revision: int = 1


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """What the host answered. A status below 400, 0 and negative ones too, is success."""

    status: int
    body: str

    @property
    def succeeded(self) -> bool:
        """Whether the run has succeeded with this answer."""
        return self.status < 400


@dataclass(frozen=True, slots=True)
class InvocationFailed:
    """The call of the host failed; ``message`` becomes the run's status message.

    Attributes:
        code: Name of the gRPC status, such as ``NOT_FOUND``; blank when there was none.
        timed_out: The attempt exceeded its timeout and was canceled.
    """

    message: str
    code: str = ""
    timed_out: bool = False


Outcome = InvocationResult | InvocationFailed
