"""Events: what matches, duplicates, and who the runs belong to (semantics.md 19.6, 24; decision 3)."""

from __future__ import annotations

from typing import Any

import pytest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.workflow import Rig, Workflow, actor, struct, target

TRIGGERS: dict[str, dict[str, str]] = {
    "type": {"type": "a.b"},
    "type and source": {"type": "a.b", "source": "src"},
    "type and subject": {"type": "a.b", "subject": "sub"},
    "all three": {"type": "a.b", "source": "src", "subject": "sub"},
    "other type": {"type": "a.c"},
    "other case": {"type": "A.B"},
    "no wildcard": {"type": "a.*"},
    "prefix": {"type": "a"},
}


@pytest.mark.parametrize(
    ("event", "matched"),
    [
        (
            {"type": "a.b", "source": "src", "subject": "sub"},
            {"type", "type and source", "type and subject", "all three"},
        ),
        ({"type": "a.b", "source": "src"}, {"type", "type and source"}),
        ({"type": "a.b", "source": "SRC", "subject": "sub"}, {"type", "type and subject"}),
        ({"type": "a.b", "source": "else", "subject": "else"}, {"type"}),
        ({"type": "A.B", "source": "src"}, {"other case"}),
        ({"type": "a.b.c", "source": "src"}, set()),
    ],
)
async def test_which_triggers_match(rig: Rig, event: dict[str, Any], matched: set[str]) -> None:
    workflow = await rig.provider(start=False)
    for name, match in TRIGGERS.items():
        request = pb.UpsertWorkflowProviderEventTriggerRequest(
            trigger_id=name, match=pb.WorkflowEventMatch(**match), target=target()
        )
        await workflow.rpc.UpsertEventTrigger(request)
    await workflow.upsert_trigger("paused", type=event["type"], paused=True)
    published = pb.PublishWorkflowProviderEventRequest(event=pb.WorkflowEvent(id="e", **event))
    await workflow.rpc.PublishEvent(published)
    assert {run.trigger.event.trigger_id for run in await workflow.list_runs()} == matched


async def test_a_filter_by_owner_leaves_the_triggers_of_others_alone(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    await workflow.upsert_trigger("mine")
    await workflow.upsert_trigger("theirs", target=target(plugin="other"))
    await workflow.publish("e", plugin_name="other")
    assert [run.trigger.event.trigger_id for run in await workflow.list_runs()] == ["theirs"]


async def test_the_same_event_again_makes_no_run(rig: Rig, workflow: Workflow) -> None:
    await workflow.upsert_trigger("a", type="t")
    await workflow.upsert_trigger("b", type="t")
    for event_id, source in (("e", "s"), ("e", "s"), ("e", "other"), ("f", "s")):
        await workflow.publish(event_id, source=source)
    await rig.host.invoked(6)
    runs = await workflow.list_runs()
    made = {(run.trigger.event.trigger_id, run.trigger.event.event.source, run.trigger.event.event.id) for run in runs}
    assert len(runs) == len(made) == 6
    await workflow.upsert_trigger("later", type="t")  # an event that is published again reaches who was not there
    await workflow.publish("e")
    assert len(await workflow.list_runs()) == 7


async def test_a_run_belongs_to_the_owner_of_its_trigger_and_carries_the_event(rig: Rig, workflow: Workflow) -> None:
    await workflow.upsert_trigger("t", requested_by=actor("user:alice"), execution_ref="ref")
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
    request = pb.PublishWorkflowProviderEventRequest(event=event, published_by=actor("user:bob"))
    await workflow.rpc.PublishEvent(request)
    (invoked,) = await rig.host.invoked(1)
    assert invoked.trigger.event == pb.WorkflowEventTriggerInvocation(trigger_id="t", event=event)
    assert (invoked.created_by, invoked.execution_ref) == (actor("user:alice"), "ref")
    (run,) = await workflow.list_runs()
    assert (run.created_by, run.execution_ref, run.trigger.event.event) == (actor("user:alice"), "ref", event)


async def test_runs_that_exist_outlive_their_trigger_and_its_pause(rig: Rig) -> None:
    workflow = await rig.provider(start=False)
    for name in ("deleted", "paused"):
        await workflow.upsert_trigger(name, operation=name)
    await workflow.publish("e")
    await workflow.rpc.DeleteEventTrigger(pb.DeleteWorkflowProviderEventTriggerRequest(trigger_id="deleted"))
    await workflow.rpc.PauseEventTrigger(pb.PauseWorkflowProviderEventTriggerRequest(trigger_id="paused"))
    await workflow.publish("f")
    await workflow.process.start()
    await rig.host.invoked(2)
    assert sorted(request.target.plugin.operation for request in rig.host.requests) == ["deleted", "paused"]
    assert len(await workflow.list_runs()) == 2
