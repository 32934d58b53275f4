"""Runs whose target is an agent (semantics.md 13). Nothing wires this yet.

A run is a session and one turn in it: create, wait for its end, deliver its output.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from google.protobuf.struct_pb2 import Struct

from gestalt_host.access.subjects import Principal
from gestalt_host.errors import (
    AuthorizationDenied,
    HostError,
    InvalidInvocation,
    ProviderUnavailable,
    ProviderUnknown,
    quoted,
)
from gestalt_host.invocation.invoker import Invoker
from gestalt_host.invocation.model import OperationResult
from gestalt_host.workflows.agents.agent_client import AgentProviderClient, AgentTurn, TurnRequest
from gestalt_host.workflows.model import AgentMessage, AgentTarget, OutputBinding, OutputDelivery, Signal, ToolRef
from gestalt_host.workflows.signals import MAX_SIGNALS, batch_id, compacted
from gestalt_sdk.common.texts import cut
from gestalt_sdk.transport.values import to_struct

DEFAULT_TIMEOUT_S = 300
POLL_INTERVAL_S = 1.0
SIGNAL_TEXT_BYTES = 64 * 1024
SIGNAL_METADATA = {"gestalt.workflow.signal_batch": True}
_RESERVED_METADATA = ("__gestalt.lifecycle", "__gestalt.workspace", "cwd", "workspacePath", "worktreePath")

log = structlog.get_logger()


class AgentTurnFailed(HostError):
    """The turn was canceled, failed, waits for input, or did not end in time; or its output could not be delivered."""


@dataclass(frozen=True, slots=True)
class AgentWork:
    """One agent run.

    Attributes:
        key: Start of every idempotency key of the run.
        workflow: The run's context, a serialised struct.
    """

    target: AgentTarget
    principal: Principal
    caller_plugin: str
    key: str
    run_id: str
    signals: tuple[Signal, ...]
    workflow: bytes


class AgentTurns:
    def __init__(
        self,
        providers: Mapping[str, AgentProviderClient],
        invoker: Invoker,
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self._providers = providers
        self._invoker = invoker
        self._poll_interval_s = poll_interval_s

    async def run(self, work: AgentWork) -> OperationResult:
        """Carry out the turn and deliver its output; the target's timeout covers all but the delivery.

        Raises:
            AgentTurnFailed: the turn did not succeed.
            ProviderRefused, ProviderUnavailable: the agent provider's own failure.
        """
        if not work.run_id:
            raise InvalidInvocation("workflow agent target requires a run id")
        target = work.target
        client = self._providers.get(target.provider)
        if client is None:
            raise ProviderUnknown(f"agent provider {quoted(target.provider)} is not available")
        ceiling = work.principal.ceiling
        if ceiling is not None and not ceiling.allows_plugin(target.provider):
            raise AuthorizationDenied(target.provider)
        metadata = _metadata(work)
        batch = batch_id(work.signals)
        deadline = asyncio.get_running_loop().time() + (target.timeout_seconds or DEFAULT_TIMEOUT_S)
        turn = await self._turn(client, work, metadata, batch, deadline)
        if turn.status != "succeeded":
            raise AgentTurnFailed(_failure(turn))
        if target.output_delivery is not None:
            await self._deliver(work, target.output_delivery, turn, batch)
        return OperationResult(200, turn.output_text, "text/plain")

    async def _turn(
        self, client: AgentProviderClient, work: AgentWork, metadata: Struct, batch: str, deadline: float
    ) -> AgentTurn:
        who, target = work.principal, work.target
        turn_id = ""
        try:
            async with asyncio.timeout_at(deadline):
                session_id, creator = await client.create_session(
                    who, str(uuid.uuid4()), target.model, metadata, f"{work.key}:session", _left(deadline)
                )
                if creator != who.subject_id:
                    raise AgentTurnFailed("workflow agent session was not found")
                request = await self._request(client, work, session_id, metadata, batch, deadline)
                turn = await client.create_turn(who, request, _left(deadline))
                if turn.created_by != who.subject_id:
                    raise AgentTurnFailed("workflow agent turn was not found")
                if turn.session_id != session_id:
                    raise AgentTurnFailed(f"agent turn {quoted(turn.id)} belongs to another session")
                turn_id = turn.id
                turn = await self._wait(client, who, turn, deadline)
        except TimeoutError as error:
            await self._cancel(client, who, turn_id, "context deadline exceeded")
            raise AgentTurnFailed("context deadline exceeded") from error
        except HostError as error:
            await self._cancel(client, who, turn_id, str(error))
            raise
        except asyncio.CancelledError:
            await self._cancel(client, who, turn_id, "workflow run was canceled")
            raise
        if turn.status == "waiting_for_input":
            await self._cancel(client, who, turn.id, "workflow agent turn cannot wait for input")
        return turn

    async def _request(
        self,
        client: AgentProviderClient,
        work: AgentWork,
        session_id: str,
        metadata: Struct,
        batch: str,
        deadline: float,
    ) -> TurnRequest:
        target = work.target
        catalogue = await client.supports_catalogue(_left(deadline))
        refs = target.tool_refs
        if catalogue and not refs:
            refs = (ToolRef(plugin="*"),)
        key = f"{work.key}:turn:{batch}" if batch else f"{work.key}:turn"
        return TurnRequest(
            turn_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"gestalt:agent-turn:{session_id}:{key}")),
            session_id=session_id,
            idempotency_key=key,
            model=target.model,
            messages=_messages(target, work.signals),
            tool_refs=refs,
            uses_catalogue=catalogue,
            response_schema=target.response_schema,
            model_options=target.model_options,
            metadata=metadata,
        )

    async def _wait(self, client: AgentProviderClient, who: Principal, turn: AgentTurn, deadline: float) -> AgentTurn:
        """Ask until the turn has ended. A provider that is away for a moment is asked again until the deadline."""
        while turn.status in ("pending", "running", ""):
            await asyncio.sleep(self._poll_interval_s)
            try:
                turn = await client.get_turn(who, turn.id, _left(deadline))
            except ProviderUnavailable:
                continue
            if turn.created_by != who.subject_id:
                raise AgentTurnFailed("workflow agent turn was not found")
        return turn

    async def _cancel(self, client: AgentProviderClient, who: Principal, turn_id: str, reason: str) -> None:
        """Cancel the turn as well as can be: the run has failed already."""
        if not turn_id:
            return
        try:
            await client.cancel_turn(who, turn_id, reason)
        except HostError as error:
            log.warning(
                "an agent turn could not be canceled",
                event_name="agent.cancel_failed",
                provider=client.name,
                turn=turn_id,
                error=str(error),
            )

    async def _deliver(self, work: AgentWork, delivery: OutputDelivery, turn: AgentTurn, batch: str) -> None:
        params = dict(delivery.target.input)
        for binding in delivery.input_bindings:
            params[binding.input_field] = _resolve(binding, turn, work.signals)
        target = delivery.target
        result = await self._invoker.invoke(
            work.principal,
            target.plugin,
            target.operation,
            params,
            connection=target.connection,
            instance=target.instance,
            credential_mode=delivery.credential_mode,
            workflow=work.workflow,
            idempotency_key=f"{work.key}:output:{batch}" if batch else f"{work.key}:output",
        )
        if result.status >= 400:
            raise AgentTurnFailed(f"workflow agent output delivery returned status {result.status}")


def _left(deadline: float) -> float:
    return max(deadline - asyncio.get_running_loop().time(), 0.001)


def _metadata(work: AgentWork) -> Struct:
    for key in work.target.metadata:
        if key in _RESERVED_METADATA or key.startswith(("__gestalt.lifecycle.", "__gestalt.workspace.")):
            raise InvalidInvocation(f"agent session metadata key {quoted(key)} is reserved")
    metadata = to_struct(work.target.metadata)
    metadata.fields["workflow"].struct_value.Clear()
    metadata.fields["workflow"].struct_value.MergeFromString(work.workflow)
    return metadata


def _messages(target: AgentTarget, signals: Sequence[Signal]) -> tuple[AgentMessage, ...]:
    messages = list(target.messages)
    if target.prompt:
        messages.append(AgentMessage(role="user", text=target.prompt))
    if signals:
        messages.append(AgentMessage(role="user", text=signal_text(signals), metadata=dict(SIGNAL_METADATA)))
    return tuple(messages)


def signal_text(signals: Sequence[Signal]) -> str:
    """Write the signals as an agent reads them: a heading and indented JSON, at most 64 KiB in all."""
    batch = {"omittedSignals": max(len(signals) - MAX_SIGNALS, 0), "signals": compacted(signals)}
    text = json.dumps(batch, indent=2, sort_keys=True, ensure_ascii=False)
    for char, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, escape)
    return cut(f"Workflow signal batch:\n{text}", SIGNAL_TEXT_BYTES)


def _failure(turn: AgentTurn) -> str:
    name = f"workflow agent turn {quoted(turn.id)}"
    if turn.status == "canceled":
        return f"{name} was canceled: {turn.status_message}"
    if turn.status == "waiting_for_input":
        return f"{name} is waiting for input"
    return f"{name} finished with status {quoted(turn.status)}: {turn.status_message}"


_UNRESOLVED = object()


def _resolve(binding: OutputBinding, turn: AgentTurn, signals: Sequence[Signal]) -> Any:
    if binding.source == "literal":
        return binding.value
    path = str(binding.value or "").strip()
    if binding.source == "agent_output":
        value = _agent_output(binding, path, turn)
    elif binding.source in ("signal_payload", "signal_metadata"):
        last = signals[-1] if signals else None
        held = {} if last is None else (last.payload if binding.source == "signal_payload" else last.metadata)
        value = _at(held, path, binding)
    else:
        value = _UNRESOLVED
    if value is _UNRESOLVED:
        raise InvalidInvocation(f"workflow agent output_delivery.{binding.input_field} source did not resolve")
    return value


def _agent_output(binding: OutputBinding, path: str, turn: AgentTurn) -> Any:
    if path in ("text", "output_text", "outputText"):
        return turn.output_text
    name, dot, rest = path.partition(".")
    if name not in ("structured_output", "structuredOutput"):
        raise InvalidInvocation(
            f"workflow agent output_delivery.{binding.input_field} source {quoted(path)} is not supported"
        )
    if turn.structured_output is None:
        return _UNRESOLVED
    return _at(turn.structured_output, rest, binding) if dot else turn.structured_output


def _at(held: Any, path: str, binding: OutputBinding) -> Any:
    """Return the value at a path: the exact key first, then part by part; lists cannot be entered."""
    if isinstance(held, Mapping) and path in held:
        return held[path]
    for part in path.split("."):
        if not part:
            raise InvalidInvocation(
                f"workflow agent output_delivery.{binding.input_field} path {quoted(path)} has an empty part"
            )
        if not isinstance(held, Mapping) or part not in held:
            return _UNRESOLVED
        held = held[part]
    return held
