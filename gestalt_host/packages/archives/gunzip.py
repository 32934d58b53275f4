"""A gzip stream, read once from front to back: what is in it, its check sums, and the digest of the file itself."""

from __future__ import annotations

import hashlib
import zlib
from typing import BinaryIO

from gestalt_host.packages.errors import PackageInvalid

MOST_ARCHIVE_BYTES = 512 * 1024 * 1024
MOST_BYTES = 2 * 1024 * 1024 * 1024
"""Largest content of a whole stream, in bytes."""
TOO_LARGE = "the archive contains more than {} bytes; no more are unpacked"
_CHUNK = 128 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"


class Gunzip:
    """Gives the content of a gzip stream of one or more members, piece by piece.

    A member's check sum has been compared when its last byte has been given.
    """

    def __init__(self, file: BinaryIO, most_bytes: int = MOST_BYTES) -> None:
        self._file = file
        self._most = most_bytes
        self._given = 0
        self._read = 0
        self._digest = hashlib.sha256()
        self._member = zlib.decompressobj(_GZIP)
        self._compressed = b""
        self._pieces = bytearray()
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return that many bytes, fewer at the end of the stream only.

        Raises:
            PackageInvalid: it is no gzip stream, broken, cut, or larger than is accepted.
        """
        while len(self._pieces) < size and not self._ended:
            self._pieces += self._more()
        taken = bytes(self._pieces[:size])
        del self._pieces[:size]
        return taken

    def finish(self) -> str:
        """Read the member to its end, so that its check sum is compared, and the file; return the file's SHA-256.

        What stands behind the end of the member is not unpacked.
        """
        while not self._ended and not self._member.eof:
            self._pieces.clear()
            self._more()
        while self._fill():
            pass
        return self._digest.hexdigest()

    def _more(self) -> bytes:
        if self._member.eof:
            rest = self._member.unused_data or self._compressed
            while len(rest) < len(_MAGIC) and (filled := self._fill()):
                rest += filled
            if not rest.startswith(_MAGIC):
                self._ended = True
                return b""
            self._member, self._compressed = zlib.decompressobj(_GZIP), rest
        compressed = self._compressed or self._fill()
        try:
            piece = self._member.decompress(compressed, _CHUNK)
        except zlib.error as error:
            raise PackageInvalid(f"not a whole gzip stream: {str(error).partition(': ')[2] or error}") from None
        if not compressed and not piece and not self._member.eof:
            raise PackageInvalid("not a whole gzip stream: it ends before its end is marked")
        self._compressed = self._member.unconsumed_tail
        self._given += len(piece)
        if self._given > self._most:
            raise PackageInvalid(TOO_LARGE.format(self._most))
        return piece

    def _fill(self) -> bytes:
        data = self._file.read(_CHUNK)
        self._digest.update(data)
        self._read += len(data)
        if self._read > MOST_ARCHIVE_BYTES:
            raise PackageInvalid(f"has more than {MOST_ARCHIVE_BYTES} bytes; no archive may have more")
        return data
