from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from gestalt_host.config import load, require_serveable
from gestalt_host.daemon.default_config import write_default_config

QUICKSTART = Path(__file__).parents[4] / "examples" / "quickstart" / "gestalt.yaml"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_private_and_can_be_served(tmp_path: Path) -> None:
    path = tmp_path / "home" / ".gestaltd" / "config.yaml"
    write_default_config(path)
    assert mode(path) == 0o600
    assert mode(path.parent / "state") == 0o700
    assert [item.name for item in path.parent.iterdir()] in (["config.yaml", "state"], ["state", "config.yaml"])
    config = load([path], {})
    require_serveable(config)
    assert config.server.public.host == "127.0.0.1"
    assert re.fullmatch("[0-9a-f]{64}", config.server.encryption_key)
    assert config.workflow == "local"
    assert config.indexeddb == "workflow_state"
    assert len(config.schedules) == 1
    assert len(config.event_triggers) == 2


def test_keys_differ(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_default_config(tmp_path / name / "config.yaml")
    keys = {load([tmp_path / name / "config.yaml"], {}).server.encryption_key for name in ("a", "b")}
    assert len(keys) == 2


@pytest.mark.parametrize("home", ["with blank", "a$b", 'quo"te', "back\\slash", "ünïcode", "a: b #c"])
def test_any_home_directory_can_be_written_into_it(tmp_path: Path, home: str) -> None:
    path = tmp_path / home / "config.yaml"
    write_default_config(path)
    config = load([path], {"b": "wrong"})
    assert config.plugins["slack"].config["file"] == str(tmp_path / home / "state" / "slack.jsonl")


def test_an_existing_one_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_default_config(path)
    assert path.read_text() == "mine"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["config.yaml", "state"]


def test_it_is_the_quickstart_but_for_where_things_are(tmp_path: Path) -> None:
    write_default_config(tmp_path / "config.yaml")
    generated: Any = yaml.safe_load((tmp_path / "config.yaml").read_text())
    quickstart: Any = yaml.safe_load(QUICKSTART.read_text())
    assert generated["workflows"] == quickstart["workflows"]
    assert generated["server"]["public"] == quickstart["server"]["public"]
    assert generated["plugins"].keys() == quickstart["plugins"].keys()
    assert generated["plugins"]["search"]["invokes"] == quickstart["plugins"]["search"]["invokes"]
    for kind, entries in quickstart["providers"].items():
        assert generated["providers"][kind].keys() == entries.keys()
    local, ours = quickstart["providers"]["workflow"]["local"], generated["providers"]["workflow"]["local"]
    assert {key: ours[key] for key in ("indexeddb", "config")} == {key: local[key] for key in ("indexeddb", "config")}
