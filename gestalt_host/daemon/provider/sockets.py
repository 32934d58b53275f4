"""`gestaltd provider sockets`: which sockets the hosts of this user serve and dial on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.control_client import all_providers
from gestalt_host.daemon.provider.hosts import HOST_OPTION, Name, Provider, RunningHost, chosen, running_hosts
from gestalt_host.daemon.provider.listing import table
from gestalt_host.daemon.provider.reflection_client import OF_GRPC, services_of
from gestalt_host.supervisor.about import SocketAbout

HELP = f"""\
List the sockets of the hosts that this user runs on this machine: each service of each provider, and of the host for
it. Services are what the server's reflection says, else what such a provider serves at the least.

Usage:
  gestaltd provider sockets [NAME] [--json] [--host PID|URL|CONFIG]

NAME is that of a provider, KIND/NAME where it is not unique, or host: its own sockets, those that the host serves to it
and its part of a store.

Options:
  --json                 A JSON list of hosts, with everything that is known of each socket.
{HOST_OPTION}
  -h, --help             This text.
"""
_HEADINGS = ("HOST", "PROVIDER", "SERVICE", "SOCKET", "FOR")

Listed = Sequence[tuple[Provider, SocketAbout, Sequence[str]]]


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Print the table.

    Raises:
        CommandFailed: no host runs, or none has such a provider.
    """
    hosts = running_hosts(options.last("host"))
    if options.arguments:
        host, provider = chosen(Name.of(options.arguments[0]), asyncio.run(all_providers(hosts)))
        if not provider.sockets:
            raise CommandFailed(f"{provider.shown} has no socket: {provider.reason}")
        hosts = [RunningHost(host.about, (provider,))]
    listed = [(host, asyncio.run(_listed(host))) for host in hosts]
    if "json" in options.flags:
        show(json.dumps([_as_json(host, items) for host, items in listed], indent=2, ensure_ascii=False))
        return
    show(table([_HEADINGS, *(row for host, items in listed for row in _rows(host, items))]))


async def _listed(host: RunningHost) -> Listed:
    """Return the sockets of the host's providers, each once, with their services; of one provider also what it uses."""
    is_one = len(host.providers) == 1
    found = [(item, socket) for item in host.providers for socket in (item.sockets if is_one else item.own)]
    services = await services_of(socket for _, socket in found)
    return [(item, socket, names) for (item, socket), names in zip(found, services, strict=True)]


def _rows(host: RunningHost, listed: Listed) -> Iterator[tuple[str, ...]]:
    for provider, socket, services in listed:
        for service in [name for name in services if not name.startswith(OF_GRPC)] or ["-"]:
            users = ", ".join(user for user in socket.used_by if user != provider.shown)
            yield str(host), provider.shown, service, socket.path, users or "-"


def _as_json(host: RunningHost, listed: Listed) -> dict[str, object]:
    about = host.about
    sockets = [
        {
            "kind": provider.kind,
            "provider": provider.name,
            "path": socket.path,
            "servedBy": socket.served_by,
            "variable": socket.variable,
            "usedBy": list(socket.used_by),
            "services": list(services),
        }
        for provider, socket, services in listed
    ]
    return {"url": about.url, "pid": about.pid, "config": list(about.config), "sockets": sockets}
