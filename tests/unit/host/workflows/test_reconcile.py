"""Configured schedules and triggers at start: created once, left alone, updated, deleted, never taken from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from grpc import StatusCode as Code
from structlog.testing import capture_logs

from gestalt_host.access.subjects import Actor, Principal
from gestalt_host.config.model import (
    EventTriggerConfig,
    PermissionConfig,
    ScheduleConfig,
)
from gestalt_host.workflows.model import (
    AgentTarget,
    EventMatch,
    OutputBinding,
    OutputDelivery,
    Permission,
    PluginTarget,
    ScheduleSpec,
    ToolRef,
)
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_host.workflows.reconcile import Reconciliation, ReconciliationFailed
from gestalt_host.workflows.references.ids import config_schedule_id, config_trigger_id
from gestalt_host.workflows.references.signing import ReferenceSigner
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.targets.configured import internal_target, permissions_from
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.doors import once_before
from tests.support.rigs.host import ANN, KEY, OPERATOR, Rig

NIGHTLY = ScheduleConfig("nightly", "local", "0 3 * * *", PluginTarget("roadmap", "sync", "default"))
NOTIFY = EventTriggerConfig("notify", "local", EventMatch("a.b", "src"), PluginTarget("slack", "post"))
NIGHTLY_ID, NOTIFY_ID = config_schedule_id("nightly"), config_trigger_id("notify")
CONFIG = Principal(Actor("system:config", "system", "Gestalt config", "config"), "system:config")


async def reconcile(
    rig: Rig, schedules: Sequence[ScheduleConfig] = (NIGHTLY,), triggers: Sequence[EventTriggerConfig] = (NOTIFY,)
) -> None:
    for provider in rig.providers.values():
        provider.calls.clear()
        provider.requests.clear()
    providers = WorkflowProviders(rig.clients.values(), default="local")
    await Reconciliation(providers, rig.references, rig.registry).run(schedules, triggers)


def active(reference: pb.WorkflowExecutionReference) -> bool:
    return not (reference.HasField("revoked_at") or reference.HasField("retired_at"))


def writes(rig: Rig) -> list[str]:
    return [name for name in rig.local.calls if not name.startswith(("Get", "List"))]


async def test_the_first_start_creates(rig: Rig) -> None:
    await reconcile(rig)
    schedule, trigger = rig.local.schedules[NIGHTLY_ID], rig.local.triggers[NOTIFY_ID]
    assert (schedule.cron, schedule.timezone, schedule.target.plugin.connection) == ("0 3 * * *", "UTC", "default")
    assert (trigger.match.type, trigger.match.source) == ("a.b", "src")
    for item in (schedule, trigger):
        creator = item.created_by
        assert (creator.subject_id, creator.subject_kind) == ("system:config", "system")
        assert (creator.display_name, creator.auth_source) == ("Workflow Config", "config")
        reference = rig.local.references[item.execution_ref]
        assert (reference.subject_id, reference.credential_subject_id) == ("system:config", "system:config")
        assert (reference.subject_kind, reference.auth_source) == ("system", "config")
        assert reference.display_name == "Gestalt config"
        assert reference.signature
    assert [(p.plugin, list(p.operations)) for p in rig.local.references[schedule.execution_ref].permissions] == [
        ("roadmap", ["sync"])
    ]


@pytest.mark.trap("c")
async def test_a_start_that_changes_nothing_writes_nothing(rig: Rig) -> None:
    await reconcile(rig)
    before = pb.BoundWorkflowSchedule.FromString(rig.local.schedules[NIGHTLY_ID].SerializeToString())
    await reconcile(rig)
    assert writes(rig) == []
    assert rig.local.schedules[NIGHTLY_ID] == before


@pytest.mark.parametrize(
    ("changed", "new_reference"),
    [
        (replace(NIGHTLY, cron="5 3 * * *"), False),
        (replace(NIGHTLY, timezone="Asia/Tokyo"), False),
        (replace(NIGHTLY, paused=True), False),
        (replace(NIGHTLY, permissions=(PermissionConfig("slack", ("post",)),)), True),
        (replace(NIGHTLY, target=PluginTarget("roadmap", "sync", "default", input={"a": 1})), True),
        (replace(NIGHTLY, target=PluginTarget("slack", "post")), True),
    ],
)
async def test_an_edited_key_updates_in_place(rig: Rig, changed: ScheduleConfig, new_reference: bool) -> None:
    await reconcile(rig)
    before = pb.BoundWorkflowSchedule.FromString(rig.local.schedules[NIGHTLY_ID].SerializeToString())
    await reconcile(rig, [changed])
    after = rig.local.schedules[NIGHTLY_ID]
    assert (after.cron, after.timezone, after.paused) == (changed.cron, changed.timezone, changed.paused)
    assert after.created_at == before.created_at
    assert (after.execution_ref != before.execution_ref) is new_reference
    assert active(rig.local.references[after.execution_ref])
    assert active(rig.local.references[before.execution_ref]) is not new_reference
    await reconcile(rig, [changed])
    assert writes(rig) == []


async def test_without_retarget_the_object_is_replaced(rig: Rig) -> None:
    here = replace(NIGHTLY, provider="other")
    await reconcile(rig, [here])
    await reconcile(rig, [replace(here, target=PluginTarget("slack", "post"))])
    assert rig.other.schedules[NIGHTLY_ID].target.plugin.plugin_name == "slack"
    assert sorted(active(item) for item in rig.other.references.values()) == [False, True]


async def test_a_removed_key_is_deleted_and_its_reference_ended(rig: Rig) -> None:
    await reconcile(rig)
    await reconcile(rig, [replace(NIGHTLY, key="weekly")], [])
    assert list(rig.local.schedules) == [config_schedule_id("weekly")]
    assert not rig.local.triggers
    assert sum(active(item) for item in rig.local.references.values()) == 1


async def test_a_key_that_moves_leaves_its_old_provider(rig: Rig) -> None:
    await reconcile(rig)
    await reconcile(rig, [replace(NIGHTLY, provider="other")])
    assert list(rig.other.schedules) == [NIGHTLY_ID]
    assert not rig.local.schedules
    await reconcile(rig, [NIGHTLY])
    assert list(rig.local.schedules) == [NIGHTLY_ID]
    assert not rig.other.schedules
    assert not any(active(item) for item in rig.other.references.values())


@pytest.mark.trap("g")
async def test_what_others_made_is_never_touched(rig: Rig) -> None:
    """A plugin that runs as the configuration makes objects whose creator looks like the configuration's."""
    own = await rig.manager.schedules.create(OPERATOR, ScheduleSpec("0 4 * * *", PluginTarget("roadmap", "noop")))
    by_plugin = await rig.manager.schedules.create(
        Principal(CONFIG.actor, "system:config", caller_plugin="slack"),
        ScheduleSpec("0 5 * * *", PluginTarget("roadmap", "noop")),
    )
    await reconcile(rig)
    await reconcile(rig, [], [])
    assert set(rig.local.schedules) == {own.id, by_plugin.id}


@pytest.mark.trap(26)
async def test_an_id_that_somebody_else_holds_stops_the_start(rig: Rig) -> None:
    made = await rig.manager.schedules.create(ANN, ScheduleSpec("0 4 * * *", PluginTarget("roadmap", "noop")))
    foreign = rig.local.schedules.pop(made.id)
    foreign.id = NIGHTLY_ID
    rig.local.schedules[NIGHTLY_ID] = foreign
    with pytest.raises(ReconciliationFailed) as failed:
        await reconcile(rig)
    assert str(failed.value) == (
        f'workflow schedule "nightly" for plugin "roadmap" conflicts with existing unmanaged schedule id "{NIGHTLY_ID}"'
    )
    assert writes(rig) == []


@pytest.mark.parametrize("ended", ["revoked_at", "retired_at"])
async def test_an_ended_reference_is_replaced(rig: Rig, ended: str) -> None:
    await reconcile(rig)
    old = rig.local.schedules[NIGHTLY_ID].execution_ref
    getattr(rig.local.references[old], ended).CopyFrom(rig.local.now())
    await reconcile(rig)
    new = rig.local.schedules[NIGHTLY_ID].execution_ref
    assert new != old
    assert active(rig.local.references[new])


async def test_another_key_keeps_the_references_and_a_forged_one_is_replaced(rig: Rig) -> None:
    await reconcile(rig)
    rig.references = ReferenceStore(ReferenceSigner(bytes(32)))
    await reconcile(rig)
    assert writes(rig) == []
    rig.references = ReferenceStore(ReferenceSigner(bytes(range(32))))
    old = rig.local.schedules[NIGHTLY_ID].execution_ref
    rig.local.references[old].signature = b"\0" * 32
    await reconcile(rig)
    assert rig.local.schedules[NIGHTLY_ID].execution_ref != old


async def test_an_unreadable_reference_is_replaced_and_not_ended(rig: Rig) -> None:
    await reconcile(rig)
    old = rig.local.schedules[NIGHTLY_ID].execution_ref
    rig.local.failures["GetExecutionReference"] = (Code.INTERNAL, "unreadable")
    await reconcile(rig)
    assert rig.local.schedules[NIGHTLY_ID].execution_ref != old
    assert active(rig.local.references[old])


@pytest.mark.trap(23)
async def test_an_unchanged_object_survives_an_outage_of_reference_writes(rig: Rig) -> None:
    await reconcile(rig)
    rig.local.failures["GetExecutionReference"] = (Code.INTERNAL, "outage")
    rig.local.failures["PutExecutionReference"] = (Code.INTERNAL, "outage")
    await reconcile(rig)
    with pytest.raises(ReconciliationFailed, match=r'workflow schedule "nightly" for plugin "roadmap": outage'):
        await reconcile(rig, [replace(NIGHTLY, cron="1 1 * * *")])


async def test_a_refused_object_stops_the_start_and_its_reference_ends(rig: Rig) -> None:
    with pytest.raises(ReconciliationFailed, match=r'workflow schedule "nightly".*cron "bad" is not valid'):
        await reconcile(rig, [replace(NIGHTLY, cron="bad")])
    assert [active(item) for item in rig.local.references.values()] == [False]


@pytest.mark.trap(23)
async def test_cleaning_up_is_best_effort(rig: Rig) -> None:
    await reconcile(rig)
    rig.local.failures["ListSchedules"] = (Code.INTERNAL, "outage")
    rig.local.failures["DeleteEventTrigger"] = (Code.INTERNAL, "outage")
    await reconcile(rig, [], [])
    assert NIGHTLY_ID in rig.local.schedules
    assert NOTIFY_ID in rig.local.triggers
    rig.local.failures.clear()
    await reconcile(rig, [], [])
    assert not rig.local.schedules
    assert not rig.local.triggers


# Credentials and permissions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (PluginTarget("mail", "send"), 'user-credentialed plugin "mail"'),
        (PluginTarget("mail", "send", "default"), 'user-credentialed plugin "mail"'),
        (PluginTarget("roadmap", "sync", credential_mode="user"), 'user-credentialed plugin "roadmap"'),
        (PluginTarget("roadmap", "sync", "nope"), 'plugin "roadmap" connection "nope" is not configured'),
        (PluginTarget("mail", "send", credential_mode="none"), ""),
        (PluginTarget("billing", "bill"), ""),
        (PluginTarget("slack", "post"), ""),
        (PluginTarget("slack", "post", "plugin"), ""),
        (PluginTarget("not-running", "x"), ""),
    ],
)
async def test_configured_targets_never_use_a_users_credential(rig: Rig, target: PluginTarget, text: str) -> None:
    if not text:
        await reconcile(rig, [replace(NIGHTLY, target=target)], [])
        return
    with pytest.raises(ReconciliationFailed) as failed:
        await reconcile(rig, [replace(NIGHTLY, target=target)], [])
    assert str(failed.value).startswith('workflow schedule "nightly" for plugin "')
    assert text in str(failed.value)
    assert rig.local.calls == []


def test_the_public_name_of_a_connection_becomes_the_internal_one() -> None:
    config = AgentTarget(
        provider="helper",
        model="m",
        prompt="p",
        tool_refs=(ToolRef("slack", "post", "plugin"), ToolRef(system="workflow", operation="x")),
        output_delivery=OutputDelivery(
            PluginTarget("slack", "post", "plugin"),
            (OutputBinding("text", "agent_output", "text"), OutputBinding("n", "literal", 0)),
        ),
    )
    target = internal_target(config)
    assert target == AgentTarget(
        provider="helper",
        model="m",
        prompt="p",
        tool_refs=(ToolRef("slack", "post", "_plugin"), ToolRef(system="workflow", operation="x")),
        output_delivery=OutputDelivery(
            PluginTarget("slack", "post", "_plugin"),
            (OutputBinding("text", "agent_output", "text"), OutputBinding("n", "literal", 0)),
        ),
    )
    assert permissions_from(target, [PermissionConfig("vault", ("read",))]) == (
        Permission("slack", ("post",)),
        Permission("helper"),
        Permission("vault", ("read",)),
    )


def test_an_agent_with_explicit_permissions_may_reach_its_own_provider() -> None:
    target = AgentTarget("helper", prompt="p")
    assert permissions_from(target, []) == ()
    assert Permission("helper") in permissions_from(target, [PermissionConfig("vault", ("read",))])


@pytest.mark.trap(23)
async def test_the_hosts_start_needs_no_list_of_references(rig: Rig) -> None:
    await reconcile(rig)
    for name in ("ListExecutionReferences", "ListSchedules", "ListEventTriggers"):
        rig.local.failures[name] = (Code.UNAVAILABLE, "the store is down")
    await reconcile(rig)
    assert len(rig.local.schedules) == 1


# Two hosts that start at once -----------------------------------------------------------------------------------------


async def another_host(rig: Rig, *schedules: ScheduleConfig) -> None:
    providers = WorkflowProviders(rig.clients.values(), default="local")
    references = ReferenceStore(ReferenceSigner(KEY))
    await Reconciliation(providers, references, rig.registry).run(schedules, [NOTIFY])


@pytest.mark.parametrize("before", [None, NIGHTLY])
async def test_of_two_hosts_that_start_at_once_one_writes(rig: Rig, before: ScheduleConfig | None) -> None:
    wanted = replace(NIGHTLY, target=PluginTarget("slack", "post"))
    if before is not None:
        await reconcile(rig, [before])
    faster = once_before(rig, "UpsertSchedule", lambda: another_host(rig, wanted))
    await reconcile(rig, [wanted])
    assert faster == [None]
    (schedule,) = rig.local.schedules.values()
    assert schedule.target.plugin.plugin_name == "slack"
    named = [item for item in rig.local.references.values() if item.id.startswith("workflow_schedule:")]
    assert [item.id for item in named if active(item)] == [schedule.execution_ref]
    upserts = [request for name, request in rig.local.requests if name == "UpsertSchedule"]
    assert [(bool(request.if_revision), request.if_absent) for request in upserts] == [
        (before is not None, before is None)
    ] * 2


async def test_what_another_host_has_just_written_is_not_deleted(rig: Rig) -> None:
    await reconcile(rig)
    edited = replace(NIGHTLY, cron="5 3 * * *")
    faster = once_before(rig, "DeleteSchedule", lambda: another_host(rig, edited))
    with capture_logs() as logs:
        await reconcile(rig, [])
    assert faster == [None]
    assert rig.local.schedules[NIGHTLY_ID].cron == "5 3 * * *"
    assert active(rig.local.references[rig.local.schedules[NIGHTLY_ID].execution_ref])
    assert [entry["id"] for entry in logs if entry["event_name"] == "reconcile.delete_left"] == [NIGHTLY_ID]
