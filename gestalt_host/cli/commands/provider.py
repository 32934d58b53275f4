"""``gestalt provider``: which providers the server runs, and in which state they are."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

import click

from gestalt_host.cli.api import path_of
from gestalt_host.cli.errors import CliError, failing_to
from gestalt_host.cli.grammar import Group, Name, OneOf, argument, bad_value, option
from gestalt_host.cli.json_lists import JsonValue
from gestalt_host.cli.output import cell, member, text_or_dash
from gestalt_host.cli.session import CommandSession
from gestalt_host.cli.tables import TableColumn

KINDS = ("plugin", "workflow", "indexeddb")
STATES = ("starting", "ready", "unhealthy", "silent", "restarting", "failed", "stopped", "unused")
_PROVIDERS = path_of("providers")
_COLUMNS = (
    TableColumn("Name"),
    TableColumn("Kind"),
    TableColumn("State"),
    TableColumn("Since"),
    TableColumn("Restarts"),
    TableColumn("Version", 2),
    TableColumn("PID", 3),
    TableColumn("Reason", 1, wraps=True),
)
_FACTS = (TableColumn("Fact"), TableColumn("Value", wraps=True))
_TITLES = {
    "name": "Name",
    "kind": "Kind",
    "state": "State",
    "since": "Since",
    "restarts": "Restarts",
    "reason": "Reason",
    "lastError": "Last error",
    "notices": "Notice",
    "displayName": "Display name",
    "version": "Version",
    "package": "Package",
    "source": "Source",
    "digest": "Digest",
    "runtime": "Runtime",
    "pid": "PID",
    "memoryBytes": "Memory",
    "capabilities": "Capabilities",
    "processes": "Process",
}
"""What one provider is shown with, in this order; whatever else the server says comes behind it by its own name."""


class ProviderName(Name):
    """``NAME`` or ``KIND/NAME``."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind, slash, name = super().convert(value, param, ctx).partition("/")
        if slash and (not kind or name in ("", ".", "..") or "/" in name):
            raise bad_value(value, param, ctx, "expected NAME or KIND/NAME")
        return value


@click.command(cls=Group, aliases=("providers",))
def provider() -> None:
    """Providers that the server runs: plugins, workflow providers and stores"""


@provider.command("list")
@option("--kind", metavar="KIND", type=OneOf(KINDS), help=f"Only those of this kind: {', '.join(KINDS)}")
@option("--state", metavar="STATE", type=OneOf(STATES), help=f"Only those in this state: {', '.join(STATES)}")
@click.pass_obj
def list_providers(session: CommandSession, kind: str | None, state: str | None) -> None:
    """List providers and their states"""
    query = {name: value for name, value in (("kind", kind), ("state", state)) if value is not None}
    with failing_to("list providers"):
        answer = session.api().get(_PROVIDERS, query)
    if session.output.as_json:
        session.output.json(answer)
        return
    session.output.table(_COLUMNS, [_row(report) for report in answer] if isinstance(answer, list) else [])


@provider.command("get")
@argument(
    "provider",
    metavar="NAME",
    type=ProviderName(),
    help="Name of the provider, or KIND/NAME where several have the name",
)
@click.pass_obj
def get(session: CommandSession, provider: str) -> None:
    """Show all that is known of a provider"""
    with failing_to(f"get provider {provider}"):
        report = _found(session, provider)
    if session.output.as_json:
        session.output.json(report)
    else:
        session.output.table(_FACTS, list(_facts(report)))


def _found(session: CommandSession, given: str) -> JsonValue:
    """Return the report of the provider that ``NAME`` or ``KIND/NAME`` names.

    Raises:
        CliError: there is none, or there are several.
    """
    kind, slash, name = given.partition("/")
    if slash:
        return session.api().get(path_of("providers", kind, name))
    answer = session.api().get(_PROVIDERS)
    reports = answer if isinstance(answer, list) else []
    named = [report for report in reports if member(report, "name") == given]
    if len(named) == 1:
        return named[0]
    if named:
        paths = " and ".join(f"{member(report, 'kind')}/{given}" for report in named)
        raise CliError(f"several providers have this name: {paths}")
    known = dict.fromkeys(name for report in reports if isinstance(name := member(report, "name"), str))
    similar = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    tip = f"a similar one exists: '{similar[0]}'" if similar else "all of them: gestalt provider list"
    raise CliError(f"no provider has this name; {tip}")


def _row(report: JsonValue) -> list[str]:
    restarts, pid = member(report, "restarts"), member(report, "pid")
    return [
        text_or_dash(member(report, "name")),
        text_or_dash(member(report, "kind")),
        text_or_dash(member(report, "state")),
        _second(text_or_dash(member(report, "since"))),
        "-" if restarts is None else cell(restarts),
        text_or_dash(member(report, "version")),
        "-" if pid is None else cell(pid),
        text_or_dash(member(report, "reason")),
    ]


def _facts(report: JsonValue) -> Iterator[tuple[str, str]]:
    """Yield what is shown of one provider, a title and a text each; of a list each item by itself."""
    if not isinstance(report, Mapping):
        return
    further = sorted(report.keys() - _TITLES.keys())
    for key in (*(key for key in _TITLES if key in report), *further):
        title, value = _TITLES.get(key, key), report[key]
        if key == "since":
            yield title, _second(cell(value))
        elif key == "memoryBytes" and isinstance(value, int):
            yield title, f"{value / (1 << 20):.1f} MiB"
        elif key == "lastError":
            yield title, f"{_second(text_or_dash(member(value, 'at')))}  {text_or_dash(member(value, 'text'))}"
        elif key == "capabilities" and isinstance(value, list):
            yield title, ", ".join(map(cell, value))
        elif key == "processes" and isinstance(value, list):
            for process in value:
                yield title, _process(process)
        elif isinstance(value, list):
            for item in value:
                yield title, cell(item)
        else:
            yield title, cell(value)


def _process(report: JsonValue) -> str:
    """Return one process of several in a line."""
    since = _second(text_or_dash(member(report, "since")))
    text = f"{member(report, 'binding') or '-'}: {text_or_dash(member(report, 'state'))} since {since}"
    for key, word in (("pid", "PID"), ("restarts", "restarts")):
        if (value := member(report, key)) is not None:
            text += f", {word} {cell(value)}"
    reason = member(report, "reason")
    return f"{text}: {reason}" if isinstance(reason, str) and reason else text


def _second(moment: str) -> str:
    """Return a time of the server without its fraction."""
    whole, dot, _ = moment.partition(".")
    return f"{whole}Z" if dot else moment
