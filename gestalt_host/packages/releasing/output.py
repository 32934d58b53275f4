"""Putting a release into its folder: made aside and exchanged, so that whoever looks finds the old one or the new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.installed.swap import installing_into, put_in_place
from gestalt_host.packages.manifests.model import Manifest


def check_output(output: Path, manifest: Manifest) -> None:
    """Raise ``PackageInvalid``, unless the folder can be exchanged as one without touching anything else.

    It may hold older releases and other files, which stay.
    """
    place, root = output.resolve(), manifest.root.resolve()
    assets = root / manifest.asset_root
    if manifest.asset_root and (place == assets or assets in place.parents):
        raise PackageInvalid(f"--output {output}: lies in spec.assetRoot ({manifest.asset_root}), which is packed")
    if place == root or place in root.parents:
        raise PackageInvalid(f"--output {output}: holds the package itself; accepted is a folder of its own, as dist/")
    if output.is_symlink():
        raise PackageInvalid(f"--output {output}: is a link; name the folder that it leads to")
    if output.exists() and not output.is_dir():
        raise PackageInvalid(f"--output {output}: is no folder")
    if output.is_mount():
        raise PackageInvalid(f"--output {output}: is a mount point, which cannot be exchanged; name a folder inside it")


def write_output(files: Sequence[Path], stale: Sequence[str], output: Path) -> None:
    """Put the files into the folder in one step, in place of those of the same names.

    Args:
        stale: Names of files of an older release that go.
    Raises:
        PackageInvalid: the folder cannot be written; it is as it was.
    """
    try:
        with installing_into(output) as aside:
            new = aside / "new"
            if output.is_dir():
                shutil.copytree(output, new, symlinks=True, copy_function=_link)
            else:
                new.mkdir()
                new.chmod(0o755)
            for name in stale:
                (new / name).unlink(missing_ok=True)
            for file in files:
                put(file, new / file.name)
            put_in_place(new, output)
    except OSError as error:
        raise PackageInvalid(f"--output {output}: {(error.strerror or str(error)).lower()}") from None


def put(file: Path, target: Path) -> None:
    """Write a file of the release; what an older one of its name is linked to stays as it is."""
    target.unlink(missing_ok=True)
    shutil.copyfile(file, target)
    target.chmod(0o644)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target)
