"""The writes of one transaction while the indexes of its store are changed by others; without a server."""

from __future__ import annotations

from gestalt_store.postgres.overlay import Changes, Wanted
from gestalt_store.postgres.tables import PgStore
from gestalt_store.work.operations import prepare_write

from tests.unit.store.test_engine import record, schema


def pg_store(number: int) -> PgStore:
    return PgStore("test", number, "s", schema(("n", False)), data=1, guard=number)


def test_a_store_that_moves_on_in_the_middle_of_a_transaction_stays_one_until_the_transaction_follows() -> None:
    first, second, third = pg_store(1), pg_store(2), pg_store(3)
    first.upkeep = second
    changes = Changes()
    changes.of(first).put(prepare_write(first, record(id="a", n=1)))
    second.upkeep = third  # another process has begun to build an index
    wanted = Wanted(changes)
    changes.bases(wanted)
    assert changes.kept(first) is changes.kept(second) is second
    assert changes.of(second) is changes.of(first) and len(wanted.commands()) == 1


def test_a_transaction_that_follows_takes_its_writes_along_by_whatever_name_it_knew_the_store() -> None:
    first, second, third, fourth = (pg_store(number) for number in range(1, 5))
    first.upkeep = second
    changes = Changes()
    changes.of(first).put(prepare_write(first, record(id="a", n=1)))
    second.upkeep = third
    changes.follow()
    third.upkeep = fourth
    for name in (first, second, third):
        assert changes.kept(name) is third
        assert list(changes.of(name).rows) == [prepare_write(first, record(id="a", n=1)).primary_key]
