"""``Any`` switches the type checker off where it stands; each package has as many as it has, and gets no more."""

from __future__ import annotations

import re

import pytest

from tests.support.commands import ROOT

MOST = {
    "providers/indexeddb": 29,
    "providers/indexeddb_store": 59,
    "gestalt_sdk": 218,
    "gestalt_host": 313,
    "examples": 18,
    "benchmarks": 18,
}
"""Folder -> how often the word may occur in it; lower a number when the code has become better than it."""


def times(text: str) -> int:
    return len(re.findall(r"\bAny\b", text))


@pytest.mark.parametrize("folder", MOST)
def test_no_package_has_more_of_any_than_before(folder: str) -> None:
    paths = [path for path in (ROOT / folder).rglob("*.py") if "gen" not in path.parts]
    found = {str(path.relative_to(ROOT)): number for path in paths if (number := times(path.read_text()))}
    assert sum(found.values()) <= MOST[folder], found


def test_the_word_is_counted_and_not_its_letters() -> None:
    assert times("def f(x: Any) -> dict[str, Any]: ...  # AnyStr, Anything") == 2
