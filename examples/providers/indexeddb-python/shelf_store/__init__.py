"""A store that keeps records in a file of SQLite."""
