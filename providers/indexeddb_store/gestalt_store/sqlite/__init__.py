"""The engine on SQLite: one file for each database, one process for each file."""
