"""One command of `gestaltd provider`, from its words to what it does; ``SUBCOMMANDS`` has a row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from gestalt_host.daemon.errors import UsageWrong
from gestalt_host.daemon.options import HELP_WORDS, parse_options

_HERE = __package__


@dataclass(frozen=True, slots=True)
class Subcommand:
    """Say how one subcommand is run and listed.

    Attributes:
        module: Beside this one; imported when the command runs.
        does: Its function, ``(options, environ)``, which does what was asked or raises ``HostError``. ``--help`` prints
            the module's ``HELP``, where that is a mapping the text for this function.
        summary: One line for the list of commands.
        usage: What follows ``gestaltd provider``: the command and its arguments, without options.
        options: Names of options that take a value.
        flags: Names of options that take none.
        least: As many arguments must be given.
        most: More than these may not be given; None: any number.
        misused: Exit status when the words are not accepted.
    """

    module: str
    summary: str
    usage: str
    options: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    least: int = 0
    most: int | None = 0
    does: str = "run"
    misused: int = 1


_CHANGED = ("lockfile", "config", "kind")
SUBCOMMANDS: Mapping[str, Subcommand] = {
    "search": Subcommand(
        "discovery",
        "Find packages in the repositories.",
        "search [QUERY]...",
        ("repo", "config"),
        most=None,
        does="search",
    ),
    "info": Subcommand(
        "discovery", "Show the versions of a package.", "info PACKAGE", ("repo", "config"), least=1, most=1, does="info"
    ),
    "add": Subcommand(
        "packages",
        "Put a package into the configuration and lock it.",
        "add PACKAGE",
        (*_CHANGED, "name", "version", "repo", "set"),
        ("no-lock", "sync", "exact-source", "dry-run"),
        least=1,
        most=1,
        does="add",
    ),
    "list": Subcommand(
        "listing",
        "List the configured providers and what their locks are worth.",
        "list",
        options=("kind", "lockfile", "config"),
    ),
    "remove": Subcommand(
        "packages",
        "Take a provider out of the configuration and its lock.",
        "remove NAME",
        _CHANGED,
        ("no-lock",),
        least=1,
        most=1,
        does="remove",
    ),
    "upgrade": Subcommand(
        "packages",
        "Lock newer versions, or change which versions of a package are accepted.",
        "upgrade [NAME]",
        (*_CHANGED, "version"),
        most=1,
        does="upgrade",
    ),
    "release": Subcommand(
        "release",
        "Make a release of the provider in this directory: archives, check sums, metadata.",
        "release --version V",
        ("version", "output", "platform", "sign", "find-links", "extra"),
    ),
    "sockets": Subcommand(
        "sockets",
        "List the sockets of the hosts that run on this machine, and what each serves.",
        "sockets [NAME]",
        ("host",),
        ("json",),
        most=1,
    ),
    "logs": Subcommand(
        "logs",
        "Print what a provider of a running host wrote last, and what it writes.",
        "logs NAME",
        ("n", "lines", "host"),
        ("f", "follow", "raw"),
        least=1,
        most=1,
    ),
    "call": Subcommand(
        "call",
        "Call a method of a provider of a running host, or of a host service as it would.",
        "call NAME SERVICE/METHOD",
        ("d", "data", "H", "header", "socket", "timeout", "max-messages", "host"),
        least=2,
        most=2,
    ),
    "describe": Subcommand(
        "describe",
        "Show what can be called on a provider of a running host, and what its messages are like.",
        "describe NAME [SYMBOL]",
        ("socket", "host"),
        least=1,
        most=2,
    ),
    "token": Subcommand(
        "token",
        "Print a token with which a plugin's host services can be called.",
        "token PLUGIN",
        ("host",),
        least=1,
        most=1,
    ),
    "new": Subcommand(
        "authoring.new",
        "Make a new provider that works: source, tests, README, recipe of a release.",
        "new KIND [NAME] --language LANGUAGE",
        ("language", "output"),
        most=2,
    ),
    "dev": Subcommand(
        "authoring.dev",
        "Run the provider in a folder, and start it again at every change.",
        "dev [PATH]",
        ("path", "name", "config", "port", "with"),
        most=1,
    ),
    "verify": Subcommand(
        "authoring.verify",
        "Try on a provider what every provider must do.",
        "verify SOURCE",
        ("kind", "config", "format", "output", "rule"),
        ("list",),
        most=1,
        misused=2,
    ),
    "keygen": Subcommand("keygen", "Make a key to sign releases with.", "keygen", ("output",)),
}
REPO_SUBCOMMANDS: Mapping[str, Subcommand] = {
    "add": Subcommand(
        "repositories", "Name a repository.", "repo add NAME URL", ("config",), least=2, most=2, does="add"
    ),
    "list": Subcommand("repositories", "List the repositories.", "repo list", ("config",), does="list_all"),
    "remove": Subcommand(
        "repositories", "Forget a repository.", "repo remove NAME", ("config",), least=1, most=1, does="remove"
    ),
    "update": Subcommand(
        "repositories",
        "Fetch the index of every repository and keep a copy.",
        "repo update",
        ("config",),
        does="update",
    ),
}


def run_provider_command(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run one subcommand.

    Returns:
        The help text that was asked for, blank when the command was carried out.
    Raises:
        HostError: it was not carried out.
    """
    if words[:1] == ["repo"]:
        return _run(words[1:], environ, "provider repo", REPO_SUBCOMMANDS)
    return _run(words, environ, "provider", SUBCOMMANDS)


def _run(words: Sequence[str], environ: Mapping[str, str], group: str, table: Mapping[str, Subcommand]) -> str:
    name = words[0] if words else "help"
    if name.lstrip("-") in HELP_WORDS:
        return _group_help(group, table)
    if name not in table:
        known = ", ".join(name for name, _ in _rows(group, table))
        raise UsageWrong(f'unknown {group} command "{name}"; there are {known}')
    command = table[name]
    module = import_module(f"{_HERE}.{command.module}")
    text = module.HELP if isinstance(module.HELP, str) else module.HELP[command.does]
    try:
        options = parse_options(
            words[1:],
            command.options,
            text,
            flags=command.flags,
            most=command.most,
            options_anywhere=True,
        )
    except UsageWrong as error:
        error.exit_status = command.misused
        raise
    if options.help:
        return str(text)
    if len(options.arguments) < command.least:
        raise UsageWrong(f"usage: gestaltd provider {command.usage}")
    getattr(module, command.does)(options, environ)
    return ""


def _rows(group: str, table: Mapping[str, Subcommand]) -> list[tuple[str, Subcommand | None]]:
    """Return the commands of a group by name; None stands for another group."""
    return [*table.items(), *([("repo", None)] if group == "provider" else [])]


def _group_help(group: str, table: Mapping[str, Subcommand]) -> str:
    rows = _rows(group, table)
    width = max((len(name) for name, _ in rows), default=0)
    lines = [f"  {name:<{width}}  {command.summary if command else _REPO_SUMMARY}" for name, command in rows]
    text = [_ABOUT[group], "", "Usage:", f"  gestaltd {group} <command> [flags]", "", "Commands:", *lines, ""]
    return "\n".join([*text, f"`gestaltd {group} <command> --help` says what a command takes.", ""])


_REPO_SUMMARY = "Add, list, remove and refresh package repositories."
_ABOUT = {
    "provider": "Find provider packages, put them into a configuration, release one's own, and look into running ones.",
    "provider repo": "Add, list, remove and refresh package repositories.",
}
