"""docs/providers/manifest.md has every key of a manifest, with its type and an example that is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gestalt_host.config.document import from_plain
from gestalt_host.config.errors import Faults, Place
from gestalt_host.config.reader import Block
from gestalt_host.packages.manifests.reading import read_manifest
from gestalt_host.packages.manifests.shapes import MANIFEST, Fields, Nested, read_fields
from tests.support.commands import ROOT
from tests.support.pages import blocks

PAGE = (ROOT / "docs" / "providers" / "manifest.md").read_text()
ROW = re.compile(r"^\| `([^`]+)`( °)? \| ([^|]+) \|([^|]*)\| `([^`]+)` \|$", re.MULTILINE)
ROWS = [(key, type_, yaml.safe_load(example)) for key, _, type_, _, example in ROW.findall(PAGE)]
TYPES = {
    "_text": "text",
    "_number": "whole number",
    "_flag": "truth value",
    "_texts": "list of texts",
    "_raw_texts": "list of texts",
    "_text_map": "texts by name",
    "_free": "anything",
    "_anything": "anything",
}


def keys(fields: Fields, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield each key that has no keys of its own, by its path, with its type."""
    for name, read in fields.items():
        if isinstance(read, Nested):
            yield from keys(read.fields, f"{before}{name}{read.suffix}.")
        else:
            yield f"{before}{name}", TYPES[getattr(read, "__name__", "")]


def test_the_table_has_every_key_with_its_type_in_order() -> None:
    assert [(key, type_) for key, type_, _ in ROWS] == list(keys(MANIFEST))


def test_every_example_is_accepted() -> None:
    whole: dict[str, object] = {}
    for path, _, example in ROWS:
        *steps, last = path.replace(".<name>", ".name").split(".")
        at = whole
        for step in steps:
            name = step.removesuffix("[]")
            inside = at.setdefault(name, [{}] if step.endswith("[]") else {})
            at = inside[0] if isinstance(inside, list) else inside  # type: ignore[assignment]
        at[last] = example
    faults = Faults()
    read_fields(Block(from_plain(whole, Place("")), "", faults, Place("")), MANIFEST)
    assert not faults.problems


@pytest.mark.parametrize("manifest", [block.text for block in blocks(PAGE) if block.language == "yaml"])
def test_the_whole_ones_are_accepted(manifest: str, tmp_path: Path) -> None:
    (tmp_path / "config.schema.yaml").write_text("type: object\n")
    (tmp_path / "manifest.yaml").write_text(manifest)
    assert read_manifest(tmp_path / "manifest.yaml").version == "0.1.0"
