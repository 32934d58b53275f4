"""Release our own providers and the example plugins, as `gestaltd provider release` does for anyone's."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gestalt_host.daemon.concurrency import all_of
from gestalt_host.packages import find_manifest, read_manifest
from gestalt_host.packages.releasing.making import ReleaseRequest, parse_platforms, release
from gestalt_host.packages.releasing.wheels import WHEEL_PLATFORMS
from gestalt_sdk.version import VERSION
from tools.generate_protos import ROOT

PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "providers/indexeddb": (),
    "providers/indexeddb_store": ("postgres",),
    "examples/plugins/crossref": (),
    "examples/plugins/roadmap": (),
    "examples/plugins/search": (),
    "examples/plugins/slack": (),
    "examples/plugins/templates": (),
}
"""Folders with the extras that go along."""
PLATFORMS = "PLATFORMS"
"""Variable with the platforms to release for, comma-separated or ``all``; this machine's without it."""


def providers(directory: Path, folders: Sequence[str] = tuple(PROVIDERS)) -> None:
    """Make a release of each provider in ``providers/<package path>`` of the directory.

    As many at once as there are processors. The wheel of gestaltd-sdk that is in the directory goes into them, and what
    constraints.txt pins.
    """
    platforms = parse_platforms(os.environ.get(PLATFORMS, ""))
    with tempfile.TemporaryDirectory(prefix="gestalt-wheels-") as house:
        for platform in platforms:
            _download(folders, platform, Path(house), directory)
        environ = {**os.environ, "PIP_NO_INDEX": "1", "PIP_CONSTRAINT": ""}
        places = asyncio.Semaphore(os.cpu_count() or 1)

        async def one(folder: str) -> None:
            root = ROOT / folder
            target = directory / "providers" / read_manifest(find_manifest(root)).source.split("/", 3)[3]
            target.parent.mkdir(parents=True, exist_ok=True)
            request = ReleaseRequest(
                VERSION,
                target,
                ",".join(platforms),
                find_links=(house, str(directory)),
                extras=PROVIDERS[folder],
            )
            async with places:
                await release(root, request, environ)

        asyncio.run(all_of(map(one, folders)))


def _download(folders: Sequence[str], platform: str, house: Path, wheels: Path) -> None:
    """Fetch every wheel that the releases for a platform need: a release then asks no index."""
    requirements = {word for folder in folders for word in _requirements(ROOT / folder, PROVIDERS[folder])}
    if not requirements:
        return
    tags = [word for tag in WHEEL_PLATFORMS[platform] for word in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(house)]
    command += ["--only-binary", ":all:", *tags, "--find-links", str(wheels)]
    command += ["--constraint", str(ROOT / "constraints.txt"), *sorted(requirements)]
    subprocess.run(command, check=True)


def _requirements(root: Path, extras: Sequence[str]) -> list[str]:
    """Return what the provider's wheels are; nothing where it has no code."""
    if not (root / "pyproject.toml").is_file():
        return []
    document: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    more = [word for extra in extras for word in project["optional-dependencies"][extra]]
    return [*document["build-system"]["requires"], *project["dependencies"], *more]
