"""Events: which triggers match, what is a duplicate, and whose the runs are."""

from __future__ import annotations

from collections.abc import Mapping

from gestalt_host.verification.outcomes import require_equal
from gestalt_host.verification.rules import Rule
from gestalt_host.verification.suites.workflow.bench import (
    INVALID_ARGUMENT,
    Bench,
    Process,
    require_refused,
    workflow_rule,
)
from gestalt_host.verification.suites.workflow.client import Triggers, actor, struct, target
from gestalt_sdk.gen.v1 import workflow_pb2 as pb

_MATCHES: Mapping[str, pb.WorkflowEventMatch] = {
    "type": pb.WorkflowEventMatch(type="a.b"),
    "type and source": pb.WorkflowEventMatch(type="a.b", source="src"),
    "type and subject": pb.WorkflowEventMatch(type="a.b", subject="sub"),
    "all three": pb.WorkflowEventMatch(type="a.b", source="src", subject="sub"),
    "other type": pb.WorkflowEventMatch(type="a.c"),
    "other case": pb.WorkflowEventMatch(type="A.B"),
    "no wildcard": pb.WorkflowEventMatch(type="a.*"),
    "prefix": pb.WorkflowEventMatch(type="a"),
}
_EVENTS: tuple[tuple[pb.WorkflowEvent, set[str]], ...] = (
    (
        pb.WorkflowEvent(type="a.b", source="src", subject="sub"),
        {"type", "type and source", "type and subject", "all three"},
    ),
    (pb.WorkflowEvent(type="a.b", source="src"), {"type", "type and source"}),
    (pb.WorkflowEvent(type="a.b", source="SRC", subject="sub"), {"type", "type and subject"}),
    (pb.WorkflowEvent(type="a.b", source="src", subject="SUB"), {"type", "type and source"}),
    (pb.WorkflowEvent(type="a.b", source="else", subject="else"), {"type"}),
    (pb.WorkflowEvent(type="a.b", source="src/2", subject="sub/2"), {"type"}),
    (pb.WorkflowEvent(type="a.b", source="sr", subject="su"), {"type"}),
    (pb.WorkflowEvent(type="A.B", source="src"), {"other case"}),
    (pb.WorkflowEvent(type="a.b.c", source="src"), set()),
)


async def _triggered(process: Process, event_id: str) -> list[str]:
    runs = [run.trigger.event for run in await process.list_runs()]
    return sorted(trigger.trigger_id for trigger in runs if trigger.event.id == event_id)


@workflow_rule("semantics.md 19.6/matching", "A trigger matches by type, and by source and subject where it names them")
async def matching(bench: Bench) -> None:
    process = await bench.process(start=False)
    for name, match in _MATCHES.items():
        await process.upsert_trigger(name, match=match)
    await process.upsert_trigger("paused", "a.b", paused=True)
    for number, (event, matched) in enumerate(_EVENTS):
        event.id = f"e{number}"
        await process.publish_event(event)
        seen = await _triggered(process, event.id)
        what = f"the triggers that have a run of {event.type} from {event.source} about {event.subject!r}"
        require_equal(sorted(matched), seen, what)


@workflow_rule("semantics.md 19.6/owner-filter", "With plugin_name, an event reaches the triggers of that plugin alone")
async def owner_filter(bench: Bench) -> None:
    process = await bench.process(start=False)
    await process.upsert_trigger("mine")
    for plugin in ("other", "other-2", "Other", "oth"):
        await process.upsert_trigger(f"of {plugin}", target=target(plugin=plugin))
    for plugin in ("other", "other-2"):
        await process.publish(f"for {plugin}", plugin_name=plugin)
        seen = await _triggered(process, f"for {plugin}")
        require_equal([f"of {plugin}"], seen, f"the triggers that have a run of an event for {plugin}")


@workflow_rule(
    "semantics.md 19.6/same-event", "The same event again makes runs for those triggers alone that have none"
)
async def same_event(bench: Bench) -> None:
    process = await bench.process()
    await process.upsert_trigger("a")
    await process.upsert_trigger("b")
    for event_id, source in (("e", "s"), ("e", "s"), ("e", "other"), ("f", "s")):
        await process.publish(event_id, source=source)
    await bench.host.invoked(6)
    runs = [run.trigger.event for run in await process.list_runs()]
    seen = sorted((run.trigger_id, run.event.source, run.event.id) for run in runs)
    expected = [(trigger, *event) for trigger in "ab" for event in (("other", "e"), ("s", "e"), ("s", "f"))]
    require_equal(expected, seen, "trigger, source and event of each run")
    await process.upsert_trigger("later")
    await process.publish("e")
    require_equal(["a", "a", "b", "b", "later"], await _triggered(process, "e"), "the triggers that have a run of e")


@workflow_rule(
    "semantics.md 19.6/as-the-owner",
    "A run belongs to its trigger's owner, not to who published, and carries the event",
)
async def as_the_owner(bench: Bench) -> None:
    process = await bench.process()
    alice = actor("user:alice")
    await process.upsert_trigger("t", requested_by=alice, execution_ref="ref")
    event = pb.WorkflowEvent(
        id="e",
        type="t",
        source="s",
        subject="sub",
        spec_version="1.0",
        datacontenttype="application/json",
        data=struct(n=1, deep={"a": [1, None]}),
    )
    event.time.FromJsonString("2026-05-04T12:00:00.123456Z")
    event.extensions["x"].string_value = "y"
    await process.publish_event(event, published_by=actor("user:bob"))
    (invoked,) = await bench.host.invoked(1)
    trigger = pb.WorkflowEventTriggerInvocation(trigger_id="t", event=event)
    require_equal(trigger, invoked.trigger.event, "the trigger that the host is told")
    require_equal((alice, "ref"), (invoked.created_by, invoked.execution_ref), "created_by and execution_ref there")
    (run,) = await process.list_runs()
    require_equal(trigger, run.trigger.event, "the trigger of the run")
    require_equal((alice, "ref"), (run.created_by, run.execution_ref), "created_by and execution_ref of the run")


@workflow_rule(
    "semantics.md 19.6/blank-fields", "An event without id gets one of its own, one without version gets 1.0"
)
async def blank_fields(bench: Bench) -> None:
    process = await bench.process(start=False)
    await process.upsert_trigger("t")
    for _ in range(2):
        await process.publish()
    events = [run.trigger.event.event for run in await process.list_runs()]
    require_equal(2, len({event.id for event in events} - {""}), "how many ids two events without one have")
    require_equal(["1.0", "1.0"], [event.spec_version for event in events], "their spec_version")
    await require_refused(process.publish("e", ""), INVALID_ARGUMENT, "event.type is required")


@workflow_rule(
    "semantics.md 19.7/runs-stay", "Runs outlive the end and the pause of their trigger, which makes no further ones"
)
async def runs_stay(bench: Bench) -> None:
    process = await bench.process(start=False)
    triggers = Triggers(process)
    for name in ("deleted", "paused"):
        await process.upsert_trigger(name, operation=name)
    await process.publish("e")
    await triggers.delete("deleted")
    await triggers.pause("paused")
    await process.publish("f")
    await process.start()
    await bench.host.invoked(2)
    require_equal(["deleted", "paused"], sorted(bench.host.operations()), "the operations that were invoked")
    require_equal(2, len(await process.list_runs()), "how many runs there are")


RULES: tuple[Rule, ...] = (matching, owner_filter, same_event, as_the_owner, blank_fields, runs_stay)
