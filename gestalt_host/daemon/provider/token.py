"""`gestaltd provider token`: a token with which a plugin's host services can be called by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.control_client import all_providers, control_of
from gestalt_host.daemon.provider.hosts import HOST_OPTION, Name, chosen, running_hosts

HELP = f"""\
Print an invocation token with which the host services of a plugin can be called as that plugin would, for the user of a
host without authentication. It is accepted for 60 seconds, and the host logs that it made it.

Usage:
  gestaltd provider token PLUGIN [--host PID|URL|CONFIG]

Options:
{HOST_OPTION}
  -h, --help             This text.
"""


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Print the token.

    Raises:
        CommandFailed: there is no such plugin, or the host does not answer.
    """
    show(asyncio.run(_token(Name.of(options.arguments[0]), options.last("host"))))


async def _token(name: Name, wanted: str) -> str:
    host, provider = chosen(name, await all_providers(running_hosts(wanted)))
    if provider.kind != "plugin":
        raise CommandFailed(f"{provider.shown} is no plugin: tokens are for the host services of plugins")
    if not provider.sockets:
        raise CommandFailed(f"{provider.shown} has no host services: {provider.reason}")
    async with control_of(host) as control:
        return await control.token(provider.name)
