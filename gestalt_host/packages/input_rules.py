"""The rules by which an input is judged: what of a JSON Schema counts, and how its faults read (see ``inputs``)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import jsonschema
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from gestalt_host.errors import quoted
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
_TYPES = jsonschema.Draft202012Validator({})
"""Knows the types where no schema says otherwise."""
Schema = Mapping[str, object]
Faults = Iterator[jsonschema.ValidationError]

LATER = object()
"""Stands for a value that is not known yet; fits everything."""


class SchemaUnusable(Exception):
    """A schema cannot judge anything."""


class Judge(Protocol):
    """What is used here of a validator of jsonschema, which has no types."""

    def is_type(self, value: object, name: str, /) -> bool: ...
    def descend(self, value: object, schema: object, path: str | None = None) -> Faults: ...


def faults_of(schema: Schema, given: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return member and reason of each fault.

    Raises:
        SchemaUnusable: it is no valid schema, refers to what is not in it, or never ends.
    """
    try:
        return [_fault(error) for error in _validator(schema).iter_errors(_present(schema, given))]
    except (jsonschema.SchemaError, Unresolvable, RecursionError) as error:
        raise SchemaUnusable(str(error)) from error


def type_fault(types: Sequence[str], value: object, judge: Judge | None = None) -> str:
    """Return what is wrong with a value that is to be of one of the types; blank where nothing is."""
    judge = judge or _TYPES
    if all(name in _WORDS for name in types) and not any(_is(judge, name, value) for name in types):
        return f"is {_shown(value)}; accepted is {_alternatives(types)}"
    return ""


def missing(types: Sequence[str]) -> str:
    """Return that a value is missing, and what would be accepted."""
    known = types and all(item in _WORDS for item in types)
    return f"is missing; accepted is {_alternatives(types)}" if known else "is missing"


def _present(schema: Schema, given: Mapping[str, object]) -> Mapping[str, object]:
    required = _list(schema.get("required"))
    return {name: value for name, value in given.items() if value is not None or name in required}


def _validator(schema: Schema) -> jsonschema.protocols.Validator:
    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    kind.check_schema(schema)
    judges: dict[str, object] = {name: judge for name, judge in kind.VALIDATORS.items() if name in _JUDGED}
    # With an empty registry no $ref is fetched from elsewhere.
    unjudged = dict.fromkeys(kind.VALIDATORS, _unjudged)
    judging = extend(kind, {**unjudged, **judges, **_OWN})
    validator: jsonschema.protocols.Validator = judging(schema, registry=Registry())
    return validator


def _fault(error: jsonschema.ValidationError) -> tuple[str, str]:
    # An error without a keyword is of the schema ``false``, and its text shows the value.
    return member_path(error.path) or "input", error.message if error.validator else "is not accepted"


def _unjudged(*_: object) -> None:
    return None


def _type(validator: Judge, wanted: object, value: object, schema: Schema) -> Faults:
    if reason := type_fault(_type_names(wanted), value, validator):
        yield jsonschema.ValidationError(reason)


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
            yield jsonschema.ValidationError(missing(_type_names(_members(declared).get("type"))), path=[name])


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
    if value is LATER:
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
