"""Write down what a plugin offers: the file in its package (packaging.md 4.3), the message of a session catalogue."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gestalt_sdk.gen.v1 import plugin_pb2
from gestalt_sdk.plugin.operations import Operation, Parameter
from gestalt_sdk.transport.values import to_value


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Hold name and texts of a plugin and its operations."""

    name: str = ""
    display_name: str = ""
    description: str = ""
    icon_svg: str = ""
    operations: Sequence[Operation] = field(default=())

    def document(self) -> dict[str, Any]:
        """Return the content of ``catalog.yaml``; what is empty is left out."""
        document = {
            "name": self.name,
            "displayName": self.display_name,
            "description": self.description,
            "iconSvg": self.icon_svg,
        }
        return {
            **{key: value for key, value in document.items() if value},
            "operations": [_operation_document(operation) for operation in self.operations],
        }

    def write(self, path: Path) -> None:
        """Write ``catalog.yaml`` to ``path``, all of it or nothing. Raises ``OSError``."""
        import yaml  # only authoring tools write catalogues

        text = yaml.safe_dump(self.document(), sort_keys=False, allow_unicode=True, width=120)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def to_proto(self) -> plugin_pb2.Catalog:
        """Return the catalogue as a message."""
        return plugin_pb2.Catalog(
            name=self.name,
            display_name=self.display_name,
            description=self.description,
            icon_svg=self.icon_svg,
            operations=[_operation_to_proto(operation) for operation in self.operations],
        )


def _operation_document(operation: Operation) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": operation.id,
        "method": operation.method,
        "path": operation.path,
        "title": operation.title,
        "description": operation.description,
        "inputSchema": operation.input_schema,
        "outputSchema": operation.output_schema,
        "annotations": dict(operation.annotations),
        "allowedRoles": list(operation.allowed_roles),
        "parameters": [_parameter_document(parameter) for parameter in operation.parameters],
        "requiredScopes": list(operation.required_scopes),
        "tags": list(operation.tags),
        "readOnly": operation.read_only,
    }
    document = {key: value for key, value in document.items() if value}
    if operation.visible is not None:
        document["visible"] = operation.visible
    document["transport"] = "plugin"
    return document


def _parameter_document(parameter: Parameter) -> dict[str, Any]:
    document: dict[str, Any] = {"name": parameter.name, "type": _type_word(parameter)}
    if parameter.description:
        document["description"] = parameter.description
    if parameter.required:
        document["required"] = True
    if parameter.default is not None:
        # The schema's own object must not be shared: YAML would write the second one as an alias.
        document["default"] = orjson.loads(orjson.dumps(parameter.default))
    return document


def _type_word(parameter: Parameter) -> str:
    return str(parameter.type.schema.get("type", "object"))


def _operation_to_proto(operation: Operation) -> plugin_pb2.CatalogOperation:
    hints = {
        "readOnlyHint": "read_only_hint",
        "idempotentHint": "idempotent_hint",
        "destructiveHint": "destructive_hint",
        "openWorldHint": "open_world_hint",
    }
    annotations = {hints[name]: value for name, value in operation.annotations.items()}
    return plugin_pb2.CatalogOperation(
        id=operation.id,
        method=operation.method,
        title=operation.title,
        description=operation.description,
        input_schema=orjson.dumps(operation.input_schema).decode() if operation.input_schema else "",
        output_schema=orjson.dumps(operation.output_schema).decode() if operation.output_schema else "",
        annotations=plugin_pb2.OperationAnnotations(**annotations) if annotations else None,
        parameters=[
            plugin_pb2.CatalogParameter(
                name=parameter.name,
                type=_type_word(parameter),
                description=parameter.description,
                required=parameter.required,
                default=None if parameter.default is None else to_value(parameter.default),
            )
            for parameter in operation.parameters
        ],
        required_scopes=operation.required_scopes,
        tags=operation.tags,
        read_only=operation.read_only,
        visible=operation.visible,
        transport="plugin",
        allowed_roles=operation.allowed_roles,
    )
