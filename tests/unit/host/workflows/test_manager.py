"""Schedules, triggers, runs and events through the manager: who sees what, what is called, what happens on failures."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from grpc import StatusCode as Code

from gestalt_host.access.credentials.connections import Connection
from gestalt_host.access.subjects import Actor, Principal
from gestalt_host.errors import (
    AuthorizationDenied,
    CredentialMissing,
    HostError,
    InvalidArgument,
    InvalidInvocation,
    NotAuthenticated,
    OperationNotFound,
    PlatformCredentialMissing,
    PluginNotFound,
    ProviderRefused,
    ProviderRequired,
    ProviderUnavailable,
    ProviderUnknown,
    WorkflowNotConfigured,
    WorkflowObjectNotFound,
)
from gestalt_host.workflows.manager import WorkflowManager
from gestalt_host.workflows.model import (
    AgentTarget,
    Event,
    EventMatch,
    EventTriggerSpec,
    PluginTarget,
    RunQuery,
    ScheduleSpec,
    Signal,
)
from gestalt_host.workflows.providers.registry import WorkflowProviders
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.host import ANN, BOB, OPERATOR, Rig, limited
from tests.support.waiting import one_turn

SYNC = PluginTarget("roadmap", "sync")
POST = PluginTarget("slack", "post")


def schedule(target: Any = SYNC, **members: Any) -> ScheduleSpec:
    return ScheduleSpec(**{"cron": "0 3 * * *", "target": target, **members})


def trigger(target: Any = SYNC, **members: Any) -> EventTriggerSpec:
    return EventTriggerSpec(**{"match": EventMatch("a.b"), "target": target, **members})


def active(reference: pb.WorkflowExecutionReference) -> bool:
    return not (reference.HasField("revoked_at") or reference.HasField("retired_at"))


class Schedules:
    """The two kinds behind one set of names, so that every test below runs for both."""

    word = "schedule"
    request = staticmethod(schedule)

    def __init__(self, manager: WorkflowManager) -> None:
        self.create = manager.schedules.create
        self.get = manager.schedules.get
        self.list = manager.schedules.list
        self.update = manager.schedules.update
        self.delete = manager.schedules.delete
        self.pause = manager.schedules.pause
        self.resume = manager.schedules.resume

    upsert, read, remove, all = "UpsertSchedule", "GetSchedule", "DeleteSchedule", "ListSchedules"

    @staticmethod
    def stored(provider: Any) -> dict[str, Any]:
        return provider.schedules


class Triggers:
    word = "trigger"
    request = staticmethod(trigger)

    def __init__(self, manager: WorkflowManager) -> None:
        self.create = manager.triggers.create
        self.get = manager.triggers.get
        self.list = manager.triggers.list
        self.update = manager.triggers.update
        self.delete = manager.triggers.delete
        self.pause = manager.triggers.pause
        self.resume = manager.triggers.resume

    upsert, read, remove, all = "UpsertEventTrigger", "GetEventTrigger", "DeleteEventTrigger", "ListEventTriggers"

    @staticmethod
    def stored(provider: Any) -> dict[str, Any]:
        return provider.triggers


@pytest.fixture(params=[Schedules, Triggers], ids=["schedules", "triggers"])
def things(request: pytest.FixtureRequest, rig: Rig) -> Any:
    return request.param(rig.manager)


# The life of an object ------------------------------------------------------------------------------------------------


async def test_create_puts_a_signed_reference_and_then_the_object(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    assert rig.local.calls == ["PutExecutionReference", things.upsert]
    (reference,) = rig.local.references.values()
    prefix = {"schedule": "workflow_schedule", "trigger": "workflow_event_trigger"}[things.word]
    assert reference.id.startswith(f"{prefix}:{made.id}:")
    assert made.execution_ref == reference.id
    assert reference.signature
    assert reference.signature_key_id == rig.references.signer.key_id
    assert (reference.subject_id, reference.credential_subject_id) == ("user:ann", "user:ann")
    assert (reference.subject_kind, reference.display_name, reference.auth_source) == ("user", "Ann", "session")
    assert reference.provider_name == made.provider == "local"
    assert not reference.permissions
    assert made.created_by == ANN.actor


@pytest.mark.trap(20)
async def test_reading_is_two_calls_and_listing_is_two_calls_however_long(rig: Rig, things: Any) -> None:
    made = [await things.create(ANN, things.request()) for _ in range(5)]
    await things.create(BOB, things.request())
    rig.local.calls.clear()
    rig.other.calls.clear()
    assert await things.get(ANN, f" {made[0].id} ") == made[0]
    assert rig.local.calls == [things.read, "GetExecutionReference"]
    assert rig.other.calls == [things.read]
    rig.local.calls.clear()
    assert await things.list(ANN) == made
    assert sorted(rig.local.calls) == sorted(["ListExecutionReferences", things.all])


async def test_pause_and_resume_leave_the_reference_alone(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    assert (await things.pause(ANN, made.id)).paused
    assert (await things.pause(ANN, made.id)).paused
    assert not (await things.resume(ANN, made.id)).paused
    assert [active(item) for item in rig.local.references.values()] == [True]


async def test_update_replaces_whole_and_retires_the_old_reference(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request(paused=True))
    updated = await things.update(ANN, made.id, things.request(PluginTarget("roadmap", "noop", input={"a": 1})))
    assert updated.id == made.id
    assert not updated.paused
    assert updated.created_at == made.created_at
    assert updated.target == PluginTarget("roadmap", "noop", input={"a": 1})
    old, new = rig.local.references[made.execution_ref], rig.local.references[updated.execution_ref]
    assert active(new)
    assert old.HasField("retired_at")
    assert not old.HasField("revoked_at")
    assert await things.get(ANN, made.id) == updated


async def test_update_changes_the_plugin_where_the_provider_can(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    updated = await things.update(ANN, made.id, things.request(POST))
    assert updated.target == POST
    name, request = rig.local.requests[-1]
    assert name == things.upsert
    assert request.retarget
    elsewhere = await things.create(ANN, things.request(provider="other"))
    with pytest.raises(ProviderRefused) as refused:
        await things.update(ANN, elsewhere.id, things.request(POST))
    assert refused.value.code == "ALREADY_EXISTS"
    assert await things.get(ANN, elsewhere.id) == elsewhere


async def test_without_the_capability_the_old_reference_is_revoked(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request(provider="other"))
    updated = await things.update(ANN, made.id, things.request())
    assert updated.provider == "other", "an update without a provider stays where the object is"
    (upsert,) = [request for name, request in rig.other.requests if name == things.upsert][1:]
    assert not upsert.retire_execution_ref
    assert not upsert.retarget
    revoked = rig.other.references[made.execution_ref]
    assert revoked.HasField("revoked_at")
    assert revoked.revoked_at.nanos == 0
    await things.delete(ANN, made.id)
    assert [active(item) for item in rig.other.references.values()] == [False, False]


async def test_a_move_keeps_the_id_and_the_creation_time(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    moved = await things.update(ANN, made.id, things.request(provider="other"))
    assert (moved.id, moved.provider, moved.created_at) == (made.id, "other", made.created_at)
    assert not things.stored(rig.local)
    assert [item.id for item in await things.list(ANN)] == [made.id]
    assert [active(item) for item in rig.local.references.values()] == [False]


async def test_a_move_that_cannot_delete_the_old_copy_is_undone(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    rig.local.failures[things.remove] = (Code.INTERNAL, "disk full")
    with pytest.raises(ProviderRefused, match="disk full"):
        await things.update(ANN, made.id, things.request(provider="other"))
    assert not things.stored(rig.other)
    assert [active(item) for item in rig.other.references.values()] == [False]
    assert await things.get(ANN, made.id) == made


async def test_delete_retires_in_the_same_call(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    rig.local.calls.clear()
    await things.delete(ANN, made.id)
    assert rig.local.calls == [things.read, "GetExecutionReference", things.remove]
    assert rig.local.references[made.execution_ref].HasField("retired_at")
    with pytest.raises(WorkflowObjectNotFound, match=f'workflow {things.word} "{made.id}" not found'):
        await things.delete(ANN, made.id)


async def test_lists_are_oldest_first_over_all_providers(rig: Rig, things: Any) -> None:
    rig.other._tick += 10
    late = await things.create(ANN, things.request(provider="other"))
    early = await things.create(ANN, things.request())
    assert [item.id for item in await things.list(ANN)] == [early.id, late.id]


# Whose it is ----------------------------------------------------------------------------------------------------------


async def test_a_stranger_finds_nothing(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    before = things.stored(rig.local)[made.id]
    assert await things.list(BOB) == []
    for attempt in (
        things.get(BOB, made.id),
        things.update(BOB, made.id, things.request()),
        things.delete(BOB, made.id),
        things.pause(BOB, made.id),
        things.resume(BOB, made.id),
    ):
        with pytest.raises(WorkflowObjectNotFound):
            await attempt
    assert things.stored(rig.local)[made.id] == before


@pytest.mark.parametrize("spoiled", ["revoked_at", "retired_at", "target", "subject_id", "provider_name", "missing"])
async def test_what_does_not_fit_its_reference_is_not_found(rig: Rig, things: Any, spoiled: str) -> None:
    made = await things.create(ANN, things.request())
    reference = rig.local.references[made.execution_ref]
    if spoiled == "missing":
        rig.local.references.clear()
    elif spoiled == "target":
        reference.target.plugin.input.update({"a": 1})
    elif spoiled.endswith("_at"):
        getattr(reference, spoiled).CopyFrom(rig.local.now())
    else:
        setattr(reference, spoiled, "user:bob")
    with pytest.raises(WorkflowObjectNotFound):
        await things.get(ANN, made.id)
    assert await things.list(ANN) == []


async def test_a_token_sees_only_what_it_may_use(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    for token in (limited(ANN, slack=None), limited(ANN, roadmap=["noop"]), limited(ANN)):
        assert await things.list(token) == []
        with pytest.raises(WorkflowObjectNotFound):
            await things.get(token, made.id)
    assert await things.list(limited(ANN, roadmap=["sync"])) == [made]


async def test_losing_the_plugin_hides_the_object(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    assert await things.get(ANN, made.id) == made
    rig.authorizer._plugin_policies["roadmap"] = "vault"
    assert await things.get(ANN, made.id) == made, "the plugin is allowed, the operation's roles are not asked"
    rig.authorizer._policies["vault"].members.pop("user:ann")  # type: ignore[attr-defined]
    with pytest.raises(WorkflowObjectNotFound):
        await things.get(ANN, made.id)


async def test_a_failing_provider_without_the_callers_objects_disturbs_nobody(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    rig.other.failures = {things.read: (Code.INTERNAL, "broken"), things.all: (Code.INTERNAL, "broken")}
    assert await things.get(ANN, made.id) == made
    assert await things.list(ANN) == [made]
    with pytest.raises(WorkflowObjectNotFound):
        await things.get(ANN, "nope")


async def test_a_failing_provider_that_may_have_the_object_is_an_error(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request(provider="other"))
    rig.other.failures = {things.read: (Code.INTERNAL, "broken"), things.all: (Code.INTERNAL, "broken")}
    with pytest.raises(ProviderRefused, match="broken"):
        await things.get(ANN, made.id)
    with pytest.raises(ProviderRefused, match="broken"):
        await things.list(ANN)
    with pytest.raises(WorkflowObjectNotFound):
        await things.get(ANN, "nope")


async def test_config_managed_objects_are_read_by_the_operator_alone(rig: Rig, things: Any) -> None:
    config = Principal(Actor("system:config", "system", "Workflow Config", "config"), "system:config")
    own = await things.create(OPERATOR, things.request())
    made = await things.create(config, things.request(POST))
    stored = things.stored(rig.local)
    stored["cfg_1"] = stored.pop(made.id)
    stored["cfg_1"].id = "cfg_1"
    assert [item.id for item in await things.list(OPERATOR)] == [own.id]
    assert [item.id for item in await things.list(OPERATOR, created_by="config")] == ["cfg_1"]
    assert [item.id for item in await things.list(OPERATOR, created_by="all")] == [own.id, "cfg_1"]
    assert (await things.get(OPERATOR, "cfg_1", created_by="config")).id == "cfg_1"
    assert (await things.get(OPERATOR, own.id, created_by="all")).id == own.id
    for attempt in (things.get(OPERATOR, "cfg_1"), things.get(OPERATOR, own.id, created_by="config")):
        with pytest.raises(WorkflowObjectNotFound):
            await attempt
    for attempt in (
        things.delete(OPERATOR, "cfg_1"),
        things.pause(OPERATOR, "cfg_1"),
        things.delete(config, "cfg_1"),
        things.update(config, "cfg_1", things.request()),
    ):
        with pytest.raises(WorkflowObjectNotFound):
            await attempt
    with pytest.raises(AuthorizationDenied):
        await things.list(ANN, created_by="config")


async def test_nobody_gets_nothing(rig: Rig, things: Any) -> None:
    nobody = Principal(Actor())
    for attempt in (things.create(nobody, things.request()), things.list(nobody), things.get(nobody, "x")):
        with pytest.raises(NotAuthenticated, match="workflow subject is required"):
            await attempt


# Failures -------------------------------------------------------------------------------------------------------------


async def test_a_refused_upsert_revokes_the_new_reference(rig: Rig, things: Any) -> None:
    rig.local.failures[things.upsert] = (Code.INVALID_ARGUMENT, "no")
    with pytest.raises(ProviderRefused) as refused:
        await things.create(ANN, things.request())
    assert (refused.value.code, str(refused.value)) == ("INVALID_ARGUMENT", "no")
    assert [active(item) for item in rig.local.references.values()] == [False]


async def test_a_refused_update_leaves_everything_as_it_was(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    rig.local.failures[things.upsert] = (Code.INVALID_ARGUMENT, "no")
    with pytest.raises(ProviderRefused):
        await things.update(ANN, made.id, things.request(POST))
    assert await things.get(ANN, made.id) == made
    assert [active(item) for item in rig.local.references.values()] == [True, False]


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL])
async def test_an_upsert_that_failed_after_writing_keeps_its_reference(rig: Rig, things: Any, code: Code) -> None:
    rig.local.failures_after[things.upsert] = (code, "lost the answer")
    made = await things.create(ANN, things.request())
    assert rig.local.references[made.execution_ref]
    assert await things.get(ANN, made.id) == made


async def test_an_upsert_that_failed_before_writing_revokes(rig: Rig, things: Any) -> None:
    rig.local.failures[things.upsert] = (Code.UNAVAILABLE, "gone")
    with pytest.raises(ProviderUnavailable):
        await things.create(ANN, things.request())
    assert [active(item) for item in rig.local.references.values()] == [False]


async def test_a_reference_that_cannot_be_stored_stops_the_write(rig: Rig, things: Any) -> None:
    rig.local.failures["PutExecutionReference"] = (Code.INTERNAL, "full")
    with pytest.raises(ProviderRefused, match="full"):
        await things.create(ANN, things.request())
    assert rig.local.taken(things.upsert) == 0


async def test_a_provider_without_references_is_named(rig: Rig, things: Any) -> None:
    for name in ("PutExecutionReference", "GetExecutionReference", "ListExecutionReferences"):
        rig.local.failures[name] = (Code.UNIMPLEMENTED, "Method not implemented!")
    for attempt in (things.create(ANN, things.request()), things.list(ANN)):
        with pytest.raises(WorkflowNotConfigured) as error:
            await attempt
        assert str(error.value) == (
            "workflow execution refs are not configured: "
            'workflow provider "local" does not support execution references'
        )


async def test_an_object_that_goes_away_meanwhile_is_not_found(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    names = {"schedule": ("PauseSchedule",), "trigger": ("PauseEventTrigger",)}[things.word]
    for name in (*names, things.remove):
        rig.local.failures[name] = (Code.NOT_FOUND, "gone")
    for attempt in (things.pause(ANN, made.id), things.delete(ANN, made.id)):
        with pytest.raises(WorkflowObjectNotFound):
            await attempt


# Providers ------------------------------------------------------------------------------------------------------------


async def test_selection_of_the_provider(rig: Rig, things: Any) -> None:
    with pytest.raises(ProviderUnknown, match='"nope" is not configured; configured: local, other'):
        await things.create(ANN, things.request(provider="nope"))
    undecided = type(things)(
        WorkflowManager(WorkflowProviders(rig.clients.values()), rig.references, rig.resolver, rig.authorizer)
    )
    with pytest.raises(ProviderRequired, match="configured: local, other"):
        await undecided.create(ANN, things.request())
    assert (await undecided.create(ANN, things.request(provider="other"))).provider == "other"
    none = type(things)(WorkflowManager(WorkflowProviders(), rig.references, rig.resolver, rig.authorizer))
    assert await none.list(ANN) == []
    with pytest.raises(WorkflowObjectNotFound):
        await none.get(ANN, "x")
    with pytest.raises(ProviderRequired, match="configured: none"):
        await none.create(ANN, things.request())


async def test_the_provider_is_chosen_before_the_target_is_looked_at(rig: Rig, things: Any) -> None:
    with pytest.raises(ProviderUnknown):
        await things.create(ANN, things.request(PluginTarget("nope", ""), provider="nope"))


async def test_a_provider_that_starts_is_waited_for_and_one_that_is_down_is_not(rig: Rig, things: Any) -> None:
    rig.links["local"].ready.clear()
    creating = asyncio.create_task(things.create(ANN, things.request()))
    await one_turn()
    assert rig.local.calls == []
    rig.links["local"].ready.set()
    made = await creating
    rig.links["local"].down = HostError("provider local is failed")
    with pytest.raises(ProviderUnavailable, match='workflow provider "local" is not available'):
        await things.get(ANN, made.id)


# Targets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "error", "text"),
    [
        (PluginTarget("", "sync"), PluginNotFound, 'integration "" not found'),
        (PluginTarget("nope", ""), PluginNotFound, 'integration "nope" not found'),
        (PluginTarget("roadmap", ""), OperationNotFound, 'operation "" not found on integration "roadmap"'),
        (PluginTarget("roadmap", "nope"), OperationNotFound, 'operation "nope" not found on integration "roadmap"'),
        (PluginTarget("vault", "write"), AuthorizationDenied, "authorization denied: vault.write"),
        (PluginTarget("vault", "read"), AuthorizationDenied, "authorization denied: vault.read"),
        (PluginTarget("roadmap", "sync", "a b"), InvalidArgument, "connection name contains invalid characters"),
        (PluginTarget("roadmap", "sync", "", "a/b"), InvalidArgument, "instance name contains invalid characters"),
        (PluginTarget("roadmap", "nope", "a b"), InvalidArgument, "connection name contains invalid characters"),
        (PluginTarget("mail", "send"), CredentialMissing, "no external credential stored"),
        (PluginTarget("locked", "open"), PlatformCredentialMissing, "deployment/admin configuration is required"),
        (
            PluginTarget("roadmap", "sync", credential_mode="none"),
            AuthorizationDenied,
            "authorization denied: workflow target credential_mode requires a caller plugin declaration",
        ),
        (
            PluginTarget("roadmap", "sync", credential_mode="odd"),
            InvalidInvocation,
            'invalid invocation: workflow target credential_mode "odd" is not supported',
        ),
    ],
)
async def test_targets_that_are_refused(rig: Rig, target: PluginTarget, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        await rig.manager.schedules.create(ANN, schedule(target))
    assert text in str(raised.value)
    assert rig.local.calls == []


async def test_a_subject_without_a_role_learns_nothing(rig: Rig) -> None:
    for operation in ("read", "nope"):
        with pytest.raises(AuthorizationDenied) as denied:
            await rig.manager.schedules.create(BOB, schedule(PluginTarget("vault", operation)))
        assert str(denied.value) == "authorization denied"
    with pytest.raises(OperationNotFound):
        await rig.manager.schedules.create(ANN, schedule(PluginTarget("vault", "nope")))


async def test_a_token_limits_what_is_created_and_is_copied_whole(rig: Rig) -> None:
    with pytest.raises(AuthorizationDenied, match=r"roadmap\.sync"):
        await rig.manager.schedules.create(limited(ANN, slack=None), schedule())
    await rig.manager.schedules.create(limited(ANN, roadmap=["sync"], slack=None), schedule())
    (reference,) = rig.local.references.values()
    assert [(item.plugin, list(item.operations)) for item in reference.permissions] == [
        ("roadmap", ["sync"]),
        ("slack", []),
    ]


async def test_connections_are_pinned_where_a_credential_is(rig: Rig) -> None:
    made = await rig.manager.schedules.create(ANN, schedule(PluginTarget("roadmap", "sync", "alerts", "i 1")))
    assert made.target == PluginTarget("roadmap", "sync", "alerts", "i 1")
    assert (await rig.manager.schedules.create(ANN, schedule())).target == SYNC
    alias = await rig.manager.schedules.create(ANN, schedule(PluginTarget("roadmap", "sync", "plugin")))
    assert alias.target == PluginTarget("roadmap", "sync", "_plugin")
    platform = await rig.manager.schedules.create(ANN, schedule(PluginTarget("billing", "bill")))
    assert platform.target == PluginTarget("billing", "bill", "_plugin")
    unknown = await rig.manager.schedules.create(ANN, schedule(PluginTarget("roadmap", "sync", "unheard-of")))
    assert unknown.target == PluginTarget("roadmap", "sync", "unheard-of")


async def test_an_internal_connection_is_neither_taken_nor_pinned(rig: Rig) -> None:
    connections = {"inner": Connection("inner", "platform", token="t", internal=True), "open": Connection("open")}
    rig.registry.add(replace(rig.registry.get("roadmap"), connections=connections, default_connection="inner"))
    denied = 'authorization denied: integration "roadmap" connection "inner" is internal'
    for instance in ("", "i"):
        with pytest.raises(AuthorizationDenied, match=f"^{denied}$"):
            await rig.manager.schedules.create(ANN, schedule(PluginTarget("roadmap", "sync", "inner", instance)))
        # Its runs say that they may not; a target that was read can be written again.
        made = await rig.manager.schedules.create(ANN, schedule(PluginTarget("roadmap", "sync", "", instance)))
        assert made.target == PluginTarget("roadmap", "sync", "", instance)


async def test_a_plugin_may_use_the_credential_mode_that_it_declares(rig: Rig) -> None:
    slack = Principal(ANN.actor, caller_plugin="slack")
    made = await rig.manager.schedules.create(slack, schedule(PluginTarget("roadmap", "sync", credential_mode="none")))
    assert made.target == PluginTarget("roadmap", "sync", credential_mode="none")
    assert rig.local.references[made.execution_ref].caller_plugin_name == "slack"
    asked = 'workflow target credential_mode "{}" requires that plugin "slack" declares it in its invokes; '
    for target, text in (
        (PluginTarget("roadmap", "sync", credential_mode="user"), 'for roadmap.sync it declares "none"'),
        (PluginTarget("vault", "read", credential_mode="none"), "for vault.read it declares no mode"),
        (PluginTarget("roadmap", "noop", credential_mode="none"), "it declares no invoke of roadmap.noop"),
    ):
        with pytest.raises(AuthorizationDenied) as denied:
            await rig.manager.schedules.create(slack, schedule(target))
        assert str(denied.value) == f"authorization denied: {asked.format(target.credential_mode)}{text}"
    assert await rig.manager.schedules.get(ANN, made.id) == made


async def test_agent_targets_without_agents(rig: Rig) -> None:
    with pytest.raises(WorkflowNotConfigured, match="agents are not configured"):
        await rig.manager.schedules.create(ANN, schedule(AgentTarget("helper", prompt="x")))


@pytest.mark.trap(27)
async def test_bad_cron_comes_back_in_the_providers_words(rig: Rig) -> None:
    with pytest.raises(ProviderRefused) as refused:
        await rig.manager.schedules.create(ANN, schedule(cron="bad"))
    assert refused.value.code == "INVALID_ARGUMENT"
    assert str(refused.value) == 'cron "bad" is not valid: five fields are needed'


# Idempotency ----------------------------------------------------------------------------------------------------------


async def test_a_repeated_key_is_the_first_object(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request(), idempotency_key="k1")
    again = await things.create(ANN, things.request(), idempotency_key="k1")
    assert again == made
    assert rig.local.taken(things.upsert) == 1
    with pytest.raises(InvalidInvocation, match="idempotency key reused with different request"):
        await things.create(ANN, things.request(POST), idempotency_key="k1")
    with pytest.raises(InvalidInvocation):
        await things.create(ANN, things.request(paused=True), idempotency_key="k1")
    with pytest.raises(InvalidInvocation):
        await things.create(ANN, things.request(provider="other"), idempotency_key="k1")
    others = [
        await things.create(BOB, things.request(), idempotency_key="k1"),
        await things.create(Principal(ANN.actor, caller_plugin="slack"), things.request(), idempotency_key="k1"),
        await things.create(ANN, things.request(), idempotency_key="k2"),
    ]
    assert len({made.id, *(item.id for item in others)}) == 4


@pytest.mark.trap("l")
async def test_a_blank_time_zone_repeats_as_utc(rig: Rig) -> None:
    made = await rig.manager.schedules.create(ANN, schedule(), idempotency_key="k")
    for zone in ("", "UTC"):
        assert await rig.manager.schedules.create(ANN, schedule(timezone=zone), idempotency_key="k") == made
    with pytest.raises(InvalidInvocation):
        await rig.manager.schedules.create(ANN, schedule(timezone="Asia/Tokyo"), idempotency_key="k")


async def test_concurrent_creates_with_one_key_are_one_object(rig: Rig, things: Any) -> None:
    made = await asyncio.gather(*(things.create(ANN, things.request(), idempotency_key="k") for _ in range(5)))
    assert len({item.id for item in made}) == 1
    assert len(things.stored(rig.local)) == 1
    assert len(rig.local.references) == 1


# Runs -----------------------------------------------------------------------------------------------------------------


async def test_start_a_run(rig: Rig) -> None:
    run = await rig.manager.runs.start(ANN, SYNC)
    assert rig.local.calls == ["PutExecutionReference", "StartRun"]
    assert (run.status, run.target, run.created_by) == ("pending", SYNC, ANN.actor)
    assert await rig.manager.runs.get(ANN, run.id) == run
    with pytest.raises(WorkflowObjectNotFound, match=f'workflow run "{run.id}" not found'):
        await rig.manager.runs.get(BOB, run.id)


async def test_a_refused_start_revokes_its_reference(rig: Rig) -> None:
    rig.local.failures["StartRun"] = (Code.FAILED_PRECONDITION, 'workflow key "k" already has an active run')
    with pytest.raises(ProviderRefused, match="already has an active run"):
        await rig.manager.runs.start(ANN, SYNC, workflow_key="k")
    assert [active(item) for item in rig.local.references.values()] == [False]


async def test_a_repeated_start_is_the_callers_earlier_run_and_never_anothers(rig: Rig) -> None:
    run = await rig.manager.runs.start(ANN, SYNC, idempotency_key="k")
    assert await rig.manager.runs.start(ANN, SYNC, idempotency_key="k") == run
    with pytest.raises(WorkflowObjectNotFound):
        await rig.manager.runs.start(BOB, SYNC, idempotency_key="k")
    with pytest.raises(WorkflowObjectNotFound):
        await rig.manager.runs.start(ANN, PluginTarget("roadmap", "noop"), idempotency_key="k")
    kept = [item for item in rig.local.references.values() if active(item)]
    assert [item.id for item in kept] == [run.execution_ref]


@pytest.mark.trap(20)
async def test_runs_newest_first_filtered_and_joined_in_two_calls(rig: Rig) -> None:
    first = await rig.manager.runs.start(ANN, SYNC)
    second = await rig.manager.runs.start(ANN, POST)
    await rig.manager.runs.start(BOB, SYNC)
    rig.local.calls.clear()
    assert [run async for run in rig.manager.runs.list(ANN, RunQuery())] == [second, first]
    assert sorted(rig.local.calls) == ["ListExecutionReferences", "ListRuns"]
    assert [run async for run in rig.manager.runs.list(ANN, RunQuery(plugin="slack"))] == [second]
    assert [run async for run in rig.manager.runs.list(ANN, RunQuery(status="pending", plugin="roadmap"))] == [first]
    assert [run async for run in rig.manager.runs.list(ANN, RunQuery(status="Pending"))] == []


async def test_runs_of_one_moment_are_ordered_by_id(rig: Rig) -> None:
    run = await rig.manager.runs.start(ANN, SYNC)
    stored = rig.local.runs[run.id]
    for name in ("b", "a"):
        rig.local.add_run(stored.target, stored.execution_ref, id=name).created_at.CopyFrom(stored.created_at)
    assert [item.id async for item in rig.manager.runs.list(ANN, RunQuery())] == sorted(["a", "b", run.id])


async def test_runs_outlive_their_schedule(rig: Rig, things: Any) -> None:
    made = await things.create(ANN, things.request())
    stored = things.stored(rig.local)[made.id]
    run = rig.local.add_run(stored.target, made.execution_ref)
    await things.update(ANN, made.id, things.request(POST))
    await things.delete(ANN, made.id)
    assert (await rig.manager.runs.get(ANN, run.id)).id == run.id
    assert [item.id async for item in rig.manager.runs.list(ANN, RunQuery())] == [run.id]


async def test_cancel(rig: Rig) -> None:
    run = await rig.manager.runs.start(ANN, SYNC)
    with pytest.raises(WorkflowObjectNotFound):
        await rig.manager.runs.cancel(BOB, run.id, "mine now")
    canceled = await rig.manager.runs.cancel(ANN, run.id, "stop")
    assert (canceled.status, canceled.status_message) == ("canceled", "stop")
    with pytest.raises(ProviderRefused) as refused:
        await rig.manager.runs.cancel(ANN, run.id, "")
    assert refused.value.code == "FAILED_PRECONDITION"


async def test_an_unknown_status_fails_the_call(rig: Rig) -> None:
    run = await rig.manager.runs.start(ANN, SYNC)
    rig.local.runs[run.id].status = 42  # type: ignore[assignment]
    with pytest.raises(InvalidArgument, match="unknown workflow run status 42"):
        await rig.manager.runs.get(ANN, run.id)


@pytest.mark.trap("m")
async def test_signals_reach_only_the_callers_active_runs(rig: Rig) -> None:
    run = await rig.manager.runs.start(ANN, SYNC)
    result = await rig.manager.runs.signal(ANN, run.id, Signal(name="go", payload={"a": 1}))
    assert (result.signal.name, result.signal.sequence, result.signal.created_by) == ("go", 1, ANN.actor)
    assert result.signal.created_at is not None
    assert not result.started_run
    with pytest.raises(InvalidArgument, match="workflow signal name is required"):
        await rig.manager.runs.signal(ANN, run.id, Signal(name=""))
    with pytest.raises(WorkflowObjectNotFound):
        await rig.manager.runs.signal(BOB, run.id, Signal(name="go"))
    rig.local.references[run.execution_ref].revoked_at.CopyFrom(rig.local.now())
    with pytest.raises(WorkflowObjectNotFound):
        await rig.manager.runs.signal(ANN, run.id, Signal(name="go"))
    assert len(rig.local.signals) == 1, "a signal that is answered 'not found' was not stored"


@pytest.mark.trap(25)
async def test_signal_or_start_reuses_one_reference(rig: Rig) -> None:
    first = await rig.manager.runs.signal_or_start(ANN, "order-42", SYNC, Signal(name="a"))
    second = await rig.manager.runs.signal_or_start(ANN, "order-42", SYNC, Signal(name="b"))
    assert (first.started_run, second.started_run, second.run.id) == (True, False, first.run.id)
    assert first.workflow_key == "order-42"
    assert second.signal.sequence == 2
    assert len(rig.local.references) == 1
    rig.local.references[first.run.execution_ref].revoked_at.CopyFrom(rig.local.now())
    await rig.manager.runs.signal_or_start(ANN, "order-42", SYNC, Signal(name="c"))
    assert active(rig.local.references[first.run.execution_ref])
    other = await rig.manager.runs.signal_or_start(ANN, "order-42", POST, Signal(name="d"))
    assert other.run.id == first.run.id
    assert len(rig.local.references) == 2
    with pytest.raises(WorkflowObjectNotFound):
        await rig.manager.runs.signal_or_start(BOB, "order-42", SYNC, Signal(name="e"))
    with pytest.raises(InvalidArgument, match="workflow key is required"):
        await rig.manager.runs.signal_or_start(ANN, "", SYNC, Signal(name="e"))


async def test_a_foreign_reference_under_the_derived_id_is_refused(rig: Rig) -> None:
    result = await rig.manager.runs.signal_or_start(ANN, "k", SYNC, Signal(name="a"))
    rig.local.references[result.run.execution_ref].subject_id = "user:bob"
    with pytest.raises(InvalidInvocation, match="in use for something else"):
        await rig.manager.runs.signal_or_start(ANN, "k", SYNC, Signal(name="a"))


# Events ---------------------------------------------------------------------------------------------------------------


async def test_publish_completes_and_reaches_every_provider_in_order(rig: Rig) -> None:
    event = await rig.manager.events.publish(ANN, Event(type="a.b", source="s", data={"n": 1}))
    assert (event.type, event.source, event.spec_version, event.data) == ("a.b", "s", "1.0", {"n": 1})
    assert len(event.id) == 36
    assert event.time is not None
    assert event.time.tzinfo is UTC
    (here,), (there,) = rig.local.events, rig.other.events
    assert here.event == there.event
    assert here.published_by.subject_id == "user:ann"
    assert here.plugin_name == ""
    given = await rig.manager.events.publish(
        ANN,
        Event(id="e1", type="x", time=datetime(2026, 5, 8, tzinfo=UTC), data_content_type="json"),
        provider="other",
    )
    assert (given.id, given.time, given.data_content_type) == ("e1", datetime(2026, 5, 8, tzinfo=UTC), "json")
    assert (len(rig.local.events), len(rig.other.events)) == (1, 2)


async def test_publish_stops_at_the_first_failure(rig: Rig) -> None:
    rig.local.failures["PublishEvent"] = (Code.INTERNAL, "no room")
    with pytest.raises(ProviderRefused, match="no room"):
        await rig.manager.events.publish(ANN, Event(type="x"))
    assert rig.other.events == []


async def test_publish_refuses(rig: Rig) -> None:
    with pytest.raises(ProviderUnknown):
        await rig.manager.events.publish(ANN, Event(type="x"), provider="nope")
    with pytest.raises(NotAuthenticated):
        await rig.manager.events.publish(Principal(Actor()), Event(type="x"))
    assert rig.local.events == []


@pytest.mark.trap("e")
async def test_a_reference_left_behind_makes_no_object_unmanageable(rig: Rig, things: Any) -> None:
    """A crash between the upsert and the end of the old reference leaves two active ones for one object."""
    made = await things.create(ANN, things.request())
    (reference,) = rig.local.references.values()
    left = pb.WorkflowExecutionReference()
    left.CopyFrom(reference)
    left.id = reference.id.rpartition(":")[0] + ":left-behind"
    rig.local.references[left.id] = left
    assert (await things.get(ANN, made.id)).id == made.id
    assert [item.id for item in await things.list(ANN)] == [made.id]
    assert (await things.update(ANN, made.id, things.request())).id == made.id
    await things.delete(ANN, made.id)
    with pytest.raises(WorkflowObjectNotFound):
        await things.get(ANN, made.id)
