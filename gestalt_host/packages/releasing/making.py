"""Making a release: what is packed for which platform, in what order, and what is told about it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gestalt_host.packages.archives.pack import pack
from gestalt_host.packages.catalogue import FILE_NAME as CATALOGUE
from gestalt_host.packages.catalogue import read_catalogue
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.generated_catalogues import write_catalogue
from gestalt_host.packages.languages import PYTHON, LaunchCommand, build_release, language_of
from gestalt_host.packages.languages.building import run_build_command
from gestalt_host.packages.languages.python import find_interpreter
from gestalt_host.packages.manifests.model import Artifact, Manifest
from gestalt_host.packages.manifests.packaged import check_packaged
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest
from gestalt_host.packages.platforms import ALL, GENERIC, host_platform, is_platform
from gestalt_host.packages.releases.metadata import ReleaseArtifact, ReleaseMetadata, render_metadata
from gestalt_host.packages.releases.versions import is_version
from gestalt_host.packages.releasing.output import check_output, write_output
from gestalt_host.packages.releasing.staging import Executable, stage
from gestalt_host.packages.releasing.zipapp import PythonRelease
from gestalt_host.packages.scratch import scratch_directory
from gestalt_host.packages.signatures import SUFFIX, sign

METADATA = "provider-release.yaml"
CHECKSUMS = "checksums.txt"


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What is asked for.

    Attributes:
        platforms: As ``os/arch``, comma-separated, or ``all``; blank for this machine's.
        keys: Texts of private keys to sign with.
        find_links: For Python providers, where wheels lie beside the index.
        extras: For Python providers, those of the project's extras that go along.
    """

    version: str
    output: Path
    platforms: str = ""
    keys: Sequence[str] = ()
    find_links: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


async def release(root: Path, request: ReleaseRequest, environ: Mapping[str, str]) -> list[Path]:
    """Make a release of the package in a folder; return the files that it consists of, in the order of creation.

    The folder is not written to, beside what its own build command writes. When it fails or is interrupted, the
    output folder is as it was.

    Raises:
        PackageInvalid: naming what is missing, wrong or cannot be built.
    """
    if not is_version(request.version):
        raise PackageInvalid(
            f"invalid --version: {request.version!r} is not a semantic version such as 1.2.3 or 1.2.3-alpha.4"
        )
    manifest = _manifest_in(root)
    _refuse_hybrid(manifest)
    check_output(request.output, manifest)
    with scratch_directory("release") as work:
        making = _Making(manifest, request, environ, work)
        await run_build_command(manifest, environ)
        files = await making.make()
        await asyncio.to_thread(write_output, files, making.stale, request.output)
    return [request.output / file.name for file in files]


def parse_platforms(text: str) -> tuple[str, ...]:
    """Return the platforms that ``--platform`` asks for, each once.

    Raises:
        PackageInvalid: one has not the form ``os/arch``.
    """
    if text.strip() == "all":
        return ALL
    platforms = [part.strip() for part in text.split(",")] if text else [host_platform()]
    for platform in platforms:
        if not is_platform(platform):
            raise PackageInvalid(f'invalid platform "{platform}", expected os/arch')
    return tuple(dict.fromkeys(platforms))


def _manifest_in(root: Path) -> Manifest:
    try:
        path = find_manifest(root)
    except PackageInvalid:
        raise PackageInvalid(
            f"no manifest file found in {root} (tried manifest.json, manifest.yaml, manifest.yml)"
        ) from None
    return read_manifest(path)


def _refuse_hybrid(manifest: Manifest) -> None:
    """Raise ``PackageInvalid`` where both the manifest and a program would answer for the operations."""
    if not manifest.is_manifest_backed:
        return
    language = language_of(manifest)
    if manifest.artifacts or manifest.entrypoint is not None:
        program = "names an executable"
    elif language is not None:
        program = f"lies beside {language.name} source"
    else:
        return
    raise PackageInvalid(
        f"{manifest.path}: has operations in spec.surfaces ({', '.join(sorted(manifest.surfaces))}) and {program}; "
        "accepted is one of the two: a plugin without code, or a program without surfaces"
    )


class _Making:
    """One release, in a folder of its own until it is whole."""

    def __init__(self, manifest: Manifest, request: ReleaseRequest, environ: Mapping[str, str], work: Path) -> None:
        self._manifest = manifest
        self._request = request
        self._environ = environ
        self._work = work
        self._new = work / "release"
        self._python = PythonRelease(manifest, work / "python", request.find_links, request.extras, environ)
        self._language = language_of(manifest)
        self._catalogue: Path | None = None
        self.stale: list[str] = []

    async def make(self) -> list[Path]:
        """Write all files of the release into a folder of the work; return them."""
        for folder in (self._new, self._work / "python", self._work / "built"):
            await asyncio.to_thread(folder.mkdir)
        executables = await self._executables()
        if self._manifest.kind == "plugin":
            self._catalogue = await self._find_catalogue(dict(executables))
        artifacts = {
            platform: await asyncio.to_thread(self._pack, platform, executable, len(executables) == 1)
            for platform, executable in executables
        }
        return [*artifacts.values(), *await asyncio.to_thread(self._described, artifacts)]

    async def _executables(self) -> list[tuple[str, Executable | None]]:
        """Return what is packed: each platform with its executable."""
        manifest = self._manifest
        if manifest.runtime == "ui" or manifest.is_manifest_backed:
            return [(GENERIC, None)]
        if self._language is None:
            return [(item.platform, Executable(manifest.root / item.path, item)) for item in self._prebuilt()]
        return [(item, await self._built(item)) for item in parse_platforms(self._request.platforms)]

    def _prebuilt(self) -> tuple[Artifact, ...]:
        manifest = self._manifest
        if not manifest.artifacts:
            raise PackageInvalid(
                f"{manifest.path}: names no executable in artifacts, and {manifest.root} holds no {manifest.kind} "
                "source in Go, Rust, Python or TypeScript"
            )
        for artifact in manifest.artifacts:
            file = manifest.root / artifact.path
            if not file.is_file():
                raise PackageInvalid(f"{manifest.path}: the artifact {artifact.path} is not there; build it first")
            if artifact.sha256 and artifact.sha256.lower() != sha256_of(file):
                raise PackageInvalid(f"{file}: its sha256 is not the one that {manifest.path.name} has for it")
        return manifest.artifacts

    async def _built(self, platform: str) -> Executable:
        """Build the source for a platform."""
        system, _, arch = platform.partition("/")
        name = f"gestalt-plugin-{self._name}{'.exe' if system == 'windows' else ''}"
        file = self._work / "built" / f"{system}-{arch}" / name
        if not file.exists():
            await asyncio.to_thread(file.parent.mkdir)
            if self._language is PYTHON:
                await self._python.build(platform, file)
            else:
                await build_release(self._manifest, platform, file, self._environ)
        return Executable(file, Artifact(system, arch, name))

    async def _find_catalogue(self, executables: Mapping[str, Executable | None]) -> Path | None:
        """Return the catalogue in the package's folder, else the one that the executable for this machine writes.

        That executable is built for the purpose where it is not asked for.
        """
        kept = self._manifest.root / CATALOGUE
        if kept.is_file():
            read_catalogue(kept)
            return kept
        if self._manifest.is_manifest_backed:
            return None
        executable = executables.get(host_platform())
        if executable is None:
            if self._language is None:
                raise PackageInvalid(
                    f"{kept}: is not there, and none of the executables runs on {host_platform()} to write one"
                )
            executable = await self._built(host_platform())
        written = self._work / CATALOGUE
        # The interpreter that it was made for need not be on this machine's PATH, only on that of those who run it.
        interpreter = find_interpreter(self._manifest.root, self._environ) if self._language is PYTHON else None
        words = (*((str(interpreter),) if interpreter else ()), str(executable.file))
        command = LaunchCommand(words, {"SHIV_ROOT": str(self._work / "unpacked")})
        await write_catalogue(command, written, self._manifest, self._environ)
        if not written.is_file():
            raise PackageInvalid(f"{self._manifest.root}: there is no {CATALOGUE}, and the executable writes none")
        read_catalogue(written)
        return written

    def _pack(self, platform: str, executable: Executable | None, is_only: bool) -> Path:
        """Write the archive for a platform."""
        manifest = self._manifest
        directory = self._work / "staged"
        directory.mkdir()
        stage(manifest, self._request.version, executable, self._catalogue, directory)
        check_packaged(read_manifest(find_manifest(directory)), platform)
        is_named = platform != GENERIC and not (self._language is None and is_only)
        suffix = f"_{platform.replace('/', '_')}" if is_named else ""
        archive = self._new / f"gestalt-plugin-{self._name}_v{self._request.version}{suffix}.tar.gz"
        pack(directory, archive)
        shutil.rmtree(directory)
        return archive

    @property
    def _name(self) -> str:
        return self._manifest.source.rpartition("/")[2]

    def _described(self, artifacts: Mapping[str, Path]) -> list[Path]:
        """Write what goes beside the archives: check sums, metadata, signatures."""
        digests = {platform: sha256_of(archive) for platform, archive in artifacts.items()}
        checksums, metadata = self._new / CHECKSUMS, self._new / METADATA
        checksums.write_text("".join(f"{digests[platform]}  {path.name}\n" for platform, path in artifacts.items()))
        release = ReleaseMetadata(
            self._manifest.source,
            self._manifest.kind,
            self._request.version,
            self._manifest.runtime if GENERIC in artifacts else "executable",
            {platform: ReleaseArtifact(path.name, digests[platform]) for platform, path in artifacts.items()},
        )
        metadata.write_bytes(render_metadata(release))
        files = [checksums, metadata]
        signature = metadata.with_name(f"{METADATA}{SUFFIX}")
        if self._request.keys:
            signature.write_text(sign(metadata.read_bytes(), *self._request.keys))
            files.append(signature)
        else:
            # That of an older release would be a wrong one beside these metadata.
            self.stale.append(signature.name)
        return files
