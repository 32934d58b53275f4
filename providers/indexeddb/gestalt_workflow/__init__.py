"""The workflow provider: schedules, event triggers and runs, kept in an IndexedDB service."""
