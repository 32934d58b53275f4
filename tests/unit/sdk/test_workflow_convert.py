"""Every field of every workflow object survives the way to the wire and back."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.workflow import convert
from gestalt_sdk.workflow.targets import target_from_proto, target_to_proto
from gestalt_sdk.workflow.types import (
    Actor,
    AgentMessage,
    AgentTarget,
    Event,
    EventMatch,
    EventTrigger,
    EventTriggerInvocation,
    ManualTrigger,
    MessagePart,
    OutputBinding,
    OutputDelivery,
    PluginTarget,
    Run,
    Schedule,
    ScheduleTrigger,
    Signal,
    ToolRef,
)

ACTOR = Actor("user:ann", "user", "Ann", "session")
OTHER = Actor("user:bob", "user", "Bob", "api_token")
T = [datetime(2026, 5, 8, 9, 0, 0, 123456, UTC) + timedelta(hours=n) for n in range(5)]
JSON = {"n": 5, "f": 1.5, "t": True, "none": None, "list": [1, "a", {}], "deep": {"x": {"y": "ü"}}, "s": ""}
PLUGIN = PluginTarget("roadmap", "sync", "alerts", "i 1", "none", JSON)
AGENT = AgentTarget(
    provider="helper",
    model="large",
    prompt=" keep the blanks ",
    messages=(
        AgentMessage(
            "user",
            " text ",
            (
                MessagePart("text", "a"),
                MessagePart("json", json=JSON),
                MessagePart("tool_call", tool_call={"id": "1", "tool_id": "t", "arguments": {"a": 1}}),
                MessagePart(
                    "tool_result",
                    tool_result={"tool_call_id": "1", "status": 200, "content": "c", "output": {"o": 1}},
                ),
                MessagePart("image_ref", image_ref={"uri": "u", "mime_type": "m"}),
                MessagePart("", "an unknown type"),
            ),
            {"m": 1},
        ),
    ),
    tool_refs=(
        ToolRef("slack", "post", "default", "one", "Post", "Posts"),
        ToolRef(system="workflow", operation="runs.list"),
    ),
    response_schema={"type": "object"},
    metadata={"k": "v"},
    model_options={"temperature": 0.5},
    timeout_seconds=90,
    output_delivery=OutputDelivery(
        PluginTarget("slack", "post", "c", "i", "", {"channel": "x"}),
        (
            OutputBinding("text", "agent_output", "text"),
            OutputBinding("payload", "signal_payload", "a.b"),
            OutputBinding("meta", "signal_metadata", "c"),
            OutputBinding("zero", "literal", 0),
            OutputBinding("false", "literal", False),
            OutputBinding("tree", "literal", {"a": [None]}),
            OutputBinding("unset", "", None),
        ),
        "user",
    ),
)
EVENT = Event("a.b", "src", "subject", JSON, "e1", T[0], "1.0", "application/json", {"trace": "t", "n": 1, "o": {}})


def run(**members: Any) -> Run:
    base: dict[str, Any] = {
        "id": "r1",
        "provider": "local",
        "status": "failed",
        "target": PLUGIN,
        "trigger": ManualTrigger(),
        "created_at": T[0],
        "started_at": T[1],
        "completed_at": T[2],
        "status_message": "why",
        "result_body": "{}",
        "result_truncated": 70_000,
        "created_by": ACTOR,
        "published_by": OTHER,
        "execution_ref": "ref",
        "workflow_key": "key",
    }
    return Run(**{**base, **members})


def test_no_field_of_a_sample_is_left_at_its_default() -> None:
    """Otherwise a field that the conversion forgets would pass unseen."""
    for sample in (PLUGIN, AGENT, EVENT, run(), ACTOR):
        assert is_dataclass(sample)
        empty = [f.name for f in fields(sample) if getattr(sample, f.name) in ("", None, (), {}, 0, b"")]
        assert empty == [], type(sample).__name__


@pytest.mark.parametrize("target", [PLUGIN, AGENT, PluginTarget("p", "o")])
def test_targets(target: Any) -> None:
    assert target_from_proto(target_to_proto(target)) == target


def test_no_target() -> None:
    assert target_from_proto(pb.BoundWorkflowTarget()) is None


def test_the_form_of_numbers_after_the_trip() -> None:
    wire = target_to_proto(PluginTarget("p", "o", input={"a": 5.0, "b": 2**53, "c": 0.25}))
    read = target_from_proto(wire)
    assert isinstance(read, PluginTarget)
    assert [type(value) for value in read.input.values()] == [int, int, float]


@pytest.mark.parametrize(
    "trigger",
    [
        ManualTrigger(),
        ScheduleTrigger("s1", T[0]),
        ScheduleTrigger("s1"),
        EventTriggerInvocation("t1", EVENT),
        None,
    ],
)
@pytest.mark.parametrize("target", [PLUGIN, AGENT, None])
def test_runs(trigger: Any, target: Any) -> None:
    sample = run(trigger=trigger, target=target)
    assert convert.run_from_proto(convert.run_to_proto(sample), "local") == sample


@pytest.mark.parametrize("status", ["", "pending", "running", "succeeded", "failed", "canceled"])
def test_run_statuses(status: str) -> None:
    sample = run(status=status, published_by=None)
    assert convert.run_from_proto(convert.run_to_proto(sample), "local") == sample


def test_an_unknown_run_status_reads_as_none() -> None:
    wire = pb.BoundWorkflowRun(status=9)  # type: ignore[arg-type]
    assert convert.run_from_proto(wire).status == ""


def test_schedules() -> None:
    sample = Schedule("s", "0 3 * * *", "Asia/Tokyo", PLUGIN, True, T[0], T[1], T[2], ACTOR, "ref", "local")
    assert convert.schedule_from_proto(convert.schedule_to_proto(sample), "local") == sample


def test_event_triggers() -> None:
    match = EventMatch("type", "source", "subject")
    sample = EventTrigger("t", match, AGENT, True, T[0], T[1], ACTOR, "ref", "local")
    assert convert.trigger_from_proto(convert.trigger_to_proto(sample), "local") == sample


def test_events() -> None:
    assert convert.event_from_proto(convert.event_to_proto(EVENT)) == EVENT
    assert convert.event_from_proto(convert.event_to_proto(Event(type="x"))) == Event(type="x")


def test_signals() -> None:
    sample = Signal("go", JSON, {"m": 1}, "s1", ACTOR, T[0], "key", 7)
    assert convert.signal_from_proto(convert.signal_to_proto(sample)) == sample


def test_empty_actors_and_structs_are_left_unset() -> None:
    wire = convert.run_to_proto(Run("r", "pending", PluginTarget("p", "o")))
    assert not wire.HasField("created_by")
    assert not wire.HasField("published_by")
    assert not wire.target.plugin.HasField("input")


def test_names_are_trimmed_and_texts_are_not() -> None:
    wire = pb.BoundWorkflowTarget(
        plugin=pb.BoundWorkflowPluginTarget(
            plugin_name=" p ", operation=" o ", connection=" c ", instance=" i ", credential_mode=" NONE "
        )
    )
    assert target_from_proto(wire) == PluginTarget("p", "o", "c", "i", "none")
    wire = pb.BoundWorkflowTarget(agent=pb.BoundWorkflowAgentTarget(provider_name=" a ", prompt=" p "))
    assert target_from_proto(wire) == AgentTarget("a", prompt=" p ")
