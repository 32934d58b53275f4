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
    placeholders = PLACEHOLDER.findall(operation.path)
    for name in required.union(placeholders):
        if name in placeholders and not fills_path(operation, name):
            yield name, "is a placeholder of the path that no parameter fills"
        elif given.get(name) is None:
            yield name, missing(accepted.get(name, ()))
    for name, value in given.items():
        if name in internal:
            yield name, "is not public; accepted is an input without it"
        elif value is not None and (types := accepted.get(name)) and (reason := type_fault(types, value)):
            yield name, reason


def place_of(operation: CatalogueOperation, name: str) -> str:
    """Return where a parameter goes: as declared, else by the method; without a body the query takes its place."""
    place = _declared(operation, name) or "body"
    return "query" if place == "body" and operation.method in WITHOUT_BODY else place


def fills_path(operation: CatalogueOperation, name: str) -> bool:
    """Return whether a parameter fills the placeholder of its name.

    One that is declared for path or body does, and one that is not declared where there is a body.
    """
    declared = _declared(operation, name)
    return declared in ("path", "body") if declared else operation.method not in WITHOUT_BODY


def _declared(operation: CatalogueOperation, name: str) -> str:
    return next((item.location for item in operation.parameters if item.name == name), "")


def _types(operation: CatalogueOperation, item: CatalogueParameter) -> tuple[str, ...]:
    name = JSON_TYPES.get(item.type)
    if name is None:
        return ()
    return (name,) if place_of(operation, item.name) == "body" else _AS_TEXT.get(name, (name,))
