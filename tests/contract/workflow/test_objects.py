"""Schedules and triggers as objects of any provider (semantics.md 15.5, 16, 19.7, 24)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.timing.zones import load_zone
from gestalt_sdk.transport.values import from_timestamp
from tests.support import cron_oracle
from tests.support.rigs.objects import Kind, refusal
from tests.support.rigs.workflow import Rig, actor, target
from tests.support.waiting import observed_for

CONFIG = pb.WorkflowActor(subject_id="system:config", subject_kind="system", auth_source="config")


@pytest.fixture(params=["schedule", "trigger"])
async def kind(rig: Rig, request: pytest.FixtureRequest) -> Kind:
    return Kind(await rig.provider(start=False), request.param)


async def test_the_life_of_an_object(kind: Kind) -> None:
    made = await kind.upsert("a", requested_by=actor("user:alice"), execution_ref="ref-1")
    assert (made.id, made.paused, made.created_by, made.execution_ref) == ("a", False, actor("user:alice"), "ref-1")
    assert made.created_at == made.updated_at
    assert await kind.of("Get", "a") == made
    changed = await kind.upsert("a", target=target("other"), requested_by=actor("user:bob"), execution_ref="ref-2")
    assert (changed.created_at, changed.created_by) == (made.created_at, made.created_by)
    assert changed.target.plugin.operation == "other"
    assert changed.execution_ref == "ref-2"
    assert from_timestamp(changed.updated_at) > from_timestamp(made.updated_at)
    for verb, paused in (("Pause", True), ("Pause", True), ("Resume", False), ("Resume", False)):
        assert (await kind.of(verb, "a")).paused is paused
        assert (await kind.of("Get", "a")).paused is paused
    blank = await kind.upsert("")
    assert len(blank.id) == 36
    assert blank.id != "a"
    assert [item.id for item in await kind.list()] == ["a", blank.id]
    await kind.of("Delete", "a")
    for verb in ("Get", "Pause", "Resume", "Delete"):
        code, text = await refusal(kind.of(verb, "a"))
        word = "event trigger" if kind.word == "trigger" else "schedule"
        assert (code, text) == (grpc.StatusCode.NOT_FOUND, f'workflow {word} "a" not found')
        assert (await refusal(kind.of(verb, " ")))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert [item.id for item in await kind.list()] == [blank.id]


async def test_an_id_belongs_to_the_owner_of_its_target_until_it_is_deleted(kind: Kind) -> None:
    await kind.upsert("a")
    code, text = await refusal(kind.upsert("a", target=target(plugin="other")))
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert text.endswith('"a" is already owned by target owner "svc"')
    await kind.of("Delete", "a")
    assert (await kind.upsert("a", target=target(plugin="other"))).target.plugin.plugin_name == "other"


async def test_the_configuration_becomes_the_creator_of_what_it_writes(kind: Kind) -> None:
    made = await kind.upsert("cfg_1", requested_by=actor("user:alice"))
    taken = await kind.upsert("cfg_1", requested_by=CONFIG)
    assert (taken.created_by, taken.created_at) == (CONFIG, made.created_at)


async def test_the_two_kinds_have_separate_ids(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    for word in ("schedule", "trigger"):
        assert (await Kind(workflow, word).upsert("same", target=target(plugin=word))).id == "same"


@pytest.mark.parametrize("zone", ["", " ", "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
async def test_the_next_slot_is_that_of_the_cron_table(rig: Rig, zone: str) -> None:
    workflow = await rig.provider(start=False)
    stored = zone.strip() or "UTC"
    for cron in ("*/7 * * * *", "0 9 * * mon-fri", "30 2 1-7 * *", "0 0 13 * 5", "0 0 */2 * 1", "5/15 3 * jan,jul ?"):
        before = datetime.now(UTC)
        made = await workflow.upsert_schedule("s", cron, timezone=zone)
        assert made.timezone == stored
        possible = {cron_oracle.following(cron, load_zone(stored), at, 1)[0] for at in (before, datetime.now(UTC))}
        assert from_timestamp(made.next_run_at) in possible


@pytest.mark.nightly
@pytest.mark.timeout(400)
async def test_a_slot_that_came_while_nothing_ran_fires_once_for_the_latest(rig: Rig) -> None:
    """Waits for the clock to pass two minutes; without it see ``test_the_ledger_of_an_outage_over_the_wire``."""
    first = await rig.provider(start=False)
    made = await first.upsert_schedule("s")
    await first.process.kill()
    due = from_timestamp(made.next_run_at) + timedelta(minutes=1)
    await observed_for((due - datetime.now(UTC)).total_seconds() + 1)
    started = [await rig.provider(), await rig.provider()]
    await rig.host.invoked(1, within_s=20)
    runs = [run for run in await started[0].list_runs() if from_timestamp(run.trigger.schedule.scheduled_for) <= due]
    assert [from_timestamp(run.trigger.schedule.scheduled_for) for run in runs] == [due]
    assert rig.host.run_ids().count(runs[0].id) == 1


@pytest.mark.trap(3)
async def test_time_zones_need_no_database_of_the_machine(rig: Rig) -> None:
    rig.environ["PYTHONTZPATH"] = ""
    workflow = await rig.provider(start=False)
    made = await workflow.upsert_schedule("s", "0 9 * * *", timezone="Australia/Lord_Howe")
    assert made.timezone == "Australia/Lord_Howe"
    assert made.next_run_at.ToDatetime().hour in (22, 23)
