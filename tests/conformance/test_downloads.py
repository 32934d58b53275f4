"""The recorded requests for sources over HTTP, played against two servers of our own.

A row is resolved and its archive fetched as ``lock`` does, then fetched again as ``sync`` does. What differs from the
recording is what its README says of ours: the token goes to the metadata's origin alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from gestalt_host.config import load
from gestalt_host.config.model import ProviderEntry
from gestalt_host.packages.digests import sha256_of_text
from gestalt_host.packages.downloads.cache import ArchiveCache
from gestalt_host.packages.downloads.fetcher import Fetcher
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.resolve import Archive, Resolved, SourceContext, archive_for, fetch_archive, resolve
from tests.support.commands import ROOT
from tests.support.rigs.web import Answer, Request, Web

RECORDED = ROOT / "tests/conformance/recordings/packaging/downloads.jsonl"
ROWS = {json.loads(line)["name"]: line for line in RECORDED.read_text().splitlines()}
BODY = "an archive"
FIRST, SECOND = 18160, 18161
"""Ports of the recording; ours are free ones."""


class Tree(Web):
    """What both recorded servers serve: releases, and paths that redirect, fail, want a token or break off."""

    def __init__(self) -> None:
        super().__init__()
        self.artifact = ""
        self._refused: dict[str, int] = {}

    def answer_of(self, path: str) -> Answer:
        plain = unquote(urlsplit(path).path)
        if found := re.fullmatch(r"/r/(\d+)/(\d+)(/.*)", plain):
            status, port, target = found.groups()
            return lambda request: self._redirect(request, int(status), int(port), target)
        if found := re.fullmatch(r"/status/(\d+)", plain):
            status = found[1]
            return lambda request: request.send(status=int(status))
        if plain.startswith("/loop/"):
            return lambda request: request.send(status=302, location=path)
        if plain.startswith("/auth/"):
            return lambda request: self._with_token(request, plain.removeprefix("/auth"))
        if plain.startswith("/short/"):
            return self._half
        if found := re.fullmatch(r"/flaky/(\d+)(/.*)", plain):
            self._refused[path] = self._refused.get(path, 0) + 1
            if self._refused[path] <= int(found[1]):
                return lambda request: request.send(status=503)
            plain = found[2]
        return lambda request: self._file(request, plain)

    def _redirect(self, request: Request, status: int, port: int, path: str) -> None:
        host = request.headers["Host"].partition(":")[0] if port == self.port else "127.0.0.1"
        request.send(status=status, location=f"http://{host}:{port}{path}")

    def _with_token(self, request: Request, path: str) -> None:
        if request.headers["Authorization"] == "Bearer t0ken":
            self._file(request, path)
        else:
            request.send(status=401)

    def _half(self, request: Request) -> None:
        request.send_head(content_length=str(len(BODY)))
        request.wfile.write(BODY[: len(BODY) // 2].encode())
        request.break_off()

    def _file(self, request: Request, path: str) -> None:
        name = path.rpartition("/")[2]
        if path.startswith("/h") and name == "provider-release.yaml" and self.artifact:
            request.send(release(self.artifact).encode())
        elif path.startswith("/h") and name in ("archive.tar.gz", "my archive.tar.gz"):
            request.send(BODY.encode())
        else:
            request.send(status=404)


def release(path: str) -> str:
    return json.dumps(
        {
            "schema": "gestaltd-provider-release",
            "schemaVersion": 1,
            "package": "github.com/acme/providers/indexeddb/foo",
            "kind": "indexeddb",
            "version": "1.0.0",
            "runtime": "executable",
            "artifacts": {"linux/amd64": {"path": path, "sha256": sha256_of_text(BODY)}},
        }
    )


@pytest.fixture
def servers() -> Iterator[tuple[Tree, Tree]]:
    first, second = Tree(), Tree()
    try:
        yield first, second
    finally:
        first.close()
        second.close()


async def no_waiting(seconds: float) -> None:
    """Take the place of sleeping."""


def entry_of(source: str, directory: Path) -> ProviderEntry:
    path = directory / "gestalt.yaml"
    path.write_text(f"server: {{encryptionKey: k}}\nproviders:\n  indexeddb:\n    main:\n      source: {source}\n")
    return load([path], {}, static=True).providers["indexeddb"]["main"]


async def play(entry: ProviderEntry, directory: Path) -> tuple[Resolved, Archive]:
    """Do what ``lock`` and then ``sync`` do."""
    async with Fetcher(ArchiveCache(directory / "cache"), sleep=no_waiting) as fetcher:
        context = SourceContext(directory, fetcher)
        found = await resolve(entry, context)
        archive = archive_for(found.archives, "linux/amd64", found.metadata.runtime)
        await fetch_archive(archive, found.source, entry, context, fresh=True)
        assert (await fetch_archive(archive, found.source, entry, context)).read_text() == BODY
        return found, archive


@pytest.mark.parametrize("name", ROWS)
async def test_the_recorded_requests_are_made(name: str, servers: tuple[Tree, Tree], tmp_path: Path) -> None:
    first, second = servers
    row = json.loads(ROWS[name].replace(str(FIRST), str(first.port)).replace(str(SECOND), str(second.port)))
    for server in servers:
        server.artifact = row["artifact_path"] or ""
    entry = entry_of(row["source"], tmp_path)
    if row["expect"] == "ok":
        found, archive = await play(entry, tmp_path)
        assert (found.source, archive.url) == (row["locked_source"], row["locked_url"])
    else:
        with pytest.raises(PackageInvalid, match=row["meaning"]):
            await play(entry, tmp_path)
    for server in servers:
        # Paths are compared as they are meant: the client escapes more of them than the recorded one did.
        asked = [(unquote(one.path), one.authorization) for one in server.asked]
        recorded = [one for one in row["requests"] if one["port"] == server.port]
        with_token = server.port == urlsplit(entry.source.url).port
        assert asked == [(unquote(one["path"]), one["authorization"] if with_token else None) for one in recorded]
