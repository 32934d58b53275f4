"""What the languages of provider sources have in common, and what starting any provider comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from gestalt_host.packages.installed.readings import FileState
from gestalt_host.packages.manifests.model import Manifest


@dataclass(frozen=True, slots=True)
class LaunchCommand:
    """A process to start.

    Attributes:
        args: Its arguments, the first one an absolute path.
        env: Variables that its language needs.
        pinned: Files with their SHA-256 that are compared before it is started, each time.
        compared: The states in which pinned files had their SHA-256 when this start looked: until one changes, the
            file need not be read again for the first start. Those after it read every file.
        sealed: Directory that holds the pinned files and no others, which is compared likewise; None without one.
        build: Digest of what the program was built from; blank for one that the host has not built.
    """

    args: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    pinned: tuple[tuple[Path, str], ...] = ()
    compared: Mapping[Path, FileState] = field(default_factory=dict)
    sealed: Path | None = None
    build: str = ""


class Language(Protocol):
    """A language that providers are written in; ``name`` as its people write it."""

    name: str

    def is_source(self, manifest: Manifest) -> bool:
        """Tell whether the package's folder holds a source in this language, by the files that are in it.

        Raises:
            PackageInvalid: such a file is malformed.
        """

    async def command(
        self, manifest: Manifest, entry_name: str, artifacts_dir: Path, environ: Mapping[str, str], *, build: bool
    ) -> LaunchCommand:
        """Return how the source is started, built first where its language needs that.

        Args:
            build: Whether it may be built now; else it must have been.
        Raises:
            PackageInvalid: it cannot be started, or not be built.
        """


@runtime_checkable
class CompiledLanguage(Language, Protocol):
    """A language whose sources become one executable file."""

    async def build_release(self, manifest: Manifest, platform: str, output: Path, environ: Mapping[str, str]) -> None:
        """Write the executable for the platform to ``output``, the same bytes for the same source.

        Raises:
            PackageInvalid: it cannot be built.
        """
