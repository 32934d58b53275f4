"""Two requests about one object at once, through one host and through two: they have an order (decision 31)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from grpc import StatusCode as Code

from gestalt_host.errors import ProviderRefused
from gestalt_host.workflows.manager import WorkflowManager
from tests.support.rigs.doors import Kind, created, once_before
from tests.support.rigs.host import ANN, Rig

# An update never creates ----------------------------------------------------------------------------------------------


async def test_a_put_that_a_delete_overtakes_finds_nothing(rig: Rig, doors: Any, kind: Kind) -> None:
    made = (await created(doors[0], kind)).json()
    deleted = once_before(rig, f"Upsert{kind.name}", lambda: doors[1].delete(kind.one(made["id"])))
    put = await doors[0].put(kind.one(made["id"]), json=kind.wanted())
    assert [answer.status_code for answer in deleted] == [200]
    assert (put.status_code, put.json()) == (404, {"error": f'workflow {kind.word} "{made["id"]}" not found'})
    assert kind.provided(rig) == {}
    assert [item for item in rig.local.references.values() if not _ended(item)] == []


async def test_a_delete_that_a_put_overtakes_deletes_what_was_put(rig: Rig, doors: Any, kind: Kind) -> None:
    made = (await created(doors[0], kind)).json()
    put = once_before(rig, f"Delete{kind.name}", lambda: doors[1].put(kind.one(made["id"]), json=kind.wanted()))
    assert (await doors[0].delete(kind.one(made["id"]))).status_code == 200
    assert [answer.status_code for answer in put] == [200]
    assert kind.provided(rig) == {}
    assert [item for item in rig.local.references.values() if not _ended(item)] == []


@pytest.mark.parametrize("provider", ["local", "other"])
async def test_put_and_delete_at_once_through_one_host_have_an_order(
    rig: Rig, doors: Any, kind: Kind, provider: str
) -> None:
    """Also with a provider that has no revisions, whose objects are changed by this host alone."""
    for _ in range(10):
        made = (await created(doors[0], kind, provider)).json()
        put, deleted = await asyncio.gather(
            doors[0].put(kind.one(made["id"]), json=kind.wanted()), doors[0].delete(kind.one(made["id"]))
        )
        assert (deleted.status_code, put.status_code) in ((200, 200), (200, 404))
        assert kind.provided(rig, provider) == {}


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_pause_and_resume_act_on_what_a_put_has_made(rig: Rig, doors: Any, kind: Kind, verb: str) -> None:
    made = (await created(doors[0], kind)).json()
    body = kind.wanted(paused=verb == "resume")
    put = once_before(rig, f"{verb.capitalize()}{kind.name}", lambda: doors[1].put(kind.one(made["id"]), json=body))
    answer = await doors[0].post(f"{kind.one(made['id'])}/{verb}")
    assert (answer.status_code, answer.json()["paused"]) == (200, verb == "pause")
    assert [other.status_code for other in put] == [200]
    upserts = [request for name, request in rig.local.requests if name == f"Upsert{kind.name}"]
    assert upserts[0].if_absent
    assert upserts[1].if_revision


async def test_a_move_that_a_delete_overtakes_leaves_nothing(rig: Rig, doors: Any, kind: Kind) -> None:
    made = (await created(doors[0], kind)).json()
    deleted = once_before(rig, f"Delete{kind.name}", lambda: doors[1].delete(kind.one(made["id"])))
    moved = await doors[0].put(kind.one(made["id"]), json=kind.wanted("other"))
    assert [answer.status_code for answer in deleted] == [200]
    assert moved.status_code == 404
    assert (kind.provided(rig), kind.provided(rig, "other")) == ({}, {})


async def test_a_move_that_a_put_overtakes_moves_what_was_put(rig: Rig, doors: Any, kind: Kind) -> None:
    made = (await created(doors[0], kind)).json()
    put = once_before(rig, f"Delete{kind.name}", lambda: doors[1].put(kind.one(made["id"]), json=kind.wanted()))
    moved = await doors[0].put(kind.one(made["id"]), json=kind.wanted("other"))
    assert [answer.status_code for answer in put] == [200]
    assert (moved.status_code, moved.json()["provider"]) == (200, "other")
    assert (kind.provided(rig), list(kind.provided(rig, "other"))) == ({}, [made["id"]])


async def test_a_move_whose_deletion_is_not_confirmed_loses_nothing(rig: Rig, doors: Any, kind: Kind) -> None:
    made = (await created(doors[0], kind)).json()
    moving = doors[0].put(kind.one(made["id"]), json=kind.wanted("other"))
    taken = once_before(rig, f"Delete{kind.name}", lambda: _lost_answer(rig, kind, made["id"]))
    assert (await moving).status_code == 200
    assert taken
    assert list(kind.provided(rig, "other")) == [made["id"]]


async def _lost_answer(rig: Rig, kind: Kind, object_id: str) -> bool:
    del kind.provided(rig)[object_id]
    rig.local.failures[f"Delete{kind.name}"] = (Code.DEADLINE_EXCEEDED, "late")
    return True


async def test_creates_with_one_key_at_once_make_one_object(rig: Rig, second: WorkflowManager, kind: Kind) -> None:
    ours, theirs = (getattr(manager, f"{kind.word}s") for manager in (rig.manager, second))
    other = once_before(rig, f"Upsert{kind.name}", lambda: theirs.create(ANN, kind.spec(), idempotency_key="k"))
    made = await ours.create(ANN, kind.spec(), idempotency_key="k")
    assert other == [made]
    assert await ours.list(ANN) == [made]
    assert [request.if_absent for name, request in rig.local.requests if name == f"Upsert{kind.name}"] == [True, True]


async def test_a_create_with_a_key_replaces_what_nobody_can_see(rig: Rig, kind: Kind) -> None:
    objects = getattr(rig.manager, f"{kind.word}s")
    made = await objects.create(ANN, kind.spec(), idempotency_key="k")
    rig.local.references[made.execution_ref].revoked_at.CopyFrom(rig.local.now())
    again = await objects.create(ANN, kind.spec(), idempotency_key="k")
    assert again.id == made.id
    assert await objects.get(ANN, made.id) == again


# Object and reference are read at one moment --------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["local", "other"])
async def test_reading_beside_a_put_finds_the_object(rig: Rig, doors: Any, kind: Kind, provider: str) -> None:
    made = (await created(doors[0], kind, provider)).json()
    one = kind.one(made["id"])
    for read in (
        lambda: doors[0].get(one),
        lambda: doors[0].post(f"{one}/pause"),
        lambda: doors[0].post(f"{one}/resume"),
        lambda: doors[0].put(one, json=kind.wanted()),
    ):
        put = once_before(rig, "GetExecutionReference", lambda: doors[1].put(one, json=kind.wanted()), provider)
        answer = await read()
        assert [other.status_code for other in put] == [200]
        assert answer.status_code == 200


@pytest.mark.parametrize("provider", ["local", "other"])
@pytest.mark.parametrize("method", ["List{}s", "ListExecutionReferences"])
@pytest.mark.parametrize("puts", [1, 2])
async def test_a_list_beside_puts_lacks_nothing(
    rig: Rig, doors: Any, kind: Kind, provider: str, method: str, puts: int
) -> None:
    made = (await created(doors[0], kind, provider)).json()

    async def put() -> list[int]:
        return [(await doors[1].put(kind.one(made["id"]), json=kind.wanted())).status_code for _ in range(puts)]

    answered = once_before(rig, method.format(kind.name), put, provider)
    assert [item["id"] for item in (await doors[0].get(kind.path)).json()] == [made["id"]]
    assert answered == [[200] * puts]


async def test_a_list_has_an_object_whose_reference_came_and_went_while_it_was_read(
    rig: Rig, doors: Any, kind: Kind
) -> None:
    made = (await created(doors[0], kind)).json()
    answered: list[Any] = []

    async def put() -> int:
        code: int = (await doors[1].put(kind.one(made["id"]), json=kind.wanted())).status_code
        return code

    async def put_and_again_before_the_next_reading() -> int:
        answered.append(await put())
        answered.append(once_before(rig, "ListExecutionReferences", put))
        return 0

    once_before(rig, f"List{kind.name}s", put_and_again_before_the_next_reading)
    assert [item["id"] for item in (await doors[0].get(kind.path)).json()] == [made["id"]]
    assert answered == [200, [200]]


async def test_an_object_that_changes_with_every_reading_is_a_conflict(rig: Rig, kind: Kind) -> None:
    made = await getattr(rig.manager, f"{kind.word}s").create(ANN, kind.spec())
    fake = rig.local

    async def before(name: str) -> None:
        if name == "GetExecutionReference":
            item = kind.provided(rig)[made.id]
            reference = fake.references[item.execution_ref]
            reference.retired_at.CopyFrom(fake.now())
            item.execution_ref = f"{item.execution_ref}+"
            fake.references[item.execution_ref] = type(reference)(id=item.execution_ref, subject_id="user:ann")

    fake.before = before
    with pytest.raises(ProviderRefused, match="changed too often") as refused:
        await getattr(rig.manager, f"{kind.word}s").get(ANN, made.id)
    assert refused.value.code == "ABORTED"


def _ended(reference: Any) -> bool:
    return bool(reference.HasField("revoked_at") or reference.HasField("retired_at"))
