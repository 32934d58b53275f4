"""What a trigger near an event was to it: pure decisions, and what a record keeps of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.events import replays, verdicts
from gestalt_workflow.events.kept_events import KeptEvent, event_from_record, event_to_record
from gestalt_workflow.events.replays import Replay, ReplayMode
from gestalt_workflow.events.verdicts import Verdict, VerdictKind, Verdicts, judge, judged
from gestalt_workflow.model.ids import event_run
from gestalt_workflow.model.objects import Event, EventMatch, EventTrigger
from gestalt_workflow.model.policies import Pause
from gestalt_workflow.objects.triggers import KnownType
from gestalt_workflow.stored.storage import Condition

from tests.support.rigs.engine import ALICE, BOB, START, plugin_target

EVENT = Event("e1", "shop", "order", "7", b"data")


def trigger(name: str, source: str = "", subject: str = "", type: str = "order", **more: Any) -> EventTrigger:
    fields = {"target": plugin_target(), "created_at": START, "updated_at": START, **more}
    return EventTrigger(name, EventMatch(type, source, subject), **fields)


def known(*triggers: EventTrigger) -> KnownType:
    return KnownType(triggers, Condition(absent=True))


@pytest.mark.parametrize(
    ("met", "expected"),
    [
        (trigger("t"), Verdict("t", VerdictKind.MATCHED)),
        (trigger("t", "shop", "7"), Verdict("t", VerdictKind.MATCHED)),
        (trigger("t", "Shop"), Verdict("t", VerdictKind.SOURCE_DIFFERS, expected="Shop", actual="shop")),
        (trigger("t", "", "8"), Verdict("t", VerdictKind.SUBJECT_DIFFERS, expected="8", actual="7")),
        (trigger("t", "a", "8", paused=True), Verdict("t", VerdictKind.SOURCE_DIFFERS, expected="a", actual="shop")),
        (trigger("t", type="x"), Verdict("t", VerdictKind.TYPE_DIFFERS, expected="x", actual="order")),
        (trigger("t", paused=True), Verdict("t", VerdictKind.PAUSED)),
        (trigger("t", paused=True, pause=Pause(until=START + timedelta(1))), Verdict("t", VerdictKind.PAUSED)),
        (trigger("t", paused=True, pause=Pause(until=START)), Verdict("t", VerdictKind.MATCHED)),
    ],
)
def test_a_verdict_names_the_first_thing_that_differs(met: EventTrigger, expected: Verdict) -> None:
    assert judge(met, EVENT, "", START) == expected


def test_a_publish_for_one_plugin_asks_only_its_triggers() -> None:
    mine, other = trigger("a"), trigger("b", target=plugin_target(plugin="other"))
    assert judge(mine, EVENT, "svc", START).kind is VerdictKind.MATCHED
    assert judge(other, EVENT, "svc", START) == Verdict("b", VerdictKind.PLUGIN_DIFFERS, "", "other", "svc")


def test_long_values_are_cut() -> None:
    verdict = judge(trigger("t", "ä" * 500), EVENT, "", START)
    assert verdict.expected == "ä" * 100


def test_only_triggers_that_the_event_meets_are_looked_at_and_in_their_order() -> None:
    near = known(
        trigger("a"), trigger("b", "x"), trigger("c", "shop", "7"), trigger("d", "", "7", paused=True), trigger("e")
    )
    assert [t.id for t in near.fitting(EVENT)] == ["a", "c", "d", "e"]
    assert [t.id for t in near.fitting(replace(EVENT, source="", subject=""))] == ["a", "e"]


def test_what_is_listed_is_bounded_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "WITH_RUN_LISTED", 3)
    near = known(
        *(trigger(f"x{n}", "elsewhere") for n in range(100)),
        trigger("p", paused=True),
        *(trigger(f"m{n}") for n in range(5)),
    )
    met, found = judged(near.triggers, near.fitting(EVENT), EVENT, "", START, {})
    assert [t.id for t in met] == [f"m{n}" for n in range(5)]
    assert [v.trigger_id for v in found.listed] == ["m0", "m1", "m2", "p", *(f"x{n}" for n in range(19))]
    assert found.left_out == 106 - 23


def test_triggers_with_a_run_stay_known_also_when_they_are_not_near_any_more() -> None:
    near = known(trigger("a"), trigger("b"))
    met, found = judged(near.triggers, near.fitting(EVENT), EVENT, "", START, {"a": "run-a", "gone": "run-g"})
    assert [t.id for t in met] == ["b"]
    assert found.runs == {"a": "run-a", "gone": "run-g", "b": ""}
    assert found.left_out == 0


def test_a_record_gives_back_what_was_kept() -> None:
    listed = (
        Verdict("a", VerdictKind.MATCHED, event_run("a", "shop", "e1")),
        Verdict("b", VerdictKind.DUPLICATE, "replay:1"),
        Verdict("c", VerdictKind.PAUSED),
        Verdict("d", VerdictKind.SUBJECT_DIFFERS, "", 'q"\n', "7"),
    )
    replay = Replay(
        "r", ReplayMode.FORCED, START, BOB, ("b",), 1, Verdicts((Verdict("b", VerdictKind.MATCHED, "x"),), 2)
    )
    plain = KeptEvent("published:1", EVENT, START, stamp="s")
    full = replace(
        plain,
        published_by=ALICE,
        plugin="svc",
        verdicts=Verdicts(listed, 9),
        publications=3,
        last_published_at=START + timedelta(seconds=1),
        conflicts=1,
        replays=(replay,),
        replays_left_out=4,
    )
    for kept in (plain, full):
        assert event_from_record(event_to_record(kept)) == kept
    # The run of a publish follows from trigger and event; it takes no room.
    assert event_run("a", "shop", "e1") not in event_to_record(full)["verdicts"]
    assert len(event_to_record(plain)) == 6


def test_of_many_replays_the_last_are_kept_and_of_each_some_runs() -> None:
    kept: tuple[Replay, ...] = ()
    left_out = 0
    many = Verdicts(tuple(Verdict(f"t{n}", VerdictKind.MATCHED, f"run{n}") for n in range(150)), 1)
    for number in range(replays.KEPT + 5):
        replay = Replay(f"r{number}", ReplayMode.MISSING, START, BOB, (), 150, many)
        kept, left_out = replays.noted(kept, left_out, replay)
    assert [kept[0].id, kept[-1].id, len(kept), left_out] == ["r5", "r24", 20, 5]
    assert len(kept[0].run_ids) == replays.RUNS_KEPT
    assert kept[0].verdicts.left_out == 51
