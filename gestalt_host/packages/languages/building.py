"""``release.build.command`` of a manifest: run before anything else is looked for in the package's folder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from gestalt_host.packages.errors import NotPrepared, PackageInvalid
from gestalt_host.packages.languages.builds import builds_directory, source_lock
from gestalt_host.packages.languages.digests import digest_of
from gestalt_host.packages.languages.packaged import lacks_artifact
from gestalt_host.packages.languages.tools import NOT_BUILT, run_tool
from gestalt_host.packages.manifests.model import Manifest

_RECORD = "built-by-command"


async def run_build_command(manifest: Manifest, environ: Mapping[str, str]) -> None:
    """Run the manifest's build command, where it has one.

    Raises:
        PackageInvalid: it failed, with the last lines that it wrote.
    """
    if not manifest.release_command:
        return
    where = manifest.root / manifest.release_workdir
    if not where.is_dir():
        raise PackageInvalid(f"{manifest.path}: release.build.workdir: {where} is not a directory", NOT_BUILT)
    if (where / "bun.lock").is_file() and (where / "package.json").is_file() and not (where / "node_modules").is_dir():
        bun = shutil.which("bun", path=environ.get("PATH"))
        if bun is None:
            raise PackageInvalid(f"{where}: bun.lock: bun is missing; install https://bun.sh", NOT_BUILT)
        await run_tool((bun, "install"), where, environ)
    program, *words = manifest.release_command
    # A path is one below the working directory, as a shell would take it; a name is looked for on the path.
    found = str(where / program) if "/" in program else shutil.which(program, path=environ.get("PATH"))
    if found is None:
        raise PackageInvalid(
            f"{manifest.path}: release.build.command: {program!r} is not on the search path (PATH)", NOT_BUILT
        )
    await run_tool((found, *words), where, environ)


async def build_by_command(
    manifest: Manifest, entry_name: str, artifacts_dir: Path, environ: Mapping[str, str], *, build: bool
) -> None:
    """Run the manifest's build command if files of the package have changed since, or what it makes is missing.

    Args:
        build: Whether it may be run now.
    Raises:
        PackageInvalid: it failed; ``NotPrepared`` when it would have to be run and may not.
    """
    record = builds_directory(artifacts_dir, manifest, entry_name) / _RECORD
    async with source_lock(manifest.root):
        if lacks_artifact(manifest) or await asyncio.to_thread(_recorded, record) != await _digest(manifest):
            if not build:
                text = "release.build.command has not been run since its files have changed"
                raise NotPrepared(f"{manifest.path}: {text}", NOT_BUILT)
            await run_build_command(manifest, environ)
            # What the command has written is part of it, so that it does not count as a change.
            await asyncio.to_thread(_write, record, await _digest(manifest))


async def _digest(manifest: Manifest) -> str:
    return await asyncio.to_thread(digest_of, (manifest.root,), manifest.release_command)


def _recorded(record: Path) -> str:
    return record.read_text() if record.is_file() else ""


def _write(record: Path, digest: str) -> None:
    record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = record.with_name(f".{_RECORD}")
    temporary.write_text(digest)
    temporary.replace(record)
