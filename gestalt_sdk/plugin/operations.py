"""Declare operations of a plugin: their typed parameters, and what the catalogue says of them.

Knows nothing of gRPC. Parameters come from the method's annotations; see ``operation``.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from gestalt_sdk.errors import GestaltError
from gestalt_sdk.plugin.request import Request
from gestalt_sdk.transport.values import to_value

Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])
_DECLARED = "__gestalt_operation__"
_SHOWN_CHARS = 80


class ParameterInvalid(GestaltError):
    """Report a parameter that is missing or of another type; the text names it, its value and what fits."""


class DeclarationInvalid(GestaltError):
    """Report, while the plugin is made, a method that cannot be an operation; the text says which and why."""


@dataclass(frozen=True, slots=True)
class ParameterType:
    """Describe a type: ``accepts`` in words, the JSON ``schema``, and ``read``, which converts or raises ValueError."""

    accepts: str
    schema: dict[str, Any]
    read: Callable[[Any], Any]
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """Describe one declared parameter; ``default`` is None also when there is none."""

    name: str
    type: ParameterType
    required: bool
    default: Any = None
    description: str = ""


@dataclass(slots=True)
class Operation:
    """Describe an operation as the catalogue shows it; ``id`` is dotted words of letters, digits, ``_`` and ``-``."""

    id: str
    title: str = ""
    description: str = ""
    method: str = "POST"
    path: str = ""
    parameters: list[Parameter] = field(default_factory=list)
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, bool] = field(default_factory=dict)
    """Any of readOnlyHint, idempotentHint, destructiveHint, openWorldHint."""
    allowed_roles: Sequence[str] = ()
    required_scopes: Sequence[str] = ()
    tags: Sequence[str] = ()
    read_only: bool = False
    visible: bool | None = None
    session: bool = False
    """Not in the package's catalogue; offered to those callers whose session catalogue has it."""


@dataclass(slots=True)
class BoundOperation:
    """Tie an operation to the method that performs it."""

    operation: Operation
    method: Callable[..., Awaitable[Any]]
    request_name: str = ""
    """Name of the method's parameter for the ``Request``; empty when it takes none."""
    container: tuple[str, type[Any]] | None = None
    """Name and dataclass of the one parameter that takes all others."""
    takes_rest: bool = False

    def call(self, request: Request, params: Mapping[str, Any]) -> Awaitable[Any]:
        """Return the method's coroutine; unknown parameters are ignored. Raises ``ParameterInvalid``."""
        arguments: dict[str, Any] = {}
        for parameter in self.operation.parameters:
            value = params.get(parameter.name)
            if value is None:
                if parameter.required:
                    raise ParameterInvalid(f'parameter "{parameter.name}" is missing; {parameter.type.accepts}')
                if parameter.type.nullable and parameter.name in params:
                    arguments[parameter.name] = None
                continue
            try:
                arguments[parameter.name] = parameter.type.read(value)
            except ValueError:
                raise ParameterInvalid(
                    f'parameter "{parameter.name}" is {_shown(value)}; {parameter.type.accepts}'
                ) from None
        if self.takes_rest:
            arguments.update((key, value) for key, value in params.items() if key not in arguments)
        if self.container is not None:
            name, cls = self.container
            arguments = {name: cls(**arguments)}
        if self.request_name:
            arguments[self.request_name] = request
        return self.method(**arguments)


def operation(
    id: str,
    *,
    title: str = "",
    description: str = "",
    method: str = "POST",
    path: str = "",
    output_schema: dict[str, Any] | None = None,
    read_only: bool = False,
    idempotent: bool | None = None,
    destructive: bool | None = None,
    open_world: bool | None = None,
    allowed_roles: Sequence[str] = (),
    required_scopes: Sequence[str] = (),
    tags: Sequence[str] = (),
    visible: bool | None = None,
    session: bool = False,
) -> Callable[[Method], Method]:
    """Declare an async method of a ``Plugin`` as an operation.

    Its parameters are the operation's, each with an annotation: str, int, float, bool, list, dict (also of something),
    ``Literal`` of texts, ``| None``, or ``Any``; ``Annotated[T, "text"]`` describes one. One that has a default may be
    left out. Instead, one parameter may be a dataclass whose fields are the operation's parameters. A parameter of
    type ``Request`` gets the call's context; ``**rest`` gets the parameters that are not declared. Without it they are
    ignored in a call, and the schema says ``additionalProperties: false``, so that the host refuses them in a schedule
    or trigger. The description defaults to the docstring's first paragraph. With ``session`` the operation is left out
    of the package's catalogue: only callers whose ``Plugin.session_catalogue`` has it are offered it.
    """
    hints = {
        "readOnlyHint": True if read_only else None,
        "idempotentHint": idempotent,
        "destructiveHint": destructive,
        "openWorldHint": open_world,
    }

    def declare(function: Method) -> Method:
        if not inspect.iscoroutinefunction(function):
            raise DeclarationInvalid(f"operation {id!r}: {function.__qualname__} is not an async method")
        if not all(word and all(c.isascii() and (c.isalnum() or c in "_-") for c in word) for word in id.split(".")):
            raise DeclarationInvalid(
                f"operation id is {id!r}; accepted are words of letters, digits, _ and -, joined by dots"
            )
        text = description or " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        declared = Operation(
            id=id,
            title=title,
            description=text,
            method=method.upper(),
            path=path,
            output_schema=output_schema,
            annotations={name: value for name, value in hints.items() if value is not None},
            allowed_roles=tuple(allowed_roles),
            required_scopes=tuple(required_scopes),
            tags=tuple(tags),
            read_only=read_only,
            visible=visible,
            session=session,
        )
        setattr(function, _DECLARED, declared)
        return cast(Method, function)

    return declare


def operations_of(plugin: object) -> dict[str, BoundOperation]:
    """Return the declared operations of an instance by id.

    Raises:
        DeclarationInvalid: two methods with one id, or parameters that cannot be understood.
    """
    found: dict[str, BoundOperation] = {}
    for name in dir(type(plugin)):
        declared = getattr(getattr(type(plugin), name, None), _DECLARED, None)
        if isinstance(declared, Operation):
            if declared.id in found:
                raise DeclarationInvalid(f"operation {declared.id!r} is declared by two methods, one of them {name}")
            found[declared.id] = _bind(declared, getattr(plugin, name))
    return dict(sorted(found.items()))


def _bind(declared: Operation, method: Callable[..., Awaitable[Any]]) -> BoundOperation:
    where = f"operation {declared.id!r}"
    hints = _hints(method, where)
    bound = BoundOperation(dataclasses.replace(declared), method)
    fields: list[tuple[str, Any, Any]] = []
    for parameter in inspect.signature(method).parameters.values():
        hint = hints.get(parameter.name, Any)
        if parameter.kind is parameter.VAR_KEYWORD:
            bound.takes_rest = True
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise DeclarationInvalid(f"{where}: parameter {parameter.name} must be usable by its name")
        elif hint is Request:
            bound.request_name = parameter.name
        elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
            bound.container = (parameter.name, hint)
        else:
            fields.append((parameter.name, hint, parameter.default))
    if bound.container is not None:
        if fields or bound.takes_rest:
            raise DeclarationInvalid(f"{where}: {bound.container[0]} is a dataclass, so it must be the only parameter")
        fields = _dataclass_fields(bound.container[1], where)
    bound.operation.parameters = [_parameter(name, hint, default, where) for name, hint, default in fields]
    bound.operation.input_schema = _object_schema(bound.operation.parameters, bound.takes_rest)
    return bound


def _hints(owner: Any, where: str) -> dict[str, Any]:
    try:
        return get_type_hints(owner, include_extras=True)
    except NameError as error:
        raise DeclarationInvalid(f"{where}: an annotation cannot be resolved: {error}") from error


def _dataclass_fields(cls: type[Any], where: str) -> list[tuple[str, Any, Any]]:
    hints = _hints(cls, where)
    fields = []
    for item in dataclasses.fields(cls):
        if not item.init:
            continue
        default: Any = inspect.Parameter.empty
        if item.default is not dataclasses.MISSING:
            default = item.default
        elif item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        fields.append((item.name, hints[item.name], default))
    return fields


def _parameter(name: str, hint: Any, default: Any, where: str) -> Parameter:
    description = ""
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        description = next((note for note in notes if isinstance(note, str)), "")
    try:
        kind = _type_of(hint)
    except TypeError as error:
        raise DeclarationInvalid(f"{where}: parameter {name}: {error}") from error
    if default is inspect.Parameter.empty:
        return Parameter(name, kind, required=True, description=description)
    try:
        to_value(default)
    except (TypeError, ValueError) as error:
        raise DeclarationInvalid(f"{where}: parameter {name}: its default cannot be shown as JSON: {error}") from error
    return Parameter(name, kind, required=False, default=default, description=description)


def _object_schema(parameters: Sequence[Parameter], open_ended: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for parameter in parameters:
        schema = dict(parameter.type.schema)
        if parameter.description:
            schema["description"] = parameter.description
        if parameter.default is not None:
            schema["default"] = parameter.default
        properties[parameter.name] = schema
    result: dict[str, Any] = {"type": "object", "properties": properties}
    required = [parameter.name for parameter in parameters if parameter.required]
    if required:
        result["required"] = required
    result["additionalProperties"] = open_ended
    return result


def _type_of(hint: Any) -> ParameterType:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _type_of(arguments[0])
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if origin in (Union, types.UnionType):
        members = [member for member in arguments if member is not type(None)]
        if len(members) == 1 and len(arguments) == 2:
            return dataclasses.replace(_type_of(members[0]), nullable=True)
    if origin is Literal and all(isinstance(choice, str) for choice in arguments):
        return _choice(arguments)
    if origin in (list, Sequence) and arguments:
        return _list_of(_type_of(arguments[0]))
    if origin in (dict, Mapping) and len(arguments) == 2 and arguments[0] is str:
        return _dict_of(_type_of(arguments[1]))
    raise TypeError(
        f"{hint} cannot be a parameter; use str, int, float, bool, list, dict, Literal of texts, X | None or Any"
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    if isinstance(value, str):
        # Query strings and command lines carry texts only.
        return int(value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    return float(value)


def _boolean(value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise ValueError
    return value


def _list(value: Any) -> list[Any]:
    value = _parsed(value)
    if not isinstance(value, list):
        raise ValueError
    return value


def _dict(value: Any) -> dict[str, Any]:
    value = _parsed(value)
    if not isinstance(value, dict):
        raise ValueError
    return value


def _parsed(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str) else value


def _any(value: Any) -> Any:
    return value


def _choice(choices: tuple[str, ...]) -> ParameterType:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    listed = ", ".join(f'"{choice}"' for choice in choices)
    return ParameterType(f"accepted are {listed}", {"type": "string", "enum": list(choices)}, read)


def _list_of(item: ParameterType) -> ParameterType:
    accepts = f"accepted is a list; of each item: {item.accepts}"
    return ParameterType(
        accepts, {"type": "array", "items": item.schema}, lambda value: [item.read(each) for each in _list(value)]
    )


def _dict_of(item: ParameterType) -> ParameterType:
    accepts = f"accepted is an object; of each value: {item.accepts}"
    return ParameterType(
        accepts,
        {"type": "object", "additionalProperties": item.schema or True},
        lambda value: {key: item.read(each) for key, each in _dict(value).items()},
    )


_SIMPLE: dict[Any, ParameterType] = {
    str: ParameterType("accepted is text", {"type": "string"}, _text),
    int: ParameterType("accepted is an integer", {"type": "integer"}, _integer),
    float: ParameterType("accepted is a number", {"type": "number"}, _number),
    bool: ParameterType("accepted is true or false", {"type": "boolean"}, _boolean),
    list: ParameterType("accepted is a list", {"type": "array"}, _list),
    dict: ParameterType("accepted is an object", {"type": "object"}, _dict),
    Any: ParameterType("accepted is any JSON value", {}, _any, nullable=True),
}


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
