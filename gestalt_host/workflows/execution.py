"""Executing a run for a workflow provider: check its reference, then invoke its operation or agent (semantics.md 12).

A reference that travels with the call and has this host's signature is believed; any other is fetched back from the
provider that quotes it. Roles and catalogues are checked anew for every run.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from gestalt_host.access.subjects import Cause, Principal
from gestalt_host.errors import AuthorizationDenied, HostError, ProviderRefused, ProviderUnavailable, quoted
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import OperationResult
from gestalt_host.workflows.agents.turns import AgentTurns, AgentWork
from gestalt_host.workflows.model import ExecutionReference, PluginTarget, Signal
from gestalt_host.workflows.providers.client import CAUSES, REFERENCE, WorkflowProviderClient
from gestalt_host.workflows.references.references import principal_of
from gestalt_host.workflows.references.store import ReferenceStore
from gestalt_host.workflows.signals import batch_id

CACHED_REFERENCES = 2048
CACHED_REFERENCE_BYTES = 32 * 1024

log = structlog.get_logger()


class ReferenceLookupFailed(HostError):
    """The provider could not be asked for the execution reference, or failed to answer."""


class RunExecution(Protocol):
    """One InvokeOperation request: the execution of a run. Big members stay in the form that they arrived in."""

    @property
    def run_id(self) -> str: ...
    @property
    def execution_ref(self) -> str: ...

    def cause(self) -> Cause | None:
        """Return what the provider says that the run goes back to; None when it does not say."""
        ...

    def trigger_kind(self) -> str:
        """Return ``manual``, ``schedule``, ``event``, or blank."""
        ...

    def carried(self) -> bytes:
        """Return the execution reference that came along, serialised; blank when none did."""
        ...

    def carried_reference(self) -> ExecutionReference: ...

    def target_label(self) -> str:
        """Return ``plugin.operation``, or ``agent:`` and the provider's name."""
        ...

    def same_target(self, reference: ExecutionReference, *, carried: bool) -> bool:
        """Return whether it is for the reference's target; ``carried``: the reference is the one that came along."""
        ...

    def params(self) -> bytes:
        """Return the plugin target's input overlaid with the input of the call, as a serialised struct."""
        ...

    def workflow(self, provider: str) -> bytes:
        """Return the ``workflow`` struct (semantics.md 12.4), serialised."""
        ...

    def signals(self) -> Sequence[Signal]: ...


@dataclass(frozen=True, slots=True)
class RunReport:
    """One finished execution, for the observer. ``status`` is the operation's, None when there is none."""

    provider: str
    run_id: str
    trigger: str
    target: str
    """``plugin.operation`` or ``agent:provider``."""
    status: int | None
    error: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Authorized:
    """What a reference allows. The input of a plugin target is not kept, because each request brings it."""

    reference: ExecutionReference
    principal: Principal
    carried: bool


class RunExecutor:
    def __init__(
        self,
        invoker: Invoker,
        references: ReferenceStore,
        agents: AgentTurns | None = None,
        *,
        observer: Callable[[RunReport], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what runs execute with; ``observer`` is told of every execution after it ended and must not block."""
        self._invoker = invoker
        self._references = references
        self._agents = agents
        self._observer = observer
        self._clock = clock
        self._known: OrderedDict[bytes, _Authorized] = OrderedDict()

    async def execute(self, client: WorkflowProviderClient, execution: RunExecution) -> OperationResult:
        """Check the reference and carry out the run's target as its subject. There is no deadline for operations.

        Raises:
            AuthorizationDenied: no such reference, revoked, another provider's, for another target, wrongly signed.
            ReferenceLookupFailed: the reference could not be fetched.
            HostError: what the execution ended with.
        """
        started = self._clock()
        try:
            result = await self._execute(client, execution)
        except HostError as error:
            self._report(client, execution, None, str(error), started)
            raise
        self._report(client, execution, result.status, "", started)
        return result

    async def _execute(self, client: WorkflowProviderClient, execution: RunExecution) -> OperationResult:
        allowed = await self._authorize(client, execution)
        target = allowed.reference.target
        key = f"workflow:{client.name}:{execution.run_id}"
        cause = execution.cause() if client.has(CAUSES) else None
        principal = replace(allowed.principal, cause=cause or Cause(execution.run_id))
        if isinstance(target, PluginTarget):
            batch = batch_id(execution.signals())
            return await self._invoker.invoke(
                principal,
                target.plugin,
                target.operation,
                execution.params(),
                connection=target.connection,
                instance=target.instance,
                credential_mode=target.credential_mode,
                workflow=execution.workflow(client.name),
                # A keyed run is invoked once for each batch of signals, and each of them is new work.
                idempotency_key=f"{key}:{batch}" if batch else key,
            )
        if self._agents is None:
            raise AuthorizationDenied(f"agent provider {quoted(target.provider)} is not available")
        work = AgentWork(
            target=target,
            principal=principal,
            caller_plugin=allowed.reference.caller_plugin,
            key=key,
            run_id=execution.run_id,
            signals=tuple(execution.signals()),
            workflow=execution.workflow(client.name),
        )
        return await self._agents.run(work)

    async def _authorize(self, client: WorkflowProviderClient, execution: RunExecution) -> _Authorized:
        carried = execution.carried() if client.has(REFERENCE) else b""
        found: _Authorized | None = None
        if carried:
            found = self._from_carried(client, execution, carried)
        if found is None:
            found = await self._fetch(client, execution)
        reference = found.reference
        if reference.id != execution.execution_ref or reference.provider != client.name:
            raise _denied(execution, "belongs to something else")
        if not execution.same_target(reference, carried=found.carried):
            raise _denied(execution, "is for another target")
        return found

    def _from_carried(
        self, client: WorkflowProviderClient, execution: RunExecution, carried: bytes
    ) -> _Authorized | None:
        """Return what the reference that came along allows; None when it is not signed with this host's key."""
        digest = hashlib.sha256(carried).digest()
        known = self._known.get(digest)
        if known is not None:
            self._known.move_to_end(digest)
            return known
        reference = execution.carried_reference()
        if not self._references.signer.knows(reference):
            return None
        if not self._references.signer.valid(reference):
            raise _denied(execution, "has a wrong signature")
        if reference.revoked_at is not None:
            raise _denied(execution, "is revoked")
        found = _Authorized(reference, principal_of(reference), carried=True)
        if len(carried) <= CACHED_REFERENCE_BYTES:
            self._known[digest] = found
            if len(self._known) > CACHED_REFERENCES:
                self._known.popitem(last=False)
        return found

    async def _fetch(self, client: WorkflowProviderClient, execution: RunExecution) -> _Authorized:
        try:
            reference = await self._references.find(client, execution.execution_ref, wait=False)
        except (ProviderRefused, ProviderUnavailable) as error:
            raise ReferenceLookupFailed(f"execution reference could not be read: {error}") from error
        if reference is None:
            raise _denied(execution, "was not found")
        if reference.revoked_at is not None:
            raise _denied(execution, "is revoked")
        signer = self._references.signer
        if signer.knows(reference) and not signer.valid(reference):
            raise _denied(execution, "has a wrong signature")
        if client.has(REFERENCE) and not signer.knows(reference):
            await self._sign_again(client, execution, reference)
        return _Authorized(reference, principal_of(reference), carried=False)

    async def _sign_again(
        self, client: WorkflowProviderClient, execution: RunExecution, reference: ExecutionReference
    ) -> None:
        """Sign a reference that is fit for this call, so that the next one need not ask. Failing costs only that."""
        if reference.provider != client.name or not execution.same_target(reference, carried=False):
            return
        try:
            await self._references.sign_again(client, reference)
        except HostError as error:
            log.warning(
                "an execution reference could not be signed",
                event_name="reference.sign_failed",
                provider=client.name,
                reference=reference.id,
                error=str(error),
            )

    def _report(
        self, client: WorkflowProviderClient, execution: RunExecution, status: int | None, error: str, started: float
    ) -> None:
        if self._observer is None:
            return
        self._observer(
            RunReport(
                provider=client.name,
                run_id=execution.run_id,
                trigger=execution.trigger_kind(),
                target=execution.target_label(),
                status=status,
                error=error,
                duration_s=self._clock() - started,
            )
        )


def _denied(execution: RunExecution, reason: str) -> AuthorizationDenied:
    return AuthorizationDenied(f"workflow execution ref {quoted(execution.execution_ref)} {reason}")
