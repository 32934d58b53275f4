"""The command tree of ``gestalt`` and the options that every level takes."""

from __future__ import annotations

import sys

import click

from gestalt_host.cli import grammar
from gestalt_host.cli.commands import auth, config, plugin, provider, tokens, workflow
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.session import session_of, set_format, set_timeout, set_url
from gestalt_sdk.version import VERSION


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"gestalt {VERSION}")
        ctx.exit()


@click.command(
    cls=grammar.Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
              help="Print version")  # fmt: skip
@click.pass_context
def root(ctx: click.Context) -> None:
    """Invoke plugin operations, and schedule them or let events trigger them, on a Gestalt server."""
    if ctx.invoked_subcommand is not None:
        return
    click.echo(ctx.get_help())
    sys.stdout.flush()
    session = session_of(ctx)
    try:
        server = session.find_server()
    except CliError:
        server = None
    if server is None:
        session.output.say("\nTarget server: not configured")
    else:
        not_asked = " (not allowed)" if server.refusal else ""
        session.output.say(f"\nTarget server: {server.shown}{not_asked}\nConfig source: {server.source}")


def _hidden(command: click.Command) -> click.Command:
    """Make the same command once more, not listed."""
    return grammar.GestaltCommand(
        command.name, params=command.params, callback=command.callback, help=command.help, hidden=True
    )


def _add_global_options(command: click.Command) -> None:
    """Add ``--format``, ``--timeout`` and ``--url`` to a command and everything below it."""
    options = [
        click.Option(["--format"], metavar="FORMAT", type=grammar.OneOf(["json", "table"]), expose_value=False,
                     callback=set_format, help="Output format [default: table] [possible values: json, table]"),
        click.Option(["--timeout"], metavar="DURATION", type=grammar.Duration(), expose_value=False,
                     callback=set_timeout,
                     help="How long to wait for an answer, such as 90s or 5m; none for no limit [default: 30s]"),
        click.Option(["--url"], metavar="URL", expose_value=False, callback=set_url,
                     help="Server URL, before any configured one"),
    ]  # fmt: skip
    command.params = [*command.params, *options]
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _add_global_options(child)


_LISTED: tuple[click.Command, ...] = (
    auth.auth,
    auth.init,
    config.config,
    plugin.plugin,
    provider.provider,
    tokens.tokens,
    workflow.workflow,
)
for _command in (*_LISTED, _hidden(plugin.invoke), _hidden(plugin.describe)):
    root.add_command(_command)
_add_global_options(root)
