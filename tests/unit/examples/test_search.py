"""The full-text index: what matches, in which order, and what a rebuild replaces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
import pytest
from search_plugin.index import Document, SearchIndex

DOCUMENTS = [
    Document("zones", "Daylight saving", "A schedule fires once on every day, in summer too."),
    Document("replay", "Replay an event", "Publishes the event again, for daylight as for night."),
    Document("store", "PostgreSQL", 'Any number of providers, "claims" and AND, OR, NOT.'),
]


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SearchIndex]:
    made = await SearchIndex.open(tmp_path / "folder" / "search.db")
    await made.rebuild(DOCUMENTS)
    yield made
    await made.close()


async def ids(index: SearchIndex, text: str) -> list[str]:
    return [hit.item_id for hit in await index.query(text, limit=10)]


async def test_titles_count_more_than_bodies(index: SearchIndex) -> None:
    assert await ids(index, "daylight") == ["zones", "replay"]


async def test_every_word_must_occur_and_words_are_stemmed(index: SearchIndex) -> None:
    assert await ids(index, "schedules firing") == ["zones"]
    assert await ids(index, "schedule night") == []


async def test_the_last_word_may_be_a_beginning(index: SearchIndex) -> None:
    assert await ids(index, "postg") == ["store"]


@pytest.mark.parametrize("text", ['"', "AND", "NOT x OR", "a*b", "title:", "(", "-", ""])
async def test_no_input_is_taken_for_an_operator(index: SearchIndex, text: str) -> None:
    await index.query(text, limit=10)


async def test_a_snippet_shows_the_match(index: SearchIndex) -> None:
    (hit,) = await index.query("summer", limit=1)
    assert "[summer]" in hit.snippet
    assert hit.score > 0


async def test_a_rebuild_replaces_everything_and_survives_a_restart(index: SearchIndex, tmp_path: Path) -> None:
    assert await index.rebuild(DOCUMENTS[:1]) == 1
    await index.close()
    again = await SearchIndex.open(tmp_path / "folder" / "search.db")
    assert await ids(again, "postgresql") == []
    assert await ids(again, "daylight") == ["zones"]
    await again.close()


async def test_the_file_is_private(index: SearchIndex, tmp_path: Path) -> None:
    assert (tmp_path / "folder" / "search.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700


async def test_a_query_during_a_rebuild_sees_the_old_index_or_the_new_one(index: SearchIndex) -> None:
    many = [Document(f"item-{number}", "Title", "word") for number in range(200)]
    sizes = {0, len(many)}
    rebuilding = asyncio.create_task(index.rebuild(many))
    while not rebuilding.done():
        assert len(await index.query("word", limit=1000)) in sizes
    await rebuilding
    assert len(await index.query("word", limit=1000)) == len(many)


async def test_a_rebuild_that_fails_leaves_the_index_as_it_was(index: SearchIndex) -> None:
    with pytest.raises(aiosqlite.Error):
        await index.rebuild([Document("new", "New", "words"), Document("bad", "Bad", object())])  # type: ignore[arg-type]
    assert await ids(index, "daylight") == ["zones", "replay"]
