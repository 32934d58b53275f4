"""``gestalt plugin``: list, describe, invoke, connect and disconnect plugins."""

from __future__ import annotations

import re
from typing import Any

import click

from gestalt_host.cli import parameters
from gestalt_host.cli.api import Api, path_of
from gestalt_host.cli.commands import plugin_connections
from gestalt_host.cli.commands.catalogue import operations_of, warn_of_unknown
from gestalt_host.cli.errors import ApiError, CliError, failing_to
from gestalt_host.cli.grammar import Group, argument, option, pairs
from gestalt_host.cli.output import member, text_or_dash
from gestalt_host.cli.session import CommandSession
from gestalt_host.cli.tables import TableColumn

_PLUGINS = (
    TableColumn("Name"),
    TableColumn("Description", 3, wraps=True),
    TableColumn("Status", 1, wraps=True),
    TableColumn("Connections", 2, wraps=True),
)
_OPERATIONS = (
    TableColumn("Name"),
    TableColumn("Description", 3, wraps=True),
    TableColumn("Method", 2),
    TableColumn("Parameters", 1, wraps=True),
)
_PARAMETERS = (TableColumn("Name"), TableColumn("Type", 1), TableColumn("Location", 3), TableColumn("Required", 2))
_SEGMENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")


@click.command(cls=Group, aliases=("plugins", "integrations"))
def plugin() -> None:
    """Plugins, their operations and connections"""


_connection = option("--connection", metavar="CONNECTION", help="Connection to use")
_instance = option("--instance", metavar="INSTANCE", help="Instance of the connection to use")


@plugin.command("list")
@click.pass_obj
def list_plugins(session: CommandSession) -> None:
    """List plugins and the state of their connections"""
    api = session.api()
    with failing_to("list plugins"):
        answer = api.get(path_of("integrations"))
    if session.output.as_json:
        session.output.json(answer)
        return
    rows = []
    for entry in answer if isinstance(answer, list) else []:
        connections = [
            f"{text_or_dash(member(connection, 'name'))}: {member(connection, 'status') or 'unknown'}"
            for connection in member(entry, "connections") or []
        ]
        rows.append(
            [
                text_or_dash(member(entry, "name")),
                text_or_dash(member(entry, "description")),
                ": ".join(filter(None, (str(member(entry, "status") or "unknown"), member(entry, "statusReason")))),
                ", ".join(connections) or "-",
            ]
        )
    session.output.table(_PLUGINS, rows)


@plugin.command("connect")
@argument("name", help="Name of the plugin")
@_connection
@_instance
@click.pass_obj
def connect(session: CommandSession, name: str, connection: str | None, instance: str | None) -> None:
    """Connect a plugin to an account"""
    plugin_connections.connect(session, session.api(), name, connection, instance)


@plugin.command("disconnect")
@argument("name", help="Name of the plugin")
@_connection
@_instance
@click.pass_obj
def disconnect(session: CommandSession, name: str, connection: str | None, instance: str | None) -> None:
    """Remove a plugin's connection"""
    api = session.api()
    query = {
        "_connection": plugin_connections.on_the_wire(connection) if connection is not None else None,
        "_instance": instance,
    }
    with failing_to(f"disconnect plugin '{name}'"):
        answer = api.delete(
            path_of("integrations", name), {key: value for key, value in query.items() if value is not None}
        )
    if session.output.as_json:
        session.output.json(answer)
    else:
        session.output.done(f"Disconnected {name}.")


# --- invoke -----------------------------------------------------------------------------------------------------------


@plugin.command("invoke")
@argument("plugin", help="Name of the plugin")
@argument(
    "operation", help="Operation, or the words of one: 'chat postMessage' is chat.postMessage", nargs=-1, type=str
)
@pairs("-p", "--param", metavar="PARAMS", help="Parameter: key=value (a string) or key:=json; repeatable")
@option("--input-file", metavar="FILE", help="Parameters from a JSON file ('-': standard input), overridden by --param")
@_connection
@_instance
@option("--select", metavar="PATH", help="Print only this part of the response, such as items.0.name")
@click.pass_obj
def invoke(
    session: CommandSession,
    plugin: str,
    operation: tuple[str, ...],
    param: tuple[tuple[str, Any], ...],
    input_file: str | None,
    connection: str | None,
    instance: str | None,
    select: str | None,
) -> None:
    """Invoke an operation; without one, or with the first words of several, list them"""
    api = session.api()
    name = ".".join(operation)
    place = {"_connection": connection, "_instance": instance}
    given = {key: value for key, value in place.items() if value is not None}
    what = f"invoke {plugin}.{name}" if name else f"invoke {plugin}"

    found: dict[str, Any] | None = None
    try:
        catalogue = _catalogue(api, plugin, given, what, connection, instance)
    except ApiError as error:
        if not name or _kind_of(error) not in ("not_connected", "reconnect_required"):
            raise
        # The catalogue needs a credential that the operation itself may do without.
        _check_name(name)
    else:
        matches = _resolved(name, catalogue)
        if not isinstance(matches, dict):
            _list_operations(session, matches, name, has_parameters=bool(param or input_file is not None))
            return
        found = matches

    types = {
        entry["name"]: str(entry.get("type") or "string")
        for entry in member(found, "parameters") or []
        if isinstance(member(entry, "name"), str)
    }
    body = parameters.input_of(param, input_file, types) | given
    warn_of_unknown(session.output, plugin, found, body)
    path = path_of(plugin, name)
    with failing_to(what), _Explained(plugin, connection, instance):
        answer = api.post(path, body) if body else api.get(path)
    if select is not None:
        answer = selected(answer, select)
    if session.output.as_json:
        session.output.json(answer)
    else:
        session.output.any_table(answer)


def _catalogue(
    api: Api, plugin: str, query: dict[str, str], what: str, connection: str | None, instance: str | None
) -> list[dict[str, Any]]:
    with failing_to(what), _Explained(plugin, connection, instance):
        return operations_of(api, plugin, query)


def _check_name(name: str) -> None:
    if not all(_SEGMENT.fullmatch(segment) for segment in name.split(".")):
        raise CliError(
            f"invalid operation '{name}': segments must be alphanumeric, underscore, or hyphen "
            "(no leading/trailing hyphen)"
        )


def _resolved(name: str, catalogue: list[dict[str, Any]]) -> dict[str, Any] | list[dict[str, Any]]:
    """Return the operation with that id, or a list: all without a name, else those whose id starts with "name."."""
    if not name:
        return catalogue
    _check_name(name)
    for entry in catalogue:
        if entry["id"] == name:
            return entry
    if matches := [entry for entry in catalogue if entry["id"].startswith(f"{name}.")]:
        return matches
    raise CliError(f"no operation matching '{name}' found; available operations: {_ids(catalogue)}")


def _ids(catalogue: list[dict[str, Any]]) -> str:
    return ", ".join(entry["id"] for entry in catalogue) or "none"


def _list_operations(
    session: CommandSession, entries: list[dict[str, Any]], name: str, *, has_parameters: bool
) -> None:
    if has_parameters and not name:
        session.output.warn("parameters ignored; no operation specified")
    elif has_parameters:
        noun = "operation" if len(entries) == 1 else "operations"
        session.output.warn(f"parameters ignored; prefix matched {len(entries)} {noun}")
    if session.output.as_json:
        session.output.json([_reduced(entry) for entry in entries])
        return
    rows = []
    for entry in map(_reduced, entries):
        shown = [
            f"-p {parameter['name']}=<{parameter['type']}>"
            + (f" [{parameter['location']}]" if parameter["location"] else "")
            + (" (required)" if parameter["required"] else "")
            for parameter in entry["parameters"]
        ]
        rows.append([entry["id"], entry["description"], entry["method"], ", ".join(shown)])
    session.output.table(_OPERATIONS, rows)


def _reduced(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a catalogue entry that the command line shows."""
    schema = entry.get("inputSchema")
    return {
        **{name: _text(entry.get(name)) for name in ("description", "id", "method", "title", "transport")},
        "inputSchema": schema if isinstance(schema, dict) else None,
        "parameters": [
            {
                **{name: _text(member(parameter, name)) for name in ("description", "location", "name")},
                "required": member(parameter, "required") is True,
                "type": _text(member(parameter, "type")) or "string",
            }
            for parameter in entry.get("parameters") or []
        ],
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def selected(value: Any, path: str) -> Any:
    """Return the part of a response that a dotted path of member names and array indexes leads to."""
    for key in filter(None, path.split(".")):
        if isinstance(value, dict):
            if key not in value:
                raise CliError(f"key '{key}' not found in response")
            value = value[key]
        elif isinstance(value, list):
            if not re.fullmatch(r"[0-9]{1,18}", key):
                raise CliError(f"expected numeric index for array, got '{key}'")
            if int(key) >= len(value):
                raise CliError(f"index {int(key)} out of bounds")
            value = value[int(key)]
        else:
            raise CliError("cannot traverse into non-object/non-array value")
    return value


# --- errors about connections -----------------------------------------------------------------------------------------

_BY_TEXT = (
    ("no token stored for integration", "not_connected"),
    ("expired or was revoked", "reconnect_required"),
    ("deployment/admin configuration", "admin_configuration_required"),
    ("deployment credential configured", "admin_configuration_required"),
    ("specify which instance", "instance_selection_required"),
    ("Pass --instance", "instance_selection_required"),
)


def _kind_of(error: ApiError) -> str:
    """Return the error's code; where the server sent none, the one that its text stands for."""
    return error.code or next((code for text, code in _BY_TEXT if text in error.text), "")


class _Explained:
    """Context manager: errors about connections say what to do."""

    def __init__(self, plugin: str, connection: str | None, instance: str | None) -> None:
        self._plugin = plugin
        options = [f" --connection {connection}"] if connection is not None else []
        options += [f" --instance {instance}"] if instance is not None else []
        self._command = f"`gestalt plugin connect {plugin}{''.join(options)}`"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ApiError):
            error.message = self._texts().get(_kind_of(error), error.message)

    def _texts(self) -> dict[str, str]:
        plugin = f'"{self._plugin}"'
        return {
            "not_connected": f"plugin {plugin} is not connected. Connect it first with {self._command}",
            "reconnect_required": (
                f"token for plugin {plugin} expired or was revoked. Reconnect it with {self._command}"
            ),
            "admin_configuration_required": (
                f"plugin {plugin} requires deployment/admin configuration before it can be invoked"
            ),
            "instance_selection_required": (
                f"plugin {plugin} has multiple connected instances. Pass --instance to choose one"
            ),
        }


# --- describe ---------------------------------------------------------------------------------------------------------


@plugin.command("describe")
@argument("plugin", help="Name of the plugin")
@argument("operation", help="Id of the operation")
@click.pass_obj
def describe(session: CommandSession, plugin: str, operation: str) -> None:
    """Show an operation and its parameters"""
    catalogue = operations_of(session.api(), plugin, {})
    entry = next((entry for entry in catalogue if entry["id"] == operation), None)
    if entry is None:
        raise CliError(f"operation '{operation}' not found; available operations: {_ids(catalogue)}")
    shown = _reduced(entry)
    output = session.output
    if output.as_json:
        output.json(shown)
        return
    output.line(f"Operation:   {shown['id']}")
    for name in ("method", "title", "description"):
        if shown[name]:
            output.line(f"{f'{name.capitalize()}:':<13}{shown[name]}")
    output.line("")
    if not shown["parameters"]:
        output.line("Parameters:  (none)")
    else:
        output.line("Parameters:")
        output.table(
            _PARAMETERS,
            [
                [entry["name"], entry["type"], entry["location"], "yes" if entry["required"] else "no"]
                for entry in shown["parameters"]
            ],
        )
    output.line("")
    output.line(f"Has structured input schema: {'yes' if shown['inputSchema'] is not None else 'no'}")
