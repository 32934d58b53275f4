"""Catalogues of plugins that are run from source: the plugin writes its own, once for each state of its sources.

The plugin is run with ``GESTALT_PLUGIN_WRITE_CATALOG`` naming a temporary file (packaging.md 4.3, 13); nothing is
written into its source folder. What it wrote is kept below the artifacts directory, by a digest of the sources.
"""

from __future__ import annotations

import asyncio
import glob
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import structlog

from gestalt_host.packages.catalogue import FILE_NAME, PluginCatalogue, read_catalogue
from gestalt_host.packages.errors import NotPrepared, PackageInvalid
from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.packages.languages.digests import DEVELOPED, files_of
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.running import run_program
from gestalt_host.packages.scratch import scratch_directory
from gestalt_host.packages.tracebacks import reason_in

WRITE_VARIABLE = "GESTALT_PLUGIN_WRITE_CATALOG"
RUN_TIMEOUT_S = 45
SLOW_S = 10
"""After so long the log says what the host waits for: it does not listen before."""
_IGNORED_FOLDERS = frozenset(
    {".git", DEVELOPED, ".venv", "venv", "node_modules", "__pycache__", "dist", "build", "target"}
)
_IGNORED_SUFFIXES = frozenset({".pyc", ".pyo"})

log = structlog.get_logger()


async def catalogue_of(
    manifest: Manifest,
    command: LaunchCommand,
    name: str,
    cache_dir: Path,
    environ: Mapping[str, str],
    *,
    may_run: bool = True,
) -> PluginCatalogue:
    """Return a plugin's catalogue: the file in its package, else the one that the plugin writes.

    Args:
        may_run: Whether the plugin may be run to write it; otherwise it has to be in the cache.
    Raises:
        PackageInvalid: the plugin writes none, or what it writes cannot be used; ``NotPrepared`` when it has to be run.
    """
    packaged = _packaged(manifest)
    if packaged is not None:
        return packaged
    kept = _Kept(cache_dir, name, await asyncio.to_thread(source_digest, manifest.root, command))
    catalogue = kept.find()
    if catalogue is None and not may_run:
        raise NotPrepared(f"{manifest.root}: the plugin has to be run to write its {FILE_NAME}")
    if catalogue is None:
        with scratch_directory("catalogue") as directory:
            path = directory / FILE_NAME
            slow = asyncio.get_running_loop().call_later(SLOW_S, _tell_slow, name)
            try:
                await write_catalogue(command, path, manifest, environ)
            finally:
                slow.cancel()
            catalogue = kept.keep(path)
    return catalogue


def _packaged(manifest: Manifest) -> PluginCatalogue | None:
    path = manifest.root / FILE_NAME
    return read_catalogue(path) if path.is_file() else None


class _Kept:
    """The catalogue of one entry as an earlier start kept it."""

    def __init__(self, directory: Path, name: str, digest: str) -> None:
        self._directory = directory.absolute()
        self._name = name
        self._path = self._directory / f"{name}@{digest}.yaml"

    def find(self) -> PluginCatalogue | None:
        """Read the kept catalogue; one that cannot be read any more counts as absent."""
        try:
            return read_catalogue(self._path) if self._path.is_file() else None
        except PackageInvalid:
            return None

    def keep(self, written: Path) -> PluginCatalogue:
        """Read what the plugin has written and keep it in place of what an older state of its sources wrote."""
        if not written.is_file():
            raise PackageInvalid(f"it has no {FILE_NAME} and wrote none when it was run with {WRITE_VARIABLE}")
        catalogue = read_catalogue(written)
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for old in self._directory.glob(f"{glob.escape(self._name)}@*.yaml"):
                old.unlink(missing_ok=True)
            # Two hosts that start at once write the same content; renaming keeps a reader from seeing half of it.
            temporary = self._path.with_suffix(f".{os.getpid()}")
            shutil.copyfile(written, temporary)
            temporary.replace(self._path)
        except OSError as error:
            # For example in a read-only configuration directory. The plugin then writes it again at every start.
            log.info("catalogue is not kept", event_name="catalogue.not_kept", provider=self._name, error=str(error))
        return catalogue


def source_digest(root: Path, command: LaunchCommand) -> str:
    """Return a digest of what the catalogue depends on: the source folder's files, the command, the SDK's files.

    For a source that was built it is that of the build, whose file the command names.
    """
    digest = hashlib.sha256(repr(command).encode())
    if command.build:
        return digest.hexdigest()[:32]
    sdk = Path(__file__).resolve().parent.parent.parent / "gestalt_sdk"
    for folder in (root, sdk):
        for path in files_of(folder, _IGNORED_FOLDERS):
            if path.suffix in _IGNORED_SUFFIXES:
                continue
            status = path.stat()
            digest.update(f"{path.relative_to(folder)}\0{status.st_size}\0".encode())
            # The SDK's files are many and rarely change: size and time stand for their content.
            digest.update(path.read_bytes() if folder == root else str(status.st_mtime_ns).encode())
    return digest.hexdigest()[:32]


def _tell_slow(name: str) -> None:
    text = "a plugin is slow to write its catalogue, and is waited for"
    log.warning(text, event_name="plugin.catalogue_slow", plugin=name, after_s=SLOW_S, at_most_s=RUN_TIMEOUT_S)


async def write_catalogue(command: LaunchCommand, path: Path, manifest: Manifest, environ: Mapping[str, str]) -> None:
    """Let the plugin write its catalogue to a file.

    Raises:
        PackageInvalid: it fails or takes too long.
    """
    # The contract gives this run the host's full environment, unlike a provider that serves.
    env = {**environ, **command.env, WRITE_VARIABLE: str(path)}
    try:
        ended = await run_program(command.args, env, limit_s=RUN_TIMEOUT_S)
    except TimeoutError:
        raise PackageInvalid(f"{manifest.root}: writing its catalogue took more than {RUN_TIMEOUT_S} s") from None
    if ended.status != 0:
        raise PackageInvalid(
            f"{manifest.root}: cannot write its catalogue (exit status {ended.status})"
            f"{reason_in(ended.errors, manifest.root)}"
        )
