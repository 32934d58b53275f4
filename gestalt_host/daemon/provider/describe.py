"""`gestaltd provider describe`: what can be called on a provider of a running host, and what its messages are like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.call import candidates
from gestalt_host.daemon.provider.control_client import all_providers
from gestalt_host.daemon.provider.hosts import HOST_OPTION, Name, chosen, running_hosts
from gestalt_host.daemon.provider.reflection_client import Socket
from gestalt_host.daemon.provider.symbols import is_named, near

HELP = f"""\
Show what can be called on a provider of a running host, or on a host service as that provider would, and what the
messages are like. The server is asked by reflection; where it does not say, the descriptions are those of this program.

Usage:
  gestaltd provider describe NAME [SYMBOL] [--socket PATH|VARIABLE] [--host PID|URL|CONFIG]

NAME is that of a provider, KIND/NAME where it is not unique, or host. Without SYMBOL the services of each of its
sockets are listed. SYMBOL is a service, a method (SERVICE/METHOD), a message or an enum, by its whole name or the end
of it. Of a method and a message a template is shown, which can be filled in and given to `gestaltd provider call -d`.

Options:
  --socket PATH|VARIABLE
                         The socket to ask, by path, file name, or the variable that tells the provider its path.
{HOST_OPTION}
  -h, --help             This text.
"""
Symbol: TypeAlias = ServiceDescriptor | MethodDescriptor | Descriptor | EnumDescriptor

_TYPE = "TYPE_"
_TYPES = {
    value: name.removeprefix(_TYPE).lower() for name, value in vars(FieldDescriptor).items() if name.startswith(_TYPE)
}
_TEXT_NUMBERS = ("int64", "uint64", "sint64", "fixed64", "sfixed64")
"""JSON has them as texts."""
_WELL_KNOWN: Mapping[str, object] = {
    "google.protobuf.Struct": {},
    "google.protobuf.Value": None,
    "google.protobuf.ListValue": [],
    "google.protobuf.Timestamp": "1970-01-01T00:00:00Z",
    "google.protobuf.Duration": "0s",
    "google.protobuf.Any": {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}},
}


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Print the description.

    Raises:
        CommandFailed: there is no such provider or symbol.
    """
    symbol = options.arguments[1] if len(options.arguments) > 1 else ""
    show(asyncio.run(described(Name.of(options.arguments[0]), symbol, options.last("socket"), options.last("host"))))


async def described(name: Name, symbol: str, socket: str, wanted: str) -> str:
    """Return the description.

    Raises:
        CommandFailed: there is no such provider or symbol.
    """
    _, provider = chosen(name, await all_providers(running_hosts(wanted)))
    async with AsyncExitStack() as stack:
        sockets = [Socket(item) for item in candidates(provider, socket)]
        for item in sockets:
            stack.push_async_callback(item.close)
        served = await asyncio.gather(*(item.services() for item in sockets))
        if not symbol:
            rows = zip(sockets, served, strict=True)
            return "\n".join("\n  ".join((item.about.path, *names)) for item, names in rows)
        found: dict[str, Symbol] = {}
        for item, names in zip(sockets, served, strict=True):
            for service in names:
                if service not in found:
                    found |= await _symbols(item, service)
    return description(_chosen(found, symbol.removeprefix("/").replace("/", "."), provider.shown))


async def _symbols(socket: Socket, service: str) -> dict[str, Symbol]:
    """Return the service with all that it speaks of, by full name; nothing where nobody can describe it."""
    try:
        descriptor = (await socket.pool_with(service)).FindServiceByName(service)
    except KeyError:
        return {}
    found: dict[str, Symbol] = {service: descriptor}
    for method in descriptor.methods:
        found[method.full_name] = method
        for message in (method.input_type, method.output_type):
            _add(found, message)
    return found


def _add(found: dict[str, Symbol], item: Descriptor | EnumDescriptor) -> None:
    if item.full_name in found:
        return
    found[item.full_name] = item
    if isinstance(item, Descriptor):
        for field in item.fields:
            if (inner := field.message_type or field.enum_type) is not None:
                _add(found, inner)


def _chosen(found: Mapping[str, Symbol], symbol: str, provider: str) -> Symbol:
    if symbol in found:
        return found[symbol]
    names = [name for name in found if is_named(name, symbol)]
    services = [name for name in names if isinstance(found[name], ServiceDescriptor)]
    if len(names) == 1 or len(services) == 1:
        return found[(services or names)[0]]
    if names:
        raise CommandFailed(f'"{symbol}" may mean {" or ".join(sorted(names))}: say which')
    known = ", ".join(sorted(name for name, item in found.items() if isinstance(item, ServiceDescriptor)))
    raise CommandFailed(f"{provider} speaks of no {symbol}{near(symbol, found)}; its services are {known or 'none'}")


def description(item: Symbol) -> str:
    """Return the symbol as a .proto file would declare it; with a template where it is something to be sent."""
    if isinstance(item, ServiceDescriptor):
        return _block(f"service {item.full_name}", [f"{_signature(method)};" for method in item.methods])
    if isinstance(item, MethodDescriptor):
        own = f"// of {item.containing_service.full_name}\n{_signature(item)};"
        parts = [own, _message(item.input_type)]
        parts += [_message(item.output_type)] if item.output_type is not item.input_type else []
        return "\n\n".join([*parts, _template(item.input_type)])
    if isinstance(item, EnumDescriptor):
        return _block(f"enum {item.full_name}", [f"{value.name} = {value.number};" for value in item.values])
    return f"{_message(item)}\n\n{_template(item)}"


def _signature(method: MethodDescriptor) -> str:
    sent = ("stream " if method.client_streaming else "") + method.input_type.full_name
    answered = ("stream " if method.server_streaming else "") + method.output_type.full_name
    return f"rpc {method.name}({sent}) returns ({answered})"


def _message(message: Descriptor) -> str:
    return _block(f"message {message.full_name}", list(_fields(message)))


def _fields(message: Descriptor) -> Iterator[str]:
    told = set()
    for field in message.fields:
        oneof = field.containing_oneof
        if oneof is None or oneof.name.startswith("_"):  # such is what `optional` is made of
            yield f"{'optional ' if oneof is not None else ''}{_field(field)}"
        elif oneof.name not in told:
            told.add(oneof.name)
            yield from _block(f"oneof {oneof.name}", [_field(member) for member in oneof.fields]).split("\n")


def _field(field: FieldDescriptor) -> str:
    if (entry := _entry(field)) is not None:
        key, value = (entry.fields_by_name[name] for name in ("key", "value"))
        return f"map<{_type(key)}, {_type(value)}> {field.name} = {field.number};"
    return f"{'repeated ' if field.is_repeated else ''}{_type(field)} {field.name} = {field.number};"


def _type(field: FieldDescriptor) -> str:
    named = field.message_type or field.enum_type
    return str(named.full_name) if named is not None else _TYPES[field.type]


def _entry(field: FieldDescriptor) -> Descriptor | None:
    """Return the type of a map's entries, None where the field is no map."""
    message = field.message_type
    return message if message is not None and message.GetOptions().map_entry else None


def _block(head: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{head} {{", *(f"  {line}" for line in lines), "}"]) if lines else f"{head} {{}}"


def _template(message: Descriptor) -> str:
    return f"-d '{json.dumps(template(message), indent=2)}'"


def template(message: Descriptor, above: frozenset[str] = frozenset()) -> object:
    """Return the message as JSON with every field at its default, the first one of each oneof.

    What contains itself is left out within itself.
    """
    if message.full_name in _WELL_KNOWN:
        return _WELL_KNOWN[message.full_name]
    above |= {message.full_name}
    found: dict[str, object] = {}
    for field in message.fields:
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[0].name != field.name:
            continue
        inner = field.message_type
        if inner is not None and inner.full_name in above:
            continue
        if (entry := _entry(field)) is not None:
            value = entry.fields_by_name["value"]
            is_own = value.message_type is not None and value.message_type.full_name in above
            found[field.json_name] = {} if is_own else {"": _default(value, above)}
        else:
            default = _default(field, above)
            found[field.json_name] = [default] if field.is_repeated else default
    return found


def _default(field: FieldDescriptor, above: frozenset[str]) -> object:
    if field.message_type is not None:
        return template(field.message_type, above)
    if field.enum_type is not None:
        return field.enum_type.values[0].name
    kind = _TYPES[field.type]
    if kind in ("string", "bytes"):
        return ""
    if kind == "bool":
        return False
    return "0" if kind in _TEXT_NUMBERS else 0
