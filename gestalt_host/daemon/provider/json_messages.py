"""Messages as JSON texts: cut out of what is typed or piped, read with the place of what is wrong, and shown."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gestalt_host.daemon.errors import CommandFailed
from gestalt_sdk.common.printable import printable_json

_NAMES_FIELD = re.compile(r'no field named "([^"]+)"|Failed to parse ([\w.]+) field|duplicate key (\S+)')
_UNKNOWN_FIELD = re.compile(
    r'Message type "([^"]+)" has no field named "([^"]+)" at "[^"]*"[. ]*'
    r'Available Fields\(except extensions\): "(\[.*?\])"'
)
_WRAPPED = ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
_WITHOUT_OBJECT = frozenset(
    f"google.protobuf.{name}"
    for name in ("Value", "ListValue", "Timestamp", "Duration", "FieldMask", *(f"{one}Value" for one in _WRAPPED))
)
"""Messages whose JSON need not be an object."""
_BYTES_VALUE = "google.protobuf.BytesValue"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
"""In either alphabet, padded or not."""
_ENDS = {True: re.compile(r'["\\]'), False: re.compile(r'["{}\[\]]')}
"""What matters next of a value in braces or brackets: within a string, and outside of one."""


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
        at = 0
        while at < len(text):
            if self._depth or self._in_string:
                at = self._skip(text, at)
            if at == len(text):
                return
            char = text[at]
            at += 1
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

    def _skip(self, text: str, at: int) -> int:
        """Hold what changes nothing; return where that ends."""
        if self._escaped:
            return at
        found = _ENDS[self._in_string].search(text, at)
        end = found.start() if found is not None else len(text)
        if end > at:
            self._held.append(text[at:end])
            self._line += text.count("\n", at, end)
        return end

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
    wrong = _wrong_base64(value, pool.FindMessageTypeByName(kind.DESCRIPTOR.full_name))
    if wrong is not None:
        wrong = wrong or "the value"
        line = _line_of(f"Failed to parse {wrong} field", text)
        raise CommandFailed(f"line {line} of the message does not fit: {wrong} is of bytes, and its text is no Base64")
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


def _wrong_base64(value: object, message: Descriptor) -> str | None:
    """Return the name of the first field of bytes whose text is no Base64, blank for the message itself; else None.

    The library leaves out what is no Base64, and other bytes than were meant would be sent.
    """
    if message.full_name == _BYTES_VALUE:
        return None if _is_base64(value) else ""
    for name, item in value.items() if isinstance(value, dict) else ():
        field = message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)
        if field is None:
            continue
        items = item if isinstance(item, list) else [item]
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            items = list(item.values()) if isinstance(item, dict) else []
            field = field.message_type.fields_by_name["value"]
        for one in items:
            if field.type == FieldDescriptor.TYPE_BYTES and not _is_base64(one):
                return str(name)
            if field.message_type is not None and (wrong := _wrong_base64(one, field.message_type)) is not None:
                return wrong or str(name)
    return None


def _is_base64(value: object) -> bool:
    return not isinstance(value, str) or (_BASE64.fullmatch(value) is not None and len(value.rstrip("=")) % 4 != 1)


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
