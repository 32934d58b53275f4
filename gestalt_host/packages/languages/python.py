"""Providers in Python: which interpreter and runtime start a source (contract.md 2.7, packaging.md 13.2)."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages.model import LaunchCommand
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.platforms import host_arch, host_os
from gestalt_host.packages.running import run_program
from gestalt_host.packages.tracebacks import reason_in
from gestalt_sdk.version import PROTOCOL_VERSION

# Our own runtime first; ``gestalt._runtime`` serves providers written for the SDK of that name.
RUNTIMES = ("gestalt_sdk.run", "gestalt._runtime")
# The kinds that the second one knows. Without a kind it serves whatever registers its services itself.
KINDS_OF_THE_PUBLIC_SDK = ("integration", "workflow", "agent", "authentication", "cache", "s3", "secrets", "runtime")
LAST_PUBLIC_SDK = "0.0.1a19"
"""Of the releases of the public SDK that speak protocol version 3."""
SPOKEN_VERSION = r"(?m)^CURRENT_PROTOCOL_VERSION\b.*= *([0-9]+)"
"""Finds in the source of a runtime which version of the protocol it speaks; ours says nothing, it is this host's."""
PROBE_TIMEOUT_S = 20
IMPORT_TIMEOUT_S = 45
_IMPORT = "import importlib, sys; sys.path.insert(0, sys.argv[1]); importlib.import_module(sys.argv[2])"
_TARGET = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::[A-Za-z_]\w*)?")
_PROBE = r"""
import importlib.machinery, importlib.util, re, sys
sys.path = [path for path in sys.path if path]  # "" is the host's working directory, perhaps with an SDK of its own
def find(name):  # without importing anything: an SDK brings gRPC along
    package = importlib.util.find_spec(name.partition(".")[0])
    return package and importlib.machinery.PathFinder.find_spec(name, package.submodule_search_locations)
spoken_version, *runtimes = sys.argv[1:]
runtime = next(filter(None, map(find, runtimes)), None)
spoken = re.search(spoken_version, runtime.loader.get_source(runtime.name) if runtime else "")
print(runtime.name if runtime else "", sys.version_info >= (3, 11), *(spoken.groups() if spoken else ()))
"""


class _Python:
    """Python, whose sources are run as they are (decision 16)."""

    name = "Python"

    def is_source(self, manifest: Manifest) -> bool:
        return python_target(manifest) is not None

    async def command(
        self, manifest: Manifest, entry_name: str, artifacts_dir: Path, environ: Mapping[str, str], *, build: bool
    ) -> LaunchCommand:
        return await launch_command(manifest, environ)


PYTHON = _Python()


async def launch_command(manifest: Manifest, environ: Mapping[str, str]) -> LaunchCommand:
    """Return the command that serves the package's Python source.

    Raises:
        PackageInvalid: it has none, or its interpreter has no Gestalt runtime.
    """
    target = _required_target(manifest)
    interpreter = find_interpreter(manifest.root, environ)
    python_path = _python_path(environ)
    runtime, safe_path = await _runtime_of(interpreter, python_path)
    # Without -P a provider would import first from the directory that the host was started in.
    options = ("-P",) if safe_path and runtime == RUNTIMES[0] else ()
    args = (str(interpreter), *options, "-m", runtime, str(manifest.root), *served(manifest, target, runtime))
    return LaunchCommand(args, {"PYTHONPATH": python_path})


async def import_once(manifest: Manifest, command: LaunchCommand, environ: Mapping[str, str]) -> None:
    """Import the module that the source's command serves, in a process of its own.

    Raises:
        PackageInvalid: it cannot be imported, with the last line that was written and the place.
    """
    module = _required_target(manifest).partition(":")[0]
    args = (command.args[0], "-c", _IMPORT, str(manifest.root), module)
    try:
        ended = await run_program(args, {**environ, **command.env}, limit_s=IMPORT_TIMEOUT_S, cwd=manifest.root)
    except TimeoutError:
        raise PackageInvalid(f"{manifest.root}: importing {module} took more than {IMPORT_TIMEOUT_S} s") from None
    if ended.status != 0:
        raise PackageInvalid(f"{manifest.root}: cannot import {module}{reason_in(ended.errors, manifest.root)}")


def program_command(manifest: Manifest, environ: Mapping[str, str]) -> LaunchCommand:
    """Return the command that runs the package's Python source as a program (``python -m``), for more than serving it.

    Raises:
        PackageInvalid: it has no Python source, or a variable names an interpreter that does not exist.
    """
    path = os.pathsep.join(part for part in (str(manifest.root), environ.get("PYTHONPATH", "")) if part)
    interpreter = str(find_interpreter(manifest.root, environ))
    return LaunchCommand((interpreter, "-P", "-m", python_program(manifest)), {"PYTHONPATH": path})


def python_program(manifest: Manifest) -> str:
    """Return the name of the package or module that the source's target is in.

    Raises:
        PackageInvalid: it has no Python source.
    """
    return _required_target(manifest).partition(":")[0].partition(".")[0]


def _required_target(manifest: Manifest) -> str:
    target = python_target(manifest)
    if target is None:
        raise PackageInvalid(f"{manifest.root}: no Python source: {without_target(manifest)}")
    return target


def python_target(manifest: Manifest) -> str | None:
    """Read ``MODULE[:ATTR]`` from ``pyproject.toml``, None when the folder has no Python source of this kind.

    Raises:
        PackageInvalid: the file or the target is malformed.
    """
    path = manifest.root / "pyproject.toml"
    if not path.is_file():
        return None
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackageInvalid(f"{path}: {error}") from None
    table: Any = document
    for name in ("tool", "gestalt"):
        table = table.get(name) if isinstance(table, dict) else None
    keys = _target_keys(manifest)
    target = next((table[key] for key in keys if key in table), None) if isinstance(table, dict) else None
    if target is None:
        return None
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        raise PackageInvalid(
            f"{path}: tool.gestalt.{keys[0]}: {target!r} is not of the form module or module:attribute"
        )
    return target


def _target_keys(manifest: Manifest) -> tuple[str, str]:
    # A plugin's target may stand under `plugin` too, the kind in its manifest.
    return ("provider", "plugin") if manifest.kind == "plugin" else (manifest.kind, "provider")


def without_target(manifest: Manifest) -> str:
    """Say why ``python_target`` found none, and what would be one."""
    if not (manifest.root / "pyproject.toml").is_file():
        return "there is no pyproject.toml"
    return f'pyproject.toml has no target in [tool.gestalt], such as {_target_keys(manifest)[0]} = "module:attribute"'


def find_interpreter(root: Path, environ: Mapping[str, str]) -> Path:
    """Find the Python that runs a provider's source: the first that exists of the ways in which one can be named.

    Raises:
        PackageInvalid: a variable names one that does not exist.
    """
    system, arch = host_os(), host_arch()
    variable = f"GESTALT_PYTHON_{system}_{arch}".upper()
    if environ.get(variable):
        return _named(environ[variable], variable)
    names = (f".venv-{system}-{arch}", f"venv-{system}-{arch}", f".venv/{system}-{arch}", f"venv/{system}-{arch}")
    for name in (*names, ".venv"):
        path = root / name / "bin" / "python"
        if path.exists():
            return path.absolute()
    if environ.get("GESTALT_PYTHON"):
        return _named(environ["GESTALT_PYTHON"], "GESTALT_PYTHON")
    path = root / "venv" / "bin" / "python"
    return path.absolute() if path.exists() else Path(sys.executable)


def _named(text: str, variable: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise PackageInvalid(f"{variable} names {text!r}, which does not exist")
    return path.absolute()


def served(manifest: Manifest, target: str, runtime: str) -> tuple[str, ...]:
    """Return what a runtime is told that it serves, after the folder: the target and, where it knows it, the kind."""
    kind = _runtime_kind(manifest)
    return (target, kind) if runtime == RUNTIMES[0] or kind in KINDS_OF_THE_PUBLIC_SDK else (target,)


def require_protocol(where: Path, spoken: str | None) -> None:
    """Refuse a runtime that speaks another version of the protocol than this host; None: it does not say.

    Raises:
        PackageInvalid: naming ``where`` the runtime is.
    """
    if spoken not in (None, str(PROTOCOL_VERSION)):
        raise PackageInvalid(
            f"{where}: its SDK speaks version {spoken} of the protocol, this host speaks {PROTOCOL_VERSION}; "
            f"accepted are releases of gestalt-sdk up to {LAST_PUBLIC_SDK}, and gestaltd-sdk"
        )


def _runtime_kind(manifest: Manifest) -> str:
    return {"plugin": "integration", "external_credentials": "external_credential"}.get(manifest.kind, manifest.kind)


def _python_path(environ: Mapping[str, str]) -> str:
    directory = environ.get("GESTALT_PYTHON_SDK_DIR", "")
    if not directory:
        return ""
    if not (Path(directory) / "pyproject.toml").is_file() or not (Path(directory) / "gestalt").is_dir():
        raise PackageInvalid(
            f"GESTALT_PYTHON_SDK_DIR names {directory!r}, which has no pyproject.toml and package gestalt"
        )
    return os.pathsep.join(part for part in (directory, environ.get("PYTHONPATH", "")) if part)


_probed: dict[tuple[Path, str], tuple[str, bool]] = {}


async def _runtime_of(interpreter: Path, python_path: str) -> tuple[str, bool]:
    """Return the interpreter's runtime module, and whether it knows ``-P``; asked once for each of the two."""
    if interpreter == Path(sys.executable):
        return RUNTIMES[0], True
    key = (interpreter, python_path)
    if key not in _probed:
        _probed[key] = await _probe(interpreter, python_path)
    return _probed[key]


async def _probe(interpreter: Path, python_path: str) -> tuple[str, bool]:
    try:
        process = await asyncio.create_subprocess_exec(
            *(str(interpreter), "-c", _PROBE, SPOKEN_VERSION, *RUNTIMES),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": python_path},
        )
    except OSError as error:
        raise PackageInvalid(f"{interpreter}: cannot be started: {error.strerror}") from None
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise PackageInvalid(f"{interpreter}: did not answer within {PROBE_TIMEOUT_S} s") from None
    words = output.decode(errors="replace").split()
    if process.returncode != 0 or len(words) < 2:
        raise PackageInvalid(f"{interpreter}: has no Gestalt runtime; install gestaltd-sdk into its environment")
    require_protocol(interpreter, words[2] if len(words) > 2 else None)
    return words[0], words[1] == "True"
