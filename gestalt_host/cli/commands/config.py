"""``gestalt config``: the user-level configuration file."""

from __future__ import annotations

import click

from gestalt_host.cli import servers, settings
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.grammar import Group, argument
from gestalt_host.cli.output import Output
from gestalt_host.cli.session import CommandSession
from gestalt_host.cli.tables import TableColumn
from gestalt_host.cli.urls import concealed, normalise_url


@click.command(cls=Group)
def config() -> None:
    """Read and change the user's configuration file"""


_key = argument("key", help="Configuration key: url", type=str)


@config.command("get")
@_key
@click.pass_obj
def get(session: CommandSession, key: str) -> None:
    """Print the value of a key"""
    _check(key)
    value = settings.load_user_config(session.environ).get(key)
    if session.output.as_json:
        session.output.json({key: value})
    elif value is None:
        session.output.say(f"{key} is not set")
    else:
        session.output.line(value)


@config.command("set")
@_key
@argument("value", help="New value", type=str)
@click.pass_obj
def set_value(session: CommandSession, key: str, value: str) -> None:
    """Set a key"""
    _check(key)
    value = normalise_url(value)
    settings.save_user_config(session.environ, {**settings.load_user_config(session.environ), key: value})
    session.output.done(f"{key} = {concealed(value)}")


@config.command("unset")
@_key
@click.pass_obj
def unset(session: CommandSession, key: str) -> None:
    """Remove a key"""
    _check(key)
    values = settings.load_user_config(session.environ)
    values.pop(key, None)
    settings.save_user_config(session.environ, values)
    session.output.done(f"{key} removed")


@config.command("list")
@click.pass_obj
def list_values(session: CommandSession) -> None:
    """Print every key in the file"""
    values = settings.load_user_config(session.environ)
    _print(session.output, values)
    try:
        project = session.directory and servers.project_server(session.environ, session.directory)
    except CliError as error:
        session.output.warn(error.message)
    else:
        if project and project.refusal:
            session.output.warn(f"{project.place}: {project.refusal}")


def _print(output: Output, values: dict[str, str]) -> None:
    if output.as_json:
        output.json(values)
    elif not values:
        output.line("No configuration set.")
    else:
        output.table(
            [TableColumn("Key"), TableColumn("Value", wraps=True)], [[key, values[key]] for key in sorted(values)]
        )


def _check(key: str) -> None:
    if key not in settings.KEYS:
        raise CliError(f"unknown config key '{key}'. Valid keys: {', '.join(settings.KEYS)}")
