"""Targets, and the round trip of every field through conversion and records (semantics.md 15.6, trap 2)."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gestalt_workflow.claims.transitions import priority
from gestalt_workflow.model.errors import InvalidRequest, Undecodable
from gestalt_workflow.model.objects import (
    Actor,
    Cause,
    EventMatch,
    EventTrigger,
    Reference,
    Run,
    RunStatus,
    RunTrigger,
    Schedule,
    Signal,
    SlotRange,
    SlotState,
    Target,
    TriggerKind,
)
from gestalt_workflow.model.policies import (
    CatchUp,
    CatchUpMode,
    Overlap,
    Pause,
    Retry,
    RetryOn,
    RunPolicy,
    SchedulePolicy,
)
from gestalt_workflow.stored import records
from gestalt_workflow.wire import messages, payloads
from gestalt_workflow.wire.targets import target_from_proto
from google.protobuf import json_format

from gestalt_sdk.gen.v1 import workflow_pb2 as pb

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


def target(**message: Any) -> pb.BoundWorkflowTarget:
    return json_format.ParseDict(message, pb.BoundWorkflowTarget())


FULL_AGENT = {
    "providerName": "helper",
    "model": "m",
    "prompt": "do it",
    "messages": [{"role": " user ", "text": " hi ", "metadata": {"k": "v"}, "parts": [{"text": "p"}]}],
    "toolRefs": [
        {"plugin": "svc", "operation": "o", "connection": "c", "instance": "i", "title": "T", "description": "D"},
        {"system": "workflow", "operation": "schedules.list"},
    ],
    "responseSchema": {"type": "object"},
    "metadata": {"m": 1.0},
    "modelOptions": {"temperature": 0.5},
    "timeoutSeconds": 7,
    "outputDelivery": {
        "target": {"pluginName": "out", "operation": "post", "connection": "c", "instance": "i", "input": {"a": 1.0}},
        "inputBindings": [
            {"inputField": "a", "value": {"agentOutput": "text"}},
            {"inputField": "b", "value": {"signalPayload": "x.y"}},
            {"inputField": "c", "value": {"signalMetadata": "z"}},
            {"inputField": "d", "value": {"literal": {"deep": [1.0, None]}}},
        ],
        "credentialMode": "user",
    },
}
FULL_PLUGIN = {
    "pluginName": "svc",
    "operation": "run",
    "connection": "c",
    "instance": "i",
    "credentialMode": "none",
    "input": {"a": 1.0, "b": [True, None, {"c": "d"}]},
}


@pytest.mark.parametrize("message", [{"plugin": FULL_PLUGIN}, {"agent": FULL_AGENT}])
def test_a_normal_target_comes_back_unchanged(message: dict[str, Any]) -> None:
    checked = target_from_proto(target(**message))
    assert messages.target_to_proto(checked.data) == target(**message)
    assert target_from_proto(messages.target_to_proto(checked.data)) == checked


def test_input_of_a_plugin_target_is_always_there() -> None:
    checked = target_from_proto(target(plugin={"pluginName": "svc", "operation": "run"}))
    assert messages.target_to_proto(checked.data).plugin.HasField("input")


def test_the_given_message_is_left_as_it_is() -> None:
    message = target(plugin={"pluginName": " svc ", "operation": " run ", "credentialMode": " USER "})
    before = message.SerializeToString(deterministic=True)
    assert messages.target_to_proto(target_from_proto(message).data).plugin.credential_mode == "user"
    assert message.SerializeToString(deterministic=True) == before


def test_facts_about_a_target() -> None:
    plugin = target_from_proto(target(plugin=FULL_PLUGIN))
    assert (plugin.plugin, plugin.is_agent, plugin.agent_timeout_s) == ("svc", False, None)
    agent = target_from_proto(target(agent=FULL_AGENT))
    assert (agent.plugin, agent.is_agent, agent.agent_timeout_s) == ("agent:helper", True, 7)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3), ("4", 4), (" 5 ", 5), (0, 0), (-1, 0), (1.5, 0), ("x", 0), (True, 0), (None, 0), (1e30, 1_000_000)],
)
def test_dispatch_priority_of_an_agent(value: Any, expected: int) -> None:
    metadata = {"_gestalt": {"workflow": {"dispatchPriority": value}}}
    checked = target_from_proto(target(agent={"providerName": "a", "prompt": "x", "metadata": metadata}))
    assert checked.priority == expected


def test_priorities() -> None:
    plugin = target_from_proto(target(plugin=FULL_PLUGIN))
    agent = target_from_proto(target(agent=FULL_AGENT))
    urgent = Target(agent.data, agent.plugin, priority=3, agent_timeout_s=0)
    assert priority(plugin, TriggerKind.EVENT, keyed=False) == 0
    assert priority(urgent, TriggerKind.EVENT, keyed=False) == 3
    assert priority(plugin, TriggerKind.MANUAL, keyed=True) == 10
    assert priority(plugin, TriggerKind.SCHEDULE, keyed=False) == 20
    assert priority(agent, TriggerKind.EVENT, keyed=False) == 30
    assert priority(agent, TriggerKind.MANUAL, keyed=False) == 40


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({}, "target.plugin.plugin_name is required"),
        ({"agent": {"providerName": "a"}}, "target.agent.prompt or messages is required"),
        ({"plugin": {"pluginName": "p", "operation": " "}}, "target.plugin.operation is required"),
    ],
)
def test_refusals(message: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        target_from_proto(target(**message))
    assert str(refused.value) == text


ACTOR = Actor("user:a", "user", "A", "session")
TARGET = Target(b"\x32\x04\x0a\x02ab", "svc", 3, 9)
RUN_POLICY = RunPolicy(
    Retry(3, timedelta(seconds=2), timedelta(seconds=9), frozenset({RetryOn.TIMEOUT, RetryOn.INTERRUPTED})),
    timedelta(milliseconds=1500),
)
POLICY = SchedulePolicy(
    CatchUp(CatchUpMode.ALL, timedelta(hours=1), 7), Overlap.QUEUE_ONE, timedelta(seconds=30), RUN_POLICY
)
PAUSE = Pause("holiday", "user:a", "A", NOW, NOW)
TAIL = SlotRange("s", NOW, NOW, 2, SlotState.OVERLAP, NOW, run_id="r0", id="s:1:2")
SAMPLES: list[tuple[Any, Any, Any]] = [
    (
        SlotRange("s", NOW, NOW, 2, SlotState.COLLAPSED, NOW, NOW, "r0", "s:1:2"),
        records.slot_range_to_record,
        records.slot_range_from_record,
    ),
    (
        Schedule(
            "s",
            "* * * * *",
            "UTC",
            TARGET,
            NOW,
            NOW,
            True,
            NOW,
            ACTOR,
            "ref",
            7,
            POLICY,
            PAUSE,
            NOW,
            ("r",),
            3,
            TAIL,
            early=((NOW, NOW),),
        ),
        records.schedule_to_record,
        records.schedule_from_record,
    ),
    (
        EventTrigger("t", EventMatch("a", "b", "c"), TARGET, NOW, NOW, True, ACTOR, "ref", 7, RUN_POLICY, PAUSE, 3),
        records.trigger_to_record,
        records.trigger_from_record,
    ),
    (
        Run(
            id="r",
            status=RunStatus.RUNNING,
            target=TARGET,
            trigger=RunTrigger(TriggerKind.SCHEDULE, b"x", "s", NOW, "t"),
            created_at=NOW,
            created_by=ACTOR,
            published_by=ACTOR,
            execution_ref="ref",
            started_at=NOW,
            completed_at=NOW,
            status_message="m",
            result_body="b",
            workflow_key="k",
            key_row="row",
            revision=3,
            claimant="me",
            epoch=2,
            lease=NOW,
            rank_at=NOW,
            next_sequence=5,
            undelivered=2,
            batch=("x", "y"),
            stale=True,
            policy=RUN_POLICY,
            attempt=2,
            not_before=NOW,
            blocked_by="r0",
            denied=True,
            result_truncated=9,
            timeline="1\t2\t3\t4\t\t",
            lane="svc.run",
            permits=("svc#0", "svc.run#1"),
            cause=Cause("root", 3),
        ),
        records.run_to_record,
        records.run_from_record,
    ),
    (
        Signal("g", "r", "k", 4, b"d", NOW, "i", True, NOW),
        records.signal_to_record,
        records.signal_from_record,
    ),
    (
        Reference("f", "user:a", b"d", NOW, NOW, NOW, True, 8),
        records.reference_to_record,
        records.reference_from_record,
    ),
]


@pytest.mark.parametrize(("value", "encode", "decode"), SAMPLES, ids=lambda v: type(v).__name__)
def test_every_field_survives_its_record(value: Any, encode: Any, decode: Any) -> None:
    record = encode(value)
    assert decode(record) == value
    # Each sample sets every field to something else than its default, or the test would prove nothing.
    for field in fields(value):
        # A pause is in force or has ended, never both: the test below has the other one.
        if field.name != "ended_pause":
            assert getattr(value, field.name) not in ("", (), None, False), field.name


def test_a_pause_that_has_ended_survives_the_record_of_its_schedule() -> None:
    schedule = Schedule("s", "* * * * *", "UTC", TARGET, NOW, NOW, ended_pause=PAUSE)
    assert records.schedule_from_record(records.schedule_to_record(schedule)) == schedule


@pytest.mark.parametrize(("value", "encode", "decode"), SAMPLES, ids=lambda v: type(v).__name__)
def test_a_record_that_lost_a_needed_field_is_named(value: Any, encode: Any, decode: Any) -> None:
    needed = ("created_at", "recorded_at", "revision", "sequence", "count")
    for lost in (name for name in needed if name in encode(value)):
        record = {k: v for k, v in encode(value).items() if k != lost}
        with pytest.raises(Undecodable, match=f"record '{value.id}': KeyError: '{lost}'"):
            decode(record)


def test_a_reference_keeps_every_field_and_normalises_its_permissions() -> None:
    message = pb.WorkflowExecutionReference(
        id=" f ",
        provider_name="",
        target=target(plugin=FULL_PLUGIN),
        subject_id="user:a",
        credential_subject_id="user:b",
        subject_kind="user",
        display_name=" A ",
        auth_source="session",
        caller_plugin_name="caller",
        signature=b"s",
        signature_key_id="k",
    )
    message.permissions.add(plugin=" p ", operations=["b", "", "a", "a"])
    message.permissions.add(plugin=" ", operations=["x"])
    message.revoked_at.FromDatetime(NOW)
    message.retired_at.FromDatetime(NOW + timedelta(seconds=1))
    stored = payloads.named_reference(messages.reference_from_proto(message, NOW), "local")
    answer = messages.reference_to_proto(stored)
    assert answer.id == "f"
    assert answer.provider_name == "local"
    assert answer.created_at.ToDatetime(UTC) == NOW
    assert [(p.plugin, list(p.operations)) for p in answer.permissions] == [("p", ["b", "", "a", "a"])]
    for name in ("target", "credential_subject_id", "display_name", "caller_plugin_name", "signature", "revoked_at"):
        assert getattr(answer, name) == getattr(message, name), name
    assert stored.signed
    assert stored.retired_at == NOW + timedelta(seconds=1)
    again = payloads.named_reference(messages.reference_from_proto(answer, NOW + timedelta(days=1)), "local")
    assert again == stored


@pytest.mark.parametrize(
    ("missing", "text"),
    [("id", "id is required"), ("target", "target is required"), ("subject_id", "subject_id is required")],
)
def test_what_a_reference_needs(missing: str, text: str) -> None:
    message = pb.WorkflowExecutionReference(id="f", target=target(plugin=FULL_PLUGIN), subject_id="user:a")
    message.ClearField(missing)
    with pytest.raises(InvalidRequest) as refused:
        messages.reference_from_proto(message, NOW)
    assert str(refused.value) == text
