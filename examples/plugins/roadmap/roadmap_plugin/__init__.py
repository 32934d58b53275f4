"""Roadmap items from a folder, kept in an IndexedDB scope and announced by an event."""
