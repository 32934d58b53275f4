"""The hosts of this user that run on this machine, and the choice of one of them and of its provider by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from gestalt_host.daemon.errors import CommandFailed
from gestalt_host.supervisor.about import HOST, About, HostAbout, SocketAbout, read_abouts
from gestalt_host.supervisor.directories import base_directories, directories_in

HOST_OPTION = """\
  --host PID|URL|CONFIG  Which host, where several run: its process number, URL, port or configuration file."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of a running host, or the host itself.

    Attributes:
        own: Its own sockets, then those that the host serves to it.
        used: Sockets of stores that it was given.
        reason: Why it has no socket, where it has none.
    """

    kind: str
    name: str
    own: tuple[SocketAbout, ...] = ()
    used: tuple[SocketAbout, ...] = ()
    reason: str = ""

    @property
    def sockets(self) -> tuple[SocketAbout, ...]:
        return (*self.own, *self.used)

    @property
    def shown(self) -> str:
        return HOST if self.kind == HOST else f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class RunningHost:
    """A host that runs, with what has a socket there."""

    about: HostAbout
    providers: tuple[Provider, ...]

    def __str__(self) -> str:
        """Return its URL, process number and configuration, as lists show them."""
        return f"{self.about.url} (pid {self.about.pid}, {', '.join(self.about.config)})"

    @property
    def control(self) -> Path | None:
        """The socket of HostControl, None where it has none yet."""
        paths = [item.path for provider in self.providers if provider.kind == HOST for item in provider.sockets]
        return Path(paths[0]) if paths else None

    def matches(self, wanted: str) -> bool:
        """Tell whether ``--host`` means this one."""
        about = self.about
        names = {str(about.pid), about.port, f":{about.port}", about.url}
        return wanted.rstrip("/") in names or str(Path(wanted).resolve()) in {
            str(Path(path).resolve()) for path in about.config
        }


def running_hosts(wanted: str = "") -> list[RunningHost]:
    """Return the hosts that run, by URL; with ``wanted`` those that it means.

    Raises:
        CommandFailed: there is none.
    """
    found: dict[HostAbout, list[About]] = {}
    for about in read_abouts(directories_in(base_directories())):
        found.setdefault(about.host, []).append(about)
    hosts = [RunningHost(host, _providers(abouts)) for host, abouts in found.items()]
    hosts.sort(key=lambda host: (host.about.url, host.about.pid))
    if not hosts:
        raise CommandFailed("no host of this user runs on this machine; `gestaltd serve` starts one")
    chosen = [host for host in hosts if not wanted or host.matches(wanted)]
    if not chosen:
        raise CommandFailed(f'no running host is "{wanted}"; there are:{_lines(hosts)}')
    return chosen


@dataclass(frozen=True, slots=True)
class Name:
    """What was given as NAME: of a provider, perhaps with its kind before it."""

    kind: str
    name: str

    @classmethod
    def of(cls, text: str) -> Name:
        kind, slash, name = text.partition("/")
        return cls(kind, name) if slash else cls("", text)

    def means(self, kind: str, name: str) -> bool:
        return self.name == name and self.kind in ("", kind)

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.kind else self.name


def chosen(name: Name, hosts: Sequence[RunningHost]) -> tuple[RunningHost, Provider]:
    """Return the one provider that the name means.

    Raises:
        CommandFailed: there is none, or several.
    """
    found = [(host, item) for host in hosts for item in host.providers if name.means(item.kind, item.name)]
    if not found:
        known = list(dict.fromkeys(item.shown for host in hosts for item in host.providers))
        near = get_close_matches(str(name), [*known, *(text.rpartition("/")[2] for text in known)], 1)
        hint = f", did you mean {near[0]}?" if near else ""
        raise CommandFailed(f'no running provider is "{name}"{hint}; there are {", ".join(known)}')
    kinds = {item.shown for _, item in found}
    if len(kinds) > 1:
        raise CommandFailed(f'"{name}" may mean {" or ".join(sorted(kinds))}: say which')
    if len(found) > 1:
        raise CommandFailed(
            f"several running hosts have {found[0][1].shown}; --host says which:{_lines([host for host, _ in found])}"
        )
    return found[0]


def with_providers(host: RunningHost, others: Iterable[Provider]) -> RunningHost:
    """Return the host with those of the others too that it has no socket of."""
    known = {(item.kind, item.name) for item in host.providers}
    return replace(host, providers=(*host.providers, *(item for item in others if (item.kind, item.name) not in known)))


def _providers(abouts: Sequence[About]) -> tuple[Provider, ...]:
    """Return the providers of one host; a store may have a process, and so a directory, for each of its users."""
    own: dict[tuple[str, str], list[SocketAbout]] = {}
    for about in sorted(abouts, key=lambda about: (about.kind, about.name)):
        own.setdefault((about.kind, about.name), []).extend(about.sockets)
    every = [item for sockets in own.values() for item in sockets]
    found = []
    for (kind, name), sockets in own.items():
        used = [item for item in every if f"{kind}/{name}" in item.used_by and item not in sockets]
        found.append(Provider(kind, name, tuple(sockets), tuple(used)))
    return tuple(found)


def _lines(hosts: Iterable[RunningHost]) -> str:
    return "".join(f"\n  {host}" for host in hosts)
