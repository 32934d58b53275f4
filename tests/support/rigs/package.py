from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt_host.config.errors import Place
from gestalt_host.config.model import ProviderEntry, Source, SourceMode

MANIFEST = """
kind: plugin
source: example.org/owner/repo/plugins/echo
version: 1.2.3
spec: {}
"""
PROJECT = '[tool.gestalt]\nprovider = "echo_plugin:EchoPlugin"\n'
PLUGIN = """
from gestalt_sdk.plugin import Plugin, operation

class EchoPlugin(Plugin):
    display_name = "Echo"

    @operation("say", title="Say")
    async def say(self, request, text: str, times: int = 1) -> dict:
        "Say something."
        return {"text": text * times}

    @operation("items.list", read_only=True)
    async def items(self, request) -> dict:
        return {}
"""

Write = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path) -> Write:
    """Writes a package folder: file names to texts; returns the path of its manifest."""

    def write(manifest: str = MANIFEST, folder: str = "echo", name: str = "manifest.yaml", **files: str) -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        (root / name).write_text(textwrap.dedent(manifest).lstrip("\n"))
        for file, text in files.items():
            (root / file.replace("__", ".")).write_text(textwrap.dedent(text).lstrip("\n"))
        return root / name

    return write


def entry_of(path: Path, kind: str = "plugins", name: str = "echo") -> ProviderEntry:
    return ProviderEntry(kind, name, Source(SourceMode.MANIFEST, path=path), Place("test.yaml", 1))
