"""Schedules and triggers behind one set of names, as a provider's host calls them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.workflow import DEADLINE_S, Workflow, target


class Kind:
    """One of the two kinds of object behind one set of names."""

    def __init__(self, workflow: Workflow, word: str) -> None:
        self.rpc, self.word = workflow.rpc, word
        self.name = {"schedule": "Schedule", "trigger": "EventTrigger"}[word]
        self.required: dict[str, Any] = (
            {"cron": "0 3 * * *"} if word == "schedule" else {"match": pb.WorkflowEventMatch(type="a.b")}
        )

    async def call(self, verb: str, **fields: Any) -> Any:
        plural = "s" if verb == "List" else ""
        request = getattr(pb, f"{verb}WorkflowProvider{self.name}{plural}Request")(**fields)
        return await getattr(self.rpc, f"{verb}{self.name}{plural}")(request, timeout=DEADLINE_S)

    async def upsert(self, object_id: str, **fields: Any) -> Any:
        fields = {"target": target(), **self.required, **fields}
        return await self.call("Upsert", **{f"{self.word}_id": object_id}, **fields)

    async def of(self, verb: str, object_id: str) -> Any:
        return await self.call(verb, **{f"{self.word}_id": object_id})

    async def list(self) -> list[Any]:
        answer = await self.call("List")
        return list(answer.schedules if self.word == "schedule" else answer.triggers)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""
