"""Objects of a provider together with the execution references that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from gestalt_host.workflows.model import EventTrigger, ExecutionReference, Run, Schedule
from gestalt_host.workflows.providers import convert
from gestalt_host.workflows.targets.equality import same_target
from gestalt_sdk.common.texts import cut

Object = TypeVar("Object", Run, Schedule, EventTrigger)


@dataclass(frozen=True, slots=True)
class Referenced(Generic[Object]):
    """An object together with its execution reference; ``same_target`` is the check of semantics.md 4 (3)."""

    object: Object
    reference: ExecutionReference
    same_target: bool


class Join:
    """Finds the references of objects, each converted once."""

    def __init__(self, provider: str, references: dict[str, convert.ReferenceMessage]) -> None:
        self.references = references
        self._provider = provider
        self._converted: dict[str, ExecutionReference] = {}

    def item(self, message: Any, read: Callable[[Any, str], Object]) -> Referenced[Object] | None:
        """Return the object with its reference; None when it has none of these."""
        found = self.references.get(message.execution_ref.strip())
        if found is None:
            return None
        item = read(message, self._provider)
        reference = self._converted.get(found.id)
        if reference is None:
            reference = self._converted[found.id] = convert.reference_from_proto(found)
        # Messages that are equal have equal targets; others are compared in their normalised forms.
        same = message.target == found.target or same_target(item.target, reference.target)
        return Referenced(item, reference, same)


def with_result_cut(run: Run, limit_bytes: int) -> Run:
    """Return the run with a result of at most ``limit_bytes``, also where the provider does not cut."""
    kept = cut(run.result_body, limit_bytes)
    if len(kept) == len(run.result_body):
        return run
    return replace(run, result_body=kept, result_truncated=run.result_truncated or len(run.result_body.encode()))
