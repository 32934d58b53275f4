"""Packing a directory into a release archive: the same content gives the same bytes (packaging.md 6)."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import tempfile
from pathlib import Path

from gestalt_host.packages.archives.names import parts_of
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.manifests.reading import find_manifest, read_manifest


def pack(directory: Path, archive: Path) -> None:
    """Write all files of a package into a gzip-compressed tar archive; a file of that name is replaced at once.

    Raises:
        PackageInvalid: the archive would lie in the directory, the manifest is faulty, or something in the directory
            is neither a file nor a directory, or has a name that cannot be unpacked.
        OSError: something cannot be read or written.
    """
    if directory.resolve() in archive.resolve().parents:
        raise PackageInvalid(f"{archive}: lies inside {directory}, which is packed; accepted is a path outside of it")
    read_manifest(find_manifest(directory))
    files = sorted(_files(directory))
    descriptor, name = tempfile.mkstemp(dir=archive.parent, prefix=f".{archive.name}.")
    temporary = Path(name)
    try:
        with (
            os.fdopen(descriptor, "wb") as out,
            gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for file in files:
                _add(tar, directory, file)
        temporary.chmod(0o644)
        temporary.replace(archive)
    finally:
        temporary.unlink(missing_ok=True)


def _files(directory: Path) -> list[str]:
    found: list[str] = []
    for root, directories, files in os.walk(directory, onerror=_raise):
        for name in (*directories, *files):
            path = Path(root, name)
            relative = path.relative_to(directory).as_posix()
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise PackageInvalid(f"{path}: a package consists of regular files and directories; this is neither")
            parts_of(relative)
            if stat.S_ISREG(mode):
                found.append(relative)
    return found


def _add(tar: tarfile.TarFile, directory: Path, name: str) -> None:
    with (directory / name).open("rb") as file:
        status = os.fstat(file.fileno())
        info = tarfile.TarInfo(name)
        info.mode, info.size = status.st_mode & 0o777, status.st_size
        tar.addfile(info, file)


def _raise(error: OSError) -> None:
    raise error
