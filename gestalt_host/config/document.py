"""YAML text as a tree whose every node knows its file and line.

Scalars follow the YAML 1.2 core schema: ``yes`` and ``on`` are text, dates are text. Anchors, aliases and merge keys
are expanded, within bounds. Duplicate keys, keys that are not text, recursive aliases, an empty file and a second
document are faults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from gestalt_host.config.errors import Faults, Place, Problem
from gestalt_host.config.interpolate import MARK, Placeholders, typed
from gestalt_sdk.common.texts import cut

MAX_NODES = 100_000
MAX_DEPTH = 100
"""Mappings and lists inside each other, those that an alias stands for included."""
Scalar: TypeAlias = str | int | float | bool | None
_MOST_DIGITS = 400
"""More than any double has, and few enough for Python to write out in an error."""
_SHOWN_BYTES = 100
_STANDARD = "tag:yaml.org,2002:"
TOO_DEEP = f"mappings and lists are nested more than {MAX_DEPTH} deep"


@dataclass(slots=True)
class Node:
    """A scalar, a list of nodes or a mapping of text to nodes.

    ``text`` is a scalar's source text: where text is wanted, ``1.10`` means ``1.10`` although its value is 1.1.
    ``key_places`` says where each key of a mapping is written. ``from_variable``: a scalar has the value of a variable
    in it. Nodes are shared by aliases and never changed.
    """

    place: Place
    value: Scalar | list[Node] | dict[str, Node]
    text: str = ""
    key_places: dict[str, Place] = field(default_factory=dict)
    from_variable: bool = False

    @property
    def is_blank(self) -> bool:
        """Whether nothing is written: null, or a variable that is empty."""
        return self.value is None or (self.from_variable and self.value == "")

    def place_of(self, path: str) -> Place:
        """Return where the key of a dotted path below this mapping is written, or the last of its parents."""
        node, place = self, self.place
        while path and isinstance(node.value, dict):
            keys = [key for key in node.value if path == key or path.startswith(f"{key}.")]
            if not keys:
                break
            key = max(keys, key=len)
            place, path = node.key_places.get(key, place), path[len(key) + 1 :]
            node = node.value[key]
        return place

    def plain(self) -> Any:
        """Return the tree as dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def scalars(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Yield every scalar below this node with its dotted path."""
        if isinstance(self.value, dict):
            for key, child in self.value.items():
                yield from child.scalars(f"{path}.{key}" if path else key)
        elif isinstance(self.value, list):
            for index, child in enumerate(self.value):
                yield from child.scalars(f"{path}[{index}]")
        else:
            yield path, self


class _TooDeep(yaml.MarkedYAMLError):
    """More than ``MAX_DEPTH`` mappings and lists stand inside each other."""


class _TooMany(yaml.MarkedYAMLError):
    """The document has more values than are kept while it is read."""


class _Excess(Exception):
    """The document is larger than anything that is a configuration; its fault is noted, the rest is not read."""


class _Loader(yaml.SafeLoader):
    """Composes nodes with the scalars of the core schema, and a tag for a mark by itself; constructs nothing."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  the base's shape
    _depth = _count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self._depth > MAX_DEPTH:
            raise _TooDeep(problem=TOO_DEEP, problem_mark=self.peek_event().start_mark)
        self._count += 1
        if self._count > 2 * MAX_NODES:  # keys count here too
            mark = self.peek_event().start_mark
            raise _TooMany(problem=f"document has more than {MAX_NODES} values", problem_mark=mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
    ("mark", MARK, ["V"]),
):
    _Loader.add_implicit_resolver(_STANDARD + _tag, re.compile(rf"(?:{_pattern})\Z"), _first)


def parse_yaml(
    text: str,
    file: str,
    faults: Faults,
    placeholders: Placeholders | None = None,
    *,
    ignored: list[Problem] | None = None,
) -> Node | None:
    """Parse the document of a file; None when it has been found faulty.

    Tags of other schemas are ignored. What is not one document, a mapping, is a fault.

    Args:
        placeholders: Those whose marks are in the text; scalars and keys get their values.
        ignored: When given, a file without a document is an empty mapping, and what follows the first document is
            ignored and noted here.
    """
    placeholders = placeholders or Placeholders({})
    loader = None
    try:
        # Making the loader already refuses characters that YAML does not allow.
        loader = _Loader(text.removeprefix("\ufeff"))
        root = loader.get_node() if loader.check_node() else None
        second = loader.peek_event().start_mark.line + 1 if loader.check_node() else 0
    except yaml.YAMLError as error:
        reason = placeholders.shown(_describe(error))
        faults.add(_place_of(error, text, file), "", f"parsing config YAML: {reason}")
        return None
    finally:
        if loader is not None:
            loader.dispose()
    is_empty = root is None or (isinstance(root, yaml.ScalarNode) and root.style is None and not root.value)
    if is_empty and ignored is not None:
        return Node(Place(file, 1), {})
    if root is None:
        faults.add(Place(file, 1), "", "parsing config YAML: the file is empty; expected mapping document")
        return None
    if second and ignored is None:
        faults.add(
            Place(file, second),
            "",
            "parsing config YAML: a second document begins here; accepted is one in each file",
        )
        return None
    if second and ignored is not None:
        ignored.append(Problem(Place(file, second), "", "a second document begins here, and is not read"))
    before = len(faults.problems)
    try:
        node = _Converter(file, faults, placeholders).convert(root)
    except _Excess:
        return None
    if len(faults.problems) > before:
        return None
    if not isinstance(node.value, dict):
        faults.add(node.place, "", "parsing config YAML: expected mapping document")
        return None
    return node


def from_plain(value: Any, place: Place) -> Node:
    """Make a tree of dicts, lists and scalars that all stand at one place."""
    if isinstance(value, dict):
        return Node(place, {key: from_plain(child, place) for key, child in value.items()})
    if isinstance(value, list):
        return Node(place, [from_plain(child, place) for child in value])
    return Node(place, value, text="" if value is None else str(value))


def merge(base: Node, overlay: Node) -> Node:
    """Return the base with the overlay on top.

    Mappings merge key by key, everything else is replaced whole, and ``null`` deletes a key that the base has. Nodes
    keep the place they were written at, and with it the directory that their relative paths start from.
    """
    if not (isinstance(base.value, dict) and isinstance(overlay.value, dict)):
        return overlay
    values, places = dict(base.value), dict(base.key_places)
    for key, node in overlay.value.items():
        if key in base.value and node.value is None:
            del values[key], places[key]
            continue
        values[key] = merge(base.value[key], node) if key in base.value else node
        places[key] = overlay.key_places.get(key, node.place)
    return Node(overlay.place, values, key_places=places)


class _Converter:
    def __init__(self, file: str, faults: Faults, placeholders: Placeholders) -> None:
        self._file = file
        self._faults = faults
        self._placeholders = placeholders
        self._count = 0
        self._open: set[int] = set()

    def convert(self, node: yaml.Node, path: str = "") -> Node:
        place = self._place(node)
        self._count += 1
        if self._count > MAX_NODES:
            reason = f"document contains excessive aliasing: more than {MAX_NODES} values when it is expanded"
            self._faults.add(place, path, f"parsing config YAML: {reason}")
            raise _Excess
        if id(node) in self._open:
            self._faults.add(place, path, "parsing config YAML: an anchor contains itself")
            return Node(place, None)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place, path)
        if len(self._open) >= MAX_DEPTH:
            self._faults.add(place, path, f"parsing config YAML: {TOO_DEEP}")
            raise _Excess
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                items = [self.convert(child, f"{path}[{index}]") for index, child in enumerate(node.value)]
                return Node(place, items)
            assert isinstance(node, yaml.MappingNode)
            return self._mapping(node, place, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, place: Place, path: str) -> Node:
        result = Node(place, {})
        assert isinstance(result.value, dict)
        merged: list[Node] = []
        for key_node, value_node in node.value:
            key_place = self._place(key_node)
            tag = self._tag(key_node) if isinstance(key_node, yaml.ScalarNode) else "mapping"
            if tag == "merge":
                merged.extend(self._merge_sources(value_node, path))
                continue
            if tag not in ("str", "mark"):
                written = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a mapping or list"
                shown = self._placeholders.shown(written)
                self._faults.add(key_place, path, f"key {shown} is not text; quote it to use it as a key")
                continue
            key = self._text(key_node, key_place, path)
            child_path = f"{path}.{key}" if path else key
            if key in result.value:
                first = result.key_places[key].line
                self._faults.add(key_place, child_path, f"the key is already defined on line {first}")
                continue
            result.value[key] = self.convert(value_node, child_path)
            result.key_places[key] = key_place
        for source in merged:
            assert isinstance(source.value, dict)
            for key, child in source.value.items():
                if key not in result.value:
                    result.value[key] = child
                    result.key_places[key] = source.key_places[key]
        return result

    def _merge_sources(self, node: yaml.Node, path: str) -> list[Node]:
        candidates = node.value if isinstance(node, yaml.SequenceNode) else [node]
        sources = []
        for candidate in candidates:
            source = self.convert(candidate, path)
            if isinstance(source.value, dict):
                sources.append(source)
            else:
                self._faults.add(source.place, path, "parsing config YAML: map merge requires a mapping")
        return sources

    def _text(self, node: yaml.ScalarNode, place: Place, path: str) -> str:
        """Return the text of a scalar or key; escapes of a surrogate pair are one character, as in JSON."""
        text = self._placeholders.fill(node.value, path, self._faults)
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._faults.add(place, path, "parsing config YAML: half of a surrogate pair is no character")
            return ""

    def _scalar(self, node: yaml.ScalarNode, place: Place, path: str) -> Node:
        text = self._text(node, place, path)
        value = self._value(self._tag(node), text, node, place, path)
        return Node(place, value, text=text, from_variable=text != node.value)

    def _value(self, tag: str, text: str, node: yaml.ScalarNode, place: Place, path: str) -> Scalar:
        try:
            if tag == "mark":
                return typed(text)
            if tag == "null":
                return None
            if tag == "bool":
                return bool(text.lower() == "true")
            if tag == "int":
                return _integer(text)
            if tag == "float":
                special = text.lower().replace(".inf", "inf").replace(".nan", "nan")
                return float(special)
        except ValueError:
            shown = cut(self._placeholders.shown(node.value), _SHOWN_BYTES)
            self._faults.add(place, path, f"{shown!r} is not of the type that its tag says, or too long for a number")
        return text

    def _tag(self, node: yaml.ScalarNode) -> str:
        tag = node.tag.removeprefix(_STANDARD)
        if tag in ("null", "bool", "int", "float", "str", "merge", "mark"):
            return tag
        if node.style is not None:
            return "str"
        # A tag of another schema is ignored: the scalar is what it would be without it.
        resolved: str = _Loader("").resolve(yaml.ScalarNode, node.value, (True, False))
        return resolved.removeprefix(_STANDARD)

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1)


def _place_of(error: yaml.YAMLError, text: str, file: str) -> Place:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return Place(file, mark.line + 1)
    position = getattr(error, "position", None)
    return Place(file, text.count("\n", 0, position) + 1 if isinstance(position, int) else 0)


def _describe(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return ", ".join(part for part in (error.context, error.problem) if part)
    if isinstance(error, yaml.reader.ReaderError):
        character = error.character if isinstance(error.character, int) else ord(error.character)
        return f"the character #x{character:04x} is not allowed: {error.reason}"
    return str(error).splitlines()[0]


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(text)} characters")
    return int(text, 0) if text.startswith(("0x", "0o")) else int(text)
