"""Texts of providers lose what they say of the machine, and nothing else."""

from __future__ import annotations

import pytest

from gestalt_host.supervisor.places import without_places


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/a b/state.db: the disk is full (SQLITE_FULL)", "state.db: the disk is full (SQLITE_FULL)"),
        ("reading schedules: /srv/x/state.db-wal: read-only", "reading schedules: state.db-wal: read-only"),
        ("cannot open '/srv/x/state.db', which is locked", "cannot open 'state.db', which is locked"),
        ("cannot move /a/b to /c/d: no", "cannot move d: no"),
        ("file (/var/lib/x.db) was deleted", "file (x.db) was deleted"),
        ("dsn sqlite:///home/a b/state.db: locked", "dsn sqlite:…: locked"),
        ("postgresql://me:secret@db.internal:5432/x refused", "postgresql:…"),
        ('connection to server at "10.0.0.1", port 5432 failed: refused', "connection to server failed: refused"),
        (
            'server at "db.internal" (10.0.0.1), port 5432 failed',
            "server failed",
        ),
        ("error:/srv/x/y.db", "error:y.db"),
        ("the disk is full", "the disk is full"),
        ("3/4 of 1/2 s, a/b and application/json", "3/4 of 1/2 s, a/b and application/json"),
    ],
)
def test_directories_and_addresses_are_left_out(text: str, shown: str) -> None:
    assert without_places(text) == shown
