"""SHA-256 of files, and JSON in the one spelling that digests are taken of and lock files are written in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_PIECE = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the digest of a file's content, 64 lower-case hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    # hashlib.file_digest makes a buffer of 256 KiB for each file, which costs more than most files of a package.
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def sha256_of_text(text: str) -> str:
    """Return the digest of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def escaped_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON with ``<``, ``>``, ``&`` and the two line separators escaped, keys in the order given.

    Args:
        indent: Blanks of each level; None for the compact form.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    return escaped(json.dumps(value, ensure_ascii=False, separators=separators, indent=indent))


def escaped(text: str) -> str:
    """Return JSON with ``<``, ``>``, ``&`` and the two line separators, which only texts in it can hold, escaped."""
    return text.translate(_ESCAPED)
