"""The message of a session catalogue, checked, as the host's own operations."""

from __future__ import annotations

import orjson

from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter, is_operation_id
from gestalt_sdk.errors import GestaltError
from gestalt_sdk.gen.v1 import plugin_pb2 as pb
from gestalt_sdk.transport.values import from_value

MAX_OPERATIONS = 1000
MAX_BYTES = 4 * 1024 * 1024
"""Of one session catalogue: it is read for one request, and an answer shows all of it."""

_HINTS = {
    "readOnlyHint": "read_only_hint",
    "idempotentHint": "idempotent_hint",
    "destructiveHint": "destructive_hint",
    "openWorldHint": "open_world_hint",
}


class CatalogueUnfit(GestaltError):
    """A session catalogue that cannot be used; the text says what is wrong and what is accepted."""


def operations_from_proto(catalogue: pb.Catalog) -> dict[str, CatalogueOperation]:
    """Return the operations by id, in the order of the message; a transport that is left out is ``plugin``.

    Raises:
        CatalogueUnfit: it is too large, or an operation is malformed or named twice.
    """
    if (size := catalogue.ByteSize()) > MAX_BYTES:
        raise CatalogueUnfit(f"it has {size} bytes; at most {MAX_BYTES} are accepted")
    if len(catalogue.operations) > MAX_OPERATIONS:
        raise CatalogueUnfit(f"it has {len(catalogue.operations)} operations; at most {MAX_OPERATIONS} are accepted")
    found: dict[str, CatalogueOperation] = {}
    for message in catalogue.operations:
        name = message.id
        if not is_operation_id(name):
            raise CatalogueUnfit(f"{name[:100]!r} is not an operation id; accepted are dot-separated [A-Za-z0-9_-]+")
        if name in found:
            raise CatalogueUnfit(f"operation {name!r} is there twice")
        found[name] = _operation(message)
    return found


def _operation(message: pb.CatalogOperation) -> CatalogueOperation:
    hints = message.annotations
    annotations = {name: getattr(hints, field) for name, field in _HINTS.items() if hints.HasField(field)}
    return CatalogueOperation(
        id=message.id,
        method=message.method,
        title=message.title,
        description=message.description,
        input_schema=_schema(message.id, "input_schema", message.input_schema),
        output_schema=_schema(message.id, "output_schema", message.output_schema),
        annotations=annotations or None,
        parameters=tuple(
            CatalogueParameter(
                name=item.name,
                type=item.type or "string",
                description=item.description,
                required=item.required,
                default=from_value(item.default) if item.HasField("default") else None,
            )
            for item in message.parameters
        ),
        allowed_roles=tuple(message.allowed_roles),
        required_scopes=tuple(message.required_scopes),
        tags=tuple(message.tags),
        read_only=message.read_only,
        visible=message.visible if message.HasField("visible") else None,
        transport=message.transport or "plugin",
    )


def _schema(operation: str, field: str, text: str) -> dict[str, object] | None:
    if not text.strip():
        return None
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError:
        schema = None
    if not isinstance(schema, dict):
        raise CatalogueUnfit(f"{field} of operation {operation!r} is not the text of a JSON object")
    return schema
