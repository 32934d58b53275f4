"""The writes of one transaction while the indexes of its store are changed by others; without a server."""

from __future__ import annotations

from gestalt_store.postgres.overlay import PgOverlay, Wanted
from gestalt_store.postgres.tables import PgStore
from gestalt_store.work.operations import write_of

from tests.support.rigs.store_engine import record, schema


def pg_store(number: int) -> PgStore:
    return PgStore("test", number, "s", schema(("n", False)), data=1, guard=number)


def test_a_store_that_moves_on_in_the_middle_of_a_transaction_stays_one_until_the_transaction_follows() -> None:
    first, second, third = pg_store(1), pg_store(2), pg_store(3)
    first.written_as = second
    overlay = PgOverlay()
    overlay.of(first).put(write_of(first, record(id="a", n=1)))
    second.written_as = third  # another process has begun to build an index
    wanted = Wanted(overlay)
    overlay.want_bases(wanted)
    assert overlay.maintained(first) is overlay.maintained(second) is second
    assert overlay.of(second) is overlay.of(first)
    assert len(wanted.statements()) == 1


def test_a_transaction_that_follows_takes_its_writes_along_by_whatever_name_it_knew_the_store() -> None:
    first, second, third, fourth = (pg_store(number) for number in range(1, 5))
    first.written_as = second
    overlay = PgOverlay()
    overlay.of(first).put(write_of(first, record(id="a", n=1)))
    second.written_as = third
    overlay.follow()
    third.written_as = fourth
    for name in (first, second, third):
        assert overlay.maintained(name) is third
        assert list(overlay.of(name).rows) == [write_of(first, record(id="a", n=1)).primary_key]
