"""Checking an input against what an operation declares, before anybody runs it (http-api.md 8.5).

Types, missing parameters and, where the schema closes the object, unknown names are judged. What a value must be
besides (ranges, patterns, formats) is the operation's own business and is told when it runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gestalt_host.errors import InvalidArgument
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_host.packages.rest_inputs import rest_faults
from gestalt_sdk.common.members import member_path

REST = "rest"
"""The transport of operations that are HTTP requests of a manifest."""
_SHOWN = 20
Schema = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class InputFault:
    """What is wrong with one member of an input; ``member`` is its path, such as ``items[2].id``."""

    member: str
    reason: str

    def __str__(self) -> str:
        return f"{self.member} {self.reason}"


class InputInvalid(InvalidArgument):
    """An input does not fit its operation; the text names the members at fault, and what is accepted."""

    def __init__(self, plugin: str, operation: str, faults: Sequence[InputFault]) -> None:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        shown = "; ".join(map(str, faults[:_SHOWN]))
        super().__init__(f"input of {plugin}.{operation}: {shown}{more}")
        self.faults = tuple(faults)


def check_input(
    operation: CatalogueOperation, given: Mapping[str, object], *, bound: Collection[str] = ()
) -> list[InputFault]:
    """Return what is wrong with an input, sorted by member; nothing when the operation can be called with it.

    A text counts as a number, boolean, list or object when it is spelt as JSON spells one: requests by GET carry texts
    alone, so operations have to read them. ``null`` for a parameter that may be left out is as good as left out.
    Of a REST operation the parameters count (see ``rest_inputs``), and those that are internal are refused;
    ``null`` for one that is required is as good as missing.

    Args:
        bound: Names that are filled in when the operation is called: they have no value yet.
    """
    # The library for schemas would be a sixth of what the host imports at its start.
    from gestalt_host.packages.input_rules import LATER, SchemaUnusable, faults_of

    present = {**given, **dict.fromkeys(bound, LATER)}
    if operation.transport == REST:
        return _faults((member_path([name]), reason) for name, reason in rest_faults(operation, present))
    declared = schema_of(operation.parameters)
    if not operation.input_schema:
        return _faults(faults_of(declared, present))
    try:
        return _faults(faults_of(operation.input_schema, present))
    except SchemaUnusable:
        # A schema that cannot be used judges nothing; the parameters beside it still do.
        return _faults(faults_of(declared, present))


def schema_of(parameters: Iterable[CatalogueParameter]) -> Schema:
    """Return an object schema with one property for each parameter."""
    properties = {}
    for item in parameters:
        declared = {"type": item.type, "description": item.description or None, "default": item.default}
        properties[item.name] = {key: value for key, value in declared.items() if value is not None}
    required = [item.name for item in parameters if item.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _faults(found: Iterable[tuple[str, str]]) -> list[InputFault]:
    return [InputFault(member, reason) for member, reason in sorted(set(found))]
