"""Ids, equality of targets, permissions and signatures: the vectors and rules of semantics.md 2, 3 and 7."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gestalt_host.access.keys import master_key
from gestalt_host.access.subjects import Actor, Ceiling, Principal
from gestalt_host.workflows import signals
from gestalt_host.workflows.model import (
    AgentMessage,
    AgentTarget,
    ExecutionReference,
    OutputBinding,
    OutputDelivery,
    Permission,
    PluginTarget,
    ToolRef,
)
from gestalt_host.workflows.references import ids
from gestalt_host.workflows.references import references as refs
from gestalt_host.workflows.references.signing import ReferenceSigner, canonical
from gestalt_host.workflows.targets import permissions
from gestalt_host.workflows.targets.equality import fingerprint, normalised, same_target
from gestalt_sdk.workflow.targets import target_from_proto, target_to_proto

TARGET = PluginTarget("roadmap", "sync", "default", "", "", {"mode": "incremental"})
ANN = Principal(Actor("user:ann", "user", "Ann", "session"))


def with_field(reference: ExecutionReference, field: str, value: Any) -> ExecutionReference:
    changes: dict[str, Any] = {field: value}
    return replace(reference, **changes)


def test_vectors() -> None:
    scope = ids.idempotency_scope("user:u1", "", "k1")
    schedule = ids.schedule_id(scope)
    assert schedule == "97ef887e-57aa-5e3e-998f-ecc2049f00ee"
    assert ids.schedule_reference_id(schedule, scope) == (
        "workflow_schedule:97ef887e-57aa-5e3e-998f-ecc2049f00ee:4d8cc29a-5354-5075-ab83-eebd615dde91"
    )
    trigger = ids.trigger_id(ids.idempotency_scope("user:u1", "slackbot", "k1"))
    assert trigger == "a2a1b46d-d86b-524e-a31a-ec18d8aac86a"
    assert ids.config_schedule_id(" nightly ") == (
        "cfg_2a3b62b53ddb9f167b63d22202a360811ba78df015021f704d01ee9abad4169c"
    )
    assert ids.config_trigger_id("on-push") == ("cfg_66dbe0ebe2732ad91768d799f37a3c4a257d90bb408b2da2ebe5289d55153816")
    assert signals.signal_batch_id(["k1", "id2", "seq-3"]) == (
        "signal-batch-794bd240b1f6723e6fa422e1f845179f81dbe18fcaba193dc9168534c962722b"
    )


def test_ids_without_a_scope_are_random() -> None:
    assert ids.schedule_id() != ids.schedule_id()
    assert ids.run_reference_id() != ids.run_reference_id()
    assert ids.trigger_reference_id("a:b").startswith("workflow_event_trigger:a:b:")


def test_permission_scope() -> None:
    assert permissions.permission_scope(()) == "nil"
    assert permissions.permission_scope((Permission(permissions.NO_PERMISSIONS_PLUGIN),)) == "empty"
    listed = (Permission("b", ("y", "x")), Permission("a"))
    assert permissions.permission_scope(listed) == "set\x1fa\x1e\x1e\x1fb\x1ex\x1dy\x1d\x1e\x1f"


def test_signal_or_start_references_are_told_apart() -> None:
    base = refs.reference_for(ANN, "local", TARGET, "")
    made = ids.signal_or_start_reference_id(base, "order-42")
    assert made.startswith("workflow_run:")
    assert made == ids.signal_or_start_reference_id(base, "order-42")
    others = [
        ids.signal_or_start_reference_id(base, "order-43"),
        ids.signal_or_start_reference_id(replace(base, provider="other"), "order-42"),
        ids.signal_or_start_reference_id(replace(base, subject_id="user:bob"), "order-42"),
        ids.signal_or_start_reference_id(replace(base, credential_subject_id="user:bob"), "order-42"),
        ids.signal_or_start_reference_id(replace(base, caller_plugin="slack"), "order-42"),
        ids.signal_or_start_reference_id(replace(base, permissions=(Permission("a"),)), "order-42"),
        ids.signal_or_start_reference_id(replace(base, target=replace(TARGET, input={})), "order-42"),
    ]
    assert made not in others
    assert len(set(others)) == len(others)


# Equality of targets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (PluginTarget("p", "o", input={"a": 5, "b": 1}), PluginTarget("p", "o", input={"b": 1.0, "a": 5.0})),
        (PluginTarget("p", "o", input={"n": 2**60}), PluginTarget("p", "o", input={"n": float(2**60)})),
        (PluginTarget("p", "o", input={"n": -0.0}), PluginTarget("p", "o", input={"n": 0})),
        (AgentTarget("a", messages=()), AgentTarget("a")),
        (AgentTarget("a", messages=(AgentMessage("u"),)), AgentTarget("a", messages=(AgentMessage("u", metadata={}),))),
    ],
)
def test_equal_targets(left: PluginTarget, right: PluginTarget) -> None:
    assert same_target(left, right)
    assert fingerprint(left) == fingerprint(right)


def delivery(*bindings: OutputBinding, mode: str = "") -> AgentTarget:
    return AgentTarget("a", output_delivery=OutputDelivery(PluginTarget("p", "o"), bindings, mode))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (PluginTarget("p", "o"), PluginTarget("p", "o", connection="c")),
        (PluginTarget("p", "o"), PluginTarget("p", "o", instance="i")),
        (PluginTarget("p", "o"), PluginTarget("p", "o", credential_mode="none")),
        (PluginTarget("p", "o", input={"a": None}), PluginTarget("p", "o")),
        (PluginTarget("p", "o", input={"a": 1}), PluginTarget("p", "o", input={"a": True})),
        (PluginTarget("p", "o", input={"a": 1}), PluginTarget("p", "o", input={"a": "1"})),
        (PluginTarget("p", "o", input={"a": [1, 2]}), PluginTarget("p", "o", input={"a": [2, 1]})),
        (PluginTarget("p", "o", input={"a": {}}), PluginTarget("p", "o")),
        (PluginTarget("p", "o", input={"a": float("nan")}), PluginTarget("p", "o", input={"a": None})),
        (PluginTarget("a", "o"), AgentTarget("a")),
        (AgentTarget("a", timeout_seconds=1), AgentTarget("a")),
        (AgentTarget("a", tool_refs=(ToolRef(),)), AgentTarget("a")),
        (
            AgentTarget("a", tool_refs=(ToolRef("p"), ToolRef("q"))),
            AgentTarget("a", tool_refs=(ToolRef("q"), ToolRef("p"))),
        ),
        (delivery(), AgentTarget("a")),
        (delivery(mode="none"), delivery()),
        (delivery(OutputBinding("f", "literal", 0)), delivery(OutputBinding("f", "literal", False))),
        (delivery(OutputBinding("f", "agent_output", "text")), delivery(OutputBinding("f", "literal", "text"))),
        (delivery(OutputBinding("f", "literal", "")), delivery(OutputBinding("f", "", None))),
    ],
)
def test_different_targets(left: PluginTarget, right: PluginTarget) -> None:
    assert not same_target(left, right)
    assert fingerprint(left) != fingerprint(right)


def test_a_target_equals_itself_after_the_wire() -> None:
    target = PluginTarget("p", "o", input={"n": 5, "f": 1.25, "big": 2**60, "deep": [{"x": None}]})
    assert same_target(target_from_proto(target_to_proto(target)), target)


def test_nothing_equals_no_target() -> None:
    assert same_target(None, None)
    assert not same_target(TARGET, None)


# Permissions ----------------------------------------------------------------------------------------------------------


@pytest.mark.trap("k")
def test_an_empty_ceiling_never_becomes_unrestricted() -> None:
    for ceiling in (Ceiling({}), Ceiling({"a": frozenset()})):
        written = permissions.permissions_of(ceiling)
        assert written == (Permission(permissions.NO_PERMISSIONS_PLUGIN),)
        read = permissions.ceiling_of(written)
        assert read is not None
        assert not read.allows_plugin("a")
        assert not read.allows_plugin(permissions.NO_PERMISSIONS_PLUGIN)
    assert permissions.ceiling_of(permissions.permissions_of(None)) is None


def test_ceilings_survive_the_reference() -> None:
    ceiling = Ceiling({"a": None, "b": frozenset({"x", "y"})})
    assert permissions.ceiling_of(permissions.permissions_of(ceiling)) == ceiling


def test_declared_invokes_widen_a_ceiling_only() -> None:
    extra = (Permission("b", ("x",)),)
    assert permissions.permissions_of(None, extra) == ()
    assert permissions.permissions_of(Ceiling({"a": None}), extra) == (Permission("a"), Permission("b", ("x",)))
    assert permissions.permissions_of(Ceiling({"b": None}), extra) == (Permission("b"),)


def test_the_principal_of_a_reference() -> None:
    reference = replace(refs.reference_for(ANN, "local", TARGET, "r"), permissions=(Permission("roadmap", ("sync",)),))
    who = refs.principal_of(reference)
    assert (who.actor, who.credential_subject_id) == (ANN.actor, "user:ann")
    assert who.ceiling == Ceiling({"roadmap": frozenset({"sync"})})
    assert not who.internal_connections
    system = refs.principal_of(ExecutionReference("r", "local", TARGET, "system:x"))
    assert (system.credential_subject_id, system.actor.subject_kind) == ("system:x", "system")


@pytest.mark.parametrize("field", ["subject_id", "credential_subject_id", "auth_source", "subject_kind"])
def test_only_the_whole_identity_of_the_configuration_opens_internal_connections(field: str) -> None:
    reference = ExecutionReference(
        "r", "local", TARGET, "system:config", "system", "Gestalt config", "config", "system:config"
    )
    assert refs.principal_of(reference).internal_connections
    assert not refs.principal_of(with_field(reference, field, "user:ann")).internal_connections


@pytest.mark.trap("k")
def test_permissions_of_agent_targets_name_the_provider() -> None:
    target = AgentTarget(
        "helper",
        tool_refs=(ToolRef("slack", "post"), ToolRef("slack", "search"), ToolRef(system="workflow", operation="x")),
        output_delivery=OutputDelivery(PluginTarget("mail", "send")),
    )
    assert permissions.target_permissions(target) == (
        Permission("slack", ("post", "search")),
        Permission("mail", ("send",)),
        Permission("helper"),
    )
    assert permissions.target_permissions(AgentTarget("helper", prompt="x")) == ()


def test_merged_permissions_keep_the_first_order_and_lose_duplicates() -> None:
    merged = permissions.merge_permissions(
        [Permission("b", ("y", "x")), Permission("a", ("z",)), Permission("b", ("x", "w")), Permission("a")]
    )
    assert merged == (Permission("b", ("y", "x", "w")), Permission("a"))


# Signatures -----------------------------------------------------------------------------------------------------------

SIGNER = ReferenceSigner(bytes(range(32)))
REFERENCE = replace(
    refs.reference_for(ANN, "local", TARGET, "workflow_run:1"), permissions=(Permission("roadmap", ("sync",)),)
)


def test_a_signature_holds_whatever_the_times_are() -> None:
    signed = SIGNER.sign(REFERENCE)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert SIGNER.valid(signed)
    assert SIGNER.valid(replace(signed, created_at=now, retired_at=now))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "workflow_run:2"),
        ("provider", "other"),
        ("target", replace(TARGET, input={"mode": "full"})),
        ("target", replace(TARGET, connection="alerts")),
        ("subject_id", "user:bob"),
        ("subject_kind", "system"),
        ("display_name", "Bob"),
        ("auth_source", "config"),
        ("credential_subject_id", "user:bob"),
        ("caller_plugin", "slack"),
        ("permissions", ()),
        ("permissions", (Permission("roadmap"),)),
        ("permissions", (Permission("roadmap", ("sync", "noop")),)),
        ("signature", b""),
        ("signature", b"\0" * 32),
    ],
)
def test_a_signature_covers_everything_that_decides(field: str, value: object) -> None:
    assert not SIGNER.valid(with_field(SIGNER.sign(REFERENCE), field, value))


def test_another_key_is_another_key_id() -> None:
    other = ReferenceSigner(bytes(32))
    signed = other.sign(REFERENCE)
    assert other.key_id != SIGNER.key_id
    assert not SIGNER.knows(signed)
    assert not SIGNER.valid(signed)


def test_no_two_references_share_their_signed_bytes() -> None:
    left = replace(REFERENCE, subject_id="a", subject_kind="bc")
    right = replace(REFERENCE, subject_id="ab", subject_kind="c")
    assert canonical(left) != canonical(right)


def test_equal_targets_sign_alike() -> None:
    signed = SIGNER.sign(replace(REFERENCE, target=replace(TARGET, input={"n": 5})))
    assert SIGNER.valid(replace(signed, target=replace(TARGET, input={"n": 5.0})))
    assert normalised(TARGET) == normalised(replace(TARGET, input=dict(TARGET.input)))


def test_master_keys() -> None:
    assert master_key("00" * 32) == bytes(32)
    assert len(master_key("a passphrase")) == 32
    assert master_key("a passphrase") == master_key("a passphrase") != master_key("another")
