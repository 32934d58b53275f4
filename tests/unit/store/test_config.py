"""Configuration: every wrong value is named, unknown keys warn, prefixes name databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gestalt_store.config import read_config
from gestalt_store.errors import ConfigInvalid
from gestalt_store.sqlite.files import database_path


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({}, "dsn is missing"),
        ({"dsn": ""}, "dsn is missing"),
        ({"dsn": 7}, "dsn is"),
        ({"dsn": "/plain/path"}, "accepted are sqlite://PATH"),
        ({"dsn": "mysql://user:secret@host/db"}, "mysql://"),
        ({"dsn": "sqlite://"}, "accepted are"),
        ({"dsn": "sqlite:///tmp/"}, "directory"),
        ({"dsn": "sqlite:///tmp"}, "directory"),
        (
            {"dsn": "sqlite:///tmp/" + "x" * 10_000},
            "(cut, 10005 bytes in all), which cannot be used: File name too long",
        ),
        ({"dsn": "sqlite://x.db", "table_prefix": 1}, "table_prefix is 1"),
        ({"dsn": "sqlite://x.db", "table_prefix": "a_", "prefix": "b_"}, "differ"),
        ({"dsn": "sqlite://x.db", "limits": 3}, "limits is 3"),
        ({"dsn": "sqlite://x.db", "limits": {"lock_wait_s": "soon"}}, "limits.lock_wait_s is 'soon'"),
        ({"dsn": "sqlite://x.db", "limits": {"lock_wait_s": 0}}, "limits.lock_wait_s is 0"),
        ({"dsn": "sqlite://x.db", "limits": {"open_streams": 0}}, "limits.open_streams is 0; a whole number from 1 to"),
        ({"dsn": "sqlite://x.db", "limits": {"open_streams": 2.5}}, "limits.open_streams is 2.5"),
        ({"dsn": "sqlite://x.db", "limits": {"stream_memory_mib": 64}}, "stream_memory_mib is 64; a whole number from"),
        ({"dsn": "sqlite://x.db", "limits": {"stream_memory_mib": "1G"}}, "limits.stream_memory_mib is '1G'"),
        ({"dsn": "sqlite://x.db", "limits": {"lock_wait_s": True}}, "limits.lock_wait_s is True"),
    ],
)
def test_wrong_values_are_named(config: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read_config(config)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigInvalid, match=r"dsn is .*schema is \[\].*snapshot_idle_s"):
        read_config({"dsn": 1, "schema": [], "limits": {"snapshot_idle_s": -1}})


def test_unknown_keys_are_warnings() -> None:
    _, warnings = read_config({"dsn": "sqlite://x.db", "bogus": 1, "limits": {"more": 2}})
    assert warnings == ["unknown configuration key 'bogus'", "unknown configuration key 'limits.more'"]


@pytest.mark.parametrize(
    ("extra", "db"),
    [
        ({}, ""),
        ({"table_prefix": "D_"}, "D"),
        ({"prefix": "D_"}, "D"),
        ({"table_prefix": "D_", "prefix": "D_"}, "D"),
        ({"table_prefix": "D_", "schema": "other"}, "D"),
        ({"schema": "S"}, "S"),
        ({"table_prefix": ""}, ""),
    ],
)
def test_a_prefix_names_the_database(extra: dict[str, Any], db: str) -> None:
    config, _ = read_config({"dsn": "sqlite:///var/x/state.db", **extra})
    assert config.db == db
    assert config.path == Path("/var/x/state.db")


def test_databases_are_files_of_their_own_beside_the_dsns_path() -> None:
    base = Path("/var/x/state.db")
    assert database_path(base, "") == base
    assert database_path(base, "workflow") == Path("/var/x/state.workflow.db")
    names = ["a", "A", "a/b", "a.b", "a%2Eb", "..", "a b", "\u00fc", "x" * 300, "x" * 301]
    paths = {database_path(base, name) for name in names}
    assert len(paths) == len(names)
    assert all(path.parent == base.parent and len(path.name) < 200 for path in paths)
    assert database_path(Path("/var/x/state"), "w") == Path("/var/x/state.w")
