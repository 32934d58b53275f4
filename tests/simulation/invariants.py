"""What must hold whatever happens: looked at with every commit and invocation, and once more at the end.

The judge sees every version of every record with the time of its commit, every invocation, and what clients were told.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from gestalt_workflow.dispatch.limits import Limits
from gestalt_workflow.events.kept_events import KeptEvent, event_from_record
from gestalt_workflow.events.verdicts import VerdictKind, judge
from gestalt_workflow.firing.slots import next_slot
from gestalt_workflow.model import ids
from gestalt_workflow.model.objects import (
    Event,
    EventTrigger,
    InvocationFailed,
    Run,
    RunStatus,
    Schedule,
    SlotRange,
    TriggerKind,
)
from gestalt_workflow.stored.records import (
    CLAIMANTS,
    EVENTS,
    PERMITS,
    REFERENCES,
    RUN_KEYS,
    RUNS,
    SCHEDULES,
    SIGNALS,
    SLOTS,
    TRIGGERS,
    reference_from_record,
    run_from_record,
    schedule_from_record,
    signal_from_record,
    slot_range_from_record,
    trigger_from_record,
)

from gestalt_sdk.indexeddb import Record
from gestalt_sdk.timing.cron import parse_cron
from tests.simulation.host import Invocation, SimulatedHost
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.plan import Plan
from tests.support.fakes.database import Change
from tests.support.fakes.indexeddb_client import RecordDatabase

PROMPT_S = 5.0
"""Within so long a schedule fires, and a run begins when a worker is free, while everything is healthy."""
CHANGE_S = 60.0
"""A slot that comes up while a change of its schedule is on its way may escape the ledger."""
_DECODERS: dict[str, Callable[[Record], Any]] = {
    RUNS: run_from_record,
    SCHEDULES: schedule_from_record,
    TRIGGERS: trigger_from_record,
    REFERENCES: reference_from_record,
    SIGNALS: signal_from_record,
    EVENTS: event_from_record,
}
_COUNTED = {RUNS, SCHEDULES, TRIGGERS, REFERENCES}


@dataclass(frozen=True, slots=True)
class Version:
    """A record as it was from ``at`` on; ``value`` None: it was deleted."""

    at: float
    value: Any


@dataclass(slots=True)
class Publication:
    event: Event
    acknowledged: list[tuple[float, float]] = field(default_factory=list)
    """When each attempt that was acknowledged began and was answered."""


@dataclass(slots=True)
class Told:
    """What clients asked for, and what they were told."""

    runs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Ids of the runs that were answered for an idempotency key; blank: without one."""
    canceled: set[str] = field(default_factory=set)
    signals: list[tuple[str, str, int]] = field(default_factory=list)
    signal_keys: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    publications: dict[str, Publication] = field(default_factory=dict)
    event_runs: dict[str, tuple[str, Event]] = field(default_factory=dict)
    """Every run that some trigger could make of some event."""
    replays: dict[tuple[str, str], set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    """Runs that were answered for each event and replay id."""
    deletions: set[tuple[str, str]] = field(default_factory=set)
    revoked: dict[str, tuple[float, Process]] = field(default_factory=dict)

    def published(self, event: Event, triggers: Iterable[str]) -> Publication:
        for trigger_id in triggers:
            self.event_runs[ids.event_run(trigger_id, event.source, event.id)] = (trigger_id, event)
        return self.publications.setdefault(event.id, Publication(event))


class Claimant(Protocol):
    """A provider process, alive or not: ``world.Instance``."""

    name: str
    owner: str
    dead: bool
    draining: asyncio.Event


class Watched(Protocol):
    """The installation that is judged; ``world.World`` implements it."""

    @property
    def plan(self) -> Plan: ...
    @property
    def loop(self) -> VirtualLoop: ...
    @property
    def database(self) -> RecordDatabase: ...
    @property
    def host(self) -> SimulatedHost: ...
    @property
    def instances(self) -> Sequence[Claimant]: ...
    def clock(self) -> datetime: ...
    def right_time(self) -> datetime: ...
    @property
    def jumps(self) -> Sequence[tuple[float, timedelta]]: ...
    @property
    def healed_at(self) -> float: ...
    def note(self, text: str) -> None: ...


class Invariants:
    def __init__(self, world: Watched) -> None:
        self._world = world
        self.violations: list[tuple[str, str]] = []
        self.told = Told()
        self.versions: dict[tuple[str, str], list[Version]] = defaultdict(list)
        self._open: dict[str, Invocation] = {}
        self._sent: set[tuple[str, int]] = set()
        self._signals_sent: dict[str, Invocation] = {}
        self._last_sequence: dict[str, int] = {}
        self._claims: dict[tuple[str, int], float] = {}
        self._renewed: dict[str, float] = {}
        self._noted: dict[str, float] = {}
        self._limits = Limits(world.plan.limits, world.plan.limit or None)
        self._running: dict[str, set[str]] = defaultdict(set)
        self._counts: dict[str, list[tuple[float, int]]] = defaultdict(list)
        """How many runs of a limit ran from which time on."""
        self._claimed = 0
        self._turned: set[tuple[str, int]] = set()
        self._subjects: set[str] = set()
        self._waiting: dict[str, set[str]] = defaultdict(set)
        self._waits_since: dict[str, int] = {}
        """For each subject that has a run which may be claimed: how many claims there were when that began."""

    def broken(self, rule: str, text: str) -> None:
        if len(self.violations) < 50:
            self._world.note(f"VIOLATION: {rule}: {text}")
            self.violations.append((rule, text))

    # What was told

    def answered(self, store: str, id: str, revision: int | None) -> None:
        """A client was told of an object at that revision, or of its deletion (None)."""
        versions = self.versions[store, id]
        if revision is None:
            found = any(version.value is None for version in versions)
        else:
            found = any(version.value is not None and version.value.revision == revision for version in versions)
        if not found:
            self.broken("what is acknowledged was committed", f"{store}/{id} revision {revision}")

    # Commits

    def committed(self, changes: list[Change[Record]]) -> None:
        now = self._world.loop.now
        for change in changes:
            if change.store == CLAIMANTS:
                self._renewed[change.id] = now
            if change.store == SLOTS and not _is_cut(change.before, change.after):
                self._noted[change.id] = now
            decode = _DECODERS.get(change.store)
            if decode is None:
                continue
            before = None if change.before is None else decode(change.before)
            after = None if change.after is None else decode(change.after)
            self.versions[change.store, change.id].append(Version(now, after))
            self._world.note(f"store: {change.store}/{change.id}: {_brief(before)} -> {_brief(after)}")
            self._written(change, before, after)
        for change in changes:
            self._key_kept(change)
        self._limits_kept(changes)
        if self._world.plan.calm and self._world.plan.processes == 1:
            for change in changes:
                if change.store == RUNS and change.after is not None:
                    self._turns_kept(run_from_record(change.after))

    def _turns_kept(self, run: Run) -> None:
        """No subject waits longer than for the runs in hand and one turn of every other (decision 24)."""
        subject = run.created_by.subject_id
        self._subjects.add(subject)
        waiting = self._waiting[subject]
        queued = run.status is RunStatus.PENDING and run.rank_at is not None and not self._limits.of(run.target)
        if queued and not waiting:
            self._waits_since[subject] = self._claimed
        (waiting.add if queued else waiting.discard)(run.id)
        if run.status is RunStatus.RUNNING and (run.id, run.epoch) not in self._turned:
            self._turned.add((run.id, run.epoch))
            if subject in self._waits_since:
                others = self._claimed - self._waits_since.pop(subject)
                if others > self._world.plan.workers + len(self._subjects):
                    self.broken("places go round by subject", f"{run.id} of {subject} after {others} others")
            self._claimed += 1
            if waiting:
                self._waits_since[subject] = self._claimed
        elif not waiting:
            self._waits_since.pop(subject, None)

    def _limits_kept(self, changes: list[Change[Record]]) -> None:
        """Never more runs of a target than its limits let, and as many permits as runs."""
        touched = {}
        for change in changes:
            if change.store == RUNS and change.after is not None:
                run = run_from_record(change.after)
                for limit in self._limits.of(run.target):
                    touched[limit.name] = limit
                    running = self._running[limit.name]
                    (running.add if run.status is RunStatus.RUNNING else running.discard)(run.id)
        for limit in touched.values():
            running = self._running[limit.name]
            self._counts[limit.name].append((self._world.loop.now, len(running)))
            permits = sum(id.rpartition("#")[0] == limit.name for id in self._world.database.rows[PERMITS])
            if len(running) > limit.runs:
                self.broken("no more runs of a target run than its limit lets", f"{limit}: {sorted(running)}")
            if permits != len(running):
                self.broken("a permit lasts as long as its claim", f"{limit}: {permits} permits of {sorted(running)}")

    def _written(self, change: Change[Record], before: Any, after: Any) -> None:
        where = f"{change.store}/{change.id}"
        if after is None:
            if (change.store, change.id) not in self.told.deletions:
                self.broken("nothing is lost", f"{where} was deleted though nobody asked for it")
        elif change.store in _COUNTED and before is not None and after.revision != before.revision + 1:
            self.broken("a stale write is refused", f"{where} from revision {before.revision} to {after.revision}")
        if change.store == RUNS and after is not None:
            self._run_moved(before, after)
        if change.store == SIGNALS and before is not None and after is not None and before.delivered_at is not None:
            self.broken("a signal is delivered once", where)

    def _run_moved(self, before: Run | None, after: Run) -> None:
        if before is None:
            if after.status is not RunStatus.PENDING:
                self.broken("a run begins as pending", after.id)
            self._run_created(after)
            return
        move = f"{after.id}: {before.status.name} -> {after.status.name}"
        if before.status.terminal:
            self.broken("a run that has ended stays as it is", move)
        elif after.status is RunStatus.RUNNING and before.status is RunStatus.PENDING:
            if after.epoch != before.epoch + 1:
                self.broken("every claim has its own epoch", move)
            self._claims[after.id, after.epoch] = self._world.loop.now
        elif after.status is RunStatus.RUNNING and (before.claimant, before.epoch) != (after.claimant, after.epoch):
            self.broken("a claim that holds is not taken over", f"{move} {before.claimant} -> {after.claimant}")
        elif after.status is RunStatus.PENDING and not after.keyed and (after.id, before.epoch) in self._sent:
            self.broken("a run that was invoked is not put back", move)
        elif after.status is RunStatus.FAILED and after.stale:
            self._interrupted(before, move)
        if after.status.terminal and not after.stale and after.status is not RunStatus.CANCELED:
            self._outcome_is_true(before, after)

    def _interrupted(self, run: Run, move: str) -> None:
        """A run may be given up only when its process is dead or ending, its claim or its agent's time is over."""
        if run.status is not RunStatus.RUNNING:
            self.broken("only a running run can be interrupted", move)
            return
        owner = next(i for i in self._world.instances if i.owner == run.claimant)
        now = self._world.right_time()
        lapsed = self._lease(run) <= now
        assert run.lease is not None
        ahead = run.lease - self._right(run.lease, self._claims[run.id, run.epoch])
        overdue = run.agent_deadline is not None and run.agent_deadline - ahead <= now
        if not (owner.dead or owner.draining.is_set() or lapsed or overdue):
            self.broken("leases are exclusive", f"{move} although {owner.name} lives and its claim holds")
        if self._world.plan.calm and not overdue:
            self.broken("nothing is given up while all is well", move)

    def _lease(self, run: Run) -> datetime:
        """When the claim ends by the right time, as the store has it."""
        assert run.lease is not None
        ends = [self._right(run.lease, self._claims[run.id, run.epoch])]
        record = self._world.database.rows[CLAIMANTS].get(run.claimant)
        if record is not None and isinstance(record["lease"], datetime):
            ends.append(self._right(record["lease"], self._renewed[run.claimant]))
        return max(ends)

    def _right(self, lease: datetime, committed: float) -> datetime:
        """The lease by the right time, which the clock that set it may have been ahead of."""
        jumps, plan = self._world.jumps, self._world.plan
        for place in range(bisect_right(jumps, committed, key=lambda jump: jump[0]) - 1, -1, -1):
            since, ahead = jumps[place]
            until = jumps[place + 1][0] if place + 1 < len(jumps) else committed
            issued_s = (lease - ahead - plan.beginning).total_seconds() - plan.ttl_s
            if since - 0.001 <= issued_s <= until + 0.001:
                return lease - ahead
        return lease

    def _outcome_is_true(self, before: Run, after: Run) -> None:
        answer = next(
            (i.answer for i in self._world.host.journal if (i.run.id, i.run.epoch) == (before.id, before.epoch)), None
        )
        if answer is None:
            self.broken("an outcome is what the host answered", f"{after.id} ended without an answer")
        elif isinstance(answer, InvocationFailed):
            if (after.status, after.status_message) != (RunStatus.FAILED, answer.message):
                self.broken("an outcome is what the host answered", f"{after.id}: {answer} -> {after.status.name}")
        elif (after.status is RunStatus.SUCCEEDED, after.result_body) != (answer.succeeded, answer.body):
            self.broken("an outcome is what the host answered", f"{after.id}: {answer} -> {after.status.name}")

    def _run_created(self, run: Run) -> None:
        if run.trigger.kind is TriggerKind.SCHEDULE:
            schedule = self._version_at(SCHEDULES, run.trigger.schedule_id)
            slot = run.trigger.slot
            assert slot is not None
            if schedule is None or schedule.paused:
                self.broken("only an active schedule fires", run.id)
            elif next_slot(parse_cron(schedule.cron), schedule.timezone, slot - timedelta(seconds=1)) != slot:
                self.broken("a schedule fires at its slots", f"{run.id} for {schedule.cron} {schedule.timezone}")
            if slot > self._world.right_time() + max(ahead for _, ahead in self._world.jumps):
                self.broken("no slot fires early", run.id)
        elif run.trigger.kind is TriggerKind.EVENT:
            trigger_id, event = self.told.event_runs[run.id]
            trigger = self._version_at(TRIGGERS, trigger_id)
            if trigger is None or not _matches(trigger, event):
                self.broken("only a trigger that an event meets makes a run", f"{run.id} of {trigger_id}")
            record = self._world.database.rows[EVENTS].get(ids.kept_event(event.source, event.id))
            kept = None if record is None else event_from_record(record)
            if kept is None or not (_names(kept, run.id) or kept.unfinished):
                self.broken("an event and its runs are one commit", run.id)

    def _version_at(self, store: str, id: str) -> Any:
        versions = self.versions.get((store, id))
        # The schedule of a firing moves in the same commit, behind the run.
        return versions[-1].value if versions else None

    def _key_kept(self, change: Change[Record]) -> None:
        """A keyed run that has not ended holds its key."""
        rows = self._world.database.rows
        run_id = change.id if change.store == RUNS else None
        if change.store == RUN_KEYS and change.before is not None:
            run_id = str(change.before["run_id"])
        record = rows[RUNS].get(run_id) if run_id is not None else None
        if record is None or not record.get("key_row"):
            return
        row = rows[RUN_KEYS].get(str(record["key_row"]))
        holds = row is not None and row["run_id"] == record["id"]
        ended = RunStatus(record["status"]).terminal
        if not ended and not holds:
            self.broken("a workflow key has one run that has not ended", f"{run_id} lost {record['key_row']}")
        if ended and holds:
            self.broken("a run that has ended gives up its key", str(run_id))

    # Invocations

    def invoking(self, invocation: Invocation) -> None:
        run = invocation.run
        self._world.note(
            f"invokes {run.id} epoch {run.epoch} signals {[s.sequence for s in invocation.signals]} "
            f"reference {invocation.reference.id if invocation.reference else '-'}"
        )
        if (run.id, run.epoch) in self._sent:
            self.broken("no claim is invoked twice", f"{run.id} epoch {run.epoch}")
        earlier = [sent for sent in self._sent if sent[0] == run.id]
        if earlier and not run.keyed:
            self.broken("no run is invoked twice", f"{run.id} epoch {run.epoch} after {earlier}")
        if earlier and run.keyed and not invocation.signals:
            self.broken("no run is invoked twice", f"{run.id} epoch {run.epoch} again without signals")
        self._sent.add((run.id, run.epoch))
        for signal in invocation.signals:
            if signal.id in self._signals_sent:
                self.broken("a signal is delivered once", f"{signal.id} to {run.id} epoch {run.epoch}")
            self._signals_sent[signal.id] = invocation
            if signal.sequence <= self._last_sequence.get(run.id, 0):
                self.broken("signals are delivered in their order", f"{run.id} {signal.sequence}")
            self._last_sequence[run.id] = signal.sequence
        stored = run_from_record(self._world.database.rows[RUNS][run.id])
        if stored.claimant == run.claimant and stored.epoch == run.epoch:
            run = stored
        if self._lease(run) <= self._world.right_time():
            self.broken("leases are exclusive", f"{run.id} is invoked after its claim has ended")
        self._reference_sent(invocation)

    def _reference_sent(self, invocation: Invocation) -> None:
        run, reference = invocation.run, invocation.reference
        versions = self.versions.get((REFERENCES, run.execution_ref), [])
        if reference is None:
            signed = [version for version in versions if version.value.signed]
            revoked = [version for version in versions if version.value.revoked_at is not None]
            created = self.versions[RUNS, run.id][0].at  # one that came later may have been missed by the claim
            if signed and signed[0].at < created and not revoked:
                self.broken("the reference travels with the run", run.id)
            return
        if reference.id != run.execution_ref or reference.revoked_at is not None or not reference.signed:
            self.broken("a revoked reference is never sent", f"{run.id} with {reference.id}")
        claimed = self._claims[run.id, run.epoch]
        revoked_at = next((version.at for version in versions if version.value.revoked_at is not None), None)
        if revoked_at is not None and revoked_at < claimed:
            self.broken("a revoked reference is never sent", f"{run.id}: {reference.id} was revoked before the claim")
        told = self.told.revoked.get(reference.id)
        if told is not None and told[1] is invocation.process:
            self.broken("a revoked reference is never sent", f"{run.id}: {reference.id} by the process that revoked it")

    def began(self, invocation: Invocation) -> None:
        self._world.note(f"host: invocation {invocation.number} of {invocation.run.id} begins")
        run = invocation.run
        other = self._open.get(run.id)
        if other is not None and other.ended is None:
            self.broken("leases are exclusive", f"{run.id} is invoked by {other.process.name} still")
        self._open[run.id] = invocation
        for open_run_id, open_invocation in self._open.items():
            if open_run_id == run.id or open_invocation.ended is not None or not run.key_row:
                continue
            if open_invocation.run.key_row == run.key_row:
                stored = run_from_record(self._world.database.rows[RUNS][open_run_id])
                if not stored.status.terminal:
                    self.broken("a workflow key has one run that has not ended", f"{open_run_id} and {run.id}")

    # The end

    def judge(self) -> None:
        """Everything is healthy, and had time."""
        runs = {id: run_from_record(record) for id, record in self._world.database.rows[RUNS].items()}
        for run in runs.values():
            if not run.status.terminal:
                self.broken("every run ends", f"{run.id} is {run.status.name}")
        self._judge_keys(runs)
        self._judge_signals(runs)
        for run_id in sorted(self.told.canceled):
            status = runs[run_id].status.name if run_id in runs else "gone"
            if status != RunStatus.CANCELED.name:
                self.broken("canceled stays canceled", f"{run_id} is {status}")
        for publication in self.told.publications.values():
            self._judge_publication(publication, runs)
        for store, id in sorted(self.versions):
            if store == SCHEDULES and len(self._world.jumps) > 1:
                self._judge_schedule_after_jumps(id)
            elif store == SCHEDULES:
                self._judge_schedule(id)
        for (event_id, replay_id), answers in self.told.replays.items():
            if len(answers) > 1:
                self.broken("a replay has one outcome", f"{replay_id} of {event_id}: {sorted(answers)}")
            for run_id in {run_id for answer in answers for run_id in answer} - runs.keys():
                self.broken("nothing is lost", f"run {run_id} of replay {replay_id} was acknowledged")
        if self._world.plan.calm:
            self._judge_promptness(runs)

    def _judge_keys(self, runs: dict[str, Run]) -> None:
        for key, answered in sorted(self.told.runs.items()):
            if key and len(answered) > 1:
                self.broken("an idempotency key gives one run", f"{key}: {sorted(answered)}")
            for run_id in sorted(answered - runs.keys()):
                self.broken("nothing is lost", f"run {run_id} was acknowledged")
        for key, signals in sorted(self.told.signal_keys.items()):
            for run_id in sorted({run_id for run_id, _ in signals} - runs.keys()):
                self.broken("nothing is lost", f"run {run_id} had a signal that was acknowledged")
            lasting = {signal for run_id, signal in signals if run_id in runs and not runs[run_id].stale}
            if len(lasting) > 1:
                self.broken("an idempotency key gives one signal", f"{key}: {sorted(lasting)}")

    def _judge_signals(self, runs: dict[str, Run]) -> None:
        stored = {id: signal_from_record(record) for id, record in self._world.database.rows[SIGNALS].items()}
        for run_id, signal_id, sequence in self.told.signals:
            signal = stored.get(signal_id)
            if signal is None or (signal.run_id, signal.sequence) != (run_id, sequence):
                self.broken("nothing is lost", f"signal {signal_id} was acknowledged")
        sequences: dict[str, list[int]] = defaultdict(list)
        for signal in stored.values():
            run = runs[signal.run_id]
            sequences[run.id].append(signal.sequence)
            if signal.delivered_at is None and run.status is RunStatus.SUCCEEDED:
                self.broken("a signal is delivered or fails with its run", f"{signal.id} of {run.id}")
            if signal.delivered_at is not None and signal.id not in self._signals_sent:
                self.broken("a signal is delivered or fails with its run", f"{signal.id} was never sent")
        for run_id, numbers in sequences.items():
            expected = list(range(1, len(numbers) + 1))
            if sorted(numbers) != expected or runs[run_id].next_sequence != len(numbers) + 1:
                self.broken("sequences have no gap", f"{run_id}: {sorted(numbers)}")

    def _judge_publication(self, publication: Publication, runs: dict[str, Run]) -> None:
        event = publication.event
        record = self._world.database.rows[EVENTS].get(ids.kept_event(event.source, event.id))
        noted = 0 if record is None else event_from_record(record).publications
        if noted < len(publication.acknowledged):
            self.broken("nothing is lost", f"{event.id}: {noted} of {len(publication.acknowledged)} publications")
        for began, answered in publication.acknowledged:
            reached = self._all_asked(event, answered)
            for trigger_id in sorted(id for store, id in self.versions if store == TRIGGERS):
                seen = list(self._versions_within(TRIGGERS, trigger_id, began, reached))
                if all(isinstance(seen_one, EventTrigger) and _matches(seen_one, event) for seen_one in seen):
                    made = (id for id, met in self.told.event_runs.items() if met == (trigger_id, event))
                    if not any(run_id in runs for run_id in made):
                        self.broken("no slot or event is forgotten", f"{trigger_id} met {event.id} without a run")

    def _all_asked(self, event: Event, answered: float) -> float:
        """When a publication that was answered then had reached all its triggers."""
        versions = self.versions[EVENTS, ids.kept_event(event.source, event.id)]
        place = bisect_right([version.at for version in versions], answered)
        for version in versions[max(place - 1, 0) :]:
            if version.value is None or not version.value.unfinished:
                return max(version.at, answered)
        self.broken("an event reaches all its triggers", f"{event.id}: {versions[-1].value.unfinished} unfinished")
        return answered

    def _versions_within(self, store: str, id: str, first: float, last: float) -> Iterator[Any]:
        """Every value that the record had between two moments."""
        versions = self.versions[store, id]
        place = bisect_right([version.at for version in versions], first)
        yield versions[place - 1].value if place else None
        for version in versions[place:]:
            if version.at > last:
                return
            yield version.value

    def _judge_schedule(self, schedule_id: str) -> None:
        """Every slot of an active time was fired, or collapsed into a later one that was."""
        world = self._world
        fired = self._fired(schedule_id)
        rows = world.database.rows[SLOTS].values()
        ranges = [noted for noted in map(slot_range_from_record, rows) if noted.schedule_id == schedule_id]
        for versions, ended, following_version in self._active_times(schedule_id):
            schedule: Schedule = versions[0].value
            began = world.plan.beginning + timedelta(seconds=versions[0].at)
            until = world.plan.beginning + timedelta(seconds=world.loop.now if ended is None else ended)
            cron, due = parse_cron(schedule.cron), schedule.next_run_at
            following = next_slot(cron, schedule.timezone, began)
            if due is None or following is None or due > following:
                self.broken("no slot or event is forgotten", f"{schedule_id}: active at {began}, first slot {due}")
                continue
            for version in versions[1:]:
                moved_to = version.value.next_run_at
                if moved_to == due:
                    continue
                if moved_to is None or moved_to < due:
                    self.broken("slots fire in their order", f"{schedule_id}: from {due} to {moved_to}")
                elif not any(due <= slot < moved_to for slot in fired):
                    self.broken("no slot or event is forgotten", f"{schedule_id}: {due} until {moved_to}")
                elif world.plan.calm and next_slot(cron, schedule.timezone, due) != moved_to:
                    self.broken("no slot or event is forgotten", f"{schedule_id}: collapsed after {due} for no reason")
                self._judge_outcomes(schedule, due, moved_to, fired, ranges)
                due = moved_to
            undecided = following_version is not None and following_version.next_run_at == due
            if ended is not None and due is not None and not undecided:
                self._judge_outcomes(schedule, due, until - timedelta(seconds=CHANGE_S), fired, ranges)
            if due is not None and due < until - timedelta(seconds=PROMPT_S) and (ended is None or world.plan.calm):
                self.broken("no slot or event is forgotten", f"{schedule_id}: {due} is due still at {until}")

    def _judge_schedule_after_jumps(self, schedule_id: str) -> None:
        """The clock is right again, so the schedule is planned by it, and no slot has two outcomes."""
        world = self._world
        fired = self._fired(schedule_id)
        rows = world.database.rows[SLOTS].values()
        ranges = [noted for noted in map(slot_range_from_record, rows) if noted.schedule_id == schedule_id]
        for versions, ended, _ in self._active_times(schedule_id):
            schedule: Schedule = versions[-1].value
            cron, zone, due = parse_cron(schedule.cron), schedule.timezone, schedule.next_run_at
            if ended is not None or due is None:
                continue
            now = world.right_time()
            following = next_slot(cron, zone, now)
            while following is not None and following in fired:
                following = next_slot(cron, zone, following)
            if following is not None and due > following:
                self.broken("a schedule is planned by the clock as it is", f"{schedule_id}: {due} at {now}")
            if due < now - timedelta(seconds=PROMPT_S):
                self.broken("no slot or event is forgotten", f"{schedule_id}: {due} is due still at {now}")
            began = max(versions[0].at, world.healed_at) + CHANGE_S
            first = next_slot(cron, zone, world.plan.beginning + timedelta(seconds=began))
            if first is not None:
                self._judge_outcomes(schedule, first, min(due, now), fired, ranges)
            # What was noted, or fired early, of another timing or an earlier schedule of this id is not about this one.
            timing = (schedule.cron, schedule.timezone)
            others = (v.at for v in self.versions[SCHEDULES, schedule_id] if _timing(v.value) != timing)
            since = max(others, default=-1.0)
            own = [slot for slot in fired if self._made_at(schedule_id, slot) > since]
            for noted in ranges:
                if self._noted[noted.id] > since and any(noted.first <= slot <= noted.last for slot in own):
                    self.broken("no slot has two outcomes", f"{schedule_id}: {noted} and its run")

    def _made_at(self, schedule_id: str, slot: datetime) -> float:
        return self.versions[RUNS, ids.scheduled_run(schedule_id, slot)][0].at

    def _fired(self, schedule_id: str) -> set[datetime]:
        """The slots of the schedule that have a run."""
        return {
            versions[0].value.trigger.slot
            for (store, _), versions in self.versions.items()
            if store == RUNS and versions[0].value.trigger.schedule_id == schedule_id
        }

    def _judge_outcomes(
        self, schedule: Schedule, due: datetime, until: datetime, fired: set[datetime], ranges: list[SlotRange]
    ) -> None:
        """Every slot in between has a run, or stands in the ledger."""
        slot: datetime | None = due
        while slot is not None and slot < until:
            if slot not in fired and not any(noted.first <= slot <= noted.last for noted in ranges):
                self.broken("no slot is without outcome", f"{schedule.id}: {slot}")
                return
            slot = next_slot(parse_cron(schedule.cron), schedule.timezone, slot)

    def _active_times(self, schedule_id: str) -> Iterator[tuple[list[Version], float | None, Schedule | None]]:
        """The versions of each time in which it was there, not paused, and kept its timing; when and as what it ended.

        A pause keeps the slot that was due: what becomes of it is decided when the pause ends.
        """
        active: list[Version] = []
        for version in self.versions[SCHEDULES, schedule_id]:
            value: Schedule | None = version.value
            timing = value and (value.cron, value.timezone, value.paused, value.created_at)
            if active:
                first: Schedule = active[0].value
                if timing == (first.cron, first.timezone, first.paused, first.created_at):
                    active.append(version)
                    continue
                yield active, version.at, value
            active = [version] if value is not None and not value.paused else []
        if active:
            yield active, None, None

    def _judge_promptness(self, runs: dict[str, Run]) -> None:
        world = self._world
        for run in runs.values():
            slot = run.trigger.slot
            created = self.versions[RUNS, run.id][0].at
            late = world.plan.beginning + timedelta(seconds=created)
            if slot is not None and (late - slot).total_seconds() > PROMPT_S:
                self.broken("a schedule fires in time", f"{run.id} at {late}")
        if len(world.host.journal) and world.plan.workers >= 16 and not world.plan.hangs:
            for invocation in world.host.journal:
                run_id, epoch = invocation.run.id, invocation.run.epoch
                created = self.versions[RUNS, run_id][0].at
                if epoch == 1 and self._longest_room(invocation.run, created, invocation.sent) > PROMPT_S:
                    self.broken("a run begins when a worker is free", f"{run_id} after {invocation.sent - created} s")

    def _longest_room(self, run: Run, first: float, last: float) -> float:
        """The longest time in between in which every limit of the run had room."""
        limits = {limit.name: limit.runs for limit in self._limits.of(run.target)}
        full = dict.fromkeys(limits, False)
        longest, since = 0.0, first
        moments = sorted((at, name, count) for name in limits for at, count in self._counts[name])
        for at, name, count in moments:
            if at >= last:
                break
            if not any(full.values()):
                longest = max(longest, at - since)
            was_full = any(full.values())
            full[name] = count >= limits[name]
            if was_full and not any(full.values()):
                since = max(at, first)
        return longest if any(full.values()) else max(longest, last - since)


def _is_cut(before: Record | None, after: Record | None) -> bool:
    """Whether a range was only cut shorter, and so says nothing that it did not say before."""
    if before is None or after is None:
        return False
    old, new = slot_range_from_record(before), slot_range_from_record(after)
    return old.first <= new.first and new.last <= old.last and (old.state, old.into) == (new.state, new.into)


def _timing(schedule: Schedule | None) -> tuple[str, str] | None:
    return None if schedule is None else (schedule.cron, schedule.timezone)


def _names(kept: KeptEvent, run_id: str) -> bool:
    replayed = (id for replay in kept.replays for id in replay.run_ids)
    return run_id in kept.verdicts.runs.values() or run_id in replayed


def _matches(trigger: EventTrigger, event: Event) -> bool:
    return judge(trigger, event, "", trigger.updated_at).kind is VerdictKind.MATCHED


def _brief(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Run):
        claim = f" {value.claimant.split('/')[1]}#{value.epoch}" if value.claimant else ""
        return f"r{value.revision} {value.status.name}{claim} waiting {value.undelivered}"
    if isinstance(value, Schedule):
        return f"r{value.revision} {value.cron!r} {'paused' if value.paused else value.next_run_at}"
    return f"r{value.revision}" if hasattr(value, "revision") else "there"
