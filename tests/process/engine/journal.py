"""The workflow host of these tests. It survives every kill, and every invocation is on disk before it is answered."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import grpc
from google.rpc import status_pb2

from gestalt_sdk.gen.extension.v1 import workflow_dispatch_pb2, workflow_dispatch_pb2_grpc
from gestalt_sdk.gen.v1 import workflow_pb2, workflow_pb2_grpc
from gestalt_sdk.transport.channels import SERVER_OPTIONS
from gestalt_sdk.transport.streamed import answer_calls
from tests.support.waiting import taking

Request: TypeAlias = workflow_pb2.InvokeWorkflowOperationRequest

FLAKY_FAILURES = 2
"""Attempts of the operation ``flaky`` that fail before one succeeds."""


@dataclass(slots=True)
class Invocation:
    """One call of the host. Times are seconds of a clock that only grows.

    Attributes:
        signals: Id and sequence of each, as they came.
        ended: None while it goes on, or when the host itself ended.
        status: What was answered; None when the caller was gone before.
    """

    number: int
    run_id: str
    attempt: int
    signals: tuple[tuple[str, int], ...]
    began: float
    ended: float | None = None
    status: int | None = None
    body: str = ""


@dataclass(slots=True)
class Journal:
    """A file of lines, each forced to disk before the invocation goes on."""

    path: Path
    _file: int = field(init=False)

    def __post_init__(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, **entry: Any) -> None:
        os.write(self._file, json.dumps({**entry, "at": time.monotonic()}).encode() + b"\n")
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


def read_journal(path: Path) -> list[Invocation]:
    """The invocations in the order in which they began."""
    invocations: dict[int, Invocation] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        number, at = entry["number"], entry["at"]
        if "run" in entry:
            signals = tuple((id, sequence) for id, sequence in entry["signals"])
            invocations[number] = Invocation(number, entry["run"], entry["attempt"], signals, at)
        else:
            invocation = invocations[number]
            invocation.ended, invocation.status, invocation.body = at, entry.get("status"), entry.get("body", "")
    return list(invocations.values())


class JournalHost(workflow_pb2_grpc.WorkflowHostServicer, workflow_dispatch_pb2_grpc.WorkflowDispatchServicer):
    """Answers by operation: ``flaky`` fails at first, ``bad`` always, ``slow`` takes its time, others succeed.

    Attributes:
        gates: Operations that wait until their event is set.
        passing: Around each call, before it is noted until it is answered.
    """

    def __init__(self, journal: Journal, chance: Random) -> None:
        self._journal = journal
        self._chance = chance
        self._number = 0
        self.gates: dict[str, asyncio.Event] = {}
        self.passing: Callable[[str], Any] | None = None

    async def InvokeOperation(self, request: Request, context: Any) -> workflow_pb2.InvokeWorkflowOperationResponse:
        if self.passing is None:
            return await self._invoke(request)
        async with self.passing("InvokeOperation"):
            return await self._invoke(request)

    async def Dispatch(self, requests: Any, context: Any) -> None:
        def status(error: Exception) -> status_pb2.Status:
            return status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message=str(error))

        invoke: Callable[[Request], Awaitable[Any]] = lambda request: self.InvokeOperation(request, None)  # noqa: E731
        await answer_calls(requests, context, workflow_dispatch_pb2.DispatchResults, invoke, status)

    async def _invoke(self, request: Request) -> workflow_pb2.InvokeWorkflowOperationResponse:
        self._number += 1
        number, operation = self._number, request.target.plugin.operation
        signals = [(signal.id, signal.sequence) for signal in request.signals]
        self._journal.note(number=number, run=request.run_id, attempt=request.attempt, signals=signals)
        try:
            if operation in self.gates:
                await self.gates[operation].wait()
            elif operation == "slow":
                await taking(self._chance.uniform(0.1, 1.0))
            elif self._chance.random() < 0.5:
                await taking(self._chance.uniform(0, 0.03))
        except asyncio.CancelledError:
            self._journal.note(number=number)
            raise
        failing = operation == "bad" or (operation == "flaky" and request.attempt <= FLAKY_FAILURES)
        status, body = 503 if failing else 200, f"answer {number}"
        self._journal.note(number=number, status=status, body=body)
        return workflow_pb2.InvokeWorkflowOperationResponse(status=status, body=body)

    @asynccontextmanager
    async def serving(self, socket: Path, *, stream: bool) -> AsyncIterator[None]:
        """``stream``: whether dispatch on one stream is offered."""
        server = grpc.aio.server(options=SERVER_OPTIONS)
        workflow_pb2_grpc.add_WorkflowHostServicer_to_server(self, server)
        if stream:
            workflow_dispatch_pb2_grpc.add_WorkflowDispatchServicer_to_server(self, server)
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(0)
