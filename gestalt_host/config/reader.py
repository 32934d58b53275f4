"""Strict reading of a document tree: every key is known, every value has its type, every fault has its line.

A ``Block`` is one mapping. Asking it for a key makes the key known; leaving its ``with`` block reports the others.
Nothing raises: faults are collected, and reading goes on with the default.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from gestalt_host.config.document import Node
from gestalt_host.config.errors import Faults, Place
from gestalt_sdk.common.numbers import INEXACT, is_exact
from gestalt_sdk.timing.durations import MAX_NS, DurationInvalid, nanoseconds

T = TypeVar("T")
# Words of YAML 1.1 that a field of type boolean takes beside true and false.
_TRUE = ("y", "Y", "yes", "on")
_FALSE = ("n", "N", "no", "off")
MOST_LEVELS = 24
"""Of free-form mappings and lists inside each other; a gRPC message takes 100 levels, and one of ours costs three."""
_SIZE = re.compile(r"0*([0-9]{1,15}) ?(KiB|MiB|GiB)", re.ASCII)
_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_MOST_BYTES = 2**63 - 1
_DAYS = re.compile(r"0*([0-9]{1,9})d")


class Block:
    """One mapping of the document, or the absence of one (``present`` is False, every key reads as its default)."""

    def __init__(self, node: Node | None, path: str, faults: Faults, place: Place) -> None:
        self.path = path
        self.place = node.place if node is not None else place
        self._faults = faults
        self._known: set[str] = set()
        self._node = node
        self._values: dict[str, Node] = {}
        self.present = node is not None and not node.is_blank
        if self.present and node is not None:
            if isinstance(node.value, dict):
                self._values = node.value
            else:
                self._faults.add(node.place, path, f"must be a mapping, not {_kind(node)}", shape=True)

    def __enter__(self) -> Block:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.refuse_unknown()

    def refuse_unknown(self) -> None:
        """Report every key that nobody has asked for."""
        for key in self._values:
            if key not in self._known:
                accepted = sorted(self._known)
                near = difflib.get_close_matches(key, accepted, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                self.fault(key, f"unknown key; {hint}accepted are {', '.join(accepted)}", shape=True)

    def fault(self, key: str, reason: str, *, shape: bool = False) -> None:
        """Note a fault of one key, or of the mapping itself when ``key`` is empty."""
        self._faults.add(self.place_of(key), self.path_of(key), reason, shape=shape)

    def path_of(self, key: str) -> str:
        return ".".join(part for part in (self.path, key) if part)

    def place_of(self, key: str) -> Place:
        if self._node is not None and key in self._node.key_places:
            return self._node.key_places[key]
        node = self._values.get(key)
        return node.place if node is not None else self.place

    def has(self, key: str) -> bool:
        """Return whether the key is written, with any value, null included."""
        self._known.add(key)
        return key in self._values

    def node(self, key: str) -> Node | None:
        """Return the key's node, None when it is absent, null or a variable that is empty."""
        self._known.add(key)
        node = self._values.get(key)
        return None if node is None or node.is_blank else node

    def block(self, key: str) -> Block:
        return Block(self.node(key), self.path_of(key), self._faults, self.place_of(key))

    def blocks(self, key: str) -> Iterator[Block]:
        """Yield the mappings of a list."""
        for index, node in enumerate(self._items(key)):
            yield Block(node, f"{self.path_of(key)}[{index}]", self._faults, node.place)

    def entries(self, key: str) -> Iterator[tuple[str, Block]]:
        """Yield the named mappings of a mapping, in document order; a null one is absent."""
        group = self.block(key)
        for name, node in group._values.items():
            place = group.place_of(name)
            child = Block(None if node.is_blank else node, group.path_of(name), self._faults, place)
            child.place = place
            yield name, child

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """Return the trimmed text; numbers, booleans and dates count as written. ``required`` refuses a blank one."""
        node = self.node(key)
        value = default if node is None else self._as_text(node, self.path_of(key))
        if required and not value:
            self.fault(key, "is required")
        return value

    def raw_text(self, key: str) -> str:
        """Return the text as ``text`` does, with the blanks at its ends."""
        node = self.node(key)
        return "" if node is None else self._as_text(node, self.path_of(key), trim=False)

    def one_of(self, key: str, accepted: Sequence[str], default: str = "") -> str:
        value = self.text(key, default).lower()
        if value and value not in accepted:
            self.fault(key, f"{value!r} is not supported; accepted are {', '.join(accepted)}")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of trimmed texts; blank ones are kept."""
        return tuple(text.strip() for text in self.raw_texts(key))

    def raw_texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts with the blanks at their ends."""
        path = self.path_of(key)
        return tuple(self._as_text(node, f"{path}[{index}]", trim=False) for index, node in enumerate(self._items(key)))

    def item_place(self, key: str, index: int) -> Place:
        """Return where an item of a list is written."""
        return self._items(key)[index].place

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of texts that must not be blank nor appear twice."""
        names: list[str] = []
        for index, name in enumerate(self.texts(key)):
            place = f"{key}[{index}]"
            if not name:
                self._faults.add(self._items(key)[index].place, self.path_of(place), "is required")
            elif name in names:
                self._faults.add(self._items(key)[index].place, self.path_of(place), f"{name!r} is a duplicate")
            else:
                names.append(name)
        return tuple(names)

    def text_map(self, key: str) -> dict[str, str]:
        """Return a mapping of text to text, values kept as written."""
        group = self.block(key)
        return {
            name: "" if node.value is None else self._as_text(node, group.path_of(name), trim=False)
            for name, node in group._values.items()
        }

    def integer(self, key: str, default: int = 0, *, minimum: int | None = None, maximum: int | None = None) -> int:
        node = self.node(key)
        if node is None:
            return default
        value = node.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, f"must be an integer, not {_kind(node)}", shape=True)
            return default
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            bounds = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            self.fault(key, f"{value} is out of range; accepted are integers {bounds}")
            return default
        return value

    def boolean(self, key: str, default: bool = False) -> bool:
        node = self.node(key)
        if node is None:
            return default
        if isinstance(node.value, bool):
            return node.value
        if isinstance(node.value, str) and node.value in _TRUE + _FALSE:
            return node.value in _TRUE
        self.fault(key, f"must be true or false, not {_kind(node)}", shape=True)
        return default

    def duration(self, key: str, parse: Callable[[str], timedelta]) -> timedelta | None:
        """Return a duration; blanks around it are refused, None when nothing is written."""
        text = self.raw_text(key)
        if not text:
            return None
        try:
            return parse(text)
        except DurationInvalid as error:
            self.fault(key, str(error))
            return None

    def size(self, key: str, *, minimum: int) -> int | None:
        """Return a number of bytes, written as ``512MiB``; None when nothing is written."""
        text = self.text(key)
        if not text:
            return None
        match = _SIZE.fullmatch(text)
        size = int(match[1]) * _UNITS[match[2]] if match else 0
        if not minimum <= size <= _MOST_BYTES:
            accepted = f"whole numbers with KiB, MiB or GiB, such as 512MiB, of at least {minimum >> 20}MiB"
            self.fault(key, f"{text!r} is not a size that can be taken; accepted are {accepted}")
            return None
        return size

    def path_text(self, key: str) -> Path | None:
        """Return a path, relative to the directory of the file that it is written in; ``~`` is not expanded."""
        node = self.node(key)
        if node is None:
            return None
        text = self._as_text(node, self.path_of(key))
        return resolve_path(text, node.place) if text else None

    def opaque(self, key: str, *, sent: bool = False) -> dict[str, Any]:
        """Return a mapping with any keys and values below it.

        ``sent``: it travels to a provider, so what does not arrive as it is written is a fault: an integer that no
        double holds (decision 28), and what is nested too deeply for a message.
        """
        if sent:
            self.check_sent(key)
        node = self.node(key)
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self.fault(key, f"must be a mapping, not {_kind(node)}", shape=True)
            return {}
        return dict(node.plain())

    def check_sent(self, key: str) -> None:
        """Note what is at or below the key and does not arrive at a provider as it is written."""
        pending = [(self.path_of(key), node, 0)] if (node := self.node(key)) is not None else []
        while pending:
            path, node, depth = pending.pop()
            if isinstance(node.value, dict | list) and depth == MOST_LEVELS:
                reason = f"is nested too deeply: at most {MOST_LEVELS} levels of mappings and lists reach a provider"
                self._faults.add(node.place, path, reason)
            elif isinstance(node.value, dict):
                pending += [(f"{path}.{name}", child, depth + 1) for name, child in node.value.items()]
            elif isinstance(node.value, list):
                pending += [(f"{path}[{index}]", child, depth + 1) for index, child in enumerate(node.value)]
            elif isinstance(node.value, int) and not is_exact(node.value):
                self._faults.add(node.place, path, INEXACT)

    def anything(self, key: str) -> Any:
        """Return any value as plain Python, None when absent."""
        node = self.node(key)
        return None if node is None else node.plain()

    def _items(self, key: str) -> list[Node]:
        node = self.node(key)
        if node is None:
            return []
        if not isinstance(node.value, list):
            self.fault(key, f"must be a list, not {_kind(node)}", shape=True)
            return []
        return node.value

    def _as_text(self, node: Node, path: str, *, trim: bool = True) -> str:
        if isinstance(node.value, (dict, list)):
            self._faults.add(node.place, path, f"must be text, not {_kind(node)}", shape=True)
            return ""
        text = "" if node.value is None else node.text
        return text.strip() if trim else text


def resolve_path(text: str, place: Place) -> Path:
    """Return an absolute path; a relative one starts from the directory of the place's file."""
    return (Path(place.file).absolute().parent / text).resolve()


def parse_config_duration(text: str) -> timedelta:
    """Parse a positive duration: as in ``gestalt_sdk.timing.durations``, or a whole number of days such as ``30d``."""
    accepted = "positive ones such as 300ms, 1.5h, 2h45m and 30d"
    days = _DAYS.fullmatch(text)
    total = int(days[1]) * 86_400 * 10**9 if days else nanoseconds(text, accepted)
    if not 0 < total <= MAX_NS:
        raise DurationInvalid(text, accepted)
    return timedelta(microseconds=total // 1000)


def _kind(node: Node) -> str:
    # A text is not shown: it may be a secret.
    if node.from_variable:
        return "the text of a variable: variables do not insert structure"
    words: dict[type, str] = {dict: "a mapping", list: "a list", str: "text"}
    return words.get(type(node.value), node.text or "null")
