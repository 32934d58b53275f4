"""Executables of Python providers: zipapps made with shiv, unpacked while they are installed (packaging.md 12.2).

Started by itself such a file unpacks its libraries into a folder of the user's and compiles them there. Installed, that
has been done beside it, so that what runs is among the files whose digests are known, and a start writes nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from gestalt_host.packages.errors import PackageInvalid
from gestalt_sdk.common.printable import quoted

ROOT = ".gestalt-zipapp"
"""Folder of a prepared directory that holds the unpacked libraries."""
MAX_BYTES = 2 * 1024**3
"""Of all files in a zipapp together, unpacked."""
MAX_FILES = 100_000
COMPILE_TIMEOUT_S = 300
_SHEBANG_BYTES = 256
_ENVIRONMENT = "environment.json"
_ENVIRONMENT_BYTES = 16 * 1024**2
_SITE_PACKAGES = "site-packages"
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_REASON = "its executable is a broken zipapp"


def unpack_zipapp(executable: Path, directory: Path) -> bool:
    """Unpack the libraries of a zipapp into the prepared directory and compile them; tell whether it is one.

    Nothing of the provider is run. An executable of any other kind is left alone.

    Args:
        directory: The prepared directory, perhaps still under another name.
    Raises:
        PackageInvalid: the zipapp is damaged or hostile, or the interpreter that it names is not on this machine.
    """
    interpreter_line = _interpreter_line(executable)
    if not interpreter_line or not zipfile.is_zipfile(executable):
        return False
    try:
        with zipfile.ZipFile(executable) as archive:
            if "_bootstrap/__init__.py" not in archive.namelist() or _ENVIRONMENT not in archive.namelist():
                return False
            interpreter = _interpreter(interpreter_line, executable)
            _check_methods(archive, executable)
            target = directory / ROOT / f"{executable.name}_{_build_id(archive, executable)}"
            if (directory / ROOT).exists() or (directory / ROOT).is_symlink():
                raise PackageInvalid(f"{directory / ROOT}: the name is reserved, no package may hold it", _REASON)
            target.mkdir(parents=True, mode=0o700)
            _unpack(archive, executable, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise PackageInvalid(f"{executable}: is no sound zipapp: {error}", _REASON) from None
    _compile(interpreter, target / _SITE_PACKAGES)
    return True


def zipapp_environment(directory: Path) -> Mapping[str, str]:
    """Return the variables that a process of this prepared directory needs to use what was unpacked there.

    Empty when nothing was: its executable is no zipapp, or the directory was not prepared here.
    """
    root = directory / ROOT
    return {"SHIV_ROOT": str(root.absolute()), "PYTHONDONTWRITEBYTECODE": "1"} if root.is_dir() else {}


def _interpreter_line(executable: Path) -> str:
    with executable.open("rb") as file:
        line = file.read(_SHEBANG_BYTES).partition(b"\n")[0]
    return line[2:].decode(errors="replace").strip() if line.startswith(b"#!") else ""


def _interpreter(line: str, executable: Path) -> Path:
    """Return the interpreter that the kernel would start for the first line of the file."""
    words = line.split()
    name = words[1] if len(words) == 2 and Path(words[0]).name == "env" else words[0]
    # It is started now, to compile: it must be a Python of this machine, and nothing that a package has brought along.
    is_path = "/" in name
    if not _PYTHON.fullmatch(Path(name).name) or (is_path and not name.startswith("/")):
        raise PackageInvalid(
            f"{executable}: its first line names {quoted(name)}; accepted is a Python, by its name or absolute path",
            _REASON,
        )
    found = shutil.which(name)
    if found is None:
        raise PackageInvalid(
            f"{executable}: needs {name}, which is not on this machine's PATH; install it, or take a release of the "
            "provider that was made for a Python that is there",
            f"it needs {name}, which is not installed",
        )
    return Path(found)


def _check_methods(archive: zipfile.ZipFile, executable: Path) -> None:
    """Refuse what shiv does not write, whose decoders have errors and appetites of their own."""
    for entry in archive.infolist():
        if entry.compress_type not in _METHODS:
            raise PackageInvalid(f"{executable}: {entry.filename!r} is neither stored nor deflated", _REASON)


def _build_id(archive: zipfile.ZipFile, executable: Path) -> str:
    if archive.getinfo(_ENVIRONMENT).file_size > _ENVIRONMENT_BYTES:
        raise PackageInvalid(f"{executable}: {_ENVIRONMENT} is larger than {_ENVIRONMENT_BYTES} bytes", _REASON)
    try:
        document = json.loads(archive.read(_ENVIRONMENT))
    except (ValueError, RecursionError):
        document = None
    build_id = document.get("build_id") if isinstance(document, dict) else None
    if not isinstance(build_id, str) or not build_id.isalnum() or not build_id.isascii() or len(build_id) > 64:
        raise PackageInvalid(f"{executable}: {_ENVIRONMENT} has no usable build_id", _REASON)
    return build_id


def _unpack(archive: zipfile.ZipFile, executable: Path, target: Path) -> None:
    room, seen = MAX_BYTES, set[PurePosixPath]()
    entries = [item for item in archive.infolist() if item.filename.startswith(f"{_SITE_PACKAGES}/")]
    if len(entries) > MAX_FILES:
        raise PackageInvalid(f"{executable}: holds more than {MAX_FILES} files", _REASON)
    for entry in entries:
        name = PurePosixPath(entry.filename)
        mode = entry.external_attr >> 16
        if not _is_inside(entry.filename) or name in seen or (mode and stat.S_IFMT(mode) not in (0, *_PLAIN)):
            raise PackageInvalid(f"{executable}: {entry.filename!r} is no plain file inside the zipapp", _REASON)
        seen.add(name)
        path = target / name
        try:
            (path if entry.is_dir() else path.parent).mkdir(parents=True, exist_ok=True, mode=0o700)
            if not entry.is_dir():
                room = _write(archive, entry, path, mode, room, executable)
        except (FileExistsError, NotADirectoryError):
            raise PackageInvalid(f"{executable}: {entry.filename!r} is both a file and a folder", _REASON) from None
    (target / _SITE_PACKAGES).mkdir(exist_ok=True, mode=0o700)


_PLAIN = (stat.S_IFREG, stat.S_IFDIR)


def _is_inside(name: str) -> bool:
    parts = name.removesuffix("/").split("/")
    return "\\" not in name and name.isprintable() and all(part not in ("", ".", "..") for part in parts)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, mode: int, room: int, executable: Path) -> int:
    """Write one file; return how many bytes the next ones may have."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600 | (mode & 0o755))
    with os.fdopen(descriptor, "wb") as file, archive.open(entry) as source:
        while data := source.read(1024 * 1024):
            room -= len(data)
            if room < 0:
                raise PackageInvalid(f"{executable}: holds more than {MAX_BYTES} bytes", _REASON)
            file.write(data)
    return room


def _compile(interpreter: Path, folder: Path) -> None:
    # The digests of the sources are checked before a start, so the byte code need not look at them again. A library may
    # hold a file that is not for this Python; compileall's exit status says no more than that.
    options = ("-I", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash")
    try:
        subprocess.run(
            [str(interpreter), *options, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=COMPILE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PackageInvalid(f"{interpreter}: did not compile {folder} within {COMPILE_TIMEOUT_S} s") from None
    except OSError as error:
        raise PackageInvalid(f"{interpreter}: cannot be started: {error.strerror}") from None
