"""The contract that examples in other languages share is generated from proto/."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.rigs.toolchains import require
from tools.generate_examples import generate_go


@pytest.mark.timeout(600)  # the first time the plugins of protoc are built
def test_the_contract_in_go_is_what_proto_generates(tmp_path: Path) -> None:
    require("go")
    try:
        generate_go(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the plugins of protoc cannot be built: {error}")
    kept = ROOT / "examples" / "providers" / "contract" / "go"
    fresh, committed = (
        {path.relative_to(folder): path.read_text() for path in folder.rglob("*.pb.go")} for folder in (tmp_path, kept)
    )
    stale = sorted(str(name) for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    assert not stale, f"{stale}: run `python -m tools.generate_examples examples/providers/contract`"
