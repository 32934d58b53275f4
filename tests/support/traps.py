"""Traps: bugs of other implementations, listed in semantics.md section 22 by numbers and letters.

A test that fails when one comes back is marked ``trap`` with its number, and runs by ``pytest --trap 6``.
"""

from __future__ import annotations

import re

from tests.support.commands import ROOT

_SECTION = re.compile(r"^## 22\. .*?(?=^## )", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"^ ?(\d+|[a-z])\. ", re.MULTILINE)


def numbers_of(specification: str) -> frozenset[str]:
    """Return the numbers and letters that section 22 lists."""
    section = _SECTION.search(specification)
    return frozenset(_ITEM.findall(section[0].partition("\n")[2])) if section else frozenset()


TRAPS = numbers_of((ROOT / "docs/spec/semantics.md").read_text())
