"""What lies in a directory of sockets for people and programs to read: whose it is, and what each socket serves."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from gestalt_sdk.common.process_identity import ProcessIdentity

_PACKAGE = "gestalt.provider.v1"
INDEXEDDB = (f"{_PACKAGE}.IndexedDB",)
SERVICES: Mapping[str, tuple[str, ...]] = {
    "plugin": (f"{_PACKAGE}.IntegrationProvider",),
    "workflow": (f"{_PACKAGE}.ProviderLifecycle", f"{_PACKAGE}.WorkflowProvider"),
    "indexeddb": (f"{_PACKAGE}.ProviderLifecycle", *INDEXEDDB),
}
"""What a provider of each kind serves on its own socket at the least."""
DECLARATIVE = "it is declarative, the host sends its requests itself"
"""Why such a plugin has no process and no socket."""
FILE = "about.json"
HOST = "host"
"""Kind and name of the host's own directory."""
LONGEST_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HostAbout:
    """The host that a directory belongs to.

    Attributes:
        process: Its identity, as ``ProcessIdentity`` writes it.
        url: Where its API is reached from this machine.
        config: Absolute paths of its configuration files.
    """

    process: str = ""
    url: str = ""
    config: tuple[str, ...] = ()

    @classmethod
    def of_this_process(cls, url: str, config: Iterable[Path]) -> HostAbout:
        """Return what is to be told of a host that runs in this process."""
        return cls(str(ProcessIdentity.of(os.getpid())), url, tuple(str(path.absolute()) for path in config))

    @property
    def pid(self) -> int:
        """Its process number, 0 when it is not known."""
        found = ProcessIdentity.parse(self.process)
        return found.pid if found is not None else 0

    @property
    def is_running(self) -> bool:
        """Whether the host certainly runs."""
        found = ProcessIdentity.parse(self.process)
        return found is not None and found.is_running()

    @property
    def port(self) -> str:
        """The port of its API, blank when it has none."""
        return str(urlsplit(self.url).port or "")


@dataclass(frozen=True, slots=True)
class SocketAbout:
    """One socket.

    Attributes:
        services: Full names of what it serves, as far as the host knows; a provider's reflection may know more.
        served_by: ``provider`` or ``host``.
        variable: The environment variable that tells its users the path; blank for a provider's own socket.
        used_by: ``KIND/NAME`` of each provider that was given the path.
    """

    path: str
    services: tuple[str, ...] = ()
    served_by: str = "provider"
    variable: str = ""
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """A directory of sockets: of one process of a provider, or of the host itself (kind and name ``host``)."""

    host: HostAbout
    kind: str
    name: str
    sockets: tuple[SocketAbout, ...] = field(default=())

    @property
    def label(self) -> str:
        """What the directory's name says: port, kind and name."""
        return "-".join(dict.fromkeys(filter(None, (self.host.port, self.kind, self.name))))


def write_about(directory: Path, about: About) -> None:
    """Write the file, mode 0600, in one step.

    Raises:
        OSError: it cannot be written.
    """
    fresh = directory / f".{FILE}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(asdict(about), option=orjson.OPT_INDENT_2))
    fresh.replace(directory / FILE)


def read_about(directory: Path) -> About | None:
    """Return what the directory says of itself; None where that cannot be read, or another user owns it."""
    try:
        found = directory.lstat()
        path = directory / FILE
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or path.stat().st_size > LONGEST_FILE_BYTES:
            return None
        return _about(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read_abouts(directories: Iterable[Path]) -> Iterator[About]:
    """Yield what those directories say whose host certainly runs, as far as can be told from here."""
    for directory in directories:
        about = read_about(directory)
        if about is not None and about.host.is_running:
            yield about


def _about(found: Any) -> About:
    host = found["host"]
    sockets = tuple(
        SocketAbout(
            str(item["path"]),
            tuple(map(str, item["services"])),
            str(item["served_by"]),
            str(item["variable"]),
            tuple(map(str, item["used_by"])),
        )
        for item in found["sockets"]
    )
    told = HostAbout(str(host["process"]), str(host["url"]), tuple(map(str, host["config"])))
    return About(told, str(found["kind"]), str(found["name"]), sockets)


class AboutFile:
    """The file of one directory, which is written anew with each socket that comes to be known."""

    def __init__(self, directory: Path, about: About) -> None:
        self._directory = directory
        self._about = about
        self._sockets: dict[str, SocketAbout] = {item.path: item for item in about.sockets}

    def note(self, *sockets: SocketAbout) -> None:
        """Add the sockets, or what is new about them, and write the file."""
        self._sockets |= {item.path: item for item in sockets}
        self.write()

    def note_user(self, path: str, services: tuple[str, ...], variable: str, user: str) -> None:
        """Note that a provider of this directory serves another one, ``user``, on that socket."""
        before = self._sockets.get(path)
        users = (*(() if before is None else before.used_by), *((user,) if user else ()))
        self.note(SocketAbout(path, services, "provider", variable, tuple(dict.fromkeys(users))))

    def write(self) -> None:
        """Write the file. It is for people: a full disk keeps no provider from running."""
        about = self._about
        with suppress(OSError):
            write_about(self._directory, About(about.host, about.kind, about.name, tuple(self._sockets.values())))
