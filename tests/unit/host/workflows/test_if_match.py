"""``ETag`` and ``If-Match`` of schedules and triggers, over HTTP (decision 31)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rigs.doors import Kind, created, once_before
from tests.support.rigs.host import Rig


async def test_every_answer_with_one_object_has_its_tag(doors: Any, kind: Kind) -> None:
    made = await created(doors[0], kind)
    one = kind.one(made.json()["id"])
    tags = [made.headers["etag"]]
    for change in (
        lambda: doors[0].put(one, json=kind.wanted()),
        lambda: doors[0].post(f"{one}/pause"),
        lambda: doors[0].post(f"{one}/resume"),
    ):
        tags.append((await change()).headers["etag"])
        assert (await doors[1].get(one)).headers["etag"] == tags[-1]
    assert len(set(tags)) == 4
    assert all(tag.startswith('"') and tag[1:-1].isdecimal() and tag.endswith('"') for tag in tags)
    assert "etag" not in (await doors[0].get(kind.path)).headers
    assert "etag" not in (await doors[0].delete(one)).headers


@pytest.mark.parametrize("verb", ["put", "pause", "resume", "delete", "get"])
async def test_with_another_tag_nothing_changes(rig: Rig, doors: Any, kind: Kind, verb: str) -> None:
    made = await created(doors[0], kind)
    one = kind.one(made.json()["id"])

    async def ask(tag: str) -> Any:
        method, path = (verb, one) if verb in ("put", "delete", "get") else ("post", f"{one}/{verb}")
        body = kind.wanted() if verb == "put" else None
        return await doors[0].request(method, path, headers={"If-Match": tag}, json=body)

    old = made.headers["etag"]
    tag = (await doors[1].put(one, json=kind.wanted())).headers["etag"]
    before = kind.provided(rig)[made.json()["id"]].SerializeToString()
    for stale in (old, f"W/{tag}", '"nonsense"', f'{old}, "1"'):
        refused = await ask(stale)
        assert (refused.status_code, refused.json()["code"]) == (412, "revision_mismatch"), stale
        assert f'workflow {kind.word} "{made.json()["id"]}" has been changed' in refused.json()["error"]
    assert kind.provided(rig)[made.json()["id"]].SerializeToString() == before
    assert (await ask(f"{old} , {tag}")).status_code == 200


async def test_a_change_between_the_check_and_the_write_is_refused_too(rig: Rig, doors: Any, kind: Kind) -> None:
    made = await created(doors[0], kind)
    one = kind.one(made.json()["id"])
    put = once_before(rig, f"Upsert{kind.name}", lambda: doors[1].put(one, json=kind.wanted(paused=True)))
    refused = await doors[0].put(one, json=kind.wanted(), headers={"If-Match": made.headers["etag"]})
    assert [answer.status_code for answer in put] == [200]
    assert refused.status_code == 412
    assert (await doors[0].get(one)).json()["paused"]


async def test_a_star_asks_only_that_there_is_one(rig: Rig, doors: Any, kind: Kind) -> None:
    made = await created(doors[0], kind)
    one = kind.one(made.json()["id"])
    once_before(rig, f"Upsert{kind.name}", lambda: doors[1].put(one, json=kind.wanted()))
    assert (await doors[0].put(one, json=kind.wanted(), headers={"If-Match": "*"})).status_code == 200
    assert (await doors[0].delete(one, headers={"If-Match": "*"})).status_code == 200
    assert (await doors[0].put(one, json=kind.wanted(), headers={"If-Match": "*"})).status_code == 404


@pytest.mark.parametrize("value", ["", "1", '"1', '"1" "2"', '*, "1"', 'w/"1"', "abc"])
async def test_what_is_no_list_of_tags_is_refused(rig: Rig, doors: Any, kind: Kind, value: str) -> None:
    one = kind.one((await created(doors[0], kind)).json()["id"])
    for method, path in (("PUT", one), ("DELETE", one), ("POST", f"{one}/pause"), ("GET", one)):
        body = kind.wanted() if method == "PUT" else None
        refused = await doors[0].request(method, path, headers={"If-Match": value}, json=body)
        assert refused.status_code == 400
        assert refused.json()["error"].startswith("If-Match must be * or entity tags")
    assert len(kind.provided(rig)) == 1


async def test_a_provider_without_revisions_sends_no_tag_and_is_named(rig: Rig, doors: Any, kind: Kind) -> None:
    rig.other.revisions = True  # what it says without naming the capability does not count
    made = await created(doors[0], kind, "other")
    one = kind.one(made.json()["id"])
    assert "etag" not in made.headers
    assert "etag" not in (await doors[0].get(one)).headers
    assert "etag" not in (await doors[0].put(one, json=kind.wanted())).headers
    for tag in ("*", '"1"'):
        refused = await doors[0].put(one, json=kind.wanted(), headers={"If-Match": tag})
        assert refused.status_code == 412
        assert refused.json() == {
            "error": 'If-Match needs the capability workflow.revisions, which workflow provider "other" does not offer'
        }
    assert (await doors[0].delete(one)).status_code == 200
    for _, request in rig.other.requests:
        assert not getattr(request, "if_revision", 0)
        assert not getattr(request, "if_absent", False)
