"""The keys of a manifest, each with its type, in the order in which lock files have them (packaging.md 2, 4).

Reading by these tables refuses unknown keys and wrong types at every level, and gives the object that a lock file
holds: known keys in their order, empty values left out, the names of a mapping sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gestalt_host.config.reader import Block
from gestalt_host.packages.digests import escaped_json

Reader: TypeAlias = Callable[[Block, str], object]
"""Reads the key of a mapping; None when nothing is written there that a lock file would hold."""
Fields: TypeAlias = Mapping[str, Reader]


def read_fields(block: Block, fields: Fields) -> dict[str, object]:
    """Return what the mapping says, and note its unknown keys and wrong types as faults."""
    with block:
        values = {key: read(block, key) for key, read in fields.items()}
    return {key: value for key, value in values.items() if value is not None}


def _text(block: Block, key: str) -> object:
    _require_texts(block, key)
    return block.text(key) or None


def _flag(block: Block, key: str) -> object:
    return block.boolean(key) or None


def _number(block: Block, key: str) -> object:
    return block.integer(key) or None


def _texts(block: Block, key: str) -> object:
    _require_texts(block, key)
    return list(block.texts(key)) or None


def _raw_texts(block: Block, key: str) -> object:
    _require_texts(block, key)
    return list(block.raw_texts(key)) or None


def _text_map(block: Block, key: str) -> object:
    _require_texts(block, key)
    return dict(sorted(block.text_map(key).items())) or None


def _require_texts(block: Block, key: str) -> None:
    """Note a number or truth value where JSON has it in place of a text; in YAML, quotes are a matter of taste."""
    node = block.node(key)
    if node is None or not node.place.file.endswith(".json"):
        return
    for _, scalar in node.scalars():
        if isinstance(scalar.value, bool | int | float):
            block.fault(key, f"{scalar.text} is no text; accepted is {escaped_json(scalar.text)}")


def _free(block: Block, key: str) -> object:
    return block.opaque(key) or None


def _anything(block: Block, key: str) -> object:
    return block.anything(key) or None


@dataclass(frozen=True, slots=True)
class Nested:
    """Reads what has keys of its own.

    Attributes:
        suffix: What a path has behind the key: nothing for a mapping, ``[]`` for a list, ``.<name>`` for named ones.
    """

    fields: Fields
    suffix: str
    read: Callable[[Block, str, Fields], object]

    def __call__(self, block: Block, key: str) -> object:
        return self.read(block, key, self.fields)


def _read_object(block: Block, key: str, fields: Fields) -> object:
    child = block.block(key)
    return read_fields(child, fields) if child.present else None


def _read_list(block: Block, key: str, fields: Fields) -> object:
    return [read_fields(item, fields) for item in block.blocks(key)] or None


def _read_named(block: Block, key: str, fields: Fields) -> object:
    items = {name: read_fields(item, fields) if item.present else None for name, item in block.entries(key)}
    return dict(sorted(items.items())) or None


def _object(fields: Fields) -> Nested:
    return Nested(fields, "", _read_object)


def _list(fields: Fields) -> Nested:
    return Nested(fields, "[]", _read_list)


def _named(fields: Fields) -> Nested:
    return Nested(fields, ".<name>", _read_named)


_REST_PARAMETER: Fields = {
    "name": _text,
    "type": _text,
    "in": _text,
    "description": _text,
    "required": _flag,
    "internal": _flag,
}
_REST_OPERATION: Fields = {
    "name": _text,
    "description": _text,
    "method": _text,
    "path": _text,
    "idempotent": _flag,
    "tags": _texts,
    "allowedRoles": _texts,
    "connection": _text,
    "connectionSelector": _object({"parameter": _text, "default": _text, "values": _text_map}),
    "parameters": _list(_REST_PARAMETER),
}
_SURFACES: Fields = {
    "rest": _object({"baseUrl": _text, "connection": _text, "operations": _list(_REST_OPERATION)}),
    "openapi": _object({"document": _text, "baseUrl": _text, "connection": _text}),
    "graphql": _object({"url": _text, "connection": _text, "operationSelections": _free}),
    "mcp": _object({"url": _text, "connection": _text}),
}
_CURSOR: Fields = {"source": _text, "path": _text}
_PAGINATION: Fields = {
    "style": _text,
    "cursorParam": _text,
    "cursor": _object(_CURSOR),
    "limitParam": _text,
    "defaultLimit": _number,
    "resultsPath": _text,
    "maxPages": _number,
}
_CONNECTION: Fields = {
    "displayName": _text,
    "mode": _text,
    "exposure": _text,
    "auth": _free,
    "params": _free,
    "discovery": _free,
    "postConnect": _free,
    "credentialRefresh": _free,
}
_ALLOWED_OPERATION: Fields = {
    "alias": _text,
    "description": _text,
    "allowedRoles": _texts,
    "tags": _texts,
    "paginate": _flag,
    "pagination": _object(_PAGINATION),
}
_SPEC: Fields = {
    "assetRoot": _text,
    "routes": _list({"path": _text, "allowedRoles": _texts}),
    "configSchemaPath": _text,
    "surfaces": _object(_SURFACES),
    "connections": _named(_CONNECTION),
    "defaultConnection": _text,
    "headers": _text_map,
    "managedParameters": _list({"in": _text, "name": _text, "value": _text}),
    "allowedOperations": _named(_ALLOWED_OPERATION),
    "responseMapping": _object(
        {"dataPath": _text, "pagination": _object({"hasMore": _anything, "cursor": _anything})},
    ),
    "pagination": _object(_PAGINATION),
    "mcp": _flag,
    "auth": _object({"provider": _text}),
    "securitySchemes": _free,
    "http": _free,
    "ui": _object({"path": _text}),
    "requires": _anything,
}
MANIFEST: Fields = {
    "kind": _text,
    "source": _text,
    "version": _text,
    "displayName": _text,
    "description": _text,
    "iconFile": _text,
    "release": _object({"build": _object({"workdir": _text, "command": _raw_texts})}),
    "artifacts": _list({"os": _text, "arch": _text, "libc": _text, "path": _text, "sha256": _text}),
    "entrypoint": _object({"artifactPath": _text, "args": _raw_texts}),
    "spec": _object(_SPEC),
}
