"""Extensions that a provider announces: their methods are there, and refuse what is no message.

What each of them does is for the rules of its kind; that it is there at all, a host relies on (decision 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc

from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.rules import LIFECYCLE, Check, Rule, Stage, rule
from gestalt_host.verification.services import NO_MESSAGE
from gestalt_host.verification.subject import Subject
from gestalt_sdk.bases.metrics import CAPABILITY as METRICS
from gestalt_sdk.bases.provider import ProviderKind

_PACKAGE = "gestalt.extension.v1"
DOORS: Mapping[str, tuple[str, Sequence[str]]] = {
    METRICS: ("ProviderMetrics", ("ReadMetrics",)),
    "indexeddb.batch": ("IndexedDBBatch", ("Apply", "GetMany", "GetPage")),
    "indexeddb.scopes": ("IndexedDBScopes", ("OpenScope", "CloseScope")),
    "indexeddb.migrations": ("IndexedDBSchemas", ("ChangeIndexes", "GetMigration")),
    "workflow.slots": ("WorkflowSlots", ("ListSlots", "PreviewSlots")),
    "workflow.queries": (
        "WorkflowQueries",
        ("QueryRuns", "CountRuns", "QuerySchedules", "QueryEventTriggers", "QueryExecutionReferences"),
    ),
    "workflow.timeline": ("WorkflowQueries", ("GetRunTimeline",)),
    "workflow.events": ("WorkflowEvents", ("ListEvents", "GetEvent", "ReplayEvent")),
}
"""By capability: the service that comes with it, and its methods. ``provider.check`` is tried as a whole."""
_ABSENT = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
_STUMBLES = (*_ABSENT, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)


def _kinds(capability: str) -> Sequence[ProviderKind]:
    part = capability.partition(".")[0]
    return [kind for kind in LIFECYCLE if part in (kind.value, "provider")]


def _door(capability: str) -> Check:
    service, methods = DOORS[capability]

    async def check(subject: Subject) -> None:
        await subject.launch()
        await subject.require_configured()
        await subject.require_capability(capability)
        for method in methods:
            answer = await subject.call(f"{_PACKAGE}.{service}", method, NO_MESSAGE)
            # A request without fields, as ReadMetrics has it, may be read or not.
            if answer.code in _ABSENT or (answer.is_ok and capability != METRICS):
                raise Broken(f"{answer.method} to be there and to refuse what is no message", str(answer))
            answer = await subject.call(f"{_PACKAGE}.{service}", method, b"")
            if answer.code in _STUMBLES:
                raise Broken(f"{answer.method} to answer a request without values, or to refuse it", str(answer))
        await subject.require_answering(f"after calls of {service}")

    return check


RULES: tuple[Rule, ...] = tuple(
    rule(
        f"contract.md 1.3/{capability.replace('.', '-')}",
        f"It has the methods of {capability} when it announces it, and they refuse what is no message",
        kinds=_kinds(capability),
        capability=capability,
        needs=Stage.CONFIGURED,
    )(_door(capability))
    for capability in DOORS
)
