"""The IndexedDB provider: object stores, indexes, key ranges, cursors and transactions, kept in SQLite."""

__version__ = "0.1.0"
