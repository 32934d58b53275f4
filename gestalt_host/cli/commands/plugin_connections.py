"""Connecting a plugin: which connection, then a browser (OAuth) or prompts (manual credentials)."""

from __future__ import annotations

from typing import Any

from gestalt_host.cli import prompts
from gestalt_host.cli.api import Api, fetch, path_of, shown
from gestalt_host.cli.errors import CliError, failing_to
from gestalt_host.cli.output import member
from gestalt_host.cli.session import CommandSession

_FLOWS = {"oauth": "OAuth", "manual": "manual"}


def on_the_wire(connection: str) -> str:
    """Return the connection's name in requests: ``_plugin`` for the public name ``plugin``."""
    return "_plugin" if connection == "plugin" else connection


def connect(session: CommandSession, api: Api, name: str, wanted: str | None, instance: str | None) -> None:
    """Connect the plugin, asking for what the command line leaves open.

    Raises:
        CliError: no such plugin or connection, one that a user cannot connect, or a failed flow.
    """
    with failing_to("list plugins"):
        answer = api.get(path_of("integrations"))
    plugin = (
        next((entry for entry in answer if member(entry, "name") == name), None) if isinstance(answer, list) else None
    )
    if plugin is None:
        raise CliError(f"plugin '{name}' not found")
    connections = [entry for entry in member(plugin, "connections") or [] if isinstance(member(entry, "name"), str)]
    connection = _named(name, connections, wanted) if wanted is not None else _chosen(plugin, connections)
    _check(name, connection)

    request: dict[str, Any] = {"integration": name, "connection": on_the_wire(connection["name"])}
    if instance is not None:
        request["instance"] = instance
    flows = _flows(connection)
    if "oauth" in flows:
        _by_browser(session, api, name, connection, request)
    elif "manual" in flows:
        _by_hand(session, api, plugin, connection, request)
    else:
        raise CliError(f"plugin '{name}' does not expose a supported connection flow in the CLI")


def _named(plugin: str, connections: list[Any], wanted: str) -> Any:
    for connection in connections:
        if on_the_wire(connection["name"]) == on_the_wire(wanted):
            return connection
    available = ", ".join(connection["name"].removeprefix("_") for connection in connections)
    raise CliError(f"unknown connection '{wanted}' for plugin '{plugin}'; available connections: {available}")


def _chosen(plugin: Any, connections: list[Any]) -> Any:
    """Return the only connection that can be connected, or the one that the user picks."""
    name = plugin["name"]
    possible = [connection for connection in connections if _flows(connection) and not _refusal(name, connection)]
    if not possible and len(connections) == 1:
        return connections[0]  # refused with its own reason
    if not possible:
        raise CliError(f"plugin '{name}' does not expose a supported connection flow in the CLI")
    if len(possible) == 1:
        return possible[0]
    prompts.say(f"Select a {member(plugin, 'displayName') or name} connection:")
    for number, connection in enumerate(possible, 1):
        prompts.say(f"  {number}. {_label(connection)}")
        prompts.say(f"     Auth: {' / '.join(_FLOWS[flow] for flow in _flows(connection))}")
    return possible[prompts.choice(len(possible))]


def _label(connection: Any) -> str:
    name = str(connection["name"])
    return str(member(connection, "displayName") or ("plugin" if name == "_plugin" else name))


def _flows(connection: Any) -> list[str]:
    types = member(connection, "authTypes") or []
    return [flow for flow in _FLOWS if flow in types]


def _check(plugin: str, connection: Any) -> None:
    if refusal := _refusal(plugin, connection):
        raise CliError(refusal)


def _refusal(plugin: str, connection: Any) -> str:
    """Return why a user cannot connect it; empty when nothing is against it."""
    place = f"plugin '{plugin}' connection '{_public(connection)}'"
    modes = {member(connection, "credentialMode"), member(connection, "mode")}
    if "none" in modes:
        return f"{place} does not require a user connection"
    if "platform" in modes:
        if member(connection, "status") == "needs_admin_configuration":
            return f"{place} requires deployment/admin configuration"
        return f"{place} is managed by deployment/admin configuration and cannot be connected by a user"
    return ""


def _public(connection: Any) -> str:
    name = str(connection["name"])
    return "plugin" if name == "_plugin" else name


def _parameters(connection: Any) -> dict[str, str]:
    """Ask for the connection's parameters; what is left empty and has no default is left out."""
    answers: dict[str, str] = {}
    for name, described in sorted((member(connection, "connectionParams") or {}).items()):
        default = member(described, "default")
        label = member(described, "description") or name
        answer = prompts.text(str(label), default=default if isinstance(default, str) else "")
        if not answer and member(described, "required") is True:
            raise CliError(f"connection parameter '{name}' is required")
        if answer:
            answers[name] = answer
    return answers


def _by_browser(session: CommandSession, api: Api, name: str, connection: Any, request: dict[str, Any]) -> None:
    if params := _parameters(connection):
        request["connectionParams"] = params
    with failing_to(f"connect plugin '{name}'"):
        answer = api.post(path_of("auth", "start-oauth"), request)
    url = member(answer, "url")
    if not isinstance(url, str):
        raise CliError(f"failed to connect plugin '{name}': the server named no URL to open")
    session.output.say(f"Opening browser to connect {name}...")
    session.output.say(f"If the browser doesn't open, visit: {url}")
    prompts.open_browser(url)


def _by_hand(session: CommandSession, api: Api, plugin: Any, connection: Any, request: dict[str, Any]) -> None:
    name = plugin["name"]
    session.output.say(f"Connecting {member(plugin, 'displayName') or name} with manual auth.")
    if description := member(plugin, "description"):
        session.output.say(str(description))
    session.output.say(f"Connection: {_label(connection)}")
    request["connection"] = _public(connection)
    if params := _parameters(connection):
        request["connectionParams"] = params
    fields = [field for field in member(connection, "credentialFields") or [] if isinstance(member(field, "name"), str)]
    if len(fields) <= 1:
        label = member(fields[0], "label") or fields[0]["name"] if fields else "Credential"
        request["credential"] = session.keep_secret(prompts.secret(str(label)))
    else:
        request["credentials"] = {
            field["name"]: session.keep_secret(prompts.secret(str(member(field, "label") or field["name"])))
            for field in fields
        }
    with failing_to(f"connect plugin '{name}'"):
        answer = api.post(path_of("auth", "connect-manual"), request)
        if member(answer, "status") == "selection_required":
            candidate = _select_candidate(session, api, name, answer)
            session.output.done(f"Connected {name} ({candidate}).")
            return
    session.output.done(f"Connected {name}.")


def _select_candidate(session: CommandSession, api: Api, name: str, answer: Any) -> str:
    """Let the user pick one of the accounts that the credential opens, and save it; returns its name."""
    candidates = [
        str(member(candidate, "name") or member(candidate, "id")) for candidate in member(answer, "candidates") or []
    ]
    token, url = member(answer, "pendingToken"), member(answer, "selectionUrl")
    if not candidates or not isinstance(token, str) or not isinstance(url, str):
        raise CliError("the server asked for a selection without naming candidates")
    prompts.say(f"Gestalt found more than one {name} connection. Choose one to save:")
    for number, candidate in enumerate(candidates, 1):
        prompts.say(f"  {number}. {candidate}")
    index = prompts.choice(len(candidates))
    status, body = fetch(
        "POST",
        url if "://" in url else f"{api.base_url}{url}",
        headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
        content=prompts.form({"pending_token": session.keep_secret(token), "candidate_index": str(index)}),
        timeout_s=30,
    )
    if status >= 400:
        raise CliError(f"saving the selection failed (HTTP {status}): {shown(body)}")
    return candidates[index]
