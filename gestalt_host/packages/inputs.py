"""Checking an input against what an operation declares, before anybody runs it (http-api.md 8.5).

Types, missing parameters and, where the schema closes the object, unknown names are judged. What a value must be
besides (ranges, patterns, formats) is the operation's own business and is told when it runs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import jsonschema
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from gestalt_host.errors import InvalidArgument, quoted
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_sdk.common.members import member_path

_SHOWN = 20
_JUDGED = frozenset(
    {"$ref", "$dynamicRef", "$recursiveRef", "properties", "items", "prefixItems", "additionalItems", "allOf"}
)
_WORDS = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
Schema = Mapping[str, object]
Faults = Iterator[jsonschema.ValidationError]

_LATER = object()
"""Stands for a value that is not known yet; fits everything."""


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


class Judge(Protocol):
    """What is used here of a validator of jsonschema, which has no types."""

    def is_type(self, value: object, name: str, /) -> bool: ...
    def descend(self, value: object, schema: object, path: str | None = None) -> Faults: ...


def check_input(
    operation: CatalogueOperation, given: Mapping[str, object], *, bound: Collection[str] = ()
) -> list[InputFault]:
    """Return what is wrong with an input, sorted by member; nothing when the operation can be called with it.

    A text counts as a number, boolean, list or object when it is spelt as JSON spells one: requests by GET carry texts
    alone, so operations have to read them. ``null`` for a parameter that may be left out is as good as left out.

    Args:
        bound: Names that are filled in when the operation is called: they have no value yet.
    """
    present = {**given, **dict.fromkeys(bound, _LATER)}
    declared = schema_of(operation.parameters)
    if not operation.input_schema:
        return _faults(declared, present)
    try:
        return _faults(operation.input_schema, present)
    except (jsonschema.SchemaError, Unresolvable, RecursionError):
        # A schema that cannot be used judges nothing; the parameters beside it still do.
        return _faults(declared, present)


def schema_of(parameters: Iterable[CatalogueParameter]) -> Schema:
    """Return an object schema with one property for each parameter."""
    properties = {}
    for item in parameters:
        declared = {"type": item.type, "description": item.description or None, "default": item.default}
        properties[item.name] = {key: value for key, value in declared.items() if value is not None}
    required = [item.name for item in parameters if item.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _faults(schema: Schema, given: Mapping[str, object]) -> list[InputFault]:
    required = _list(schema.get("required"))
    present = {name: value for name, value in given.items() if value is not None or name in required}
    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    kind.check_schema(schema)
    judges: dict[str, object] = {name: judge for name, judge in kind.VALIDATORS.items() if name in _JUDGED}
    # With an empty registry no $ref is fetched from elsewhere.
    unjudged = dict.fromkeys(kind.VALIDATORS, _unjudged)
    validator = extend(kind, {**unjudged, **judges, **_OWN})(schema, registry=Registry())
    faults = set(map(_fault, validator.iter_errors(present)))
    return sorted(faults, key=lambda fault: (fault.member, fault.reason))


def _fault(error: jsonschema.ValidationError) -> InputFault:
    # An error without a keyword is of the schema ``false``, and its text shows the value.
    return InputFault(member_path(error.path) or "input", error.message if error.validator else "is not accepted")


def _unjudged(*_: object) -> None:
    return None


def _type(validator: Judge, wanted: object, value: object, schema: Schema) -> Faults:
    names = _type_names(wanted)
    if all(name in _WORDS for name in names) and not any(_is(validator, name, value) for name in names):
        yield jsonschema.ValidationError(f"is {_shown(value)}; accepted is {_alternatives(names)}")


def _enum(validator: Judge, choices: Sequence[object], value: object, schema: Schema) -> Faults:
    texts = [choice for choice in choices if isinstance(choice, str)]
    if isinstance(value, str) and len(texts) == len(choices) and value not in texts:
        yield jsonschema.ValidationError(f"is another text; accepted {_names(texts)}")


def _required(validator: Judge, names: object, value: object, schema: Schema) -> Faults:
    if not isinstance(value, Mapping):
        return
    properties = _members(schema.get("properties"))
    for name in _list(names):
        if name not in value:
            declared = properties.get(name)
            wanted = _type_names(_members(declared).get("type"))
            accepted = (
                f"; accepted is {_alternatives(wanted)}" if all(item in _WORDS for item in wanted) and wanted else ""
            )
            yield jsonschema.ValidationError(f"is missing{accepted}", path=[name])


def _additional(validator: Judge, allowed: object, value: object, schema: Schema) -> Faults:
    if not isinstance(value, Mapping) or "patternProperties" in schema:
        return
    known = _members(schema.get("properties"))
    for name in value:
        if name in known:
            continue
        if allowed is False:
            accepted = f"accepted {_names(list(known))}" if known else "none is accepted"
            yield jsonschema.ValidationError(f"is not declared; {accepted}", path=[name])
        else:
            yield from validator.descend(value[name], allowed, path=name)


def _any_of(validator: Judge, choices: Sequence[object], value: object, schema: Schema) -> Faults:
    """Judge ``anyOf``, and ``oneOf`` alike: what tells its choices apart may be a keyword that is not judged."""
    if any(not any(validator.descend(value, choice)) for choice in choices):
        return
    types = [name for choice in choices if isinstance(choice, Mapping) for name in _type_names(choice.get("type"))]
    if len(types) >= len(choices) and all(name in _WORDS for name in types):
        yield jsonschema.ValidationError(f"is {_shown(value)}; accepted is {_alternatives(list(dict.fromkeys(types)))}")
    else:
        yield jsonschema.ValidationError("fits none of the forms that are accepted")


_OWN: dict[str, object] = {
    "type": _type,
    "enum": _enum,
    "required": _required,
    "additionalProperties": _additional,
    "anyOf": _any_of,
    "oneOf": _any_of,
}


def _type_names(wanted: object) -> list[str]:
    return [str(name) for name in (wanted if isinstance(wanted, list) else [wanted]) if name is not None]


def _list(value: object) -> list[str]:
    return value if isinstance(value, list) else []


def _members(value: object) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _is(validator: Judge, name: str, value: object) -> bool:
    if value is _LATER:
        return True
    if name not in ("string", "null") and isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return False
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return bool(validator.is_type(value, name))


def _shown(value: object) -> str:
    """Say what a value is. A text is not shown: it may be a secret."""
    if isinstance(value, str):
        return "a text"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return json.dumps(value)


def _alternatives(types: Sequence[str]) -> str:
    return " or ".join(_WORDS[name] for name in types)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(map(quoted, names[:_SHOWN]))}{more}"
