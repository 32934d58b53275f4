"""What a REST operation accepts: the types of a manifest, judged for the place that a parameter goes to.

In path, query and header every value becomes text, so a number or truth value is as good as a text, and one text is a
list of one item. In a body types are what they are. A placeholder of the path needs its value, declared or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_host.packages.manifests.rest_model import PLACEHOLDER

WITHOUT_BODY = ("GET", "DELETE")
"""Methods whose parameters go to the query, unless they are declared elsewhere."""
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
_AS_TEXT = {"string": ("string", "number", "boolean"), "array": ("array", "string")}


def rest_faults(operation: CatalogueOperation, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield member and reason of what is wrong with the input of an operation with transport ``rest``."""
    from gestalt_host.packages.input_rules import missing, type_fault

    accepted = {item.name: _types(operation, item) for item in operation.parameters}
    required = {item.name for item in operation.parameters if item.required and not item.internal}
    internal = {item.name for item in operation.parameters if item.internal}
    for name in required.union(PLACEHOLDER.findall(operation.path)):
        if given.get(name) is None:
            yield name, missing(accepted.get(name, ()))
    for name, value in given.items():
        if name in internal:
            yield name, "is not public; accepted is an input without it"
        elif value is not None and (types := accepted.get(name)) and (reason := type_fault(types, value)):
            yield name, reason


def _types(operation: CatalogueOperation, item: CatalogueParameter) -> tuple[str, ...]:
    name = JSON_TYPES.get(item.type)
    if name is None:
        return ()
    in_body = item.location == "body" and operation.method not in WITHOUT_BODY
    return (name,) if in_body else _AS_TEXT.get(name, (name,))
