"""Schedules and event triggers as objects: their life, their owners, and what is refused."""

from __future__ import annotations

from gestalt_host.verification.outcomes import require, require_equal
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.workflow.bench import (
    ALREADY_EXISTS,
    INVALID_ARGUMENT,
    NOT_FOUND,
    Bench,
    require_refused,
    workflow_rule,
)
from gestalt_host.verification.suites.workflow.client import Objects, Schedules, Triggers, actor, both_kinds, target
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.values import from_timestamp

_MANY = 130
"""More than the pages of a hundred that databases and libraries like to answer."""
_CONFIGURATION = pb.WorkflowActor(subject_id="system:config", subject_kind="system", auth_source="config")


async def _live(objects: Objects) -> None:
    alice = actor("user:alice")
    first = await objects.upsert("a", requested_by=alice, execution_ref="ref-1")
    seen = (first.id, first.paused, first.created_by, first.execution_ref)
    require_equal(("a", False, alice, "ref-1"), seen, "id, paused, created_by and execution_ref of what was written")
    require_equal(first.created_at, first.updated_at, "updated_at of a new one")
    require_equal(first, await objects.get("a"), "what is stored")
    changed = await objects.upsert("a", target=target("other"), requested_by=actor("user:bob"), execution_ref="ref-2")
    kept = (changed.created_at, changed.created_by)
    require_equal((first.created_at, alice), kept, "created_at and created_by of what is written again")
    seen_now = (changed.target.plugin.operation, changed.execution_ref)
    require_equal(("other", "ref-2"), seen_now, "operation and execution_ref of what is written again")
    later = from_timestamp(changed.updated_at) > from_timestamp(first.updated_at)
    require(later, "updated_at to be later after it is written again", changed.updated_at)
    for call, paused in (
        (objects.pause, True),
        (objects.pause, True),
        (objects.resume, False),
        (objects.resume, False),
    ):
        require_equal(paused, (await call("a")).paused, "paused, in the answer")
        require_equal(paused, (await objects.get("a")).paused, "paused, as it is stored")
    blank = await objects.upsert("")
    require(len(blank.id) == 36, "a blank id to become a UUID", blank.id)
    require_equal(["a", blank.id], [item.id for item in await objects.list()], "the ids of the list, by creation")
    await objects.delete("a")
    for refused in objects.each("a"):
        await require_refused(refused, NOT_FOUND, f'workflow {objects.called} "a" not found')
    for refused in objects.each(" "):
        await require_refused(refused, INVALID_ARGUMENT, f"{objects.word}_id is required")
    require_equal([blank.id], [item.id for item in await objects.list()], "the ids of the list after a delete")


@workflow_rule("semantics.md 19.7/schedule-life", "A schedule is written, read, paused, resumed, listed and deleted")
async def schedule_life(bench: Bench) -> None:
    await _live(Schedules(await bench.process(start=False)))


@workflow_rule("semantics.md 19.7/trigger-life", "A trigger is written, read, paused, resumed, listed and deleted")
async def trigger_life(bench: Bench) -> None:
    await _live(Triggers(await bench.process(start=False)))


@workflow_rule("semantics.md 15.5/owner", "An id belongs to the owner of its target until it is deleted")
async def owner(bench: Bench) -> None:
    for objects in both_kinds(await bench.process(start=False)):
        await objects.upsert("a")
        text = f'workflow {objects.called} "a" is already owned by target owner "svc"'
        await require_refused(objects.upsert("a", target=target(plugin="other")), ALREADY_EXISTS, text)
        require_equal("svc", (await objects.get("a")).target.plugin.plugin_name, "the plugin after the refusal")
        await objects.delete("a")
        taken = await objects.upsert("a", target=target(plugin="other"))
        require_equal("other", taken.target.plugin.plugin_name, "the plugin of an id that was deleted")


@workflow_rule("semantics.md 15.5/configuration", "The configuration becomes the creator of what it writes")
async def configuration(bench: Bench) -> None:
    for objects in both_kinds(await bench.process(start=False)):
        first = await objects.upsert("cfg_1", requested_by=actor("user:alice"))
        taken = await objects.upsert("cfg_1", requested_by=_CONFIGURATION)
        seen = (taken.created_by, taken.created_at)
        require_equal((_CONFIGURATION, first.created_at), seen, "created_by and created_at")


@workflow_rule("semantics.md 19.7/separate-ids", "Schedules and triggers may have the same id")
async def separate_ids(bench: Bench) -> None:
    kinds = both_kinds(await bench.process(start=False))
    for objects in kinds:
        await objects.upsert("same", target=target(plugin=objects.word))
    for objects in kinds:
        require_equal(objects.word, (await objects.get("same")).target.plugin.plugin_name, "the plugin of its target")


@workflow_rule(
    "semantics.md 15.6/targets", "A target that cannot be is refused before anything else, and nothing is stored"
)
async def targets(bench: Bench) -> None:
    process = await bench.process(start=False)
    for wrong, text in (
        (pb.BoundWorkflowTarget(), "target.plugin.plugin_name is required"),
        (target(plugin=" "), "target.plugin.plugin_name is required"),
        (target(operation=""), "target.plugin.operation is required"),
        (target(credential_mode="all"), 'target.plugin.credential_mode "all" is not supported'),
    ):
        await require_refused(process.upsert_schedule("a", "", target=wrong), INVALID_ARGUMENT, text)
        nothing = pb.WorkflowEventMatch()
        await require_refused(process.upsert_trigger("a", match=nothing, target=wrong), INVALID_ARGUMENT, text)
        await require_refused(process.start_run(target=wrong), INVALID_ARGUMENT, text)
    for objects in both_kinds(process):
        require_equal([], list(await objects.list()), "the list after refusals")
    require_equal([], await process.list_runs(), "the runs after refusals")


@workflow_rule("semantics.md 19.7/required", "A schedule needs a cron and a zone that exists, a trigger a type")
async def required(bench: Bench) -> None:
    process = await bench.process(start=False)
    await require_refused(process.upsert_schedule("s", " "), INVALID_ARGUMENT, "cron is required")
    for zone in ("Mars/Olympus", "Local", "UTC+1"):  # before the cron's form
        text = f'invalid timezone "{zone}"'
        await require_refused(process.upsert_schedule("s", "x", timezone=zone), INVALID_ARGUMENT, text)
    await require_refused(process.upsert_trigger("t", ""), INVALID_ARGUMENT, "match.type is required")
    for objects in both_kinds(process):
        require_equal([], list(await objects.list()), "the list after refusals")


@workflow_rule(
    "semantics.md 19.7/many",
    "Schedules, triggers and references are listed, and triggers matched, however many there are",
)
async def many(bench: Bench) -> None:
    process = await bench.process(start=False)
    names = [f"n{number:03}" for number in range(_MANY)]
    for objects in both_kinds(process):
        for name in names:
            await objects.upsert(name)
        _require_all(names, [item.id for item in await objects.list()], f"{objects.called}s in the list")
    for name in names:
        await process.put_reference(name)
    _require_all(names, [item.id for item in await process.list_references()], "references in the list")
    await process.publish("e", "a.b")
    triggered = sorted(run.trigger.event.trigger_id for run in await process.list_runs())
    _require_all(names, triggered, "triggers that have a run of one event")


def _require_all(names: list[str], seen: list[str], what: str) -> None:
    """Require these ids in this order, and say first how many there are, which is easier to read."""
    require_equal(len(names), len(seen), f"how many {what}")
    require_equal(names, seen, f"the ids of the {what}")


RULES: tuple[Rule, ...] = (
    schedule_life,
    trigger_life,
    owner,
    configuration,
    separate_ids,
    targets,
    required,
    many,
)
