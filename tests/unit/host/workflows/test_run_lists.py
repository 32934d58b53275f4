"""Lists of runs are read as they are taken: the order of all, long results, and what comes while they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gestalt_host.workflows.model import PluginTarget, RunQuery
from gestalt_host.workflows.objects.runs import LISTED_RESULT_BYTES
from gestalt_host.workflows.providers import ordering
from gestalt_host.workflows.providers.convert import place_of_run
from gestalt_host.workflows.providers.ordering import by_id_within_a_moment, merged
from gestalt_sdk.gen.v1 import workflow_pb2 as pb
from tests.support.rigs.host import ANN, BOB, Rig

SYNC, POST = PluginTarget("roadmap", "sync"), PluginTarget("slack", "post")


def run(id: str, micros: int, size: int = 0) -> pb.BoundWorkflowRun:
    message = pb.BoundWorkflowRun(id=id, result_body="x" * size)
    message.created_at.nanos = micros * 1000
    return message


async def stream(runs: Sequence[pb.BoundWorkflowRun], taken: list[str] | None = None) -> AsyncIterator[Any]:
    for item in runs:
        if taken is not None:
            taken.append(item.id)
        yield item


def ordered(runs: AsyncIterator[Any]) -> AsyncIterator[Any]:
    return by_id_within_a_moment(runs, place_of_run, pb.BoundWorkflowRun.ByteSize)


async def test_runs_of_one_moment_come_by_id() -> None:
    runs = [run("z", 3), run("c", 2), run("a", 2), run("b", 2), run("y", 1)]
    assert [item.id async for item in ordered(stream(runs))] == ["z", "a", "b", "c", "y"]


async def test_a_moment_with_many_bytes_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "MOMENT_BYTES", 2000)
    taken: list[str] = []
    found = ordered(stream([run(id, 1, 1000) for id in "edcba"], taken))
    assert (await anext(found)).id == "d"
    assert taken == ["e", "d", "c"]
    assert [item.id async for item in found] == ["e", "b", "c", "a"]


async def test_streams_are_merged_and_read_no_further_than_needed() -> None:
    taken: list[str] = []
    one, other = [run("a", 9), run("b", 5), run("c", 1)], [run("d", 5), run("e", 4)]
    found = merged([stream(one, taken), stream(other, taken), stream([])], place_of_run)
    assert (await anext(found)).id == "a"
    assert sorted(taken) == ["a", "d"]
    assert [item.id async for item in found] == ["b", "d", "e", "c"]


async def test_runs_of_several_providers_are_one_list(rig: Rig) -> None:
    runs = [await rig.manager.runs.start(ANN, SYNC, provider=name) for name in ("local", "other", "local", "other")]
    await rig.manager.runs.start(BOB, SYNC, provider="other")
    listed = [item async for item in rig.manager.runs.list(ANN, RunQuery())]
    assert listed == sorted(runs, key=ordering.place_of)


async def test_a_long_result_is_cut_in_the_list_and_whole_by_itself(rig: Rig) -> None:
    made = await rig.manager.runs.start(ANN, SYNC)
    whole = "ü" * LISTED_RESULT_BYTES
    rig.local.runs[made.id].result_body = whole
    (listed,) = [item async for item in rig.manager.runs.list(ANN, RunQuery())]
    assert (listed.result_body, listed.result_truncated) == (whole[: LISTED_RESULT_BYTES // 2], 2 * LISTED_RESULT_BYTES)
    shown = await rig.manager.runs.get(ANN, made.id)
    assert (shown.result_body, shown.result_truncated) == (whole, 0)
    rig.local.runs[made.id].result_body = whole[: LISTED_RESULT_BYTES // 2]
    (listed,) = [item async for item in rig.manager.runs.list(ANN, RunQuery())]
    assert (len(listed.result_body), listed.result_truncated) == (LISTED_RESULT_BYTES // 2, 0)


async def test_a_run_whose_reference_came_after_the_list_of_references_is_listed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await rig.manager.runs.start(ANN, SYNC)
    early = [item for item in rig.local.references.values() if item.id == first.execution_ref]
    second = await rig.manager.runs.start(ANN, POST)
    await rig.manager.runs.start(BOB, SYNC)

    async def references_of_before(*_: Any) -> Any:
        return early

    monkeypatch.setattr(rig.clients["local"], "_list_references", references_of_before)
    assert [item.id async for item in rig.manager.runs.list(ANN, RunQuery())] == [second.id, first.id]
