"""Operation catalogues of plugins (packaging.md 4.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gestalt_host.config.errors import Faults
from gestalt_host.config.reader import Block
from gestalt_host.packages.errors import raise_faults
from gestalt_host.packages.manifests.reading import read_document

FILE_NAME = "catalog.yaml"
_ID = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class CatalogueParameter:
    """One parameter of an operation. ``type`` is a JSON type; ``default`` is None where there is none."""

    name: str
    type: str = "string"
    wire_name: str = ""
    location: str = ""
    description: str = ""
    required: bool = False
    internal: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class CatalogueOperation:
    """One operation. Schemas and annotations stand as the catalogue spells them, None where it has none.

    ``visible`` is None unless the catalogue says it; only False hides.
    """

    id: str
    method: str = ""
    path: str = ""
    title: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, bool] | None = None
    parameters: tuple[CatalogueParameter, ...] = ()
    allowed_roles: tuple[str, ...] = ()
    required_scopes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    read_only: bool = False
    visible: bool | None = None
    transport: str = "plugin"
    query: str = ""


@dataclass(frozen=True, slots=True)
class PluginCatalogue:
    """A plugin's operations by id, in the order of the file."""

    name: str
    display_name: str = ""
    description: str = ""
    icon_svg: str = ""
    operations: Mapping[str, CatalogueOperation] = field(default_factory=dict)


def is_operation_id(text: str) -> bool:
    """Return whether an operation can have this id."""
    return _ID.fullmatch(text) is not None


def read_catalogue(path: Path) -> PluginCatalogue:
    """Read a catalogue file strictly.

    Raises:
        PackageInvalid: listing every fault with its line and dotted path.
    """
    faults = Faults()
    node = read_document(path, faults)
    catalogue = _read(Block(node, "", faults, node.place)) if node is not None else None
    raise_faults("catalogue", faults)
    assert catalogue is not None
    return catalogue


def _read(block: Block) -> PluginCatalogue:
    operations: dict[str, CatalogueOperation] = {}
    with block:
        for item in block.blocks("operations"):
            operation = _operation(item)
            if operation.id in operations:
                item.fault("id", f"{operation.id!r} is a duplicate")
            operations[operation.id] = operation
        return PluginCatalogue(
            block.text("name"),
            block.text("displayName"),
            block.text("description"),
            block.raw_text("iconSvg"),
            operations,
        )


def _operation(block: Block) -> CatalogueOperation:
    with block:
        operation_id = block.text("id", required=True)
        if operation_id and not is_operation_id(operation_id):
            block.fault("id", f"{operation_id!r} is not an operation id; accepted are dot-separated [A-Za-z0-9_-]+")
        return CatalogueOperation(
            id=operation_id,
            method=block.text("method"),
            path=block.text("path"),
            title=block.text("title"),
            description=block.text("description"),
            input_schema=_object(block, "inputSchema"),
            output_schema=_object(block, "outputSchema"),
            annotations=_annotations(block),
            parameters=tuple(_parameter(item) for item in block.blocks("parameters")),
            allowed_roles=block.texts(_spelling(block, "allowedRoles", "allowed_roles")),
            required_scopes=block.texts("requiredScopes"),
            tags=block.texts("tags"),
            read_only=block.boolean(_spelling(block, "readOnly", "read_only")),
            visible=block.boolean("visible") if block.node("visible") is not None else None,
            transport=block.text("transport") or "plugin",
            query=block.raw_text("query"),
        )


def _spelling(block: Block, key: str, other: str) -> str:
    """Return which of two spellings of a key the operation has; ``other`` is what the public Python SDK writes."""
    if not block.has(other):
        return key
    if block.has(key):
        block.fault(other, f"is another spelling of {key}, which is given too; leave one of them out")
    return other


def _parameter(block: Block) -> CatalogueParameter:
    with block:
        return CatalogueParameter(
            name=block.text("name", required=True),
            type=block.text("type") or "string",
            wire_name=block.text("wireName"),
            location=block.text("location"),
            description=block.text("description"),
            required=block.boolean("required"),
            internal=block.boolean("internal"),
            default=block.anything("default"),
        )


def _object(block: Block, key: str) -> dict[str, Any] | None:
    return block.opaque(key) if block.node(key) is not None else None


def _annotations(block: Block) -> dict[str, bool] | None:
    if block.node("annotations") is None:
        return None
    with block.block("annotations") as hints:
        names = ("readOnlyHint", "idempotentHint", "destructiveHint", "openWorldHint")
        return {name: hints.boolean(name) for name in names if hints.node(name) is not None}
