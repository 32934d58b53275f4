"""Tables as lines of text: which columns fit, how wide they are, how they are drawn. Pure; it writes nothing.

No id, time or heading is ever broken (decision 19). Where a table is too wide, text columns wrap first, then the frame
goes, then columns go, the least important first. Without a width nothing is cut and every row is one line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_GAP = 2
"""Blanks between the columns of a table without frame."""
_LONGEST_UNBROKEN = 40
"""Words of a text column up to this width stay whole: ids, times and names are shorter."""

OBEYED = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""What a terminal obeys beside C0, as in a set of a regular expression: DEL, C1, line ends, changes of direction."""


@dataclass(frozen=True)
class TableColumn:
    """A heading, and what may happen to the column where room is scarce.

    ``rank`` 0 always stays; among others the highest goes first. ``wraps``: prose, whose lines may be broken at blanks.
    """

    title: str
    rank: int = 0
    wraps: bool = False


def draw(columns: Sequence[TableColumn], rows: Sequence[Sequence[str]], *, width: int | None = None) -> list[str]:
    """Return the lines of a table with at least one row; ``width`` None means no limit."""
    keep_lines = [column.wraps and width is not None for column in columns]
    columns = [replace(column, title=printable(column.title)) for column in columns]
    cells = [[printable(cell, keep_lines=keep) for cell, keep in zip(row, keep_lines, strict=True)] for row in rows]
    kept = list(range(len(columns)))
    room = None if width is None else width - 4 - 3 * (len(kept) - 1)
    if (widths := _fit(columns, cells, kept, room)) is not None:
        return _framed(columns, cells, widths)
    assert width is not None
    hidden: list[int] = []
    while (widths := _fit(columns, cells, kept, width - _GAP * (len(kept) - 1))) is None:
        candidates = [index for index in kept if columns[index].rank]
        if not candidates:
            widths = _minima(columns, cells, kept)
            break
        least = max(candidates, key=lambda index: (columns[index].rank, index))
        kept.remove(least)
        hidden.append(least)
    lines = _plain([columns[index] for index in kept], [[row[index] for index in kept] for row in cells], widths)
    if hidden:
        names = ", ".join(columns[index].title for index in sorted(hidden))
        lines.append(f"Too narrow for: {names}. See all with --format json, or pipe through 'less -S'.")
    return lines


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Return the text with nothing that a terminal would obey: line breaks become blanks unless kept."""
    text = text.replace("\r\n", "\n").replace("\t", " ")
    if not keep_lines:
        text = text.replace("\n", " ")
    return re.sub(rf"[\x00-\x09\x0b-\x1f{OBEYED}]", _escaped, text)


def printable_lines(text: str) -> str:
    """Return the text as ``printable`` does, with its line breaks: much of what is said comes from elsewhere."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def text_width(text: str) -> int:
    """Return the terminal columns that one line of text takes; wide characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrap(text: str, width: int) -> list[str]:
    """Break the text into lines of at most ``width`` columns, at blanks; a longer word is split."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            joined = f"{line} {word}" if line else word
            if text_width(joined) <= width:
                line = joined
                continue
            if line:
                lines.append(line)
            *full, line = _chopped(word, width)
            lines.extend(full)
        lines.append(line)
    return lines


def _chopped(word: str, width: int) -> list[str]:
    if text_width(word) <= width:
        return [word]
    from rich.cells import chop_cells

    return chop_cells(word, width)


def _natural(cells: Sequence[Sequence[str]], index: int) -> int:
    return max((text_width(line) for row in cells for line in row[index].split("\n")), default=0)


def _minima(columns: Sequence[TableColumn], cells: Sequence[Sequence[str]], kept: Sequence[int]) -> list[int]:
    """Return the least width of each kept column: a text column's longest word, any other's longest cell."""
    minima = []
    for index in kept:
        title = text_width(columns[index].title)
        if columns[index].wraps:
            words = (text_width(word) for row in cells for word in row[index].split())
            minima.append(max(title, min(max(words, default=0), _LONGEST_UNBROKEN)))
        else:
            minima.append(max(title, _natural(cells, index)))
    return minima


def _fit(
    columns: Sequence[TableColumn], cells: Sequence[Sequence[str]], kept: Sequence[int], room: int | None
) -> list[int] | None:
    """Return the widths of the kept columns within ``room``, None when even the least widths exceed it."""
    natural = [max(text_width(columns[index].title), _natural(cells, index)) for index in kept]
    if room is None or sum(natural) <= room:
        return natural
    widths = _minima(columns, cells, kept)
    spare = room - sum(widths)
    if spare < 0:
        return None
    # What is left goes to the text columns, the ones that need least first.
    wanting = sorted(range(len(kept)), key=lambda place: natural[place] - widths[place])
    for done, place in enumerate(wanting):
        extra = min(natural[place] - widths[place], spare // (len(wanting) - done))
        widths[place] += extra
        spare -= extra
    return widths


def _lines(columns: Sequence[TableColumn], row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """Return the lines of one row, each a padded text for every column."""
    wrapped = [
        wrap(cell, width) if column.wraps and ("\n" in cell or text_width(cell) > width) else [cell]
        for column, cell, width in zip(columns, row, widths, strict=True)
    ]
    height = max(map(len, wrapped))
    filled = [lines + [""] * (height - len(lines)) for lines in wrapped]
    return [
        [_padded(line, width) for line, width in zip(lines, widths, strict=True)] for lines in zip(*filled, strict=True)
    ]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - text_width(text))


def _framed(columns: Sequence[TableColumn], cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    inner = sum(widths) + 3 * (len(widths) - 1) + 2
    titles = [_padded(column.title, width) for column, width in zip(columns, widths, strict=True)]
    body = [line for row in cells for line in _lines(columns, row, widths)]
    return [
        f"╭{'─' * inner}╮",
        f"│ {'   '.join(titles)} │",
        f"╞{'═' * inner}╡",
        *(f"│ {'   '.join(line)} │" for line in body),
        f"╰{'─' * inner}╯",
    ]


def _plain(columns: Sequence[TableColumn], cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    gap = " " * _GAP
    titles = [_padded(column.title, width) for column, width in zip(columns, widths, strict=True)]
    body = [line for row in cells for line in _lines(columns, row, widths)]
    return [gap.join(titles).rstrip(), gap.join("─" * width for width in widths),
            *(gap.join(line).rstrip() for line in body)]  # fmt: skip
