"""Every `gestaltd provider` command in docs/providers is one that there is, with options that it takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gestalt_host.daemon.errors import UsageWrong
from gestalt_host.daemon.options import parse_options
from gestalt_host.daemon.provider.program import SUBCOMMANDS
from tests.support.commands import ROOT

PAGES = sorted((ROOT / "docs" / "providers").glob("*.md"))
TYPED = re.compile(r"(?:^\$ |&& |^    )gestaltd provider ([^|\n<&>\\]+)", re.MULTILINE)


def require_accepted(command: str) -> None:
    """Raise ``UsageWrong`` or ``KeyError`` where the words would not be taken."""
    name, *words = shlex.split(command)
    if name in ("repo", "--help"):
        return
    known = SUBCOMMANDS[name]
    parse_options(words, known.options, "", flags=known.flags, most=known.most, options_anywhere=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_each_page_are_accepted(page: Path) -> None:
    for command in TYPED.findall(page.read_text()):
        require_accepted(command)


def test_commands_that_are_none_are_told() -> None:
    assert TYPED.findall("$ cd mine && gestaltd provider dev\n") == ["dev"]
    with pytest.raises(KeyError):
        require_accepted("develop")
    with pytest.raises(UsageWrong):
        require_accepted("dev --prot 8080")
