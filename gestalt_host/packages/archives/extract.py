"""Unpacking a release archive (packaging.md 8.4): everything that is not plain files below one directory is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gestalt_host.packages.archives.entries import MOST_ENTRIES, Entry, entries_of
from gestalt_host.packages.archives.gunzip import MOST_BYTES, TOO_LARGE, Gunzip
from gestalt_host.packages.archives.names import parts_of
from gestalt_host.packages.errors import PackageInvalid
from gestalt_sdk.common.printable import quoted

_CHUNK = 128 * 1024
_REASON = "its archive cannot be used"


def extract(archive: Path, into: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """Unpack the archive into a new, empty directory that only its owner can enter; return the archive's SHA-256.

    The archive is read once. What has been unpacked when it turns out to be faulty stays: the caller removes ``into``.

    Args:
        most_bytes: Of all that is in the archive.

    Raises:
        PackageInvalid: naming the archive, the entry and what is wrong.
    """
    try:
        # Opening a pipe would wait for somebody to write it.
        if not archive.is_file():
            raise PackageInvalid("is not there, or not a regular file")
        with archive.open("rb") as file:
            stream = Gunzip(file, most_bytes)
            unpacking = _Unpacking(into, most_bytes)
            for entry, read in entries_of(stream):
                unpacking.add(entry, read)
            digest = stream.finish()
            unpacking.finish()
            return digest
    except PackageInvalid as error:
        raise PackageInvalid(f"{archive.name}: {error}", _REASON) from None
    except OSError as error:
        raise PackageInvalid(
            f"{archive.name}: cannot be unpacked into {into.parent}: {_said(error)}", _REASON
        ) from error


def _said(error: OSError) -> str:
    what = (error.strerror or str(error)).lower()
    return f"{error.filename}: {what}" if error.filename else what


class _Unpacking:
    def __init__(self, into: Path, most_bytes: int) -> None:
        self._root = str(into)
        self._most, self._left = most_bytes, most_bytes
        self._files: set[tuple[str, ...]] = set()
        self._directories: set[tuple[str, ...]] = {()}
        self._modes: dict[tuple[str, ...], int] = {}
        """Of directories that the archive names before anything in them."""

    def add(self, entry: Entry, read: Callable[[int], bytes]) -> None:
        parts = parts_of(entry.name)
        if entry.is_directory:
            self._add_directory(entry, parts)
            return
        if parts in self._directories or entry.name.endswith("/"):
            clash = "a directory of this name is there too" if parts in self._directories else "a file has such a name"
            raise PackageInvalid(f"entry {quoted(entry.name)}: {clash}")
        if parts in self._files:
            raise PackageInvalid(f"entry {quoted(entry.name)}: a second one of this name")
        self._left -= entry.size
        if self._left < 0:
            raise PackageInvalid(f"entry {quoted(entry.name)}: {TOO_LARGE.format(self._most)}")
        self._make_directories(parts[:-1], entry)
        self._files.add(parts)
        self._check_count()
        self._write(entry, parts, read)

    def finish(self) -> None:
        """Give the directories their modes; one that has something in it stays open to its owner."""
        used = {parts[:-1] for parts in (*self._files, *self._directories) if parts}
        for parts, mode in self._modes.items():
            path = Path(self._path(parts))
            path.chmod(mode & path.stat().st_mode | (0o700 if parts in used else 0o600))

    def _add_directory(self, entry: Entry, parts: tuple[str, ...]) -> None:
        if parts in self._directories:
            return
        self._make_directories(parts, entry)
        self._modes[parts] = entry.mode & 0o777

    def _make_directories(self, parts: tuple[str, ...], entry: Entry) -> None:
        if parts in self._directories:
            return
        self._make_directories(parts[:-1], entry)
        if parts in self._files:
            raise PackageInvalid(
                f"entry {quoted(entry.name)}: a file of the name {quoted('/'.join(parts))} is there too"
            )
        self._directories.add(parts)
        self._check_count()
        try:
            Path(self._path(parts)).mkdir()
        except FileExistsError:
            raise PackageInvalid(_alike(entry)) from None

    def _check_count(self) -> None:
        if len(self._files) + len(self._directories) > MOST_ENTRIES:
            raise PackageInvalid(f"has more than {MOST_ENTRIES} files and directories; no more are unpacked")

    def _write(self, entry: Entry, parts: tuple[str, ...], read: Callable[[int], bytes]) -> None:
        # The process's umask is taken off by the system; set-id and sticky bits are not asked for.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path(parts), flags, entry.mode & 0o777 | 0o600)
        except FileExistsError:
            raise PackageInvalid(_alike(entry)) from None
        try:
            left = entry.size
            while left:
                piece = read(min(left, _CHUNK))
                left -= len(piece)
                _write_all(descriptor, piece)
        finally:
            os.close(descriptor)

    def _path(self, parts: tuple[str, ...]) -> str:
        return "/".join((self._root, *parts))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _alike(entry: Entry) -> str:
    return f"entry {quoted(entry.name)}: this file system takes its name and that of another one for the same"
