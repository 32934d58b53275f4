"""The full-text index: one SQLite file with an FTS5 table. All SQL of the plugin is here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import aiosqlite

CREATE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS items USING fts5(item_id UNINDEXED, title, text, tokenize = 'porter unicode61')"
)
CLEAR = "DELETE FROM items"
INSERT = "INSERT INTO items (item_id, title, text) VALUES (?, ?, ?)"
# Title words count five times as much as words of the body.
QUERY = """
SELECT item_id, title, snippet(items, 2, '[', ']', ' … ', 12), -bm25(items, 0, 5, 1) AS score
FROM items WHERE items MATCH ? ORDER BY score DESC, item_id LIMIT ?
"""
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Document:
    """What is indexed of an item."""

    item_id: str
    title: str
    text: str


@dataclass(frozen=True)
class Hit:
    """One answer, best first."""

    item_id: str
    title: str
    snippet: str
    """Words around the match, matches in brackets."""
    score: float
    """Higher is better; comparable within one answer only."""


class SearchIndex:
    """The index in one file. Made by ``open``; calls may overlap."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        # All calls share one connection, so a query between two statements of a rebuild would see half an index.
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> SearchIndex:
        """Open the index at ``path``; a missing file, and its folder, are made for this user alone.

        Raises:
            OSError: the folder or the file cannot be made.
            aiosqlite.Error: the file is not a SQLite database, or is in use by somebody who does not let go of it.
        """
        await asyncio.to_thread(_make_private, path)
        connection = await aiosqlite.connect(path, isolation_level=None)
        try:
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute(CREATE)
        except BaseException:
            await connection.close()
            raise
        return cls(connection)

    async def rebuild(self, documents: Iterable[Document]) -> int:
        """Replace everything in one transaction and return the number of documents.

        A query sees the old index or the new one.
        """
        rows = [(document.item_id, document.title, document.text) for document in documents]
        async with self._turn:
            await self._connection.execute("BEGIN IMMEDIATE")
            try:
                await self._connection.execute(CLEAR)
                await self._connection.executemany(INSERT, rows)
                await self._connection.execute("COMMIT")
            except BaseException:
                await self._connection.execute("ROLLBACK")
                raise
        return len(rows)

    async def query(self, text: str, *, limit: int) -> list[Hit]:
        """Return items that contain every word of ``text``, best first; the last word may be a beginning.

        Text without any word finds nothing.
        """
        words = WORD.findall(text)
        if not words:
            return []
        # Quoted, so that no word is taken for an operator of FTS5.
        match = " ".join(f'"{word}"' for word in words) + "*"
        async with self._turn:
            rows = await self._connection.execute_fetchall(QUERY, (match, limit))
        return [Hit(*row) for row in rows]

    async def close(self) -> None:
        """Close the file. Calls in progress end first."""
        async with self._turn:
            await self._connection.close()


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
