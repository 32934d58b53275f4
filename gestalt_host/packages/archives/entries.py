"""The entries of a tar stream: ustar, pax and GNU long names.

``tarfile`` parses single headers; the walk over them is ours, since it takes a damaged header for the end of the
archive, reads headers of any size into memory and repairs what an archive for packages has no business to contain.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from gestalt_host.packages.errors import PackageInvalid
from gestalt_sdk.common.printable import quoted

MOST_ENTRIES = 100_000
MOST_HEADER_BYTES = 64 * 1024
"""Largest pax header, or block with a GNU long name, in bytes."""
_BLOCK = tarfile.BLOCKSIZE
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_OF_THE_NEXT = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)
"""Headers that say something of the entry that follows them."""
_TYPES = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a link",
    tarfile.GNUTYPE_LONGLINK: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.CONTTYPE: "a contiguous file",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class Source(Protocol):
    def read(self, size: int) -> bytes:
        """Return that many bytes, fewer at the end only."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file or a directory; a name that is not UTF-8 has surrogates in it."""

    name: str
    is_directory: bool
    mode: int
    size: int


def entries_of(stream: Source) -> Iterator[tuple[Entry, Callable[[int], bytes]]]:
    """Yield each entry with a function that reads the next bytes of its content; what is not read is skipped.

    Raises:
        PackageInvalid: an entry is of another type, a header is damaged, or the archive is cut or has too many entries.
    """
    count = 0
    pending = _Pending()
    while (header := _header(stream)) is not None:
        if header.type in _OF_THE_NEXT:
            pending.take(header, _extra(stream, header))
            continue
        count += 1
        if count > MOST_ENTRIES:
            raise PackageInvalid(f"has more than {MOST_ENTRIES} entries; no more are unpacked")
        if header.type == tarfile.XGLTYPE:
            _check_global(_extra(stream, header))
            continue
        entry = pending.apply(header)
        content = _Content(stream, entry.size)
        yield entry, content.read
        content.skip()


class _Content:
    def __init__(self, stream: Source, size: int) -> None:
        self._stream, self._left, self._padding = stream, size, -size % _BLOCK

    def read(self, size: int) -> bytes:
        piece = self._stream.read(min(size, self._left))
        if not piece and size and self._left:
            raise PackageInvalid("the archive is cut in the middle of an entry")
        self._left -= len(piece)
        return piece

    def skip(self) -> None:
        while self._left:
            self.read(128 * 1024)
        if len(self._stream.read(self._padding)) != self._padding:
            raise PackageInvalid("the archive is cut in the middle of an entry")


class _Pending:
    """Hold what headers say of the entry that follows them."""

    def __init__(self) -> None:
        self._records: dict[str, str] | None = None
        self._long_name = ""

    def take(self, header: tarfile.TarInfo, data: bytes) -> None:
        if header.type == tarfile.GNUTYPE_LONGNAME:
            if self._long_name:
                raise PackageInvalid("two long names follow each other without an entry")
            self._long_name = _text(data.partition(b"\0")[0])
            return
        if self._records is not None:
            raise PackageInvalid("two pax headers follow each other without an entry")
        self._records = _pax_records(data)

    def apply(self, header: tarfile.TarInfo) -> Entry:
        records = self._records or {}
        name = records.get("path") or self._long_name or header.name
        self._records, self._long_name = None, ""
        is_directory = header.type == tarfile.DIRTYPE
        if not is_directory and header.type not in _FILES:
            kind = _TYPES.get(header.type, f"of the unknown type {header.type!r}")
            raise PackageInvalid(f"entry {quoted(name)}: it is {kind}; accepted are regular files and directories")
        size = _number(records["size"], name) if "size" in records else header.size
        if size < 0 or (is_directory and size):
            raise PackageInvalid(f"entry {quoted(name)}: {size} is not a size")
        return Entry(name, is_directory, header.mode, size)


def _check_global(data: bytes) -> None:
    """Accept what ``git archive`` writes, a comment and the like; a name or size for every entry makes no sense."""
    named = sorted({"path", "size", "linkpath"} & _pax_records(data).keys())
    if named:
        raise PackageInvalid(f"a global header names {named[0]!r}, which belongs to single entries")


def _header(stream: Source) -> tarfile.TarInfo | None:
    """Return the next header, None at the end of the archive."""
    block = stream.read(_BLOCK)
    if not block:
        raise PackageInvalid("the archive is cut: the blocks that mark its end are missing")
    if not any(block):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise PackageInvalid(f"not a whole tar archive: {error}") from None


def _extra(stream: Source, header: tarfile.TarInfo) -> bytes:
    """Return the content of a header that says something of the next entry."""
    if not 0 <= header.size <= MOST_HEADER_BYTES:
        raise PackageInvalid(
            f"a header of the archive has {header.size} bytes; accepted are {MOST_HEADER_BYTES}, for names and the like"
        )
    content = _Content(stream, header.size)
    data = bytearray()
    while len(data) < header.size:
        data += content.read(header.size - len(data))
    content.skip()
    return bytes(data)


def _pax_records(data: bytes) -> dict[str, str]:
    """Return the records of a pax header, each ``LENGTH KEY=VALUE`` and a line feed."""
    records: dict[str, str] = {}
    at = 0
    while at < len(data):
        digits = data[at : at + 8].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if length <= len(digits) + 1 or at + length > len(data) or not equals or not value.endswith(b"\n"):
            raise PackageInvalid("a pax header is malformed")
        if key.startswith(b"GNU.sparse."):
            raise PackageInvalid("a sparse file is not accepted in a package")
        records[_text(key)] = _text(value[:-1])
        at += length
    return records


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise PackageInvalid(f"entry {quoted(name)}: {quoted(text)} is not a size")
    return int(text)
