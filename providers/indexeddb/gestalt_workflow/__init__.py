"""Serve schedules, event triggers and runs, and keep them in an IndexedDB service: the workflow provider."""
