"""The full-text index: what matches, in which order, and what a rebuild replaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from search_plugin.index import Document, SearchIndex

DOCUMENTS = [
    Document("zones", "Daylight saving", "A schedule fires once on every day, in summer too."),
    Document("replay", "Replay an event", "Publishes the event again, for daylight as for night."),
    Document("store", "PostgreSQL", 'Any number of providers, "claims" and AND, OR, NOT.'),
]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SearchIndex]:
    made = SearchIndex(tmp_path / "folder" / "search.db")
    made.rebuild(DOCUMENTS)
    yield made
    made.close()


def ids(index: SearchIndex, text: str) -> list[str]:
    return [hit.item_id for hit in index.query(text, limit=10)]


def test_titles_count_more_than_bodies(index: SearchIndex) -> None:
    assert ids(index, "daylight") == ["zones", "replay"]


def test_every_word_must_occur_and_words_are_stemmed(index: SearchIndex) -> None:
    assert ids(index, "schedules firing") == ["zones"]
    assert ids(index, "schedule night") == []


def test_the_last_word_may_be_a_beginning(index: SearchIndex) -> None:
    assert ids(index, "postg") == ["store"]


@pytest.mark.parametrize("text", ['"', "AND", "NOT x OR", "a*b", "title:", "(", "-", ""])
def test_no_input_is_taken_for_an_operator(index: SearchIndex, text: str) -> None:
    index.query(text, limit=10)


def test_a_snippet_shows_the_match(index: SearchIndex) -> None:
    (hit,) = index.query("summer", limit=1)
    assert "[summer]" in hit.snippet
    assert hit.score > 0


def test_a_rebuild_replaces_everything_and_survives_a_restart(index: SearchIndex, tmp_path: Path) -> None:
    assert index.rebuild(DOCUMENTS[:1]) == 1
    index.close()
    again = SearchIndex(tmp_path / "folder" / "search.db")
    assert ids(again, "postgresql") == []
    assert ids(again, "daylight") == ["zones"]
    again.close()


def test_the_file_is_private(index: SearchIndex, tmp_path: Path) -> None:
    assert (tmp_path / "folder" / "search.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700
