"""Names, ids and other short texts have limits that are told without repeating the text (docs/limits.md)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from gestalt_host.errors import InvalidArgument
from gestalt_host.workflows.model import (
    AgentTarget,
    Event,
    EventMatch,
    EventTriggerSpec,
    OutputDelivery,
    PluginTarget,
    ScheduleSpec,
    Signal,
    ToolRef,
)
from tests.support.rigs.host import ANN, Rig

SYNC = PluginTarget("roadmap", "sync")
SCHEDULE = ScheduleSpec(cron="0 3 * * *", target=SYNC)
TRIGGER = EventTriggerSpec(match=EventMatch("a.b"), target=SYNC)
EVENT = Event(id="e", source="s", type="a.b")
LONG = 900_000


def refusal(name: str, limit: int, size: int = LONG) -> str:
    return f"^{name} has {size} bytes; accepted are at most {limit}$".replace("[", r"\[")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (PluginTarget("x" * LONG, "sync"), "target.plugin.name"),
        (PluginTarget("roadmap", "x" * LONG), "target.plugin.operation"),
        (PluginTarget("roadmap", "sync", connection="x" * LONG), "target.plugin.connection"),
        (PluginTarget("roadmap", "sync", instance="x" * LONG), "target.plugin.instance"),
        (AgentTarget("x" * LONG, prompt="p"), "target.agent.provider"),
        (AgentTarget("a", model="x" * LONG, prompt="p"), "target.agent.model"),
        (AgentTarget("a", prompt="p", tool_refs=(ToolRef(plugin="x" * LONG),)), "target.agent.toolRefs[0].plugin"),
        (
            AgentTarget("a", prompt="p", output_delivery=OutputDelivery(PluginTarget("p", "x" * LONG), ())),
            "target.agent.outputDelivery.target.operation",
        ),
    ],
)
async def test_a_target_with_a_name_that_is_too_long_is_refused_everywhere(rig: Rig, target: Any, name: str) -> None:
    schedules, triggers, runs = rig.manager.schedules, rig.manager.triggers, rig.manager.runs
    made = await schedules.create(ANN, SCHEDULE)
    rig.local.calls.clear()
    for attempt in (
        partial(schedules.create, ANN, replace(SCHEDULE, target=target)),
        partial(schedules.update, ANN, made.id, replace(SCHEDULE, target=target)),
        partial(triggers.create, ANN, replace(TRIGGER, target=target)),
        partial(runs.start, ANN, target),
        partial(runs.signal_or_start, ANN, "key", target, Signal("s")),
    ):
        with pytest.raises(InvalidArgument, match=refusal(name, 512)):
            await attempt()
    assert not [call for call in rig.local.calls if not call.startswith("Get")]


async def test_the_texts_of_schedules_and_triggers_have_limits(rig: Rig) -> None:
    schedules, triggers = rig.manager.schedules, rig.manager.triggers
    with pytest.raises(InvalidArgument, match=refusal("cron", 1024)):
        await schedules.create(ANN, replace(SCHEDULE, cron="x" * LONG))
    with pytest.raises(InvalidArgument, match=refusal("idempotencyKey", 1024)):
        await schedules.create(ANN, SCHEDULE, idempotency_key="x" * LONG)
    made = await triggers.create(ANN, TRIGGER)
    for name in ("type", "source", "subject"):
        wrong = replace(TRIGGER, match=replace(TRIGGER.match, **{name: "x" * LONG}))
        with pytest.raises(InvalidArgument, match=refusal(f"match.{name}", 1024)):
            await triggers.create(ANN, wrong)
        with pytest.raises(InvalidArgument, match=refusal(f"match.{name}", 1024)):
            await triggers.update(ANN, made.id, wrong)


@pytest.mark.parametrize(
    ("field", "name", "limit"),
    [
        ("id", "event.id", 512),
        ("source", "event.source", 1024),
        ("type", "event.type", 1024),
        ("subject", "event.subject", 1024),
        ("spec_version", "event.specVersion", 512),
        ("data_content_type", "event.dataContentType", 512),
    ],
)
async def test_the_texts_of_events_have_limits_in_bytes(rig: Rig, field: str, name: str, limit: int) -> None:
    fits: dict[str, Any] = {field: "\u00e9" * (limit // 2)}
    await rig.manager.events.publish(ANN, replace(EVENT, **fits))
    too_long: dict[str, Any] = {field: fits[field] + "\u00e9"}
    with pytest.raises(InvalidArgument, match=refusal(name, limit, limit + 2)):
        await rig.manager.events.publish(ANN, replace(EVENT, **too_long))


async def test_the_keys_of_runs_and_signals_have_limits(rig: Rig) -> None:
    runs = rig.manager.runs
    key = "x" * LONG
    with pytest.raises(InvalidArgument, match=refusal("workflowKey", 1024)):
        await runs.start(ANN, SYNC, workflow_key=key)
    with pytest.raises(InvalidArgument, match=refusal("idempotencyKey", 1024)):
        await runs.start(ANN, SYNC, idempotency_key=key)
    with pytest.raises(InvalidArgument, match=refusal("workflowKey", 1024)):
        await runs.signal_or_start(ANN, key, SYNC, Signal("s"))
    run = await runs.start(ANN, SYNC, workflow_key="k")
    for signal, name, limit in (
        (Signal(key), "signal.name", 512),
        (Signal("s", id=key), "signal.id", 512),
        (Signal("s", idempotency_key=key), "signal.idempotencyKey", 1024),
    ):
        with pytest.raises(InvalidArgument, match=refusal(name, limit)):
            await runs.signal(ANN, run.id, signal)


def nested(levels: int) -> dict[str, Any]:
    """An object whose levels are objects and lists in turn."""
    value: Any = 1
    for level in range(levels - 1):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


async def test_what_no_plugin_could_be_sent_is_refused_before_it_is_stored(rig: Rig) -> None:
    """Deeper data arrived at the provider; its runs then broke the stream of all calls of their plugin."""
    runs, events = rig.manager.runs, rig.manager.events
    fits, deep = nested(24), nested(25)
    await events.publish(ANN, replace(EVENT, data=fits, extensions={"x": fits}))
    run = await runs.start(ANN, replace(SYNC, input=fits), workflow_key="k")
    await runs.signal(ANN, run.id, Signal("s", payload=fits, metadata=fits))
    target = replace(SYNC, input=deep)
    for attempt, name in (
        (partial(events.publish, ANN, replace(EVENT, data=deep)), "event.data"),
        (partial(events.publish, ANN, replace(EVENT, extensions={"x": deep})), "event.extensions"),
        (partial(runs.start, ANN, target), "target.plugin.input"),
        (partial(rig.manager.schedules.create, ANN, replace(SCHEDULE, target=target)), "target.plugin.input"),
        (partial(rig.manager.triggers.create, ANN, replace(TRIGGER, target=target)), "target.plugin.input"),
        (partial(runs.start, ANN, AgentTarget("a", prompt="p", metadata=deep)), "target.agent.metadata"),
        (partial(runs.signal, ANN, run.id, Signal("s", payload=deep)), "signal.payload"),
    ):
        with pytest.raises(InvalidArgument, match=f"^{name} is nested too deeply: at most 24 levels"):
            await attempt()
