"""Conversions that only the host makes: execution references, causes, and runs with a status that the contract has.

Everything else: ``gestalt_sdk.workflow.convert`` and ``gestalt_sdk.workflow.targets``.
"""

from __future__ import annotations

from collections.abc import Iterable

from gestalt_host.access.subjects import Cause
from gestalt_host.errors import InvalidArgument
from gestalt_host.workflows.model import ExecutionReference, Permission, PluginTarget, Run
from gestalt_host.workflows.providers.ordering import Place, place_at
from gestalt_sdk.gen.extension.v1 import causes_pb2
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from gestalt_sdk.transport.values import optional_time, optional_timestamp
from gestalt_sdk.workflow import convert as workflow_convert
from gestalt_sdk.workflow.targets import target_from_proto, target_to_proto

ReferenceMessage = pb.WorkflowExecutionReference


class UnknownRunStatus(InvalidArgument):
    """A provider sent a status number that the contract does not have; the whole call fails."""

    def __init__(self, number: int) -> None:
        super().__init__(f"unknown workflow run status {number}")


def run_from_proto(message: pb.BoundWorkflowRun, provider: str) -> Run:
    """Convert the run as ``provider`` holds it.

    Raises:
        UnknownRunStatus: for a status number that the contract does not have.
    """
    status_from_proto(int(message.status))
    return workflow_convert.run_from_proto(message, provider)


def status_from_proto(number: int) -> str:
    """Convert a status. Raises ``UnknownRunStatus``."""
    status = workflow_convert.status_from_proto(number)
    if number and not status:
        raise UnknownRunStatus(number)
    return status


def place_of_run(message: pb.BoundWorkflowRun) -> Place:
    """Return the run's place in the order of all."""
    return place_at(optional_time(message, "created_at"), message.id.strip())


def cause_to_proto(cause: Cause) -> causes_pb2.Cause:
    return causes_pb2.Cause(root=cause.root, chain=cause.chain)


def cause_from_proto(message: causes_pb2.Cause) -> Cause:
    return Cause(message.root, max(message.chain, 0))


def reference_to_proto(reference: ExecutionReference) -> pb.WorkflowExecutionReference:
    return pb.WorkflowExecutionReference(
        id=reference.id,
        provider_name=reference.provider,
        target=target_to_proto(reference.target),
        subject_id=reference.subject_id,
        credential_subject_id=reference.credential_subject_id,
        permissions=_permissions_to(reference.permissions),
        created_at=optional_timestamp(reference.created_at),
        revoked_at=optional_timestamp(reference.revoked_at),
        subject_kind=reference.subject_kind,
        display_name=reference.display_name,
        auth_source=reference.auth_source,
        caller_plugin_name=reference.caller_plugin,
        signature=reference.signature,
        signature_key_id=reference.signature_key_id,
        retired_at=optional_timestamp(reference.retired_at),
    )


def reference_from_proto(message: pb.WorkflowExecutionReference) -> ExecutionReference:
    target = target_from_proto(message.target)
    return ExecutionReference(
        id=message.id.strip(),
        provider=message.provider_name.strip(),
        # A reference without a target allows nothing: no operation has an empty plugin name.
        target=PluginTarget("", "") if target is None else target,
        subject_id=message.subject_id.strip(),
        subject_kind=message.subject_kind.strip(),
        display_name=message.display_name.strip(),
        auth_source=message.auth_source.strip(),
        credential_subject_id=message.credential_subject_id.strip(),
        permissions=_permissions_from(message.permissions),
        caller_plugin=message.caller_plugin_name.strip(),
        created_at=optional_time(message, "created_at"),
        revoked_at=optional_time(message, "revoked_at"),
        retired_at=optional_time(message, "retired_at"),
        signature=message.signature,
        signature_key_id=message.signature_key_id,
    )


def _permissions_to(permissions: Iterable[Permission]) -> list[pb.WorkflowAccessPermission]:
    return [pb.WorkflowAccessPermission(plugin=item.plugin, operations=item.operations) for item in permissions]


def _permissions_from(messages: Iterable[pb.WorkflowAccessPermission]) -> tuple[Permission, ...]:
    return tuple(Permission(item.plugin.strip(), tuple(item.operations)) for item in messages)


def has_ended(reference: ReferenceMessage) -> bool:
    """Return whether the reference allows nothing any more."""
    return reference.HasField("revoked_at") or reference.HasField("retired_at")
