"""The judge finds nothing in a sound history, and each planted wrong under the rule that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gestalt_workflow.claims.transitions import INTERRUPTED
from gestalt_workflow.model.objects import Event, Run, RunStatus, RunTrigger, Signal, Target
from gestalt_workflow.model.policies import Retry, RetryOn, RunPolicy
from gestalt_workflow.wire.payloads import event_trigger, manual_trigger, schedule_trigger

from gestalt_sdk.gen.extension.v1.slots_pb2 import SLOT_STATE_COLLAPSED, SLOT_STATE_DUE, SLOT_STATE_FIRED
from gestalt_sdk.gen.v1 import workflow_pb2
from tests.process.engine.evidence import Evidence, Expected, ObjectSeen, SlotSeen, Told
from tests.process.engine.invariants import MINUTE, violations
from tests.process.engine.journal import Invocation, Journal, read_journal

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RETRY = RunPolicy(Retry(3, timedelta(seconds=1), timedelta(seconds=8), frozenset({RetryOn.SERVER_ERROR})))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def of_event(trigger_id: str, event_id: str) -> RunTrigger:
    data = workflow_pb2.WorkflowEvent(id=event_id, type="a", source="s").SerializeToString()
    return event_trigger(trigger_id, Event(event_id, "s", "a", "", data))


def run(id: str, body: str, trigger: RunTrigger | None = None, **fields: Any) -> Run:
    ended = Run(
        id, RunStatus.SUCCEEDED, Target(b"", "svc"), trigger or manual_trigger(), created_at=at(0), started_at=at(1),
        completed_at=at(2), result_body=body,
    )  # fmt: skip
    return replace(ended, **fields)


def keyed(id: str, body: str, **fields: Any) -> Run:
    return run(id, body, workflow_key="k", key_row="row", **fields)


def invocation(number: int, run_id: str, attempt: int = 1, status: int | None = 200, *signals: int) -> Invocation:
    batch = tuple((f"{run_id}-{sequence}", sequence) for sequence in signals)
    return Invocation(number, run_id, attempt, batch, number, number + 0.5, status, f"answer {number}")


def signal(run_id: str, sequence: int, *, delivered: bool = True) -> Signal:
    return Signal(f"{run_id}-{sequence}", run_id, "k", sequence, b"", at(0), delivered_at=at(1) if delivered else None)


def fired(minute: int) -> SlotSeen:
    slot = NOON + minute * MINUTE
    return SlotSeen(slot, slot, 1, SLOT_STATE_FIRED, f"s{minute}")


def collapsed(first: int, last: int, into: int) -> SlotSeen:
    count = last - first + 1
    return SlotSeen(NOON + first * MINUTE, NOON + last * MINUTE, count, SLOT_STATE_COLLAPSED, "", NOON + into * MINUTE)


def sound() -> Evidence:
    """Every kind of run, and what was told of it: nothing is wrong."""
    runs = [
        run("plain", "answer 1"),
        run("retried", "answer 4", policy=RETRY),
        run("canceled", "", status=RunStatus.CANCELED, status_message="enough"),
        run("dead", "", status=RunStatus.FAILED, status_message=INTERRUPTED, stale=True),
        keyed("first", "answer 7", next_sequence=4),
        keyed("second", "", created_at=at(3), started_at=at(4), completed_at=at(9), next_sequence=3,
              status=RunStatus.FAILED, status_message=INTERRUPTED, stale=True),
        run("e1", "answer 9", of_event("t1", "e")),
        run("e2", "answer 10", of_event("t2", "e")),
        run("s1", "answer 11", schedule_trigger("s", NOON + MINUTE)),
        run("s4", "answer 12", schedule_trigger("s", NOON + 4 * MINUTE)),
    ]  # fmt: skip
    journal = [
        invocation(1, "plain"),
        *(invocation(1 + attempt, "retried", attempt, 503 if attempt < 3 else 200) for attempt in (1, 2, 3)),
        invocation(5, "dead", 1, None),
        invocation(6, "first", 1, 200, 1, 2),
        invocation(7, "first", 1, 200, 3),
        invocation(8, "second", 1, None, 1),
        *(invocation(number, id) for number, id in ((9, "e1"), (10, "e2"), (11, "s1"), (12, "s4"))),
    ]
    told = Told(
        cancellations={"canceled": True},
        events={"e": ("a", True), "lost": ("a", False), "unheard": ("b", True)},
        signals={("first", "first-1", 1), ("second", "second-2", 2)},
        objects={"schedule/s": ObjectSeen(False, "* * * * *"), "trigger/gone": None},
    )
    told.ended["dead"] = runs[3]
    told.runs["key"].add("plain")
    told.runs[""].add("dead")
    told.signal_keys["i"] |= {("second", "second-1"), ("first", "first-1")}
    return Evidence(
        told,
        Expected({"t1": "a", "t2": "a"}, {"s": False}, set(), [at(1.5), at(5)], NOON, NOON + 5 * MINUTE),
        journal,
        {each.id: each for each in runs},
        {
            "first": [signal("first", 1), signal("first", 2), signal("first", 3)],
            "second": [signal("second", 1, delivered=False), signal("second", 2, delivered=False)],
        },
        {"s": [fired(1), collapsed(2, 3, 4), fired(4)]},
        {"schedule/s": ObjectSeen(False, "* * * * *"), "trigger/gone": None},
    )


def test_a_sound_history_is_found_sound() -> None:
    assert violations(sound()) == []


Plant = Callable[[Evidence], object]


def changed(id: str, **fields: Any) -> Plant:
    def plant(evidence: Evidence) -> None:
        evidence.runs[id] = replace(evidence.runs[id], **fields)

    return plant


def sent(*more: Invocation) -> Plant:
    return lambda evidence: evidence.journal.extend(more)


def slots(*seen: SlotSeen) -> Plant:
    return lambda evidence: evidence.slots.update(s=list(seen))


PLANTS: list[tuple[str, str, Plant]] = [
    ("a run gone", "nothing acknowledged is lost", lambda e: e.runs.pop("plain")),
    ("a signal gone", "nothing acknowledged is lost", lambda e: e.signals["second"].pop()),
    ("a schedule paused", "nothing acknowledged is lost", lambda e: e.objects.update({"schedule/s": None})),
    ("a deletion undone", "nothing acknowledged is lost",
     lambda e: e.objects.update({"trigger/gone": ObjectSeen(False, "a")})),
    ("a cancellation undone", "nothing acknowledged is lost", changed("canceled", status=RunStatus.FAILED)),
    ("two runs for one key", "an idempotency key gives one run", lambda e: e.told.runs["key"].add("dead")),
    ("invoked again", "no run is invoked twice", sent(invocation(20, "plain"))),
    ("invoked again after its process died", "no run is invoked twice", sent(invocation(20, "dead", 2))),
    ("tried again after a success", "no run is invoked twice", sent(invocation(20, "retried", 4))),
    ("tried too often", "no run is invoked twice",
     lambda e: (changed("retried", policy=RunPolicy(replace(RETRY.retry, max_attempts=2)))(e))),  # type: ignore[type-var]
    ("a keyed run again without signals", "no run is invoked twice", sent(invocation(20, "first"))),
    ("a keyed run again after its process died", "no run is invoked twice", sent(invocation(20, "second", 1, 200, 2))),
    ("two at once", "leases are exclusive", lambda e: setattr(e.journal[1], "ended", 3.2)),
    ("one that never returned", "leases are exclusive", lambda e: setattr(e.journal[1], "ended", None)),
    ("invoked without a record", "nothing is invoked that is not stored", sent(invocation(20, "nobody"))),
    (
        "recorded over what was settled",
        "a run that has ended stays as it is",
        changed("dead", status=RunStatus.SUCCEEDED, status_message="", result_body="answer 5"),
    ),
    ("pending for ever", "every run ends", changed("plain", status=RunStatus.PENDING)),
    ("running for ever", "every run ends", changed("e1", status=RunStatus.RUNNING)),
    ("canceled by nobody", "only what somebody cancels is canceled", changed("plain", status=RunStatus.CANCELED)),
    ("given up for no reason", "only a death interrupts a run", changed("dead", started_at=at(1.8))),
    ("a result lost", "an outcome is what the host answered", changed("plain", result_body="")),
    ("another's result", "an outcome is what the host answered", changed("plain", result_body="answer 9")),
    ("a failure made a success", "an outcome is what the host answered",
     lambda e: setattr(e.journal[0], "status", 503)),
    ("a success without a call", "an outcome is what the host answered", lambda e: e.journal.pop(0)),
    ("two holders of a key", "a workflow key has one run at a time", changed("second", created_at=at(1.5))),
    ("a key kept", "a run that has ended gives up its key", lambda e: e.key_rows.append("first")),
    ("two signals for one key", "an idempotency key gives one signal",
     lambda e: e.told.signal_keys["i"].add(("first", "first-2"))),
    ("a signal without a run", "every signal has its run", lambda e: e.signals.update(nobody=[signal("nobody", 1)])),
    ("a gap", "sequences have no gap", lambda e: e.signals["second"].pop(0)),
    ("a counter ahead", "sequences have no gap", changed("first", next_sequence=5)),
    ("a signal twice", "each signal is delivered once, in its order", sent(invocation(20, "first", 1, 200, 3))),
    ("signals out of order", "each signal is delivered once, in its order",
     lambda e: setattr(e.journal[5], "signals", e.journal[5].signals[::-1])),
    ("a signal skipped", "each signal is delivered once, in its order",
     lambda e: setattr(e.journal[5], "signals", e.journal[5].signals[:1])),
    ("a signal forgotten", "a signal is delivered, or its run says that it was not",
     lambda e: (e.journal.pop(6), changed("first", result_body="answer 6")(e))),
    ("marked but never sent", "only what was delivered says so",
     lambda e: e.signals.update(second=[signal("second", 1), signal("second", 2)])),
    ("one run of a publish missing", "a publish makes one run for each match, or none at all",
     lambda e: (e.runs.pop("e2"), e.journal.pop(9))),
    ("half of an unanswered publish", "a publish makes one run for each match, or none at all",
     lambda e: (e.told.events.update(e=("a", False)), e.runs.pop("e2"), e.journal.pop(9))),
    ("a run twice for one match", "a publish makes one run for each match, or none at all",
     lambda e: (e.runs.update(again=run("again", "answer 30", of_event("t1", "e"))), sent(invocation(30, "again"))(e))),
    ("a run of no event", "only a publish makes a run of an event", lambda e: e.told.events.pop("e")),
    ("a slot forgotten", "every slot has one outcome", slots(fired(1), collapsed(2, 2, 4), fired(4))),
    ("a slot twice", "every slot has one outcome", slots(fired(1), collapsed(1, 3, 4), fired(4))),
    ("a wrong count", "every slot has one outcome", slots(fired(1), replace(collapsed(2, 3, 4), count=3), fired(4))),
    ("collapsed into nothing", "every slot has one outcome", slots(fired(1), collapsed(2, 3, 5), fired(4))),
    ("due for ever", "every slot has one outcome",
     slots(fired(1), collapsed(2, 3, 4), fired(4), replace(fired(5), state=SLOT_STATE_DUE))),
    ("stopped early", "every slot has one outcome", lambda e: setattr(e.expected, "until", NOON + 9 * MINUTE)),
    ("begun late", "every slot has one outcome", lambda e: setattr(e.expected, "since", NOON - 9 * MINUTE)),
    ("fired without a run", "a slot fires once", lambda e: (e.runs.pop("s1"), e.journal.pop(10))),
    ("a run that the ledger does not know", "a slot fires once", slots(collapsed(1, 3, 4), fired(4))),
    ("two runs of one slot", "a slot fires once",
     lambda e: changed("s1", trigger=schedule_trigger("s", NOON + 4 * MINUTE))(e)),
    ("not every slot", "a policy that wants every slot gets it", lambda e: e.expected.schedules.update(s=True)),
    ("a crash in the log", "no engine meets a bug", lambda e: setattr(e, "log", '{"event_name": "run.crashed"}')),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "plant"), [pytest.param(rule, plant, id=name) for name, rule, plant in PLANTS])
def test_a_planted_wrong_is_found(rule: str, plant: Plant) -> None:
    evidence = sound()
    plant(evidence)
    assert rule in {broken for broken, _ in violations(evidence)}


def test_the_journal_comes_back_as_it_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note(number=1, run="a", attempt=2, signals=[("x", 1)])
    journal.note(number=2, run="b", attempt=1, signals=[])
    journal.note(number=1, status=200, body="answer 1")
    journal.note(number=2)
    journal.close()
    first, second = read_journal(tmp_path / "journal")
    assert (first.run_id, first.attempt, first.signals, first.status) == ("a", 2, (("x", 1),), 200)
    assert first.body == "answer 1"
    assert first.ended is not None
    assert first.began < second.began < first.ended
    assert second.status is None
    assert second.ended is not None
