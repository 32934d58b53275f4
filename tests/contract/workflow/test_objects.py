"""Schedules and triggers as objects of any provider (semantics.md 15.5, 16, 19.7, 24)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.timing.zones import load_zone
from gestalt_sdk.transport.values import from_timestamp
from tests.support import cron_oracle
from tests.support.cron_vectors import OWN_VECTORS, VECTORS
from tests.support.rigs.workflow import DEADLINE_S, SUCCEEDED, Rig, Workflow, actor, target
from tests.support.waiting import observed_for

CONFIG = pb.WorkflowActor(subject_id="system:config", subject_kind="system", auth_source="config")
REFUSED = sorted({vector["cron"] for vector in VECTORS + OWN_VECTORS if "refused" in vector})


class Kind:
    """One of the two kinds of object behind one set of names."""

    def __init__(self, workflow: Workflow, word: str) -> None:
        self.rpc, self.word = workflow.rpc, word
        self.name = {"schedule": "Schedule", "trigger": "EventTrigger"}[word]
        self.required: dict[str, Any] = (
            {"cron": "0 3 * * *"} if word == "schedule" else {"match": pb.WorkflowEventMatch(type="a.b")}
        )

    async def call(self, verb: str, **fields: Any) -> Any:
        plural = "s" if verb == "List" else ""
        request = getattr(pb, f"{verb}WorkflowProvider{self.name}{plural}Request")(**fields)
        return await getattr(self.rpc, f"{verb}{self.name}{plural}")(request, timeout=DEADLINE_S)

    async def upsert(self, object_id: str, **fields: Any) -> Any:
        fields = {"target": target(), **self.required, **fields}
        return await self.call("Upsert", **{f"{self.word}_id": object_id}, **fields)

    async def of(self, verb: str, object_id: str) -> Any:
        return await self.call(verb, **{f"{self.word}_id": object_id})

    async def list(self) -> list[Any]:
        answer = await self.call("List")
        return list(answer.schedules if self.word == "schedule" else answer.triggers)


@pytest.fixture(params=["schedule", "trigger"])
async def kind(rig: Rig, request: pytest.FixtureRequest) -> Kind:
    return Kind(await rig.provider(start=False), request.param)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


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


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"target": pb.BoundWorkflowTarget()}, "target.plugin.plugin_name is required"),
        ({"target": target(operation="")}, "target.plugin.operation is required"),
        ({"target": target(credential_mode="all")}, 'target.plugin.credential_mode "all" is not supported'),
    ],
)
async def test_a_target_is_checked_first(kind: Kind, fields: dict[str, Any], text: str) -> None:
    empty = {"cron": ""} if kind.word == "schedule" else {"match": pb.WorkflowEventMatch()}
    assert await refusal(kind.upsert("a", **fields, **empty)) == (grpc.StatusCode.INVALID_ARGUMENT, text)
    assert await kind.list() == []


async def test_what_a_schedule_needs(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    schedules = Kind(workflow, "schedule")
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert await refusal(schedules.upsert("s", cron=" ")) == (invalid, "cron is required")
    for zone in ("Mars/Olympus", "Local", "UTC+1"):  # before the cron's form
        assert await refusal(schedules.upsert("s", cron="x", timezone=zone)) == (invalid, f'invalid timezone "{zone}"')
    triggers = Kind(workflow, "trigger")
    assert await refusal(triggers.upsert("t", match=pb.WorkflowEventMatch())) == (invalid, "match.type is required")


async def test_every_cron_of_the_rejection_list_is_refused(rig: Rig) -> None:
    schedules = Kind(await rig.provider(start=False), "schedule")
    for cron in REFUSED:
        code, text = await refusal(schedules.upsert("s", cron=cron))
        assert code is grpc.StatusCode.INVALID_ARGUMENT, cron
        assert text.startswith("invalid cron: ") or not cron.strip(), (cron, text)
    assert await schedules.list() == []


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


@pytest.mark.trap("a")
@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 2 *", ", * * * *", "* * , * *"])
async def test_an_impossible_cron_is_refused_and_nothing_loops(rig: Rig, cron: str) -> None:
    workflow = await rig.provider()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.upsert_schedule("s", cron)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith("invalid cron: ")
    assert (await workflow.run_in((await workflow.start_run()).id)).status == SUCCEEDED


@pytest.mark.trap("b")
@pytest.mark.parametrize("cron", ["TZ=UTC", "CRON_TZ=UTC", "TZ=", "TZ=UTC 0 0 * * *", "@", "@every", ""])
async def test_a_zone_inside_a_cron_is_refused_and_crashes_nothing(rig: Rig, cron: str) -> None:
    workflow = await rig.provider(start=False)
    pid = workflow.process.pid
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await workflow.upsert_schedule("s", cron)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await workflow.start_run()).id
    assert workflow.process.pid == pid
