"""From a package's folder to a process: the executable that it brings along, else its source (packaging.md 13)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages.model import CompiledLanguage, Language, LaunchCommand
from gestalt_host.packages.languages.packaged import packaged_command
from gestalt_host.packages.languages.python import PYTHON, without_target
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.platforms import host_platform

LANGUAGES: tuple[Language, ...] = (PYTHON,)
"""In the order in which they are looked for."""


def language_of(manifest: Manifest) -> Language | None:
    """Return the language of the source in the package's folder, None when there is none.

    Raises:
        PackageInvalid: a file that tells it is malformed.
    """
    return next((language for language in LANGUAGES if language.is_source(manifest)), None)


async def source_command(
    manifest: Manifest, entry_name: str, artifacts_dir: Path, environ: Mapping[str, str], *, build: bool = True
) -> LaunchCommand:
    """Return the command that starts the package of a local manifest, building it where that is due.

    Raises:
        PackageInvalid: it has neither an executable for this platform nor a source that can be started.
    """
    executable = packaged_command(manifest)
    if executable is not None:
        return executable
    language = language_of(manifest)
    if language is None:
        raise PackageInvalid(
            f"{manifest.root}: no executable for {host_platform()} in the manifest and no Python "
            f"{manifest.kind} source: {without_target(manifest)}"
        )
    return await language.command(manifest, entry_name, artifacts_dir, environ)


async def build_release(manifest: Manifest, platform: str, output: Path, environ: Mapping[str, str]) -> None:
    """Write the one executable file of a source in a compiled language, for that platform, to ``output``.

    Raises:
        PackageInvalid: there is no such source, or it cannot be built for the platform.
    """
    language = language_of(manifest)
    if not isinstance(language, CompiledLanguage):
        known = ", ".join(item.name for item in LANGUAGES if isinstance(item, CompiledLanguage))
        raise PackageInvalid(f"{manifest.root}: no source of a compiled language; accepted are {known}")
    await language.build_release(manifest, platform, output, environ)
