"""What was installed in a prepared directory, and whether it still lies there (packaging.md 8.3, 11).

The record lies beside what it describes, so it finds what has changed by itself or by mistake, and what somebody
changes who does not know of it. What is started is held by more: the lock file has the manifest, which names the
executable's digest and arguments.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gestalt_host.config.errors import ConfigurationUnreadable
from gestalt_host.config.files import read_text
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.installed.readings import Readings
from gestalt_host.packages.manifests.document import manifest_document, normalised
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest

FILE_NAME = ".gestalt-installed.json"
MOST_BYTES = 64 * 1024 * 1024
"""Of a record: that of the most files with the longest names that are common."""
_FORMAT = 1
_MOST_SHOWN = 20
_SET_ID = stat.S_ISUID | stat.S_ISGID
_KINDS = {stat.S_IFLNK: "is a link", stat.S_IFDIR: "is a directory", stat.S_IFREG: "is a file"}


@dataclass(frozen=True, slots=True)
class InstalledFile:
    sha256: str
    size: int
    mode: int


@dataclass(frozen=True, slots=True)
class Record:
    """What was installed from an archive; ``files`` by path relative to the directory, with ``/``."""

    archive_sha256: str
    package: str
    version: str
    kind: str
    files: Mapping[str, InstalledFile]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the lock file wants in a prepared directory. A blank digest or runtime, or no manifest, is not compared."""

    package: str
    version: str
    kind: str
    archive_sha256: str
    manifest: Mapping[str, object] | None = None
    runtime: str = ""


def record_of(directory: Path, manifest: Manifest, archive_sha256: str) -> Record:
    """Return the record of all files in the directory.

    Raises:
        OSError: one cannot be read.
    """
    files = {}
    for name, status in _walk(directory):
        if name != FILE_NAME and not stat.S_ISDIR(status.st_mode):
            mode = stat.S_IMODE(status.st_mode)
            files[name] = InstalledFile(sha256_of(directory / name), status.st_size, mode)
    return Record(archive_sha256, manifest.source, manifest.version, manifest.kind, files)


def write_record(directory: Path, record: Record) -> None:
    """Write the record into the directory.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps({"format": _FORMAT, **asdict(record)}, indent=1, sort_keys=True)
    (directory / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def read_record(directory: Path) -> Record:
    """Read the record of a prepared directory.

    Raises:
        PackageInvalid: there is none that can be read.
    """
    path = directory / FILE_NAME
    try:
        document = json.loads(read_text(path, most_bytes=MOST_BYTES))
        if document["format"] != _FORMAT:
            raise ValueError
        files = {name: InstalledFile(**file) for name, file in document["files"].items()}
        if not all(_is_sound(file) for file in files.values()):
            raise ValueError
        archive, package, version, kind = (
            str(document[key]) for key in ("archive_sha256", "package", "version", "kind")
        )
        return Record(archive, package, version, kind, files)
    except ConfigurationUnreadable as error:
        raise PackageInvalid(f"{FILE_NAME}: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PackageInvalid(f"{FILE_NAME}: is not the record of an installation") from None


def _is_sound(file: InstalledFile) -> bool:
    return (type(file.sha256), type(file.size), type(file.mode)) == (str, int, int)


def faults_of(directory: Path, expected: Expected, readings: Readings | None = None) -> list[str]:
    """Return every reason why what lies in the directory is not what was to be installed there, by file name.

    Every file is read. Nothing is run, written or asked for elsewhere.

    Args:
        readings: Gets what was read and is as installed.
    """
    try:
        found = directory.lstat()
    except OSError as error:
        return [f"{directory}: {(error.strerror or str(error)).lower()}"]
    if not stat.S_ISDIR(found.st_mode):
        return [f"{directory}: {_kind(found)}, not a directory"]
    try:
        record = read_record(directory)
    except PackageInvalid as error:
        return [str(error)]
    try:
        faults = [
            *_of_release(record, expected),
            *_of_files(directory, record, Readings() if readings is None else readings),
            *_of_manifest(directory, record, expected),
        ]
    except OSError as error:
        faults = [f"{error.filename or directory}: {(error.strerror or str(error)).lower()}"]
    if len(faults) > _MOST_SHOWN:
        faults[_MOST_SHOWN:] = [f"and {len(faults) - _MOST_SHOWN} more faults"]
    return faults


def _of_release(record: Record, expected: Expected) -> Iterator[str]:
    wanted = expected.archive_sha256.lower()
    if wanted and record.archive_sha256 != wanted:
        yield f"installed from another archive: its sha256 is {record.archive_sha256}, that of the lock file {wanted}"
    for word, had, wants in (
        ("package", record.package, expected.package),
        ("version", record.version, expected.version),
        ("kind", record.kind, expected.kind),
    ):
        if had != wants:
            yield f"installed from another release: its {word} is {had}, that of the lock file {wants}"


def _of_files(directory: Path, record: Record, readings: Readings) -> Iterator[str]:
    missing = dict(record.files)
    for name, status in _walk(directory):
        if name == FILE_NAME:
            if not stat.S_ISREG(status.st_mode):
                yield f"{name}: {_kind(status)}, not the file that was installed"
            continue
        file = missing.pop(name, None)
        if file is None:
            if not stat.S_ISDIR(status.st_mode):
                yield f"{name}: was added"
        elif not stat.S_ISREG(status.st_mode):
            yield f"{name}: {_kind(status)}, not the file that was installed"
        elif status.st_size != file.size or sha256_of(directory / name) != file.sha256:
            yield f"{name}: its content has been changed"
        elif (status.st_mode ^ file.mode) & (stat.S_IXUSR | _SET_ID):
            yield f"{name}: its mode is {stat.S_IMODE(status.st_mode):04o}, installed was {file.mode:04o}"
        else:
            readings.note(directory, name, status)
    for name in sorted(missing):
        yield f"{name}: is missing"


def _of_manifest(directory: Path, record: Record, expected: Expected) -> Iterator[str]:
    try:
        path = find_manifest(directory)
        manifest = read_manifest(path, path.name)
    except PackageInvalid as error:
        yield str(error)
        return
    for word, had, wants in (
        ("source", manifest.source, expected.package),
        ("version", manifest.version, expected.version),
        ("kind", manifest.kind, expected.kind),
        ("runtime", manifest.runtime, expected.runtime or manifest.runtime),
    ):
        if had != wants:
            yield f"{path.name}: {word} is {had}, that of the lock file {wants}"
    if expected.manifest is not None:
        there, locked = normalised(manifest_document(manifest)), normalised(expected.manifest)
        for dotted in _differing(there, locked):
            if dotted not in ("source", "version", "kind"):  # compared above
                yield f"{path.name}: {dotted} is not as in the lock file"
    for artifact in manifest.artifacts:
        # The record's digests have been compared with the files.
        file = record.files.get(artifact.path)
        if file is not None and file.sha256 != artifact.sha256:
            yield f"{artifact.path}: its sha256 is not the one that {path.name} names"


def _differing(had: object, wanted: object, dotted: str = "") -> Iterator[str]:
    """Yield the dotted paths at which two documents differ."""
    if isinstance(had, dict) and isinstance(wanted, dict):
        for key in sorted(had.keys() | wanted.keys()):
            yield from _differing(had.get(key), wanted.get(key), f"{dotted}.{key}" if dotted else key)
    elif had != wanted:
        yield dotted


def _walk(directory: Path, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything in the directory by its relative path, without following a link."""
    with os.scandir(directory / below) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = f"{below}/{entry.name}" if below else entry.name
        status = entry.stat(follow_symlinks=False)
        yield name, status
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(directory, name)


def _kind(status: os.stat_result) -> str:
    return _KINDS.get(stat.S_IFMT(status.st_mode), "is neither a file nor a directory")
