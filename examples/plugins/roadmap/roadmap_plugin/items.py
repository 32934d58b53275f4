"""Reading roadmap items from a folder: one Markdown file an item, or JSON files with an item or a list of them.

Markdown may begin with YAML front matter (``id``, ``title``, ``status``, ``tags``). Without a title the first heading
counts, without an id the file's name does. Nothing here knows where items go.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = frozenset({".md", ".markdown", ".json"})
FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
HEADING = re.compile(r"^#\s+(.+?)\s*#*\s*$", re.MULTILINE)


class ItemUnreadable(Exception):
    """A file that holds no item; the text says why, without the file's name."""


@dataclass(frozen=True)
class Source:
    """A file as the file system shows it, before it is read."""

    name: str
    """Path below the folder, with slashes."""
    path: Path
    modified_ns: int
    size_bytes: int


@dataclass(frozen=True)
class Item:
    """One thing on the roadmap."""

    item_id: str
    title: str
    status: str
    """Free text such as ``planned``; empty when the file says nothing."""
    tags: tuple[str, ...]
    text: str
    """Body in Markdown, without front matter."""

    @property
    def digest(self) -> str:
        """SHA-256 over the whole content, in hex: equal digests mean equal items."""
        content = [self.item_id, self.title, self.status, list(self.tags), self.text]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def sources(folder: Path) -> list[Source]:
    """Every file of the folder and below that may hold items, by name; hidden ones are left out.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
    """
    if not folder.exists():
        raise FileNotFoundError(f"no folder {str(folder)!r}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{str(folder)!r} is not a folder")
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in SUFFIXES and path.is_file() and not any(p.startswith(".") for p in name.split("/")):
            stat = path.stat()
            found.append(Source(name, path, stat.st_mtime_ns, stat.st_size))
    return sorted(found, key=lambda source: source.name)


def read(source: Source) -> list[Item]:
    """The items of one file.

    Raises:
        ItemUnreadable: not UTF-8, broken front matter or JSON, or a field of the wrong kind.
    """
    try:
        text = source.path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ItemUnreadable(f"is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise ItemUnreadable(f"cannot be read: {error.strerror}") from error
    if source.path.suffix.lower() == ".json":
        return _from_json(source, text)
    return [_from_markdown(source, text)]


def _from_markdown(source: Source, text: str) -> Item:
    fields: Any = {}
    if found := FRONT_MATTER.match(text):
        try:
            fields = yaml.safe_load(found[1]) or {}
        except yaml.YAMLError as error:
            raise ItemUnreadable(f"has broken front matter: {' '.join(str(error).split())}") from error
        if not isinstance(fields, dict):
            raise ItemUnreadable("has front matter that is not a mapping")
        text = text[found.end() :]
    heading = HEADING.search(text)
    return _item(fields, source, title=heading[1] if heading else "", text=text.strip())


def _from_json(source: Source, text: str) -> list[Item]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ItemUnreadable(f"is not JSON: {error.msg} at line {error.lineno}") from error
    entries = content if isinstance(content, list) else [content]
    items = []
    for number, fields in enumerate(entries):
        if not isinstance(fields, dict):
            raise ItemUnreadable(f"holds something that is not an object: entry {number}")
        items.append(_item(fields, source, title="", text=str(fields.get("text", "")), number=number))
    return items


def _item(fields: Mapping[str, Any], source: Source, *, title: str, text: str, number: int = 0) -> Item:
    name = source.name.rsplit(".", 1)[0]
    tags = fields.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ItemUnreadable("has `tags` that is not a list of texts")
    item_id = str(fields.get("id") or (f"{name}-{number}" if number else name)).strip()
    return Item(
        item_id=item_id,
        title=str(fields.get("title") or title or item_id),
        status=str(fields.get("status") or ""),
        tags=tuple(tags),
        text=text,
    )


def unique(items: Iterable[Item]) -> dict[str, Item]:
    """Items by id.

    Raises:
        ItemUnreadable: an id occurs twice in one file.
    """
    found: dict[str, Item] = {}
    for item in items:
        if item.item_id in found:
            raise ItemUnreadable(f"has the id {item.item_id!r} twice")
        found[item.item_id] = item
    return found
