"""Runs by page and by number, results that are cut, timelines (decisions 2, 7 and 10)."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from gestalt_workflow.claims.transitions import new_run
from gestalt_workflow.engine import Engine
from gestalt_workflow.model import timeline
from gestalt_workflow.model.errors import AnswerTooLarge, InvalidRequest
from gestalt_workflow.model.objects import Event, InvocationResult, NewSignal, Run, RunStatus
from gestalt_workflow.objects.runs import StartRequest
from gestalt_workflow.reading.lists import ALL_RUNS
from gestalt_workflow.reading.queries import RunFilter
from gestalt_workflow.stored.records import RUNS, run_to_record
from gestalt_workflow.stored.storage import Write
from gestalt_workflow.wire.payloads import event_trigger, manual_trigger, schedule_trigger

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.engine import ALICE, BOB, START, World, client_of, plugin_target
from tests.support.waiting import eventually

EVENT = Event("e", "s", "t", "", pb.WorkflowEvent(id="e", source="s", type="t").SerializeToString())


async def history(engine: Engine, count: int, seed: int = 1) -> list[Run]:
    """Runs of every kind, some created in the same microsecond; newest first."""
    dice = random.Random(seed)
    runs = []
    for number in range(count):
        made = START + timedelta(seconds=number // 3)
        trigger = dice.choice(
            [manual_trigger(), schedule_trigger(dice.choice("pq"), made), event_trigger(dice.choice("xy"), EVENT)]
        )
        target = plugin_target(dice.choice(["run", "sync"]), dice.choice(["svc", "mail"]))
        run = new_run(f"r{number:04}", target, trigger, made, created_by=dice.choice([ALICE, BOB]), execution_ref="ref")
        runs.append(replace(run, status=dice.choice(list(RunStatus)), rank_at=None))
    await engine.storage.write([Write(RUNS, "add", run_to_record(run)) for run in runs], "seed")
    return sorted(runs, key=lambda run: (run.created_at, run.id), reverse=True)


async def pages(engine: Engine, wanted: RunFilter, size: int) -> list[list[str]]:
    found, token = [], ""
    while True:
        page = await engine.queries.runs(wanted, size, token)
        assert len(page.items) <= size
        found.append([run.id for run in page.items])
        token = page.next_token
        if not token:
            return found


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"statuses": frozenset({RunStatus.FAILED})},
        {"statuses": frozenset({RunStatus.FAILED, RunStatus.PENDING})},
        {"statuses": frozenset({RunStatus.SUCCEEDED}), "operation": "sync"},
        {"target_owner": "mail"},
        {"operation": "sync"},
        {"subject_id": "user:bob", "target_owner": "svc"},
        {"trigger_id": "x", "statuses": frozenset({RunStatus.RUNNING})},
        {"schedule_id": "p"},
        {"schedule_id": "p", "subject_id": "user:alice"},
        {"schedule_id": "q", "slot_from": START + timedelta(seconds=9), "slot_before": START + timedelta(seconds=22)},
        {"created_from": START + timedelta(seconds=5), "created_before": START + timedelta(seconds=20)},
        {"created_from": START + timedelta(seconds=5), "target_owner": "svc"},
        {"created_before": START + timedelta(seconds=20), "statuses": frozenset({RunStatus.CANCELED})},
        {"subject_id": "user:nobody"},
    ],
    ids=str,
)
async def test_pages_hold_what_meets_the_filter_once_newest_first(
    world: World, filters: dict[str, Any], size: int
) -> None:
    engine = await world.engine(start=False)
    runs = await history(engine, 120)
    wanted = RunFilter(**filters)
    expected = [run.id for run in runs if wanted.meets(run)]
    assert [id for page in await pages(engine, wanted, size) for id in page] == expected
    assert expected or "nobody" in str(filters)


async def test_a_page_reads_one_message_and_a_rare_match_a_bounded_number(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt_workflow.reading.queries.EXAMINED", 100)
    monkeypatch.setattr("gestalt_workflow.reading.queries.EXAMINED_PAGE", 50)
    engine = await world.engine(start=False)
    await history(engine, 400)
    client = client_of(engine)
    before = client.count
    await engine.queries.runs(RunFilter(subject_id="user:alice"), 10, "")
    assert client.count - before == 1
    before = client.count
    page = await engine.queries.runs(RunFilter(operation="none"), 10, "")
    assert (page.items, bool(page.next_token)) == ([], True)
    assert client.count - before == 2
    assert [page for page in await pages(engine, RunFilter(operation="none"), 10) if page] == []


async def test_runs_created_while_paging_are_on_no_later_page(world: World) -> None:
    engine = await world.engine(start=False)
    await history(engine, 30)
    first = await engine.queries.runs(RunFilter(operation="sync"), 5, "")
    world.clock.advance(hours=1)
    late = await engine.runs.start(StartRequest(plugin_target("sync")))
    second = await engine.queries.runs(RunFilter(operation="sync"), 1000, first.next_token)
    ids = [run.id for run in (*first.items, *second.items)]
    assert late.id not in ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("token", ["x", "e30=", "WzEsMl0="])
async def test_a_foreign_page_token_is_refused(world: World, token: str) -> None:
    engine = await world.engine(start=False)
    with pytest.raises(InvalidRequest, match="page_token"):
        await engine.queries.runs(RunFilter(), 10, token)


async def test_a_page_token_belongs_to_its_filter(world: World) -> None:
    engine = await world.engine(start=False)
    await history(engine, 10)
    page = await engine.queries.runs(RunFilter(), 5, "")
    with pytest.raises(InvalidRequest, match="another filter"):
        await engine.queries.runs(RunFilter(operation="run"), 5, page.next_token)


@pytest.mark.parametrize("size", [-1, 1001])
async def test_page_sizes_have_limits(world: World, size: int) -> None:
    engine = await world.engine(start=False)
    with pytest.raises(InvalidRequest, match=f"page_size is {size}; accepted are 1 to 1000"):
        await engine.queries.runs(RunFilter(), size, "")


def test_slots_are_asked_for_with_their_schedule() -> None:
    with pytest.raises(InvalidRequest, match=r"need filter\.schedule_id"):
        RunFilter(slot_from=START)


async def test_counts_by_status_read_no_record(world: World) -> None:
    engine = await world.engine(start=False)
    runs = await history(engine, 120)
    client = client_of(engine)
    client.messages.clear()
    counts = await engine.queries.count(RunFilter(created_from=START + timedelta(seconds=5)))
    recent = [run for run in runs if run.created_at >= START + timedelta(seconds=5)]
    assert counts.by_status == {s: sum(run.status is s for run in recent) for s in RunStatus}
    assert dict(client.messages) == {"index_count": 5}
    assert not counts.incomplete
    mail = await engine.queries.count(RunFilter(frozenset({RunStatus.FAILED}), target_owner="mail"))
    failed = [run for run in runs if run.target.plugin == "mail" and run.status is RunStatus.FAILED]
    assert mail.by_status == {RunStatus.FAILED: len(failed)}


async def test_a_count_that_has_to_look_at_runs_says_when_it_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt_workflow.reading.queries.COUNTED", 1000)
    engine = await world.engine(start=False)
    await history(engine, 1500)
    counts = await engine.queries.count(RunFilter(operation="run"))
    assert counts.incomplete
    assert 0 < sum(counts.by_status.values()) < 1000


async def test_a_list_that_does_not_fit_is_refused_after_its_first_page(world: World) -> None:
    engine = await world.engine(start=False, max_list_bytes=4000)
    await history(engine, 1500)
    client = client_of(engine)
    client.messages.clear()
    with pytest.raises(AnswerTooLarge, match=r"more runs than fit .* 4000 bytes; .*WorkflowQueries/QueryRuns"):
        await engine.lists.messages(ALL_RUNS, _message)
    assert client.count <= 2


def _message(run: Run) -> pb.BoundWorkflowRun:
    return pb.BoundWorkflowRun(id=run.id)


# Results


@pytest.mark.parametrize("status", [200, 500])
async def test_a_long_result_is_cut_between_characters_and_says_so(world: World, status: int) -> None:
    engine = await world.engine(max_result_bytes=10)
    world.host.answers["run"] = InvocationResult(status, "äöü€" * 3)
    done = await world.finished(engine, (await engine.runs.start(StartRequest(plugin_target()))).id)
    assert (done.result_body, done.result_truncated) == ("äöü€", 27)
    expected = "result cut to 9 of 27 bytes"
    assert done.status_message == (expected if status == 200 else f"workflow operation returned status 500; {expected}")


async def test_a_result_at_the_limit_is_whole(world: World) -> None:
    engine = await world.engine(max_result_bytes=9)
    world.host.answers["run"] = InvocationResult(200, "äöü€")
    done = await world.finished(engine, (await engine.runs.start(StartRequest(plugin_target()))).id)
    assert (done.result_body, done.result_truncated, done.status_message) == ("äöü€", 0, "")


# Timelines


def told(run: Run) -> list[tuple[Any, ...]]:
    return [(m.kind, m.attempt, m.status, m.subject_id) for m in timeline.read(run).moments]


async def test_a_run_tells_its_story(world: World) -> None:
    engine = await world.engine()
    gate = world.host.hold("run")
    run = await engine.runs.start(StartRequest(plugin_target(), workflow_key="k", created_by=ALICE))
    await eventually(_invoking(world))
    delivery = await engine.signals.signal(run.id, NewSignal(pb.WorkflowSignal(name="go").SerializeToString()))
    gate.set()
    done = await world.finished(engine, run.id)
    assert told(done) == [
        (timeline.CREATED, 0, 0, ""),
        (timeline.CLAIMED, 1, 0, ""),
        (timeline.SIGNALED, 0, 0, ""),
        (timeline.ENDED, 1, RunStatus.PENDING, ""),
        (timeline.CLAIMED, 2, 0, ""),
        (timeline.ENDED, 2, RunStatus.SUCCEEDED, ""),
    ]
    moments = timeline.read(done).moments
    assert moments[2].detail == delivery.signal.id
    assert moments[1].detail == engine.claimant
    assert [m.at for m in moments] == sorted(m.at for m in moments)
    assert (moments[0].at, moments[-1].at) == (done.created_at, done.completed_at)


async def test_a_canceled_run_names_who_asked(world: World) -> None:
    engine = await world.engine(start=False)
    run = await engine.runs.start(StartRequest(plugin_target()))
    canceled = await engine.runs.cancel(run.id, "enough\tof\nit", "user:bob")
    last = timeline.read(canceled).moments[-1]
    assert (last.kind, last.detail, last.subject_id) == (timeline.CANCELED, "enough of it", "user:bob")


def test_a_long_story_keeps_its_beginning_and_its_end() -> None:
    story = ""
    for number in range(500):
        story = timeline.noted(
            story, timeline.SIGNALED, START + timedelta(seconds=number), detail=f"{number}" + "ä" * 300
        )
    run = new_run("r", plugin_target(), manual_trigger(), START, created_by=ALICE, execution_ref="")
    read = timeline.read(replace(run, timeline=story))
    numbers = [int(moment.detail.rstrip("ä")) for moment in read.moments[1:]]
    assert len(read.moments) <= 64
    assert numbers[:8] == list(range(8))
    assert numbers[-1] == 499
    assert numbers[8:] == list(range(500 - len(numbers[8:]), 500))
    assert read.left_out + len(numbers) == 500
    assert all(len(moment.detail.encode()) <= timeline.DETAIL_BYTES for moment in read.moments)
    assert len(story) < 64 * 400


def _invoking(world: World) -> Any:
    async def probe() -> bool | None:
        return True if world.host.active else None

    return probe
