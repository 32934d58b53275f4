"""Shared by the readers of sections: the lists of faults, unprovided features and unused keys, and name checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from unicodedata import category

from gestalt_host.config.document import Node
from gestalt_host.config.errors import Faults, Problem
from gestalt_host.config.model import OperationUse
from gestalt_host.config.reader import Block

_HIDDEN = ("Cc", "Cf", "Cs", "Cn", "Co")
"""Categories of characters that do not show."""
LONGEST_NAME = 200
"""Bytes of an entry's name in UTF-8: a directory's name may have 255, with what is put beside it while it is made."""


@dataclass(slots=True)
class Findings:
    """Collected while a configuration is read.

    ``faults`` make it invalid; ``unprovided`` is valid but asks for something that this version cannot do; ``unused``
    is accepted without any effect. ``uses`` are the operations that are named.
    """

    faults: Faults = field(default_factory=Faults)
    unprovided: list[Problem] = field(default_factory=list)
    unused: list[Problem] = field(default_factory=list)
    uses: list[OperationUse] = field(default_factory=list)

    def not_provided(self, block: Block, key: str, what: str) -> None:
        self.unprovided.append(
            Problem(block.place_of(key), block.path_of(key), f"{what} is not supported by this version")
        )


def accept_unused(block: Block, findings: Findings, *keys: str) -> None:
    """Accept keys that the schema has and nothing in this version reads, and note those that are set."""
    for key in keys:
        if block.node(key) is not None:
            findings.unused.append(Problem(block.place_of(key), block.path_of(key), "is accepted and not used yet"))


def accept_unprovided(block: Block, findings: Findings, **features: str) -> None:
    """Accept keys that the schema allows, and note as unprovided those that ask for something."""
    for key, what in features.items():
        node = block.node(key)
        if node is not None and _asks_for_something(node):
            findings.not_provided(block, key, what)


def check_entry_name(name: str, block: Block) -> None:
    """Check a name that becomes the name of a directory, and is shown to people."""
    # Line separators are refused by no file system, and escaped where the name is shown.
    is_plain = name == name.strip(" \t") and not any(c in "/\\" or category(c) in _HIDDEN for c in name)
    if not is_plain or name in ("", ".", ".."):
        block.fault(
            "",
            f"{name!r} cannot be a name; accepted are texts without '/', '\\', characters that do not show and blanks "
            "at the ends, and no '..'",
        )
    elif len(name.encode()) > LONGEST_NAME:
        block.fault("", f"the name has {len(name.encode())} bytes in UTF-8; accepted are at most {LONGEST_NAME}")


def _asks_for_something(node: Node) -> bool:
    if isinstance(node.value, dict):
        return any(_asks_for_something(child) for child in node.value.values())
    return node.value not in (None, False, "", [])
