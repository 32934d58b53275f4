"""The object store provider: object stores, indexes, key ranges, cursors and transactions on SQLite or PostgreSQL."""

__version__ = "0.1.0"
