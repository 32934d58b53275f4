"""The SDK that gestaltd itself is installed with, as a wheel: providers are released where no index has one."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import gestalt_sdk
from gestalt_sdk.version import VERSION

SDK = "gestaltd-sdk"
"""Distribution that a project without requirements of its own needs."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SUFFIXES = (".py", ".pyi", ".typed")
_BUILD = "1gestaltd"
"""Of several wheels of one version pip takes the one with the highest build tag, and published ones have none."""
_WHEEL = (
    f"Wheel-Version: 1.0\nGenerator: gestaltd {VERSION}\nRoot-Is-Purelib: true\nTag: py3-none-any\nBuild: {_BUILD}\n"
)


def write_sdk_wheel(directory: Path) -> Path | None:
    """Write a wheel of the SDK beside gestaltd into a new folder: the same bytes for the same installation.

    Its version is that of gestaltd, and pip takes it before any other wheel of that version. Code comes from the
    package's folder, so that a checkout's is what lies in it, and requirements and licence from what was installed.

    Returns:
        None where nothing is known of the distribution, or its code lies in no folder: gestaltd was not installed.
    """
    package = Path(gestalt_sdk.__file__).parent
    try:
        distribution = metadata.distribution(SDK)
    except metadata.PackageNotFoundError:
        return None
    if not package.is_dir():
        return None
    directory.mkdir(parents=True)
    stem = f"{SDK.replace('-', '_')}-{VERSION}"
    wheel = directory / f"{stem}-{_BUILD}-py3-none-any.whl"
    about = dict(_about(distribution))
    files = {
        **{f"{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes() for path in _code(package)},
        **{f"{stem}.dist-info/{name}": text.encode() for name, text in about.items()},
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in sorted(files.items()):
            _add(archive, name, data)
        record = f"{stem}.dist-info/RECORD"
        _add(archive, record, "".join([*(_line(*file) for file in sorted(files.items())), f"{record},,\n"]).encode())
    return wheel


def _code(package: Path) -> list[Path]:
    return [path for path in package.rglob("*") if path.suffix in _SUFFIXES and path.is_file()]


def _about(distribution: metadata.Distribution) -> Iterator[tuple[str, str]]:
    """Give the files of the wheel's `.dist-info` folder, by name."""
    text = distribution.read_text("METADATA") or ""
    # A checkout may be at a later version than the one that was installed from it.
    yield "METADATA", re.sub(r"^Version: .*$", f"Version: {VERSION}", text, count=1, flags=re.MULTILINE)
    yield "WHEEL", _WHEEL
    for name in re.findall(r"^License-File: (.+)$", text.partition("\n\n")[0], re.MULTILINE):
        licence = distribution.read_text(f"licenses/{name}")
        if licence is not None:
            yield f"licenses/{name}", licence


def _line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr = 3, 0o100644 << 16
    archive.writestr(info, data)
