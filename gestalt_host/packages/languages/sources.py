"""From a package's folder to a process: the executable that it brings along, else its source (packaging.md 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages.building import build_by_command
from gestalt_host.packages.languages.builds import BuiltLanguage
from gestalt_host.packages.languages.go import GO
from gestalt_host.packages.languages.model import CompiledLanguage, Language, LaunchCommand
from gestalt_host.packages.languages.packaged import lacks_artifact, packaged_command
from gestalt_host.packages.languages.python import PYTHON, find_interpreter, import_once, without_target
from gestalt_host.packages.languages.rust import RUST
from gestalt_host.packages.languages.typescript import TYPESCRIPT
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.platforms import host_platform

LANGUAGES: tuple[Language, ...] = (GO, RUST, PYTHON, TYPESCRIPT)
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

    Args:
        build: Whether anything may be built or written; else what was built before must be current.
    Raises:
        PackageInvalid: it has neither an executable for this platform nor a source that can be started;
            ``NotPrepared`` when something would have to be built and may not.
    """
    if manifest.release_command:
        await build_by_command(manifest, entry_name, artifacts_dir, environ, build=build)
    language = language_of(manifest)
    # An executable that the manifest names and nobody has made yet is no reason not to use the source.
    executable = None if language is not None and lacks_artifact(manifest) else packaged_command(manifest)
    if executable is not None:
        return executable
    if language is None:
        raise PackageInvalid(
            f"{manifest.root}: no executable for {host_platform()} in the manifest, and {_no_source(manifest)}"
        )
    return await language.command(manifest, entry_name, artifacts_dir, environ, build=build)


def _no_source(manifest: Manifest) -> str:
    names = [language.name for language in LANGUAGES]
    missing = f"no go.mod, no Cargo.toml; {without_target(manifest)}"
    if (manifest.root / "package.json").is_file():
        missing += '; package.json has no gestalt.provider, such as "./src/main.ts"'
    listed = f"{', '.join(names[:-1])}, or {names[-1]}"
    return f"no {listed} {manifest.kind} source package found: {missing}"


def watched_folders(manifest: Manifest) -> Sequence[Path]:
    """Return the package's folder, with the folders and files beside it that its source is built from.

    Raises:
        PackageInvalid: a file that tells it is malformed.
    """
    language = language_of(manifest)
    return language.folders(manifest) if isinstance(language, BuiltLanguage) else (manifest.root,)


async def require_importable(manifest: Manifest, command: LaunchCommand, environ: Mapping[str, str]) -> None:
    """Import what a command serves, where it is a source in Python: nothing else would tell before it is started.

    Raises:
        PackageInvalid: it cannot be imported, with its last line and the place.
    """
    if language_of(manifest) is PYTHON and command.args[0] == str(find_interpreter(manifest.root, environ)):
        await import_once(manifest, command, environ)


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
