"""Providers in TypeScript: a program that serves the contract, bundled into one file for ``node`` (decision 45)."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.kinds import canonical_kind
from gestalt_host.packages.languages.builds import BuiltLanguage
from gestalt_host.packages.languages.model import LaunchCommand
from gestalt_host.packages.languages.tools import NOT_BUILT, find_tool, run_tool
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.scratch import scratch_directory

ESBUILD = "0.28.2"
"""Version of the bundler for projects that do not have it among their own packages."""
INSTALL = "Node.js 20 or newer with npm: the system's packages (nodejs, npm), or https://nodejs.org"
_OLDEST = 20
_BUN = "Bun: https://bun.sh, or name its program in GESTALT_BUN"
_OTHER_MANAGERS = (".modules.yaml", ".yarn-state.yml", ".yarn-integrity")
"""What pnpm and Yarn leave in the folder of packages that they have installed."""
_LOADS_ADDONS = frozenset(
    {"bindings", "node-gyp-build", "node-addon-api", "prebuild-install", "node-pre-gyp", "@mapbox/node-pre-gyp"}
)
_PACKAGE = re.compile(r"(?:.*/)?node_modules/(@[^/]+/[^/]+|[^/]+)")


@dataclass(frozen=True, slots=True)
class Target:
    """What a project's ``gestalt.provider`` names: a file, and for other SDKs what it exports."""

    file: str
    export: str = ""


class _TypeScript(BuiltLanguage):
    name = "TypeScript"
    file = "program.cjs"
    recipe = f"1 esbuild {ESBUILD}"

    def is_source(self, manifest: Manifest) -> bool:
        return target_of(manifest) is not None

    def folders(self, manifest: Manifest) -> list[Path]:
        found = [manifest.root]
        for folder in found:
            beside = [(folder / path).resolve() for path in _file_dependencies(folder / "package.json")]
            found += [path for path in beside if path.exists() and path not in found]
        return found

    async def command(
        self, manifest: Manifest, entry_name: str, artifacts_dir: Path, environ: Mapping[str, str], *, build: bool
    ) -> LaunchCommand:
        target = _required_target(manifest)
        if target.export:
            return _bun_command(manifest, target, environ)
        return await super().command(manifest, entry_name, artifacts_dir, environ, build=build)

    def args(self, program: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
        return (find_tool("node", INSTALL, environ), "--enable-source-maps", str(program))

    async def toolchain(self, manifest: Manifest, environ: Mapping[str, str]) -> str:
        text = (await run_tool((find_tool("node", INSTALL, environ), "--version"), manifest.root, environ)).strip()
        major = text.removeprefix("v").partition(".")[0]
        if major.isdecimal() and int(major) < _OLDEST:
            raise PackageInvalid(f"node {text} is too old; install {INSTALL}", NOT_BUILT)
        return text

    async def build(self, manifest: Manifest, output: Path, environ: Mapping[str, str]) -> None:
        await self._bundle(manifest, output, environ, "--sourcemap=inline")

    async def build_release(self, manifest: Manifest, platform: str, output: Path, environ: Mapping[str, str]) -> None:
        target = _required_target(manifest)
        if target.export:
            raise PackageInvalid(
                f"{manifest.root}/package.json: gestalt.provider: {target.file}#{target.export} is written for an SDK; "
                "accepted for a release is a program, such as ./src/main.ts",
                NOT_BUILT,
            )
        await self.toolchain(manifest, environ)
        await self._bundle(manifest, output, environ, "--banner:js=#!/usr/bin/env node")

    async def _bundle(self, manifest: Manifest, output: Path, environ: Mapping[str, str], option: str) -> None:
        root, target = manifest.root, _required_target(manifest)
        await _install_packages(root, environ)
        with scratch_directory("bundle") as directory:
            bundle, parts = directory / "program.cjs", directory / "parts.json"
            options = ("--bundle", "--platform=node", f"--target=node{_OLDEST}", "--format=cjs", option)
            # Machine code does not get into the bundle; it is found among the parts and refused.
            quiet = ("--loader:.node=empty", "--log-level=warning", "--color=false")
            files = (f"--outfile={bundle}", f"--metafile={parts}")
            await run_tool((*_esbuild(root, environ), target.file, *options, *quiet, *files), root, environ)
            _refuse_addons(root, json.loads(parts.read_text(encoding="utf-8"))["inputs"])
            _copy(bundle, output)


TYPESCRIPT = _TypeScript()


def target_of(manifest: Manifest) -> Target | None:
    """Read ``gestalt.provider`` from ``package.json``; None when the folder has no such file, or the file no target.

    Raises:
        PackageInvalid: the file or the target is malformed, or the target is of another kind than the manifest.
    """
    path = manifest.root / "package.json"
    if not path.is_file():
        return None
    project = _json_of(path)
    section = project.get("gestalt")
    named = section.get("provider") if isinstance(section, dict) else None
    if named is None:
        return None
    kind, target = (named.get("kind"), named.get("target")) if isinstance(named, dict) else ("plugin", named)
    if not isinstance(target, str) or not isinstance(kind, str) or not canonical_kind(kind):
        accepted = 'accepted are "./src/main.ts" for a plugin, and {"kind": …, "target": "./src/main.ts"}'
        raise PackageInvalid(f"{path}: gestalt.provider: {json.dumps(named)} is not a target; {accepted}", NOT_BUILT)
    if canonical_kind(kind) != manifest.kind:
        raise PackageInvalid(
            f"{path}: gestalt.provider: is of kind {kind}, but the manifest says {manifest.kind}", NOT_BUILT
        )
    file, _, export = target.partition("#")
    resolved = (manifest.root / file).resolve()
    if not resolved.is_relative_to(manifest.root.resolve()) or not resolved.is_file():
        raise PackageInvalid(
            f"{path}: gestalt.provider: {file!r} is not a file of the package; accepted is one such as ./src/main.ts",
            NOT_BUILT,
        )
    return Target(file, export)


def _required_target(manifest: Manifest) -> Target:
    target = target_of(manifest)
    assert target is not None, "asked only where is_source said so"
    return target


def _bun_command(manifest: Manifest, target: Target, environ: Mapping[str, str]) -> LaunchCommand:
    """Return how a provider that is written for an SDK with a runtime of its own is started (packaging.md 13.2)."""
    root = manifest.root
    where = f"{root}/package.json: gestalt.provider: {target.file}#{target.export} is written for an SDK with a runtime"
    bun = environ.get("GESTALT_BUN") or shutil.which("bun", path=environ.get("PATH"))
    if not bun:
        path = Path(environ.get("HOME", "/")) / ".bun" / "bin" / "bun"
        bun = str(path) if os.access(path, os.X_OK) else ""
    if not bun or not os.access(bun, os.X_OK):
        missing = f"GESTALT_BUN names {bun!r}, which is not a program" if bun else "bun is missing"
        raise PackageInvalid(
            f"{where}, and {missing}; install {_BUN}; or make it a program, such as ./src/main.ts", NOT_BUILT
        )
    if not (root / "node_modules" / ".bin" / "gestalt-ts-runtime").exists():
        text = "its program gestalt-ts-runtime is not in node_modules; install that SDK with `bun install`"
        raise PackageInvalid(f"{where}, and {text}", NOT_BUILT)
    words = ("run", "--cwd", str(root), "gestalt-ts-runtime", "--", str(root))
    return LaunchCommand((str(Path(bun).absolute()), *words, f"{manifest.kind}:{target.file}#{target.export}"))


async def _install_packages(root: Path, environ: Mapping[str, str]) -> None:
    if _packages_are_current(root):
        return
    npm = find_tool("npm", INSTALL, environ)
    words = ("ci",) if (root / "package-lock.json").is_file() else ("install", "--no-package-lock")
    await run_tool((npm, *words, "--no-audit", "--no-fund", "--loglevel=error"), root, environ, {"NO_COLOR": "1"})


def _packages_are_current(root: Path) -> bool:
    """Tell whether ``node_modules`` holds what the project asks for.

    npm writes down what it has installed when it is done. What another package manager has installed is its own affair.
    """
    folder = root / "node_modules"
    if any((folder / name).exists() for name in _OTHER_MANAGERS):
        return True
    record = folder / ".package-lock.json"
    if not record.is_file():
        project = _json_of(root / "package.json")
        return not project.get("dependencies") and not project.get("devDependencies")
    installed = _versions(_json_of(record))
    if not (root / "package-lock.json").is_file():
        return record.stat().st_mtime >= (root / "package.json").stat().st_mtime
    wanted = _json_of(root / "package-lock.json")
    optional = {name for name, item in wanted.get("packages", {}).items() if item.get("optional")}
    return all(installed.get(name) == what or name in optional for name, what in _versions(wanted).items())


def _versions(lock: Any) -> dict[str, tuple[str, str]]:
    packages = lock.get("packages")
    items = packages.items() if isinstance(packages, dict) else ()
    return {name: (item.get("version", ""), item.get("integrity", "")) for name, item in items if name}


def _esbuild(root: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    own = root / "node_modules" / ".bin" / "esbuild"
    if os.access(own, os.X_OK):
        return (str(own.absolute()),)
    return (find_tool("npx", INSTALL, environ), "--yes", f"esbuild@{ESBUILD}")


def _copy(bundle: Path, output: Path) -> None:
    shutil.copyfile(bundle, output)
    output.chmod(0o755)


def _refuse_addons(root: Path, inputs: Mapping[str, object]) -> None:
    """Raise ``PackageInvalid`` naming the packages among the inputs of a bundle that have parts in machine code."""
    folders = {match[0]: match[1] for path in inputs if (match := _PACKAGE.match(path))}
    found = sorted({name for folder, name in folders.items() if _has_addon(root / folder)})
    own = sorted(path for path in inputs if path.endswith(".node") and not _PACKAGE.match(path))
    if found or own:
        raise PackageInvalid(
            f"{root}: {', '.join(found + own)}: has parts in machine code, which cannot be bundled; accepted are "
            "packages in JavaScript alone",
            NOT_BUILT,
        )


def _has_addon(package: Path) -> bool:
    files = (Path(directory, name) for directory, names, files in os.walk(package) for name in files)
    if any(path.suffix == ".node" or path.name == "binding.gyp" for path in files):
        return True
    about = _json_of(package / "package.json")
    # Such packages bring their machine code in packages of their own, one for each platform.
    platforms = any("linux-x64" in name for name in about.get("optionalDependencies") or ())
    return platforms or bool(_LOADS_ADDONS & (about.get("dependencies") or {}).keys())


def _file_dependencies(path: Path) -> Iterator[str]:
    project = _json_of(path) if path.is_file() else {}
    for key in ("dependencies", "devDependencies"):
        for version in (project.get(key) or {}).values():
            if isinstance(version, str) and version.startswith("file:"):
                yield version.removeprefix("file:")


def _json_of(path: Path) -> Any:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PackageInvalid(f"{path}: {error}", NOT_BUILT) from None
    if not isinstance(document, dict):
        raise PackageInvalid(f"{path}: is not a JSON object", NOT_BUILT)
    return document
