"""Sources that are built before they are started, once for each state of their files (packaging.md 13.1).

A build is a directory ``.gestaltd/builds/<kind>/<name>/<digest of files>-<digest of toolchain>`` below the artifacts
directory. It is made aside and renamed, so that one which is there is whole.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from gestalt_host.packages.errors import NotPrepared, PackageInvalid
from gestalt_host.packages.languages.digests import digest_of
from gestalt_host.packages.languages.model import LaunchCommand
from gestalt_host.packages.languages.tools import BUILD_LIMIT_S, NOT_BUILT
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.platforms import host_platform

KEPT_BUILDS = 3
"""Of each entry, those that were used last: another host may still start a provider anew from an older one."""
LOOK_S = 0.2
"""How often to look whether somebody else has finished building the same source."""

log = structlog.get_logger()


class BuiltLanguage(ABC):
    """A language whose sources are built into one file, and the keeping of what was built."""

    name: str
    file: str
    """Name of the built file."""
    recipe: str
    """Changed with each change of how sources are built: what was built before no longer counts then."""

    @abstractmethod
    def is_source(self, manifest: Manifest) -> bool:
        """Tell whether the package's folder holds a source in this language."""

    @abstractmethod
    def folders(self, manifest: Manifest) -> Sequence[Path]:
        """Return the package's folder, and the folders and files beside it that it is built from."""

    @abstractmethod
    async def toolchain(self, manifest: Manifest, environ: Mapping[str, str]) -> str:
        """Return the version of what builds the source.

        Raises:
            PackageInvalid: it is missing, naming what to install.
        """

    @abstractmethod
    async def build(self, manifest: Manifest, output: Path, environ: Mapping[str, str]) -> None:
        """Build the source for this machine into the file ``output``.

        Raises:
            PackageInvalid: it cannot be built.
        """

    @abstractmethod
    async def build_release(self, manifest: Manifest, platform: str, output: Path, environ: Mapping[str, str]) -> None:
        """Build the source for the platform into the executable file ``output``.

        Raises:
            PackageInvalid: it cannot be built.
        """

    def args(self, program: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Return the arguments that run what was built."""
        return (str(program),)

    async def command(
        self, manifest: Manifest, entry_name: str, artifacts_dir: Path, environ: Mapping[str, str], *, build: bool
    ) -> LaunchCommand:
        """Return how the source is started; built before if it has changed since, or never was."""
        directory = builds_directory(artifacts_dir, manifest, entry_name)
        kept = await asyncio.to_thread(self._kept, directory, await self._digest(manifest))
        try:
            toolchain = await self.toolchain(manifest, environ) if build else ""
        except PackageInvalid as error:
            if kept is None:
                raise
            log.info(
                "built earlier, and not checked", event_name="build.no_toolchain", path=str(kept), error=str(error)
            )
            toolchain = ""
        if toolchain and (kept is None or not kept.name.endswith(_short(toolchain))):
            async with source_lock(manifest.root):
                kept = await self._build(manifest, directory, toolchain, environ)
        if kept is None:
            raise NotPrepared(f"{manifest.root}: its source has changed since it was built, or never was", NOT_BUILT)
        if build:
            await asyncio.to_thread(_drop_old, directory, kept)
        return LaunchCommand(self.args((kept / self.file).absolute(), environ), build=kept.name)

    async def _digest(self, manifest: Manifest) -> str:
        recipe = (self.name, self.recipe, host_platform())
        return await asyncio.to_thread(lambda: digest_of(self.folders(manifest), recipe))

    def _kept(self, directory: Path, digest: str, toolchain: str = "") -> Path | None:
        """Return the build of this state of the files, the newest where there are several."""
        pattern = f"{digest}-{_short(toolchain) if toolchain else '*'}"
        found = [path for path in directory.glob(pattern) if (path / self.file).is_file()]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    async def _build(self, manifest: Manifest, directory: Path, toolchain: str, environ: Mapping[str, str]) -> Path:
        aside = directory / f".{_short(str(manifest.root.resolve()))}"  # the lock has one build of a source at a time
        for last in (False, True):
            digest = await self._digest(manifest)
            if (kept := self._kept(directory, digest, toolchain)) is not None:
                return kept
            log.info("building a source", event_name="build.begun", folder=str(manifest.root), language=self.name)
            began = time.monotonic()
            try:
                await asyncio.to_thread(_new_directory, aside)
                await self.build(manifest, aside / self.file, environ)
                if not last and await self._digest(manifest) != digest:
                    continue  # a file was saved meanwhile, or the tool wrote its lock file for the first time
                final = directory / f"{digest}-{_short(toolchain)}"
                await asyncio.to_thread(_publish, aside, aside / self.file, final)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
            took_s = round(time.monotonic() - began, 1)
            log.info("source is built", event_name="build.done", folder=str(manifest.root), after_s=took_s)
            return final
        raise AssertionError("unreachable")


def builds_directory(artifacts_dir: Path, manifest: Manifest, entry_name: str) -> Path:
    """Return where the builds of an entry lie."""
    return artifacts_dir / ".gestaltd" / "builds" / manifest.kind / entry_name


@asynccontextmanager
async def source_lock(root: Path) -> AsyncIterator[None]:
    """Keep every other process that respects it from building in this folder; it ends with the process.

    Raises:
        PackageInvalid: somebody else has held it for longer than a build may take.
    """
    # The folder itself is locked: no file is written into it.
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + BUILD_LIMIT_S
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                text = f"{root}: another process has been building it for more than {BUILD_LIMIT_S} s"
                raise PackageInvalid(text, NOT_BUILT)
            await asyncio.sleep(LOOK_S)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _new_directory(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)  # of a host that was killed
    path.mkdir(parents=True, mode=0o700)


def _publish(aside: Path, program: Path, final: Path) -> None:
    with program.open("rb") as file:
        os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)  # a damaged one
    aside.rename(final)


def _drop_old(directory: Path, used: Path) -> None:
    try:
        os.utime(used)
        builds = [path for path in directory.iterdir() if path.is_dir() and not path.name.startswith(".")]
        for old in sorted(builds, key=lambda path: path.stat().st_mtime)[:-KEPT_BUILDS]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:  # the directory cannot be written, or another host is doing the same
        return
