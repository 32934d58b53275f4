"""Messages as JSON texts: cut out of what is typed or piped, read with the place of what is wrong, and shown."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf import descriptor_pool, json_format
from google.protobuf.message import Message

from gestalt_host.daemon.errors import CommandFailed
from gestalt_sdk.common.printable import printable_json

_NAMES_FIELD = re.compile(r'no field named "([^"]+)"|Failed to parse ([\w.]+) field|duplicate key (\S+)')
_UNKNOWN_FIELD = re.compile(
    r'Message type "([^"]+)" has no field named "([^"]+)" at "[^"]*"[. ]*'
    r'Available Fields\(except extensions\): "(\[.*?\])"'
)
_WITHOUT_OBJECT = frozenset(f"google.protobuf.{name}" for name in ("Value", "ListValue", "Timestamp", "Duration"))
"""Messages whose JSON need not be an object."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """One value, and the line that it begins in, counted from 1."""

    text: str
    line: int


class JsonSplitter:
    """Cuts a text that comes bit by bit into the JSON values that follow one another in it.

    It only looks for where each one ends; whether it is right is seen when it is read.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._held: list[str] = []
        self._line = self._began = 1
        self._depth = 0
        self._in_string = self._escaped = False

    def feed(self, data: bytes) -> Iterator[JsonText]:
        """Yield each value that ends in ``data``.

        Raises:
            CommandFailed: it is not UTF-8.
        """
        yield from self._split(self._decoded(data, final=False))

    def finish(self) -> Iterator[JsonText]:
        """Yield what is left, whole or not."""
        yield from self._split(self._decoded(b"", final=True))
        yield from self._cut()

    def _decoded(self, data: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise CommandFailed(f"line {self._line} is not UTF-8: {error.reason}") from error

    def _split(self, text: str) -> Iterator[JsonText]:
        for char in text:
            if not self._held:
                self._began = self._line
            if char == "\n":
                self._line += 1
            if self._in_string:
                self._held.append(char)
                self._in_string = self._escaped or char != '"'
                self._escaped = char == "\\" and not self._escaped
            elif char.isspace() and not self._depth:
                yield from self._cut()
            else:
                if char in "{[" and not self._depth:
                    yield from self._cut()
                    self._began = self._line
                self._held.append(char)
                self._in_string = char == '"'
                self._depth += (char in "{[") - (char in "}]")
                if char in "}]" and self._depth <= 0:
                    self._depth = 0
                    yield from self._cut()

    def _cut(self) -> Iterator[JsonText]:
        if self._held:
            yield JsonText("".join(self._held), self._began)
            self._held = []


def read_message(text: JsonText, kind: type[Message], pool: descriptor_pool.DescriptorPool) -> Message:
    """Return the message that the JSON text says.

    Raises:
        CommandFailed: naming the line, and the field where one is to blame.
    """
    try:
        value = json.loads(text.text)
    except json.JSONDecodeError as error:
        line = text.line + error.lineno - 1
        raise CommandFailed(f"line {line}, column {error.colno} of the message is no JSON: {error.msg}") from error
    except RecursionError as error:
        raise CommandFailed(f"line {text.line}: the message is nested too deeply") from error
    if not isinstance(value, dict) and kind.DESCRIPTOR.full_name not in _WITHOUT_OBJECT:
        raise CommandFailed(f"line {text.line}: a message is a JSON object, in braces")
    try:
        return json_format.Parse(text.text, kind(), descriptor_pool=pool)
    except json_format.ParseError as error:
        reason = " ".join(str(error).split()).replace("Failed to load JSON: ", "").rstrip(".")
        line = _line_of(reason, text)
        raise CommandFailed(f"line {line} of the message does not fit: {_in_our_words(reason)}") from error


def shown(message: Message, pool: descriptor_pool.DescriptorPool) -> str:
    """Return the message as JSON for people, with nothing in it that is not printable."""
    return printable_json_lines(json_format.MessageToJson(message, descriptor_pool=pool, ensure_ascii=False))


def printable_json_lines(text: str) -> str:
    """Return the JSON text of several lines with what is not printable as escapes."""
    return "\n".join(printable_json(line) for line in text.split("\n"))


def _in_our_words(reason: str) -> str:
    """Return the library's reason, in plainer words where it is that a field is not known."""

    def plainer(found: re.Match[str]) -> str:
        names = ", ".join(re.findall(r"'([^']+)'", found.group(3))) or "no field"
        return f"{found.group(1)} has no field {found.group(2)}; it has {names}"

    return _UNKNOWN_FIELD.sub(plainer, reason)


def _line_of(reason: str, text: JsonText) -> int:
    """Return the line of the field that the reason blames, as far as it can be found by its name; else the first."""
    found = _NAMES_FIELD.search(reason)
    name = next(filter(None, found.groups())).rpartition(".")[2] if found else ""
    at = text.text.find(f'"{name}"') if name else -1
    return text.line + text.text.count("\n", 0, at) if at >= 0 else text.line
