"""Find what an operation is said to take, for commands that invoke it now or later."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from gestalt_host.cli.api import Api, path_of
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.json_lists import JsonValue
from gestalt_host.cli.output import Output, member

PLACE = ("_connection", "_instance")
"""Parameters of every operation, which say through which connection it is invoked."""


def operations_of(api: Api, plugin: str, query: Mapping[str, str]) -> list[dict[str, JsonValue]]:
    """Ask for a plugin's operations, each an object with an ``id`` and, if any, a list of ``parameters``.

    Args:
        query: ``_connection`` and ``_instance``, where given.

    Raises:
        CliError: no answer, or something else.
    """
    answer = api.get(path_of("integrations", plugin, "operations"), query)
    if not isinstance(answer, list) or not all(isinstance(member(entry, "id"), str) for entry in answer):
        raise CliError("the server's list of operations is not one: expected an array of objects with an id")
    for entry in answer:
        if not isinstance(entry.get("parameters", []), list | None):
            raise CliError(f"the server's description of operation '{entry['id']}' has parameters that are no array")
    return answer


def warn_of_unknown(output: Output, plugin: str, operation: dict[str, JsonValue] | None, names: Iterable[str]) -> None:
    """Tell a person which of the names the operation does not declare; it may use them nevertheless."""
    if operation is None or not output.has_reader:
        return
    schema = operation.get("inputSchema")
    properties, more = member(schema, "properties"), member(schema, "additionalProperties")
    declared = [
        *(member(entry, "name") for entry in operation.get("parameters") or []),
        *(properties if isinstance(properties, dict) else ()),
    ]
    declared = list(dict.fromkeys(name for name in declared if isinstance(name, str)))
    if more not in (None, False) or (not declared and more is None):
        return  # it takes more than it names, or names nothing
    for name in names:
        if name not in declared and name not in PLACE:
            similar = difflib.get_close_matches(name, declared, n=1)
            takes = f"a similar one exists: '{similar[0]}'" if similar else f"it takes: {', '.join(declared) or 'none'}"
            output.warn(f"unknown parameter '{name}' of {plugin}.{operation['id']}; {takes}")
