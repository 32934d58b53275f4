"""What the examples in other languages have of the contract is generated from proto/."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.rigs.toolchains import require
from tools.generate_examples import LANGUAGES

SUFFIXES = {"go": ".pb.go", "typescript": ".ts", "rust": ".rs"}


@pytest.mark.timeout(600)  # the first time the plugins of protoc are built
@pytest.mark.parametrize("language", list(LANGUAGES))
def test_the_contract_in_the_language_is_what_proto_generates(language: str, tmp_path: Path) -> None:
    require(language)
    folder, generate = LANGUAGES[language]
    try:
        generate(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the plugins of protoc cannot be installed: {error}")
    fresh, committed = (
        {path.relative_to(top): path.read_text() for path in top.rglob(f"*{SUFFIXES[language]}")}
        for top in (tmp_path, ROOT / "examples" / "providers" / folder)
    )
    stale = sorted(str(name) for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    assert not stale, f"{stale}: run `python -m tools.generate_examples examples/providers`"
