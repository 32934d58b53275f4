"""Changing one value of a configuration file; every other character of the file stays as it is.

The text is changed where the parsed document says that a value stands, then parsed again: it must be the old document
with exactly that change. Where it is not, which anchors or unusual layouts may bring about, nothing is changed and the
error says what to write by hand.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import yaml

from gestalt_host.config.document import parse_yaml
from gestalt_host.config.errors import Faults
from gestalt_host.config.interpolate import PLACEHOLDER, Placeholders
from gestalt_host.errors import HostError

Value: TypeAlias = "str | Mapping[str, Value]"
Plain: TypeAlias = "dict[str, Any]"
_STEP = 2
"""Blanks that a level is indented by where the file shows no other way."""
_WIDE = 1 << 20
"""Columns: lines are not folded."""


class EditImpossible(HostError):
    """The file is laid out in a way that the change cannot be made in; the text says what to write instead."""


def with_value(text: str, path: Sequence[str], value: Value) -> str:
    """Return the text of a file with the value at the path, whose mappings are made where they are missing.

    Raises:
        EditImpossible: it cannot be put there.
    """
    return _Edit(text).checked(lambda edit: edit.put(path, value), lambda plain: _put(plain, path, value), path, value)


def without(text: str, path: Sequence[str]) -> str:
    """Return the text of a file without the key at the path. Comments above it stay.

    Raises:
        EditImpossible: it cannot be taken away.
    """
    return _Edit(text).checked(lambda edit: edit.remove(path), lambda plain: _remove(plain, path), path, None)


class _Edit:
    """One change of a text. Positions count characters; placeholders are hidden, for they may look like structure."""

    def __init__(self, text: str) -> None:
        self._bom = "\ufeff" if text.startswith("\ufeff") else ""
        self._text = text.removeprefix("\ufeff")
        self._newline = "\r\n" if "\r\n" in self._text else "\n"
        try:
            self._root = yaml.compose(_hidden(self._text), Loader=yaml.SafeLoader) if self._text.strip() else None
        except yaml.YAMLError:
            # More than one document; the first is what is read.
            self._root = next(iter(yaml.compose_all(_hidden(self._text), Loader=yaml.SafeLoader)), None)

    def checked(
        self,
        change: Callable[[_Edit], str],
        expect: Callable[[Plain], Plain],
        path: Sequence[str],
        value: Value | None,
    ) -> str:
        by_hand = f"write it by hand:\n{_rendered(_nested(path, value), '', _STEP)}" if value is not None else ""
        refusal = (
            f"{'.'.join(path)} cannot be changed without changing more of the file; {by_hand or 'remove it by hand'}"
        )
        before = _plain(self._text)
        try:
            new = change(self)
            after = _plain(new)
        except (EditImpossible, yaml.YAMLError, LookupError, ValueError) as error:
            raise EditImpossible(refusal) from error
        if before is None or after != expect(copy.deepcopy(before)):
            raise EditImpossible(refusal)
        return self._bom + new

    def put(self, path: Sequence[str], value: Value) -> str:
        if self._root is None or _is_null(self._root):
            text = self._text if not self._text or self._text.endswith("\n") else self._text + self._newline
            return text + self._block(_nested(path, value), 0, _STEP)
        node, key_node = self._root, None
        for depth, key in enumerate(path):
            if not isinstance(node, yaml.MappingNode):
                if node.tag != "tag:yaml.org,2002:null":
                    raise EditImpossible("something else than a mapping is there")
                return self._replace(node, key_node, _nested(path[depth:], value))
            pair = next(((k, v) for k, v in node.value if k.value == key), None)
            if pair is None:
                return self._insert(node, key_node, _nested(path[depth:], value))
            key_node, node = pair
        return self._replace(node, key_node, value)

    def remove(self, path: Sequence[str]) -> str:
        node, parent_key = self._root, None
        for key in path[:-1]:
            parent_key, node = next(((k, v) for k, v in _pairs(node) if k.value == key), (None, None))
        pairs = _pairs(node)
        index = [key.value for key, _ in pairs].index(path[-1])
        key_node, value = pairs[index]
        text = self._text
        start, end = key_node.start_mark.index, self._end(key_node, value)
        if isinstance(node, yaml.MappingNode) and node.flow_style:
            if index + 1 < len(pairs):
                end = pairs[index + 1][0].start_mark.index
            elif index:
                start = self._end(*pairs[index - 1])
            return text[:start] + text[end:]
        line_start, line_end = text.rfind("\n", 0, start) + 1, self._line_end(end)
        if text[line_start:start].strip():
            raise EditImpossible("the key does not begin its line")
        left = text[:line_start] + text[line_end:]
        if len(pairs) > 1 or parent_key is None:
            return left
        colon = text.index(":", parent_key.end_mark.index) + 1
        return f"{left[:colon]} {{}}{left[colon:]}"

    def _insert(self, node: yaml.MappingNode, key_node: yaml.Node | None, value: Mapping[str, Value]) -> str:
        text, pairs = self._text, node.value
        if node.flow_style:
            if not pairs and key_node is not None and not self._is_in_flow(node):
                return self._replace(node, key_node, value)
            at = self._end(*pairs[-1]) if pairs else node.start_mark.index + 1
            return f"{text[:at]}{', ' if pairs else ''}{_flow(value)[1:-1]}{text[at:]}"
        column = pairs[0][0].start_mark.column
        return self._insert_lines(self._end(*pairs[-1]), self._block(value, column, self._step(node, key_node)))

    def _replace(self, node: yaml.Node, key_node: yaml.Node | None, value: Value) -> str:
        text, start, end = self._text, node.start_mark.index, node.end_mark.index
        is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
        if is_block or (isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")) or key_node is None:
            raise EditImpossible("more than one line is there")
        if isinstance(value, str) or self._is_in_flow(node):
            blank = "" if start != end or text[start - 1 : start].isspace() else " "
            return text[:start] + blank + _flow(value) + text[end:]
        # In the place of nothing, or of an empty mapping: the lines below the key.
        colon = text.index(":", key_node.end_mark.index) + 1
        between, behind = text[colon:start].strip(), text[end:]
        if between:
            raise EditImpossible("something else stands before the value")
        if start != end:
            text = text[:colon] + behind
        step = self._step(None, key_node)
        return self._insert_lines(colon, self._block(value, key_node.start_mark.column + step, step), text)

    def _insert_lines(self, position: int, block: str, text: str | None = None) -> str:
        text = self._text if text is None else text
        at = self._line_end(position, text)
        before = text[:at] if text[:at].endswith("\n") else text[:at] + self._newline
        return before + block + text[at:]

    def _block(self, value: Mapping[str, Value], column: int, step: int) -> str:
        return _rendered(value, " " * column, step).replace("\n", self._newline)

    def _step(self, node: yaml.Node | None, key_node: yaml.Node | None) -> int:
        """Return by how much this file indents: as around the place of the change, else as anywhere."""
        inner = node.value[0][0].start_mark.column if isinstance(node, yaml.MappingNode) and node.value else 0
        if key_node is not None and inner > key_node.start_mark.column:
            return int(inner - key_node.start_mark.column)
        return next(_steps(self._root), _STEP)

    def _end(self, key: yaml.Node, value: yaml.Node) -> int:
        """Return where the text of a pair ends; a block ends with its last part, not where what follows it begins."""
        while isinstance(value, yaml.CollectionNode) and not value.flow_style and value.value:
            last = value.value[-1]
            key, value = last if isinstance(last, tuple) else (value, last)
        end = value.end_mark.index
        if value.end_mark.index < key.end_mark.index:  # an alias: its node is where the anchor is
            raise EditImpossible("an alias is there")
        if isinstance(value, yaml.ScalarNode) and value.style in ("|", ">"):
            return len(self._text[:end].rstrip())
        return int(end)

    def _line_end(self, position: int, text: str | None = None) -> int:
        text = self._text if text is None else text
        end = text.find("\n", position)
        return len(text) if end < 0 else end + 1

    def _is_in_flow(self, node: yaml.Node) -> bool:
        """Return whether the node stands inside a collection in flow style."""

        def found(current: yaml.Node | None, inside: bool) -> bool:
            if current is node:
                return inside
            if not isinstance(current, yaml.CollectionNode):
                return False
            children = [child for item in current.value for child in (item if isinstance(item, tuple) else (item,))]
            return any(found(child, inside or bool(current.flow_style)) for child in children)

        return found(self._root, False)


def _hidden(text: str) -> str:
    """Return the text with each placeholder as a plain word of the same length."""
    return PLACEHOLDER.sub(lambda match: "V" * len(match[0]), text)


class _Echo(Mapping[str, str]):
    """Variables that stand for themselves."""

    def __getitem__(self, name: str) -> str:
        return f"<{name}>"

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _plain(text: str) -> Plain | None:
    """Return what the file says as plain Python, None when it cannot be read."""
    faults, placeholders = Faults(), Placeholders(_Echo())
    node = parse_yaml(placeholders.mark(text, ""), "", faults, placeholders, ignored=[])
    return None if node is None or faults.problems else node.plain()


def _put(plain: Plain, path: Sequence[str], value: Value) -> Plain:
    current = plain
    for key in path[:-1]:
        if not isinstance(current.get(key), dict):
            current[key] = {}
        current = current[key]
    current[path[-1]] = copy.deepcopy(value)
    return plain


def _remove(plain: Plain, path: Sequence[str]) -> Plain:
    current = plain
    for key in path[:-1]:
        current = current[key]
    del current[path[-1]]
    return plain


def _nested(path: Sequence[str], value: Value) -> dict[str, Value]:
    nested = value
    for key in reversed(path):
        nested = {key: nested}
    assert isinstance(nested, dict)
    return nested


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise EditImpossible("it is not in a mapping")
    return list(node.value)


def _steps(node: yaml.Node | None) -> Iterator[int]:
    """Yield by how much mappings in block style are indented, in the order of the text."""
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return
    for key, value in node.value:
        if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            step = value.value[0][0].start_mark.column - key.start_mark.column
            if step > 0:
                yield step
        yield from _steps(value)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and not node.value


def _rendered(value: Value, indent: str, step: int) -> str:
    text = yaml.safe_dump(
        value, default_flow_style=False, sort_keys=False, allow_unicode=True, indent=max(step, 2), width=_WIDE
    )
    return re.sub(r"(?m)^(?=.)", indent, text.replace("$", "$$"))


def _flow(value: Value) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=_WIDE)
    return text.removesuffix("\n").removesuffix("\n...").replace("$", "$$")
