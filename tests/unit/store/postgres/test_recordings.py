"""The recorded conversations with a store agree in every step on PostgreSQL too, each in a schema of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import ROOT, STORE
from tests.support.recordings import recordings, replay
from tests.support.rigs.postgres import PostgresServer


@pytest.mark.parametrize("path", recordings("store"))
def test_the_store_answers_as_recorded_on_postgresql(postgres_server: PostgresServer, path: Path) -> None:
    config = json.dumps({"dsn": postgres_server.dsn, "schema": postgres_server.new_schema()})
    replay("replay_store.py", "--proto-path", ROOT / "proto", "--config", config, "--command", STORE.text, path)
