"""Parts of a JSON answer by dotted path, as the other side wrote them: no number is read and written again."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from json import JSONDecodeError, JSONDecoder
from typing import TypeVar

T = TypeVar("T")
MOST_ITEMS = 1_000_000
"""Of a list of items, and of those of all pages."""
MOST_READ = 2
"""Long documents at a time."""
TOO_MANY_ITEMS = f"there are more than {MOST_ITEMS} items; no more are taken"
_LATE = "the answer takes longer to read than its operation has time"
_LONG = 64 * 1024
_STEPS_A_LOOK = 1024

_BLANKS = re.compile(r"[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*,?[ \t\n\r]*")
_INDEX = re.compile(r"[0-9]{1,9}")


class Unselectable(Exception):
    """An answer is no JSON, or has no such part; the text says which, without values."""


async def read(data: bytes, work: Callable[[Document], T], within_s: float = 30.0) -> T:
    """Return what ``work`` finds in a JSON document; a long one is read in a thread, so that others have their turn.

    Raises:
        Unselectable: the document is no JSON, takes longer than ``within_s``, or ``work`` asks for a part that it does
            not have.
    """
    until = time.monotonic() + within_s

    def done() -> T:
        return work(Document(data, until))

    if len(data) <= _LONG:
        return done()
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.get_running_loop().run_in_executor(_threads(), done)
    except TimeoutError:
        raise Unselectable(_LATE) from None


@cache
def _threads() -> ThreadPoolExecutor:
    """Return threads of its own: long documents take none of those that the rest of the host works with."""
    return ThreadPoolExecutor(MOST_READ, "reading answers")


class Document:
    """A JSON document, of which parts are asked for. A part is where its text begins and ends.

    Raises:
        Unselectable: it is no JSON.
    """

    def __init__(self, data: bytes, until: float = math.inf) -> None:
        self._until = until
        self._steps = 0
        try:
            self._text = data.decode("utf-8-sig")
            begin = self._after_blanks(0)
            self._whole = (begin, self._end_of(begin))
        except UnicodeDecodeError:
            raise Unselectable("the answer is no UTF-8 text, and no JSON for that reason") from None
        if self._after_blanks(self._whole[1]) != len(self._text):
            raise Unselectable("the answer is no JSON: it goes on behind its end")

    def part(self, path: str) -> tuple[int, int]:
        """Return the part at a dotted path; blank: all. Raises ``Unselectable``."""
        found = self.find(path)
        if found is None:
            raise Unselectable(f"the answer has no {path}")
        return found

    def find(self, path: str) -> tuple[int, int] | None:
        """Return the part at a dotted path, None where there is none."""
        part: tuple[int, int] | None = self._whole
        for name in path.split(".") if path else ():
            if part is None:
                return None
            if self._text[part[0]] == "{":
                found = None
                for member, value in self._members(part[0]):
                    if member == name:
                        found = value
                part = found
            elif self._text[part[0]] == "[" and _INDEX.fullmatch(name):
                part = next(islice(self._items(part[0]), int(name), None), None)
            else:
                part = None
        return part

    def text(self, part: tuple[int, int]) -> str:
        """Return a part as it is written."""
        return self._text[part[0] : part[1]]

    def items(self, part: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the items of a list. Raises ``Unselectable``: the part is none, or has more than ``MOST_ITEMS``."""
        if self._text[part[0]] != "[":
            raise Unselectable("what should be the list of items is none")
        found = list(islice(self._items(part[0]), MOST_ITEMS + 1))
        if len(found) > MOST_ITEMS:
            raise Unselectable(TOO_MANY_ITEMS)
        return found

    def _items(self, begin: int) -> Iterator[tuple[int, int]]:
        text, read, following = self._text, _SCANNER.raw_decode, _NEXT.match
        at = self._after_blanks(begin + 1)
        while text[at] != "]":
            self._step()
            end = read(text, at)[1]
            yield at, end
            at = following(text, end).end()  # type: ignore[union-attr]  # it matches nothing too

    def _step(self) -> None:
        self._steps += 1
        if self._steps % _STEPS_A_LOOK == 0 and time.monotonic() > self._until:
            raise Unselectable(_LATE)

    def _members(self, begin: int) -> Iterator[tuple[str, tuple[int, int]]]:
        at = self._after_blanks(begin + 1)
        while self._text[at] != "}":
            self._step()
            name, end = _SCANNER.raw_decode(self._text, at)
            at = self._after_blanks(self._after_blanks(end) + 1)
            end = self._end_of(at)
            yield name, (at, end)
            at = self._after(_NEXT, end)

    def _after_blanks(self, at: int) -> int:
        return self._after(_BLANKS, at)

    def _after(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self._text, at)
        assert found is not None
        return found.end()

    def _end_of(self, begin: int) -> int:
        try:
            return _SCANNER.raw_decode(self._text, begin)[1]
        except JSONDecodeError as error:
            raise Unselectable(f"the answer is no JSON at character {error.pos}") from None
        except RecursionError:
            raise Unselectable("the answer has lists or objects too deep inside each other") from None


def _no_number(text: str) -> object:
    raise Unselectable(f"the answer is no JSON: it has {text}")


def _forgotten(_: object) -> None:
    """Stand for a value of which only its place counts.

    It is Python so that another thread has its turn while a long document is read, and keeps nothing, since a million
    objects would be searched for what nobody needs again and again.
    """


_SCANNER = JSONDecoder(
    parse_int=_forgotten, parse_float=_forgotten, parse_constant=_no_number, object_pairs_hook=_forgotten
)
