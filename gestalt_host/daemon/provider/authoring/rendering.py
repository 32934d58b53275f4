"""From a template to the files of a provider with another name."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.daemon.provider.authoring.companions import companions
from gestalt_host.daemon.provider.authoring.templates import Template
from gestalt_host.packages.bundled import examples

CONTRACT = "contract"
README = "README.md"
# A host knows by the last two parts how a store is configured for one of several databases (contract.md 5.8).
_ADDRESSES = {"plugin": "plugins/$name", "workflow": "providers/$name", "indexeddb": "$name/indexeddb/relationaldb"}
_LEFT_BY_BUILDS = {"node_modules", "target", "dist", "build"}


@dataclass(frozen=True, slots=True)
class Naming:
    """What a new provider is called, from its name in lower case with hyphens."""

    kind: str
    name: str

    @property
    def title(self) -> str:
        return " ".join(word.capitalize() for word in self.name.split("-"))

    @property
    def address(self) -> str:
        """Of its package, at a domain that nobody has."""
        return f"example.com/acme/{_ADDRESSES[self.kind].replace('$name', self.name)}"

    def words(self) -> Mapping[str, str]:
        """Return what stands for each ``$word`` of the renames."""
        return {
            "name": self.name,
            "module": self.name.replace("-", "_"),
            "title": self.title,
            "type": self.title.replace(" ", ""),
            "address": self.address,
        }


def rendered(template: Template, name: str) -> dict[str, str]:
    """Return the text of each file of a new provider, by path; all of them are text.

    Raises:
        OSError: the template cannot be read.
    """
    naming = Naming(template.kind, name)
    files = {renamed(template, naming, path): renamed(template, naming, text) for path, text in _files_of(template)}
    readme = files.pop(README)
    return {**files, **companions(template, naming.name, naming.title, naming.address, readme)}


def renamed(template: Template, naming: Naming, text: str) -> str:
    """Return the text with every rename of the template made."""
    words = naming.words()
    for old, new in template.renames:
        text = text.replace(old, string.Template(new).substitute(words))
    return text


def _files_of(template: Template) -> Iterator[tuple[str, str]]:
    root = examples()
    yield from _texts(root / template.folder, "")
    for folder, place in template.contract.items():
        yield from _texts(root / CONTRACT / folder, f"{place}/")


def _texts(folder: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Give path and text of each file; what was built or installed in a checkout is none of them."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            item for item in folders if item not in _LEFT_BY_BUILDS and not item.startswith((".", "__"))
        )
        for name in sorted(names):
            path = Path(place, name)
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a program
            yield prefix + path.relative_to(folder).as_posix(), text
