"""What only the host converts: execution references, and the status that it must know."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from gestalt_host.workflows.model import AgentTarget, ExecutionReference, Permission, PluginTarget, Target
from gestalt_host.workflows.providers import convert
from gestalt_sdk.gen.v1 import workflow_pb2 as pb

T = [datetime(2026, 5, 8, 9, 0, 0, 123456, UTC) + timedelta(hours=n) for n in range(3)]
PLUGIN = PluginTarget("roadmap", "sync", "alerts", "i 1", "none", {"n": 5})
REFERENCE = ExecutionReference(
    id="workflow_run:1",
    provider="local",
    target=PLUGIN,
    subject_id="user:ann",
    subject_kind="user",
    display_name="Ann",
    auth_source="session",
    credential_subject_id="user:cred",
    permissions=(Permission("roadmap", ("sync", "noop")), Permission("slack")),
    caller_plugin="slackbot",
    created_at=T[0],
    revoked_at=T[1],
    retired_at=T[2],
    signature=b"\x00\xff",
    signature_key_id="key",
)


def test_no_field_of_the_sample_is_left_at_its_default() -> None:
    """Otherwise a field that the conversion forgets would pass unseen."""
    assert [f.name for f in fields(REFERENCE) if getattr(REFERENCE, f.name) in ("", None, (), {}, 0, b"")] == []


@pytest.mark.parametrize("target", [PLUGIN, AgentTarget("helper", prompt="x")])
def test_execution_references(target: Target) -> None:
    sample = replace(REFERENCE, target=target)
    assert convert.reference_from_proto(convert.reference_to_proto(sample)) == sample


def test_an_unknown_run_status_is_an_error() -> None:
    wire = pb.BoundWorkflowRun(status=9)  # type: ignore[arg-type]
    with pytest.raises(convert.UnknownRunStatus, match="unknown workflow run status 9"):
        convert.run_from_proto(wire, "local")
    assert convert.run_from_proto(pb.BoundWorkflowRun(), "local").provider == "local"
