"""Executables of Python providers: one file made with shiv, which a system's Python of the same version runs."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages.python import (
    RUNTIMES,
    SPOKEN_VERSION,
    find_interpreter,
    python_target,
    require_protocol,
    served,
)
from gestalt_host.packages.languages.tools import run_tool
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.releasing.own_sdk import SDK, write_sdk_wheel
from gestalt_host.packages.releasing.wheels import Pip, collect_wheels, make_wheel, unpack_wheels

_BUILT_AT = "1980-01-01 00:00:00"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAIN = "gestalt_provider_main"
_SAY_VERSION = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
_STARTER = '''\
"""Serve the provider of this zipapp."""

import os
import runpy
import sys


def main():
    sys.argv[1:] = [os.path.dirname(os.path.abspath(__file__)), *{served!r}]
    runpy.run_module({runtime!r}, run_name="__main__", alter_sys=True)
'''
_ENTRY = '''\
"""Find a folder for the libraries of this zipapp, which it unpacks once, then serve the provider."""

import os
import stat
import sys
import tempfile


def is_private(path):
    status = os.lstat(path)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def folders():
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~")
    if os.path.isabs(cache):
        yield os.path.join(cache, "gestalt", "zipapps")
    elif os.path.isdir(home):
        yield os.path.join(home, ".cache", "gestalt", "zipapps")
    yield os.path.join(tempfile.gettempdir(), "gestalt-zipapps-%d" % os.getuid())


def writable_folder():
    for path in folders():
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            if is_private(path) and os.access(path, os.W_OK):
                return path
        except OSError:
            pass
    sys.exit("cannot unpack this program: none of these folders can be written: " + ", ".join(folders()))


if not os.environ.get("SHIV_ROOT"):
    os.environ["SHIV_ROOT"] = writable_folder()

import _bootstrap

_bootstrap.bootstrap()
'''


class PythonRelease:
    """Makes the executables of one provider, for one platform after the other."""

    def __init__(
        self,
        manifest: Manifest,
        work: Path,
        find_links: tuple[str, ...],
        extras: tuple[str, ...],
        environ: Mapping[str, str],
    ) -> None:
        self._manifest = manifest
        self._work = work
        self._find_links = find_links
        self._extras = extras
        self._environ = environ
        self._made: tuple[Pip, str] | None = None
        self._lock = asyncio.Lock()

    async def build(self, platform: str, output: Path) -> None:
        """Write the executable for a platform to ``output``: the same bytes for the same wheels.

        Raises:
            PackageInvalid: it cannot be made for that platform.
        """
        pip, requirement = await self._prepared()
        folder = self._work / platform.replace("/", "-")
        await asyncio.to_thread(folder.mkdir)
        wheels = await collect_wheels(pip, [requirement], platform, folder / "wheels")
        await asyncio.to_thread(self._assemble, wheels, folder / "site-packages", output, pip.python)

    def _assemble(self, wheels: list[Path], site_packages: Path, output: Path, python: str) -> None:
        unpack_wheels(wheels, site_packages)
        if not self._is_project:
            _copy_modules(self._manifest, self._target, site_packages)
        runtime = next((name for name in RUNTIMES if _has(site_packages, name)), "")
        if not runtime:
            raise PackageInvalid(
                f"{self._manifest.root / 'pyproject.toml'}: its requirements bring no Gestalt runtime along; add "
                f'"{SDK}" to project.dependencies'
            )
        require_protocol(self._manifest.root / "pyproject.toml", _spoken_version(site_packages, runtime))
        starter = _STARTER.format(served=served(self._manifest, self._target, runtime), runtime=runtime)
        (site_packages / f"{_MAIN}.py").write_text(starter, encoding="utf-8")
        _write_zipapp(site_packages, output, python)

    @property
    def _target(self) -> str:
        target = python_target(self._manifest)
        assert target is not None, "callers have found a Python source"
        return target

    @property
    def _is_project(self) -> bool:
        """Whether the folder can be built as a distribution; else its modules are taken as they lie there."""
        text = (self._manifest.root / "pyproject.toml").read_text(encoding="utf-8")
        return "project" in tomllib.loads(text)

    async def _prepared(self) -> tuple[Pip, str]:
        """Return pip, and what it installs: the provider's own wheel, made once."""
        async with self._lock:
            if self._made is None:
                _require_tools()
                interpreter = find_interpreter(self._manifest.root, self._environ)
                own = await asyncio.to_thread(write_sdk_wheel, self._work / "sdk")
                pip = Pip(
                    (sys.executable, "-m", "pip", *_for(interpreter)),
                    await _version_of(interpreter, self._work, self._environ),
                    (*self._find_links, *((str(own.parent),) if own else ())),
                    self._environ,
                )
                requirement = SDK
                if self._is_project:
                    requirement = str(await make_wheel(pip, self._manifest.root, self._work))
                    requirement += f"[{','.join(self._extras)}]" if self._extras else ""
                self._made = pip, requirement
        return self._made


def _require_tools() -> None:
    missing = [name for name in ("pip", "shiv") if importlib.util.find_spec(name) is None]
    if missing:
        raise PackageInvalid(
            f"a Python provider is released with {' and '.join(missing)}, which is not installed beside gestaltd; "
            "install it with: pip install 'gestaltd[release]'"
        )


def _for(interpreter: Path) -> tuple[str, ...]:
    return () if interpreter == Path(sys.executable) else ("--python", str(interpreter))


async def _version_of(interpreter: Path, work: Path, environ: Mapping[str, str]) -> str:
    said = await run_tool((interpreter, "-I", "-c", _SAY_VERSION), work, environ)
    name, _, version = said.strip().partition(" ")
    if name != "cpython":
        raise PackageInvalid(f"{interpreter}: is {name}; providers are released for CPython")
    return version


def _spoken_version(site_packages: Path, runtime: str) -> str | None:
    source = site_packages.joinpath(*runtime.split(".")).with_suffix(".py")
    found = re.search(SPOKEN_VERSION, source.read_text(encoding="utf-8")) if source.is_file() else None
    return found and found[1]


def _has(site_packages: Path, module: str) -> bool:
    path = site_packages.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def _copy_modules(manifest: Manifest, target: str, site_packages: Path) -> None:
    """Copy the package or module that the target is in."""
    name = target.partition(":")[0].partition(".")[0]
    folder, file = manifest.root / name, manifest.root / f"{name}.py"
    if folder.is_dir():
        ignored = shutil.ignore_patterns(".*", "__pycache__", "*.py[cod]")
        shutil.copytree(folder, site_packages / name, ignore=ignored)
    elif file.is_file():
        shutil.copyfile(file, site_packages / file.name)
    else:
        raise PackageInvalid(f"{manifest.root}: has no module {name!r}, which pyproject.toml names")


def _write_zipapp(site_packages: Path, output: Path, python: str) -> None:
    from shiv.bootstrap.environment import Environment
    from shiv.builder import create_archive

    loose = output.with_name(f"{output.name}.loose")
    environment = Environment(
        built_at=_BUILT_AT,
        shiv_version=metadata.version("shiv"),
        compile_pyc=False,
        reproducible=True,
        entry_point=f"{_MAIN}:main",
    )
    interpreter = f"/usr/bin/env python{python}"
    create_archive([site_packages], loose, interpreter, "_bootstrap:bootstrap", environment, compressed=False)
    _write_sorted(loose, output, interpreter)
    loose.unlink()


def _write_sorted(loose: Path, output: Path, interpreter: str) -> None:
    """Write the zipapp anew, with its entries in order and plain permissions: shiv has them as it found its files."""
    with zipfile.ZipFile(loose) as source, output.open("wb") as file:
        file.write(f"#!{interpreter}\n".encode())
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in sorted(source.infolist(), key=lambda item: item.filename):
                info = zipfile.ZipInfo(entry.filename, _EPOCH)
                info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
                is_program = entry.external_attr >> 16 & 0o100 and entry.filename.startswith("site-packages/")
                info.external_attr = (0o100755 if is_program else 0o100644) << 16
                archive.writestr(info, _ENTRY if entry.filename == "__main__.py" else source.read(entry))
    output.chmod(0o755)
