from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gestalt_host.config.model import PermissionConfig
from gestalt_sdk.workflow.types import AgentTarget, EventMatch, PluginTarget
from tests.support.rigs.config import MINIMAL, Loader

Faults = Callable[..., list[str]]
TARGET = "target: {plugin: {name: echo, operation: say}}"


def schedule(body: str) -> str:
    return f"{MINIMAL}workflows:\n  schedules:\n    s: {{{body}}}\n"


def trigger(body: str) -> str:
    return f"{MINIMAL}workflows:\n  eventTriggers:\n    t: {{{body}}}\n"


def test_schedules_and_triggers_are_read(loaded: Loader) -> None:
    config = loaded(
        MINIMAL
        + """
workflows:
  schedules:
    zeta:
      cron: "0 3 * * *"
      target: {plugin: {name: echo, operation: say, credentialMode: NONE, input: {a: [1, {b: null}]}}}
    " alpha ":
      cron: "*/5 * * * *"
      timezone: Europe/Berlin
      paused: true
      provider: local
      target: {plugin: {name: " echo ", operation: say, connection: c, instance: i}}
      permissions:
        - {plugin: echo, operations: [a, b]}
        - {plugin: echo, operations: [b, c]}
  eventTriggers:
    t: {match: {type: item.created, source: echo, subject: s}, target: {plugin: {name: echo, operation: say}}}
"""
    )
    alpha, zeta = config.schedules
    assert (alpha.key, alpha.provider, alpha.timezone, alpha.paused) == ("alpha", "local", "Europe/Berlin", True)
    assert alpha.target == PluginTarget("echo", "say", "c", "i")
    assert alpha.permissions == (PermissionConfig("echo", ("a", "b", "c")),)
    assert (zeta.key, zeta.provider, zeta.timezone, zeta.paused) == ("zeta", "local", "UTC", False)
    assert zeta.target == PluginTarget("echo", "say", "", "", "none", {"a": [1, {"b": None}]})
    (created,) = config.event_triggers
    assert created.match == EventMatch("item.created", "echo", "s")


ONE_FAULT: list[tuple[str, str]] = [
    (
        schedule(f"cron: '{'1,' * 600}1 * * * *', {TARGET}"),
        "workflows.schedules.s.cron: has 1209 bytes; accepted are at most 1024",
    ),
    (
        trigger(f"match: {{type: {'t' * 1025}}}, {TARGET}"),
        "workflows.eventTriggers.t.match.type: has 1025 bytes; accepted are at most 1024",
    ),
    (
        schedule(
            "cron: '* * * * *', target: {plugin: {name: echo, operation: say, input: {a: [1, {id: 9007199254740993}]}}}"
        ),
        "workflows.schedules.s.target.plugin.input.a[1].id: is an integer that no double holds, so another one would "
        "arrive; write it as text",
    ),
    (schedule(f"cron: '* * * * *', {TARGET}, enabled: true"), "workflows.schedules.s.enabled: unknown key"),
    (schedule(f"{TARGET}"), "workflows.schedules.s.cron: is required"),
    (
        schedule(f"cron: '* * * *', {TARGET}"),
        'schedules.s.cron: "* * * *" is invalid: expected exactly 5 fields, found 4',
    ),
    (schedule(f"cron: '0 0 31 2 *', {TARGET}"), "has no occurrence within eight years"),
    (schedule(f"cron: '* * * * *', timezone: Mars/Base, {TARGET}"), 'timezone: "Mars/Base" is not an IANA time zone'),
    (schedule(f"cron: '* * * * *', timezone: Local, {TARGET}"), 'timezone: "Local" is not an IANA time zone'),
    (schedule(f"cron: '* * * * *', timezone: ../../etc/passwd, {TARGET}"), "is not an IANA time zone"),
    (
        schedule(f"cron: '* * * * *', provider: x, {TARGET}"),
        's.provider: references unknown workflow "x"; configured are local',
    ),
    (schedule("cron: '* * * * *'"), "workflows.schedules.s.target: exactly one of plugin and agent is required"),
    (
        schedule("cron: '* * * * *', target: {plugin: {name: echo, operation: o}, agent: {prompt: p}}"),
        "exactly one of plugin and agent is required",
    ),
    (schedule("cron: '* * * * *', target: {plugin: {operation: o}}"), "target.plugin.name: is required"),
    (schedule("cron: '* * * * *', target: {plugin: {name: echo}}"), "target.plugin.operation: is required"),
    (
        schedule("cron: '* * * * *', target: {plugin: {name: ecko, operation: o}}"),
        'target.plugin.name: references unknown plugin "ecko"; configured are echo',
    ),
    (
        schedule("cron: '* * * * *', target: {plugin: {name: echo, operation: o, credentialMode: platform}}"),
        "credentialMode: 'platform' is not supported; accepted are none, user",
    ),
    (
        schedule("cron: '* * * * *', target: {plugin: {name: echo, operation: o, input: [1]}}"),
        "target.plugin.input: must be a mapping, not a list",
    ),
    (
        schedule(f"cron: '* * * * *', {TARGET}, permissions: [{{plugin: echo}}]"),
        "permissions[0].operations: is required",
    ),
    (
        schedule(f"cron: '* * * * *', {TARGET}, permissions: [{{plugin: no, operations: [x]}}]"),
        'permissions[0].plugin: references unknown plugin "no"',
    ),
    (
        schedule(f"cron: '* * * * *', {TARGET}, permissions: [{{plugin: echo, operations: ['']}}]"),
        "permissions[0].operations[0]: is required",
    ),
    (
        schedule(f"cron: '* * * * *', {TARGET}, permissions: [{{plugin: echo, operations: [x], actions: [y]}}]"),
        "permissions[0].actions: is not supported",
    ),
    (trigger(f"match: {{source: x}}, {TARGET}"), "workflows.eventTriggers.t.match.type: is required"),
    (trigger(f"match: {{type: x, tipe: y}}, {TARGET}"), "workflows.eventTriggers.t.match.tipe: unknown key"),
    (MINIMAL + "workflows: {schedules: {s: null}, x: 1}", "workflows.schedules.s: is required"),
    (
        MINIMAL
        + f"workflows: {{schedules: {{a: {{cron: '* * * * *', {TARGET}}}, ' a': {{cron: '* * * * *', {TARGET}}}}}}}",
        "the key 'a' is a duplicate after trimming",
    ),
    (
        schedule(
            "cron: '* * * * *', target: {plugin: {name: echo, operation: o, "
            "input: {t: {secret: {provider: default, name: n}}}}}"
        ),
        "target.plugin.input.t: a secret reference is not allowed inside workflows",
    ),
]


@pytest.mark.parametrize(("text", "expected"), ONE_FAULT, ids=[row[1] for row in ONE_FAULT])
def test_a_breach_is_named(faults: Faults, text: str, expected: str) -> None:
    found = faults(text)
    assert any(expected in problem for problem in found), found
    assert len(found) == 1 or "x: unknown key" in found[-1] or "is required" in expected


def test_a_provider_must_be_named_where_none_is_the_default(faults: Faults) -> None:
    two = MINIMAL.replace("plugins:", "    second: {source: m.yaml}\nplugins:")
    (found,) = faults(two + f"workflows: {{schedules: {{s: {{cron: '* * * * *', {TARGET}}}}}}}")
    assert found.endswith(
        "schedules.s.provider: is required; providers.workflow has multiple providers but no default: local, second"
    )


AGENT = MINIMAL.replace("plugins:", "  agent:\n    helper: {source: a.yaml}\nplugins:")


def test_agent_targets_are_read(loaded: Loader) -> None:
    config = loaded(
        AGENT
        + """
workflows:
  schedules:
    s:
      cron: "* * * * *"
      target:
        agent:
          prompt: Say hello
          messages: [{role: user, text: " hi ", metadata: {a: 1}}]
          tools: [{plugin: echo, operation: say}, {system: workflow, operation: runs.list}]
          timeout: 1m30.9s
          outputDelivery:
            target: {name: echo, operation: say}
            inputBindings: [{inputField: text, value: {agentOutput: text}}, {inputField: x, value: {literal: null}}]
            credentialMode: none
"""
    )
    target = config.schedules[0].target
    assert isinstance(target, AgentTarget)
    assert (target.provider, target.timeout_seconds) == ("helper", 90)
    assert target.messages[0].text == " hi "
    assert target.output_delivery is not None
    assert [(b.input_field, b.source, b.value) for b in target.output_delivery.input_bindings] == [
        ("text", "agent_output", "text"),
        ("x", "literal", None),
    ]


def agent(body: str) -> str:
    return f"{AGENT}workflows: {{schedules: {{s: {{cron: '* * * * *', target: {{agent: {{{body}}}}}}}}}}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (agent("model: m"), "target.agent.prompt or messages: is required"),
        (agent("prompt: p, provider: x"), 'target.agent.provider: references unknown agent "x"; configured are helper'),
        (agent("prompt: p, timeout: 2d"), "target.agent.timeout: '2d' is not a duration"),
        (agent("prompt: p, tools: [{plugin: echo, system: workflow}]"), "exactly one of plugin and system is required"),
        (agent("prompt: p, tools: [{system: shell, operation: o}]"), "tools[0].system: 'shell' is not supported"),
        (agent("prompt: p, tools: [{system: workflow}]"), "tools[0].operation: is required for a system tool"),
        (
            agent("prompt: p, tools: [{system: workflow, operation: o}, {plugin: echo}]"),
            "tools[1].operation: is required for every plugin tool when a system tool is in the list",
        ),
        (
            agent("prompt: p, outputDelivery: {target: {name: echo, operation: o, credentialMode: none}}"),
            "outputDelivery.target.credentialMode: is not allowed here",
        ),
        (agent("prompt: p, outputDelivery: {target: {name: echo}}"), "outputDelivery.target.operation: is required"),
    ],
)
def test_a_breach_in_an_agent_target_is_named(faults: Faults, text: str, expected: str) -> None:
    (found,) = faults(text)
    assert expected in found


def test_an_agent_target_needs_an_agent_provider(faults: Faults) -> None:
    (found,) = faults(MINIMAL + "workflows: {schedules: {s: {cron: '* * * * *', target: {agent: {prompt: p}}}}}")
    assert found.endswith("target.agent.provider: is required: no agent provider is configured")


def test_a_negative_timeout_means_the_default(loaded: Loader) -> None:
    target = loaded(agent("prompt: p, timeout: -5s")).schedules[0].target
    assert isinstance(target, AgentTarget)
    assert target.timeout_seconds == 0


def test_inputs_keep_their_values(loaded: Loader) -> None:
    body = "cron: '* * * * *', target: {plugin: {name: echo, operation: o, input: {d: 2026-01-01, n: 1.5, t: ' x '}}}"
    target: Any = loaded(schedule(body)).schedules[0].target
    assert target.input == {"d": "2026-01-01", "n": 1.5, "t": " x "}
