"""Bodies that are ready at once give others their turn while they are read."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterable

import pytest

from gestalt_host.packages.downloads.answers import BodyTooLarge, decoded
from tests.support.waiting import one_turn


async def at_once(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize(
    ("chunks", "encoding"),
    [([b"x"] * 3200, None), ([gzip.compress(bytes(16 << 20), mtime=0)], "gzip")],
    ids=["parts", "packed"],
)
async def test_others_have_their_turn_while_a_body_is_read(chunks: list[bytes], encoding: str | None) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await one_turn()

    task = asyncio.create_task(other())
    assert len(await decoded(at_once(chunks), encoding, 16 << 20)) == (3200 if encoding is None else 16 << 20)
    task.cancel()
    assert turns >= 60


async def test_a_packed_body_is_unpacked_no_further_than_shows_that_it_is_too_much() -> None:
    packed = gzip.compress(bytes(64 << 20))
    with pytest.raises(BodyTooLarge, match="more than the 1000 bytes"):
        await decoded(at_once([packed]), "gzip", 1000)
