"""What a build depends on: the files of a source folder and of what it names beside itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from gestalt_host.packages.digests import sha256_of

DEVELOPED = ".gestalt-dev"
"""Where `gestaltd provider dev` keeps what it needs, in the folder of a provider."""
IGNORED_FOLDERS = frozenset({".git", ".hg", ".svn", ".gestaltd", DEVELOPED, "target", "node_modules", "dist"})
"""Of tools and of builds; none of them is a source."""


def files_of(folder: Path, ignored: Collection[str] = IGNORED_FOLDERS) -> list[Path]:
    """Return the files below the folder in a fixed order, without those below folders of these names."""
    found: list[Path] = []
    for directory, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name not in ignored)
        found.extend(Path(directory, name) for name in sorted(files))
    return [path for path in found if path.is_file()]


def digest_of(folders: Iterable[Path], recipe: Iterable[str] = ()) -> str:
    """Return a digest of the content, name and executable bit of every file below the folders, and of the recipe.

    Args:
        recipe: How they are built.
    """
    digest = hashlib.sha256("\0".join(recipe).encode())
    for number, folder in enumerate(folders):
        for path in files_of(folder) if folder.is_dir() else [folder]:
            name = path.relative_to(folder) if folder.is_dir() else path.name
            digest.update(f"\n{number}/{name}\0{os.access(path, os.X_OK):d}\0{sha256_of(path)}".encode())
    return digest.hexdigest()[:32]
