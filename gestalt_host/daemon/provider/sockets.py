"""`gestaltd provider sockets`: which sockets the hosts of this user serve and dial on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent

from gestalt_host.daemon.console import show
from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.daemon.options import Options
from gestalt_host.daemon.provider.control_client import all_providers
from gestalt_host.daemon.provider.hosts import HOST_OPTION, Name, Provider, RunningHost, chosen, running_hosts
from gestalt_host.daemon.provider.listing import table
from gestalt_host.daemon.provider.reflection_client import OF_GRPC, services_of
from gestalt_host.supervisor.about import SocketAbout
from gestalt_sdk.common.printable import printable

HELP = f"""\
List the sockets of the hosts that this user runs on this machine: below each host its providers, and of each what it
serves, and what the host serves to it, with the path of the socket. A part of a store stands below the store and whom
it is for. Services are what the server's reflection says, else what such a provider serves at the least; ours are shown
without their package.

Usage:
  gestaltd provider sockets [NAME] [--json] [--host PID|URL|CONFIG]

NAME is that of a provider, KIND/NAME where it is not unique, or host: its own sockets, those that the host serves to it
and its part of a store.

Options:
  --json                 For programs: a JSON list of hosts, with everything that is known of each socket.
{HOST_OPTION}
  -h, --help             This text.
"""
_OURS = ("gestalt.provider.v1.", "gestalt.extension.v1.")
"""Packages whose services are known by their short names, to `provider call` and `describe` too."""

Listed = Sequence[tuple[Provider, SocketAbout, Sequence[str]]]


def run(options: Options, environ: Mapping[str, str]) -> None:
    """Print the list.

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
    show("\n\n".join("\n".join(_lines(host, items)) for host, items in listed))


async def _listed(host: RunningHost) -> Listed:
    """Return the sockets of the host's providers, each once, with their services; of one provider also what it uses."""
    is_one = len(host.providers) == 1
    found = [(item, socket) for item in host.providers for socket in (item.sockets if is_one else item.own)]
    services = await services_of(socket for _, socket in found)
    return [(item, socket, names) for (item, socket), names in zip(found, services, strict=True)]


def _lines(host: RunningHost, listed: Listed) -> Iterator[str]:
    """Yield the host, and below it each provider with a row for each service of each of its sockets."""
    yield printable(str(host))
    below: dict[str, list[tuple[str, str]]] = {}
    for provider, socket, services in listed:
        users = ", ".join(user for user in socket.used_by if user != provider.shown)
        rows = below.setdefault(f"{provider.shown} for {users}" if users else provider.shown, [])
        shown = [_short(name) for name in sorted(services, key=_place) if not name.startswith(OF_GRPC)]
        rows += [(name, socket.path) for name in shown or ["-"]]
    for name, rows in below.items():
        yield printable(f"  {name}")
        yield indent(table(rows), "    ")


def _place(service: str) -> tuple[bool, str]:
    """Return where a service stands among those of its socket: the contract's first."""
    return not service.startswith(_OURS[0]), service


def _short(service: str) -> str:
    for package in _OURS:
        service = service.removeprefix(package)
    return service


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
