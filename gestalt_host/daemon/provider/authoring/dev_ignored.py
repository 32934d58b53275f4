"""Which files of a folder are no sources: what tools and builds leave there, and what `.gitignore` says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.packages.languages.digests import DEVELOPED, IGNORED_FOLDERS

FILE_NAME = ".gitignore"
FOLDERS = IGNORED_FOLDERS | {
    DEVELOPED,
    ".venv",
    "venv",
    "__pycache__",
    "build",
    ".mypy_cache",
    ".pytest_cache",
    ".idea",
    ".vscode",
}
_LEFT = re.compile(r".*~|\.#.*|#.*#|\..*\.sw[a-z]|4913|\.DS_Store|.*\.py[co]")
"""What editors leave beside a file that is open in them, and Python beside one that it has imported."""
_WORD = re.compile(r"\*\*/|/\*\*$|\*+|\?|\[!?\]?[^\]/]*\]|\\?.", re.DOTALL)
_MEANS = {"**/": "(?:.*/)?", "/**": "/.*", "?": "[^/]"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a `.gitignore` (gitignore(5)).

    Attributes:
        pattern: Matches the whole path of what it is about, from the folder that the file is in.
        is_kept: It begins with ``!``: what it matches is not ignored.
    """

    pattern: re.Pattern[str]
    is_kept: bool
    is_for_folders: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """The lines of the `.gitignore` files from the top of a repository down to one folder."""

    levels: tuple[tuple[str, Sequence[Rule]], ...] = ()

    @classmethod
    def above(cls, folder: Path) -> Rules:
        """Return those of the folders above, where one of them is the top of a repository."""
        parents = folder.parents if not (folder / ".git").exists() else []
        top = next((number for number, path in enumerate(parents) if (path / ".git").exists()), None)
        rules = cls()
        for path in reversed(parents[: 0 if top is None else top + 1]):
            rules = rules.within(path)
        return rules

    def within(self, folder: Path) -> Rules:
        """Return them with those of one folder further down."""
        try:
            text = (folder / FILE_NAME).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return self
        return Rules((*self.levels, (str(folder), tuple(read_rules(text)))))

    def ignore(self, path: str, *, is_folder: bool) -> bool:
        """Tell whether the file or folder is ignored; the last line that matches decides."""
        name = path.rpartition("/")[2]
        if name in FOLDERS if is_folder else _LEFT.fullmatch(name):
            return True
        for folder, rules in reversed(self.levels):
            below = path[len(folder) + 1 :]
            for rule in reversed(rules):
                if (is_folder or not rule.is_for_folders) and rule.pattern.fullmatch(below):
                    return not rule.is_kept
        return False


def read_rules(text: str) -> Iterator[Rule]:
    """Yield the rules of a `.gitignore`."""
    for line in text.splitlines():
        line = re.sub(r"(?<!\\) +$", "", line)
        if not line or line.startswith("#"):
            continue
        is_kept = line.startswith("!")
        line = line.removeprefix("!")
        is_for_folders = line.endswith("/")
        line = line.rstrip("/")
        if not line:
            continue
        # Without a slash before its end it is about a name, wherever that is.
        line = line.removeprefix("/") if "/" in line else f"**/{line}"
        yield Rule(re.compile("".join(map(_translated, _WORD.findall(line)))), is_kept, is_for_folders)


def _translated(word: str) -> str:
    if word in _MEANS:
        return _MEANS[word]
    if word.startswith("*"):
        return "[^/]*"
    if len(word) > 2 and word.startswith("["):
        return "[" + word[1:].replace("!", "^", 1 if word[1] == "!" else 0).replace("\\", "\\\\")
    return re.escape(word[-1])
