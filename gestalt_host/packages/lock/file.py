"""The lock file's bytes: `gestalt.lock.json` (packaging.md 10.1)."""

from __future__ import annotations

import errno
import glob
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from gestalt_host.config.document import MAX_DEPTH
from gestalt_host.config.errors import ConfigurationUnreadable
from gestalt_host.config.files import read_text
from gestalt_host.config.json_tree import is_too_deep
from gestalt_host.errors import HostError
from gestalt_host.packages.digests import escaped_json
from gestalt_host.packages.directory_locks import lock_directory
from gestalt_host.packages.kinds import ENTRY_KINDS
from gestalt_host.packages.lock.model import Key, Lock, LockedCatalogue, LockEntry
from gestalt_host.packages.releases.resolve import Archive

FILE_NAME = "gestalt.lock.json"
SCHEMA = "gestaltd-provider-lock"
VERSIONS = (5, 6)
"""Read are all of these, written is the last one."""
SECTIONS = tuple(kind.section for kind in ENTRY_KINDS.values())
MOST_BYTES = 64 * 1024 * 1024
"""Of a lock file: it holds the manifest of each entry, of up to 4 MiB."""
_MOST_LEVELS = 2 * MAX_DEPTH
"""Of its objects and lists inside each other; those of a manifest in it are fewer."""
_MODE = 0o644
WAIT_S = 60
"""For another writer of a lock file in the same directory."""
T = TypeVar("T")


class LockUnreadable(HostError):
    """There is no lock file, or none that this version reads; the text names the file and why."""


def read_lock(path: Path) -> Lock:
    """Read a lock file. Keys that are not known, the case of keys and ``revision`` do not matter.

    Raises:
        LockUnreadable: also when there is none.
    """
    try:
        document = json.loads(read_text(path, most_bytes=MOST_BYTES))
        if is_too_deep(document, _MOST_LEVELS):
            raise RecursionError
    except ConfigurationUnreadable as error:
        raise LockUnreadable(f"open {path}: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except ValueError as error:
        raise LockUnreadable(f"{path}: not JSON: {error}") from None
    except RecursionError:
        raise LockUnreadable(f"{path}: is nested too deeply; accepted are {_MOST_LEVELS} levels") from None
    return _Reader(path).lock(document)


def lock_text(lock: Lock) -> str:
    """Return the content of the lock's file."""
    providers: dict[str, dict[str, object]] = {}
    for section in SECTIONS:
        for name in sorted(name for other, name in lock.entries if other == section):
            providers.setdefault(section, {})[name] = _written(lock.entries[section, name])
    document = {"schema": SCHEMA, "schemaVersion": VERSIONS[-1], "revision": 0, "providers": providers}
    return escaped_json(document, indent=2) + "\n"


def write_lock(path: Path, lock: Lock) -> None:
    """Put the lock file in place; whoever is interrupted leaves the old one whole.

    Raises:
        OSError: it cannot be written.
    """
    content = lock_text(lock).encode()
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it would have {len(content)} bytes; accepted are {MOST_BYTES}")
    path = path.resolve()  # a symbolic link stays one
    prefix = f".{path.name}.new-"  # of nobody else: editors keep files of theirs beside the one that they edit
    with _alone_in(path.parent):
        for left in path.parent.glob(f"{glob.escape(prefix)}*"):
            left.unlink(missing_ok=True)  # of a process that was killed while it wrote
        descriptor, temporary = tempfile.mkstemp(prefix=prefix, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(descriptor, _MODE)
                os.fsync(descriptor)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Keep other writers of lock files out of the directory, as far as its file system has locks.

    Raises:
        TimeoutError: somebody keeps us out.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            lock_directory(descriptor, WAIT_S)
        except TimeoutError:
            raise
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def _written(entry: LockEntry) -> dict[str, object]:
    written: dict[str, object] = {
        "inputDigest": entry.input_digest,
        "package": entry.package,
        "kind": entry.kind,
        "runtime": entry.runtime,
    }
    archives = {name: _present(url=item.url, sha256=item.sha256) for name, item in sorted(entry.archives.items())}
    written |= _present(source=entry.source, version=entry.version, archives=archives, manifest=entry.manifest)
    if entry.catalogue is not None:
        catalogue = entry.catalogue
        written |= _present(
            catalogAvailable=catalogue.is_available,
            catalogFingerprint=catalogue.fingerprint,
            catalogOperations=list(catalogue.operations),
            catalogSessionOnly=catalogue.is_session_only,
        )
    return written


def _present(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value}


class _Reader:
    """Reads the parsed document of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lock(self, document: object) -> Lock:
        top = self._members(document, "the document")
        if top.get("schema") != SCHEMA:
            raise self._refused(f'schema is {top.get("schema")!r}; accepted is "{SCHEMA}"')
        version = top.get("schemaversion")
        if isinstance(version, bool) or version not in VERSIONS:
            raise self._refused(f"schemaVersion is {version!r}; accepted are {' and '.join(map(str, VERSIONS))}")
        entries: dict[Key, LockEntry] = {}
        sections = self._members(top.get("providers"), "providers")
        for section in SECTIONS:
            for name, value in self._map(sections.get(section.lower()), f"providers.{section}").items():
                entries[section, name] = self._entry(value, f"providers.{section}.{name}")
        return Lock(entries)

    def _entry(self, value: object, where: str) -> LockEntry:
        members = self._members(value, where)

        def text(key: str) -> str:
            return self._typed(members.get(key.lower(), ""), str, f"{where}.{key}", "text")

        manifest = members.get("manifest")
        if manifest is not None:
            manifest = self._map(manifest, f"{where}.manifest")
        return LockEntry(
            input_digest=text("inputDigest"),
            package=text("package"),
            kind=text("kind"),
            runtime=text("runtime"),
            source=text("source"),
            version=text("version"),
            archives=self._archives(members.get("archives"), f"{where}.archives"),
            manifest=manifest,
            catalogue=self._catalogue(members, where, text),
        )

    def _archives(self, value: object, where: str) -> dict[str, Archive]:
        archives = {}
        for platform, item in self._map(value, where).items():
            members = self._members(item, f"{where}.{platform}")
            url, sha256 = (
                self._typed(members.get(key, ""), str, f"{where}.{platform}.{key}", "text") for key in ("url", "sha256")
            )
            archives[platform] = Archive(url, sha256)
        return archives

    def _catalogue(
        self, members: Mapping[str, object], where: str, text: Callable[[str], str]
    ) -> LockedCatalogue | None:
        if not any(key.startswith("catalog") for key in members):
            return None

        def flag(key: str) -> bool:
            return self._typed(members.get(key.lower(), False), bool, f"{where}.{key}", "true or false")

        operations = self._typed(members.get("catalogoperations", []), list, f"{where}.catalogOperations", "a list")
        return LockedCatalogue(
            fingerprint=text("catalogFingerprint"),
            operations=tuple(
                self._typed(item, str, f"{where}.catalogOperations[{index}]", "text")
                for index, item in enumerate(operations)
            ),
            is_available=flag("catalogAvailable"),
            is_session_only=flag("catalogSessionOnly"),
        )

    def _members(self, value: object, where: str) -> dict[str, object]:
        """Return the members of an object whose keys are read without regard to case."""
        return {key.lower(): member for key, member in self._map(value, where).items()}

    def _map(self, value: object, where: str) -> dict[str, object]:
        return {} if value is None else self._typed(value, dict, where, "an object")

    def _typed(self, value: object, kind: type[T], where: str, accepted: str) -> T:
        if not isinstance(value, kind):
            raise self._refused(f"{where} is {json.dumps(value)[:80]}; accepted is {accepted}")
        return value

    def _refused(self, reason: str) -> LockUnreadable:
        return LockUnreadable(f"{self._path}: {reason}")
