"""What a REST operation accepts, as a JSON Schema: the types of a manifest, judged for the place a parameter goes to.

In path, query and header every value becomes text, so a number or truth value is as good as a text, and one text is a
list of one item. In a body types are what they are. A placeholder of the path needs its value, declared or not.
"""

from __future__ import annotations

from collections.abc import Mapping

from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_host.packages.manifests.rest_model import PLACEHOLDER

JSON_TYPES = {
    "string": "string",
    "int": "integer",
    "integer": "integer",
    "number": "number",
    "float": "number",
    "bool": "boolean",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}
"""The types of a manifest to those of a schema; a type that is not among them, or none, accepts anything."""
_AS_TEXT = {"string": ["string", "number", "boolean"], "array": ["array", "string"]}


def rest_schema(operation: CatalogueOperation) -> Mapping[str, object]:
    """Return the schema by which the input of an operation with transport ``rest`` is judged."""
    properties = {item.name: _property(operation, item) for item in operation.parameters if not item.internal}
    required = {item.name for item in operation.parameters if item.required and not item.internal}
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required.union(PLACEHOLDER.findall(operation.path))),
    }


def _property(operation: CatalogueOperation, item: CatalogueParameter) -> dict[str, object]:
    name = JSON_TYPES.get(item.type)
    if name is None:
        return {}
    in_body = item.location == "body" and operation.method not in ("GET", "DELETE")
    return {"type": name if in_body else _AS_TEXT.get(name, name)}
