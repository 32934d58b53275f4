"""Pages of docs whose examples run: their blocks, and what is printed compared with what is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^##+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        file: Path that follows the language; empty for a block that is no file.
        section: The nearest heading above, of the second level or below.
        line: Number of its first line, from 1.
    """

    language: str
    file: str
    text: str
    section: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page that name a language, in order."""
    for found in _FENCE.finditer(page):
        language, file, text = found.groups(default="")
        before = page[: found.start()]
        headings = _SECTION.findall(_FENCE.sub("", before))
        yield Block(language, file, text, headings[-1] if headings else "", before.count("\n") + 2)


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a console block, with the lines that are shown below it."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, shown


def missing_line(shown: Sequence[str], printed: str) -> str | None:
    """Return the first line that was not printed in its order, None when all were; … stands for any text of a line."""
    left = iter(printed.splitlines())
    for line in shown:
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        if not any(pattern.fullmatch(other.rstrip()) for other in left):
            return line
    return None


def edited(text: str, edit: str) -> str:
    """Return the text with the edit of a `diff` block made: its lines with `-` give way to those with `+`.

    Raises:
        ValueError: what the edit begins from is not in the text, or is there more than once.
    """
    lines = [(line[:1], line[1:]) for line in edit.splitlines()]
    before, after = ("".join(f"{line}\n" for sign, line in lines if sign != other) for other in ("+", "-"))
    if (found := text.count(before)) != 1:
        raise ValueError(f"the edit fits {found} places, not one:\n{before}")
    return text.replace(before, after)
