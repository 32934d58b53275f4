"""Reading the YAML documents that are published, as strictly as a configuration, wherever their bytes come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from gestalt_host.config.document import parse_yaml
from gestalt_host.config.errors import ConfigurationUnreadable, Faults, Problem
from gestalt_host.config.files import read_bytes
from gestalt_host.config.reader import Block
from gestalt_host.packages.downloads.answers import is_html
from gestalt_host.packages.errors import PackageInvalid, raise_faults

T = TypeVar("T")
log = structlog.get_logger()
_MARKS = {b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_PREFIX = "parsing config YAML: "


def read_file(path: Path, most: int) -> bytes:
    """Return the content of a file of at most ``most`` bytes.

    Raises:
        PackageInvalid: naming the file.
    """
    try:
        return read_bytes(path, most)
    except ConfigurationUnreadable as error:
        raise PackageInvalid(f"{path}: {str(error)[:1].lower()}{str(error)[1:]}") from None


def read_yaml(data: bytes, where: str, what: str, most: int, read: Callable[[Block], T]) -> T:
    """Return what ``read`` makes of the mapping that the bytes are; documents behind the first are not read.

    Args:
        where: File or URL for messages, without secrets.
        what: What the document is, for messages.
        most: As many bytes are accepted.

    Raises:
        PackageInvalid: listing every fault with its line and dotted path.
    """
    faults, ignored = Faults(), list[Problem]()
    node = parse_yaml(_text(data, where, what, most), where, faults, ignored=ignored)
    for problem in ignored:
        log.warning("document.ignored", text=f"{what}: {problem}")
    found = read(Block(node, "", faults, node.place)) if node is not None else None
    faults.problems = [_unprefixed(problem) for problem in faults.problems]
    raise_faults(what, faults)
    assert found is not None
    return found


def _text(data: bytes, where: str, what: str, most: int) -> str:
    if len(data) > most:
        raise PackageInvalid(f"{what}: {where}: has {len(data)} bytes; accepted are {most}")
    if not data.strip():
        raise PackageInvalid(f"{what}: {where}: the file is empty")
    if is_html(data):
        raise PackageInvalid(
            f"{what}: {where}: this is an HTML page, as servers send it to log in or for an error; "
            "check the URL, and whether it needs a token"
        )
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            raise PackageInvalid(f"{what}: {where}: the text is {encoding}; accepted is UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PackageInvalid(f"{what}: {where}:{line}: not UTF-8 text: {error.reason}") from None


def _unprefixed(problem: Problem) -> Problem:
    """Return the problem as one of this document: the parser says that it reads a configuration."""
    return Problem(problem.place, problem.path, problem.reason.removeprefix(_PREFIX), problem.shape)
