"""The input of a schedule or trigger is checked when it is written, and not before or after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gestalt_host.config.model import ScheduleConfig
from gestalt_host.invocation.model import ConfiguredPlugin
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_host.packages.inputs import InputInvalid
from gestalt_host.workflows.model import (
    AgentTarget,
    EventMatch,
    EventTriggerSpec,
    OutputBinding,
    OutputDelivery,
    PluginTarget,
    ScheduleSpec,
)
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.reconcile import Reconciliation, ReconciliationFailed
from gestalt_host.workflows.targets.inputs import check_target_input
from tests.support.rigs.host import ANN, Rig

NOOP = CatalogueOperation(
    "noop",
    input_schema={
        "type": "object",
        "properties": {"n": {"type": "integer"}, "to": {"type": "string"}},
        "required": ["to"],
        "additionalProperties": False,
    },
)
WRONG = {"n": "text", "zzz": 1}
REFUSAL = (
    r"input of roadmap\.noop: n is a text; accepted is an integer; to is missing; accepted is text; "
    r'zzz is not declared; accepted are "n", "to"'
)
RIGHT = {"n": 1, "to": "ops"}


def target(given: dict[str, Any]) -> PluginTarget:
    return PluginTarget("roadmap", "noop", input=given)


def request(word: str, given: dict[str, Any]) -> Any:
    if word == "schedule":
        return ScheduleSpec(cron="0 3 * * *", target=target(given))
    return EventTriggerSpec(match=EventMatch("a.b"), target=target(given))


def declare(rig: Rig, operation: CatalogueOperation) -> None:
    plugin = rig.registry.get("roadmap")
    rig.registry.add(replace(plugin, operations={**plugin.operations, operation.id: operation}))


@pytest.fixture(params=["schedule", "trigger"])
def word(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_wrong_input_is_refused_when_it_is_created_or_changed(rig: Rig, word: str) -> None:
    declare(rig, NOOP)
    things: Any = rig.manager.schedules if word == "schedule" else rig.manager.triggers
    with pytest.raises(InputInvalid, match=REFUSAL):
        await things.create(ANN, request(word, WRONG))
    assert rig.local.calls == []
    made = await things.create(ANN, request(word, RIGHT))
    with pytest.raises(InputInvalid, match=REFUSAL):
        await things.update(ANN, made.id, request(word, WRONG))
    assert (await things.get(ANN, made.id)).target.input == RIGHT


REST = CatalogueOperation(
    "noop",
    "PUT",
    "/items/{id}/{part}",
    transport="rest",
    parameters=(
        CatalogueParameter("id", "string", location="path"),
        CatalogueParameter("title", "string", location="body", required=True),
        CatalogueParameter("hidden", "string", location="body", internal=True),
    ),
)
REST_REFUSAL = (
    r"input of roadmap\.noop: hidden is not public; accepted is an input without it; part is missing; "
    r"title is 7; accepted is text"
)


async def test_an_input_of_a_rest_operation_is_judged_as_its_call_will_be(rig: Rig, word: str) -> None:
    declare(rig, REST)
    things: Any = rig.manager.schedules if word == "schedule" else rig.manager.triggers
    with pytest.raises(InputInvalid, match=REST_REFUSAL):
        await things.create(ANN, request(word, {"id": 5, "title": 7, "hidden": "x"}))
    given = {"id": 5, "part": True, "title": "t", "more": None}
    assert (await things.create(ANN, request(word, given))).target.input == given


async def test_what_is_stored_stays_when_its_operation_takes_less(rig: Rig, word: str) -> None:
    things: Any = rig.manager.schedules if word == "schedule" else rig.manager.triggers
    made = await things.create(ANN, request(word, WRONG))
    declare(rig, NOOP)
    assert (await things.pause(ANN, made.id)).target.input == WRONG
    assert (await things.resume(ANN, made.id)).target.input == WRONG
    assert [item.id for item in await things.list(ANN)] == [made.id]


async def test_a_run_that_starts_at_once_tells_itself(rig: Rig) -> None:
    declare(rig, NOOP)
    assert (await rig.manager.runs.start(ANN, target(WRONG))).target == target(WRONG)


async def reconcile(rig: Rig, given: dict[str, Any], *, paused: bool = False) -> None:
    providers = WorkflowProviders(rig.clients.values(), default="local")
    nightly = ScheduleConfig("nightly", "local", "0 3 * * *", target(given), paused=paused)
    await Reconciliation(providers, rig.references, rig.registry).run([nightly], [])


async def test_a_wrong_input_in_the_configuration_stops_the_start(rig: Rig) -> None:
    declare(rig, NOOP)
    with pytest.raises(ReconciliationFailed, match='workflow schedule "nightly" for plugin "roadmap": ' + REFUSAL):
        await reconcile(rig, WRONG)
    assert not rig.local.schedules


async def test_a_new_version_of_a_plugin_stops_no_start(rig: Rig) -> None:
    await reconcile(rig, WRONG)
    declare(rig, NOOP)
    await reconcile(rig, WRONG)
    await reconcile(rig, WRONG, paused=True)
    assert [item.paused for item in rig.local.schedules.values()] == [True]
    with pytest.raises(ReconciliationFailed, match=REFUSAL):
        await reconcile(rig, {**WRONG, "zzz": 2})


async def test_a_plugin_that_failed_is_not_judged(rig: Rig) -> None:
    plugin = rig.registry.get("roadmap")
    rig.registry.add(ConfiguredPlugin("roadmap", plugin.runner, {}))
    await reconcile(rig, WRONG)
    assert len(rig.local.schedules) == 1


def test_what_an_agent_delivers_is_judged_without_what_it_will_fill_in(rig: Rig) -> None:
    declare(rig, NOOP)

    def agent(given: dict[str, Any], *bound: str) -> AgentTarget:
        bindings = tuple(OutputBinding(name, "agent_output", "text") for name in bound)
        return AgentTarget("helper", prompt="x", output_delivery=OutputDelivery(target(given), bindings))

    check_target_input(rig.registry, agent({"n": 1}, "to"))
    with pytest.raises(InputInvalid, match="to is missing"):
        check_target_input(rig.registry, agent({"n": 1}))
    with pytest.raises(InputInvalid, match="tto is not declared"):
        check_target_input(rig.registry, agent({"to": "x"}, "tto"))
