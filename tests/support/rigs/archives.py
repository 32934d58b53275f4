"""Release archives that tests make, sound ones and such as nobody should be sent."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

PROGRAM = b"#!/bin/sh\nexit 0\n"
PACKAGE = "example.org/owner/repo/indexeddb/foo"
END = b"\0" * 1024


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest_text(program: bytes = PROGRAM, /, **changes: object) -> str:
    """Return a packaged manifest of a store for linux/amd64; None leaves a key out."""
    document: dict[str, object] = {
        "kind": "indexeddb",
        "source": PACKAGE,
        "version": "1.2.3",
        "artifacts": [{"os": "linux", "arch": "amd64", "path": "foo", "sha256": sha256(program)}],
        "entrypoint": {"artifactPath": "foo"},
        "spec": {},
        **changes,
    }
    return json.dumps({key: value for key, value in document.items() if value is not None}, indent=1)


def entry(
    name: str,
    content: bytes = b"x",
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    form: Literal[0, 1, 2] = tarfile.PAX_FORMAT,
    **fields: object,
) -> bytes:
    """Return the header and content of one entry; ``fields`` are those of ``tarfile.TarInfo``."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(form, "utf-8", "surrogateescape") + padded(content)


def raw_entry(name: bytes, content: bytes = b"x", kind: bytes = b"0", size: bytes = b"") -> bytes:
    """Return an entry whose name, type and size stand in the header as they are given."""
    head = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    head[0:100] = name.ljust(100, b"\0")
    head[124:136] = size or b"%011o\0" % len(content)
    head[156:157] = kind
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + padded(content)


def pax(kind: bytes = tarfile.XHDTYPE, **records: str) -> bytes:
    """Return a pax header that says something of the next entry, or of all."""
    return raw_entry(b"pax", b"".join(_record(key.replace("__", "."), value) for key, value in records.items()), kind)


def _record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)


def archive(*parts: bytes, end: bytes = END) -> bytes:
    """Return a gzip-compressed tar of entries."""
    return gzip.compress(b"".join(parts) + end, compresslevel=1, mtime=0)


def store(*more: bytes, program: bytes = PROGRAM, manifest: str = "", name: str = "manifest.json") -> bytes:
    """Return the archive of a store that can be installed, with more entries in it."""
    text = (manifest or manifest_text(program)).encode()
    return archive(entry("foo", program, mode=0o755), entry(name, text), *more)


def files_of(data: bytes) -> dict[str, bytes]:
    """Return what the standard library finds in an archive."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members: Iterable[tarfile.TarInfo] = tar.getmembers()
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in members}


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
