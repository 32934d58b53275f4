"""The full-text index: one SQLite file with an FTS5 table. All SQL of the plugin is here."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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
    """Blocking; call it from a thread. Safe to use from several."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(CREATE)

    def rebuild(self, documents: Iterable[Document]) -> int:
        """Replace everything in one transaction; a query sees the old index or the new one. Returns how many."""
        rows = [(document.item_id, document.title, document.text) for document in documents]
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute(CLEAR)
                self._connection.executemany(INSERT, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
        return len(rows)

    def query(self, text: str, *, limit: int) -> list[Hit]:
        """Items that contain every word of ``text``; the last word may be a beginning. No words: nothing."""
        words = WORD.findall(text)
        if not words:
            return []
        # Quoted, so that no word is taken for an operator of FTS5.
        match = " ".join(f'"{word}"' for word in words) + "*"
        with self._lock:
            return [Hit(*row) for row in self._connection.execute(QUERY, (match, limit))]

    def close(self) -> None:
        with self._lock:
            self._connection.close()
