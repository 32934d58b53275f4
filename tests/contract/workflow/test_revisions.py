"""Schedules and triggers have a revision, and a write can name the one that it was decided on (decision 31)."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest

from gestalt_sdk.transport.faults import reason_of
from tests.support.rigs.objects import Kind, refusal
from tests.support.rigs.workflow import BOTH_ENGINES, Rig, Workflow, make_due, target

pytestmark = [pytest.mark.ours("workflow"), BOTH_ENGINES]


@pytest.fixture(params=["schedule", "trigger"])
def kind(workflow: Workflow, request: pytest.FixtureRequest) -> Kind:
    return Kind(workflow, request.param)


async def test_the_provider_names_the_capability(workflow: Workflow) -> None:
    assert workflow.process.identity is not None
    assert "workflow.revisions" in workflow.process.identity.capabilities


async def test_every_edit_makes_a_greater_revision_that_all_answers_agree_about(kind: Kind) -> None:
    seen = [(await kind.upsert("a")).revision]
    for edit in (kind.of("Pause", "a"), kind.of("Resume", "a"), kind.upsert("a")):
        seen.append((await edit).revision)
        assert (await kind.of("Get", "a")).revision == seen[-1]
        assert [item.revision for item in await kind.list()] == [seen[-1]]
    await kind.of("Delete", "a")
    seen.append((await kind.upsert("a")).revision)
    assert seen == sorted(set(seen))
    assert seen[0] > 0


@pytest.mark.parametrize("verb", ["Upsert", "Pause", "Resume", "Delete"])
async def test_a_write_that_was_decided_on_another_revision_changes_nothing(kind: Kind, verb: str) -> None:
    async def write(object_id: str, **fields: Any) -> Any:
        if verb == "Upsert":
            return await kind.upsert(object_id, **fields)
        return await kind.call(verb, **{f"{kind.word}_id": object_id}, **fields)

    code, _ = await refusal(write("none", if_revision=1))
    assert code is grpc.StatusCode.NOT_FOUND
    assert await kind.list() == []
    read = await kind.upsert("a")
    now = await kind.upsert("a", target=target("other"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await write("a", if_revision=read.revision)
    assert (refused.value.code(), reason_of(refused.value)) == (grpc.StatusCode.ABORTED, "REVISION_CONFLICT")
    assert str(read.revision) in (refused.value.details() or "")
    assert str(now.revision) in (refused.value.details() or "")
    assert await kind.of("Get", "a") == now
    await write("a", if_revision=now.revision)
    assert len(await kind.list()) == (0 if verb == "Delete" else 1)


async def test_a_write_that_wants_it_absent_never_replaces(kind: Kind) -> None:
    made = await kind.upsert("a", if_absent=True)
    code, text = await refusal(kind.upsert("a", target=target("other"), if_absent=True))
    assert code is grpc.StatusCode.ABORTED
    assert "exists already" in text
    assert await kind.of("Get", "a") == made


async def test_a_refused_write_retires_no_reference(workflow: Workflow, kind: Kind) -> None:
    await workflow.put_reference("old")
    made = await kind.upsert("a", execution_ref="old")
    await kind.of("Pause", "a")
    stale = {"if_revision": made.revision, "retire_execution_ref": "old"}
    assert (await refusal(kind.upsert("a", **stale)))[0] is grpc.StatusCode.ABORTED
    assert (await refusal(kind.call("Delete", **{f"{kind.word}_id": "a"}, **stale)))[0] is grpc.StatusCode.ABORTED
    assert not (await workflow.get_reference("old")).HasField("retired_at")


async def test_firing_is_no_edit(rig: Rig) -> None:
    """Otherwise whoever edits a schedule of every minute would never be in time."""
    stopped = await rig.provider(start=False)
    made = await stopped.upsert_schedule("s")
    await make_due(rig, "s")
    workflow = await rig.provider()
    await rig.host.invoked(1)
    fired = await workflow.get_schedule("s")
    assert fired.updated_at.ToNanoseconds() > made.updated_at.ToNanoseconds()
    assert fired.revision == made.revision
    edited = await workflow.upsert_schedule("s", if_revision=made.revision)
    assert edited.revision > made.revision


async def test_of_two_processes_that_decided_on_one_revision_one_writes(rig: Rig) -> None:
    first, second = await rig.provider(), await rig.provider()
    for word in ("schedule", "trigger"):
        kinds = [Kind(first, word), Kind(second, word)]
        read = await kinds[0].upsert("a")
        answers = await asyncio.gather(
            *(kinds[n % 2].upsert("a", if_revision=read.revision) for n in range(8)), return_exceptions=True
        )
        codes = Counter(a.code() for a in answers if isinstance(a, grpc.aio.AioRpcError))
        assert codes == {grpc.StatusCode.ABORTED: 7}
