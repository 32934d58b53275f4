"""The wheels that a Python provider consists of, one set for each platform, and what they unpack to."""

from __future__ import annotations

import asyncio
import shutil
import stat
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages.tools import run_tool
from gestalt_host.packages.platforms import host_platform

WHEEL_PLATFORMS: Mapping[str, tuple[str, ...]] = {
    "linux/amd64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "linux/arm64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "darwin/amd64": ("macosx_12_0_x86_64",),
    "darwin/arm64": ("macosx_12_0_arm64",),
}
"""Tags of the wheels that run on a platform: glibc from 2.28 on (2018), macOS from 12 on (2021)."""
PIP_LIMIT_S = 1800
"""A first build downloads and compiles what later ones find."""
_IGNORED = shutil.ignore_patterns(
    *(".*", "venv", "venv-*", "node_modules", "__pycache__", "*.py[cod]", "*.egg-info", "dist", "build", "target")
)
"""Of a source tree, beside what version control and tools keep there: what is made from it."""


@dataclass(frozen=True, slots=True)
class Pip:
    """How wheels are found: by pip, its own configuration and variables included.

    Attributes:
        program: Words that start it for the provider's interpreter.
        python: Version of that interpreter, such as ``3.11``.
        find_links: Folders and pages with wheels, beside the index.
    """

    program: tuple[str, ...]
    python: str
    find_links: tuple[str, ...]
    environ: Mapping[str, str]

    async def run(self, what: str, command: str, *words: str | Path, cwd: Path) -> None:
        """Run a command of pip.

        Raises:
            PackageInvalid: it failed; with its last lines.
        """
        links = [word for place in self.find_links for word in ("--find-links", place)]
        options = ("--quiet", "--disable-pip-version-check", "--no-input")
        args = (*self.program, command, *options, *links, *words)
        await run_tool(args, cwd, self.environ, _NO_CACHES, what=what, limit_s=PIP_LIMIT_S)


_NO_CACHES = {"PYTHONDONTWRITEBYTECODE": "1"}


async def make_wheel(pip: Pip, root: Path, work: Path) -> Path:
    """Return a wheel of the project in the folder, built from a copy: the folder itself stays as it is.

    Raises:
        PackageInvalid: it cannot be built.
    """
    copy, wheels = work / "source", work / "own"
    await asyncio.to_thread(shutil.copytree, root, copy, ignore=_IGNORED)
    await pip.run(
        f"{root}: building its wheel", "wheel", "--no-deps", "--wheel-dir", wheels, "--", f"file://{copy}", cwd=work
    )
    (wheel,) = _wheels_in(wheels)
    return wheel


async def collect_wheels(pip: Pip, requirements: Sequence[str], platform: str, directory: Path) -> list[Path]:
    """Return the wheels that the requirements come to on a platform, by name.

    Binary ones that run on any machine of the platform are taken; for this machine's own platform what has none is
    built here, and then perhaps runs on no older system than this.

    Raises:
        PackageInvalid: one has no wheel for the platform.
    """
    tags = WHEEL_PLATFORMS.get(platform)
    if tags is None:
        known = ", ".join(sorted(WHEEL_PLATFORMS))
        raise PackageInvalid(f"a Python provider cannot be released for {platform}; accepted are {known}")
    what = f"collecting the wheels for {platform} and Python {pip.python}"
    platforms = [word for tag in tags for word in ("--platform", tag)]
    where = ("--python-version", pip.python, "--implementation", "cp", "--only-binary", ":all:")
    try:
        await pip.run(what, "download", *platforms, *where, "--dest", directory, *requirements, cwd=directory.parent)
    except PackageInvalid as error:
        if platform != host_platform():
            raise PackageInvalid(
                f"{error}\n  A Python provider can be released for a platform where each of its requirements has a "
                f"wheel for it ({', '.join(tags)}); leave the platform out, or release it on such a machine"
            ) from None
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        await pip.run(what, "wheel", "--wheel-dir", directory, *requirements, cwd=directory.parent)
    return _wheels_in(directory)


def _wheels_in(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.whl"))


def unpack_wheels(wheels: Sequence[Path], site_packages: Path) -> None:
    """Unpack wheels into one folder: libraries and their metadata, without scripts and byte code.

    Raises:
        PackageInvalid: a wheel is damaged or names a file outside of itself.
    """
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.infolist():
                    place = _place_of(entry.filename, wheel)
                    if place is not None and not entry.is_dir():
                        _write(archive, entry, site_packages / place)
        except (zipfile.BadZipFile, EOFError) as error:
            raise PackageInvalid(f"{wheel.name}: is no sound wheel: {error}") from None


def _place_of(name: str, wheel: Path) -> PurePosixPath | None:
    """Return where an entry of a wheel belongs in site-packages; None for what a zipapp does not use."""
    parts = name.rstrip("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name:
        raise PackageInvalid(f"{wheel.name}: {name!r} is no path inside the wheel")
    if parts[0].endswith(".data"):
        if len(parts) < 3 or parts[1] not in ("purelib", "platlib"):
            return None
        parts = parts[2:]
    return None if parts[-1].endswith((".pyc", ".pyo")) else PurePosixPath(*parts)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, path.open("wb") as file:
        shutil.copyfileobj(source, file)
    path.chmod(0o755 if entry.external_attr >> 16 & stat.S_IXUSR else 0o644)
