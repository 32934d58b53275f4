"""Read a JSON list item by item, as it comes: a list of any length needs the memory of its longest item."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TypeAlias

import orjson

JsonValue: TypeAlias = Any

_BLANK = " \t\n\r"


class NotAList(ValueError):
    """The document is something else; ``value`` is it."""

    def __init__(self, value: JsonValue) -> None:
        super().__init__("the document is no list")
        self.value = value


def items_of(chunks: Iterable[bytes]) -> Iterator[JsonValue]:
    """Yield the items of a list in UTF-8, with the values that ``orjson.loads`` gives.

    Raises:
        NotAList: the document is complete and no list.
        ValueError: it is no JSON, or ends too early.
    """
    text = _Text(chunks)
    if text.next_character() != "[":
        raise NotAList(orjson.loads(text.rest()))
    text.take()
    if text.next_character() == "]":
        text.take()
    else:
        while True:
            yield text.value()
            following = text.take()
            if following == "]":
                break
            if following != ",":
                raise ValueError(f"a comma or ] is expected behind an item, got {following!r}")
    if text.next_character():
        raise ValueError("something follows behind the list")


class _Text:
    """The part of a document that has come and was not taken yet."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        # The numbers of orjson: integers that do not fit are doubles, and there are no words for numbers.
        self._json = json.JSONDecoder(parse_int=orjson.loads, parse_constant=_refused)

    def next_character(self) -> str:
        """Return the next character that is no blank, without taking it; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self) -> str:
        """Take the next character that is no blank; empty at the end."""
        character = self.next_character()
        self._at += len(character)
        return character

    def value(self) -> JsonValue:
        """Take a value that something follows."""
        self.next_character()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                # Twice as much is read before the next attempt, so the time stays in proportion to the length.
                if not self._more(len(self._text) - self._at):
                    raise
                continue
            # What looks like a number may be the beginning of one, unless something follows that ends it.
            if self._text[end : end + 1] in ("\n", ",", "]") or not self._more():
                self._at = end
                return value

    def rest(self) -> str:
        """Take everything."""
        while self._more():
            pass
        return self._text[self._at :]

    def _more(self, least: int = 1) -> bool:
        """Read further characters, ``least`` if there are so many; return whether there were any."""
        parts, read, ended = [], 0, False
        while read < least and not ended:
            chunk = next(self._chunks, None)
            ended = chunk is None
            parts.append(self._decode.decode(chunk or b"", final=ended))
            read += len(parts[-1])
        if parts:
            self._text, self._at = self._text[self._at :] + "".join(parts), 0
        return read > 0


def _refused(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
