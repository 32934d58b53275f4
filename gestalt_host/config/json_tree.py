"""JSON text as the same tree as YAML: every node knows its line."""

from __future__ import annotations

import json
from typing import NoReturn

from gestalt_host.config.document import MAX_DEPTH, MAX_NODES, TOO_DEEP, Node
from gestalt_host.config.errors import Faults, Place


def parse_json(text: str, file: str, faults: Faults) -> Node | None:
    """Parse a JSON object; None when it has been found faulty. Of a key that is written twice the last one counts."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        faults.add(Place(file, getattr(error, "lineno", 0)), "", f"not valid JSON: {getattr(error, 'msg', error)}")
        return None
    except RecursionError:
        faults.add(Place(file), "", TOO_DEEP)
        return None
    if not isinstance(value, dict):
        faults.add(Place(file), "", "expected a JSON object")
        return None
    if is_too_deep(value):
        faults.add(Place(file), "", TOO_DEEP)
        return None
    walk, before = _Walk(text, file, faults), len(faults.problems)
    node = walk.value()
    if walk.count > MAX_NODES:
        faults.add(Place(file), "", f"document has more than {MAX_NODES} values")
    return node if len(faults.problems) == before else None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def is_too_deep(value: object, left: int = MAX_DEPTH) -> bool:
    """Return whether more than ``left`` objects and lists are inside each other in what JSON text has become."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return children is not None and (left == 0 or any(is_too_deep(child, left - 1) for child in children))


class _Walk:
    """Goes over text that is known to be JSON; beyond ``MAX_NODES`` values it keeps no more of them."""

    def __init__(self, text: str, file: str, faults: Faults) -> None:
        self._text, self._file, self._faults = text, file, faults
        self._at, self._counted, self._line = 0, 0, 1
        self._scalars = json.JSONDecoder()
        self.count = 0

    def value(self) -> Node:
        first, place = self._next(), self._place()
        self.count += 1
        if first == "{":
            return self._object(place)
        if first == "[":
            return self._list(place)
        start = self._at
        value, self._at = self._scalars.raw_decode(self._text, start)
        if isinstance(value, str):
            self._check(value, place)
        written = value if isinstance(value, str) else "" if value is None else self._text[start : self._at]
        return Node(place, value, text=written)

    def _object(self, place: Place) -> Node:
        values: dict[str, Node] = {}
        places: dict[str, Place] = {}
        self._at += 1
        while self._next(",") != "}":
            where = self._place()
            key, self._at = self._scalars.raw_decode(self._text, self._at)
            self._check(key, where)
            self._next(":")
            node = self.value()
            if self.count <= MAX_NODES:
                values[key], places[key] = node, where
        self._at += 1
        return Node(place, values, key_places=places)

    def _list(self, place: Place) -> Node:
        values: list[Node] = []
        self._at += 1
        while self._next(",") != "]":
            node = self.value()
            if self.count <= MAX_NODES:
                values.append(node)
        self._at += 1
        return Node(place, values)

    def _check(self, text: str, place: Place) -> None:
        try:
            text.encode()
        except UnicodeEncodeError:
            self._faults.add(place, "", "half of a surrogate pair is no character")

    def _next(self, skipped: str = "") -> str:
        """Go on to the next character that is neither white space nor the separator; return it."""
        while self._text[self._at] in " \t\n\r" or self._text[self._at] in skipped:
            self._at += 1
        return self._text[self._at]

    def _place(self) -> Place:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return Place(self._file, self._line)
