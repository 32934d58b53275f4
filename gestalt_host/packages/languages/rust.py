"""Providers in Rust: a crate's program that serves the contract, built by ``cargo`` (decision 45)."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages.builds import BuiltLanguage
from gestalt_host.packages.languages.tools import NOT_BUILT, find_tool, run_tool
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.platforms import host_platform

INSTALL = "Rust from https://rustup.rs, or the system's packages (cargo, rustc)"
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_SYSTEMS = {"linux": "unknown-linux-musl", "darwin": "apple-darwin"}
_BESIDE = ("Cargo.lock", "Cargo.toml", ".cargo/config.toml", "rust-toolchain.toml", "rust-toolchain")
"""Files of the folders above that decide on a build, such as those of a workspace."""

log = structlog.get_logger()


class _Rust(BuiltLanguage):
    name = "Rust"
    file = "program"
    recipe = "1"

    def is_source(self, manifest: Manifest) -> bool:
        return (manifest.root / "Cargo.toml").is_file()

    def folders(self, manifest: Manifest) -> list[Path]:
        found = [manifest.root]
        for folder in found:
            beside = [(folder / path).resolve() for path in _path_dependencies(_cargo_toml(folder))]
            found += [path for path in beside if (path / "Cargo.toml").is_file() and path not in found]
        above = manifest.root.resolve().parents
        return [*found, *(folder / name for folder in above for name in _BESIDE if (folder / name).is_file())]

    async def toolchain(self, manifest: Manifest, environ: Mapping[str, str]) -> str:
        find_tool("cargo", INSTALL, environ)
        return await self._rustc(manifest, environ, "-vV")

    async def build(self, manifest: Manifest, output: Path, environ: Mapping[str, str]) -> None:
        await self._compile(manifest, await self._host_target(manifest, environ), output, environ)

    async def build_release(self, manifest: Manifest, platform: str, output: Path, environ: Mapping[str, str]) -> None:
        target = await self._release_target(manifest, platform, environ)
        await self._compile(manifest, target, output, environ, "--locked")

    async def _release_target(self, manifest: Manifest, platform: str, environ: Mapping[str, str]) -> str:
        system, _, arch = platform.partition("/")
        if arch not in _ARCHITECTURES or system not in _SYSTEMS:
            raise PackageInvalid(f"Rust cannot be released for {platform}", NOT_BUILT)
        target = f"{_ARCHITECTURES[arch]}-{_SYSTEMS[system]}"
        host = await self._host_target(manifest, environ)
        sysroot = Path((await self._rustc(manifest, environ, "--print", "sysroot")).strip())
        if target == host or (sysroot / "lib" / "rustlib" / target / "lib").is_dir():
            return target
        add = f"rustup target add {target}"
        if platform != host_platform():
            text = f"Rust's target {target} is not installed; install it with `{add}`"
            raise PackageInvalid(f"{platform}: {text}", NOT_BUILT)
        text = f"Rust's target {target} is not installed: the executable needs the C library of a system like this one"
        log.warning(text, event_name="build.not_static", target=host, install=add)
        return host

    async def _compile(
        self, manifest: Manifest, target: str, output: Path, environ: Mapping[str, str], *options: str
    ) -> None:
        root = manifest.root
        cargo = find_tool("cargo", INSTALL, environ)
        described = await run_tool((cargo, "metadata", "--no-deps", "--format-version=1"), root, environ)
        crate, program, directory = _program(described, root)
        home = _cargo_home(environ)
        # The paths of other people's crates get into what is built, so they must not begin with this machine's folder.
        # cargo itself names files of the crate from its own folder.
        flags = json.dumps([f"--remap-path-prefix={home}=/cargo"] if home else [])
        what = ("--package", crate, "--bin", program, "--target", target)
        config = ("--config", f"build.rustflags={flags}", "--config", 'profile.release.strip="symbols"')
        args = (cargo, "build", "--release", "--quiet", "--message-format=short", *options, *what, *config)
        await run_tool(args, root, environ, {"CARGO_TERM_COLOR": "never"})
        shutil.copy2(Path(directory) / target / "release" / program, output)

    async def _host_target(self, manifest: Manifest, environ: Mapping[str, str]) -> str:
        lines = (await self._rustc(manifest, environ, "-vV")).splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("host: "))

    async def _rustc(self, manifest: Manifest, environ: Mapping[str, str], *words: str) -> str:
        return await run_tool((find_tool("rustc", INSTALL, environ), *words), manifest.root, environ)


RUST = _Rust()


def _program(described: str, root: Path) -> tuple[str, str, str]:
    """Return the names of this folder's crate and program, and where cargo puts what it builds.

    Args:
        described: What ``cargo metadata`` has told.
    """
    document = json.loads(described)
    path = (root / "Cargo.toml").resolve()
    crate = next((item for item in document["packages"] if Path(item["manifest_path"]).resolve() == path), None)
    if crate is None:
        text = "is a workspace; accepted is the folder of one crate with a program"
        raise PackageInvalid(f"{root}/Cargo.toml: {text}", NOT_BUILT)
    names = [target["name"] for target in crate["targets"] if "bin" in target["kind"]]
    named = [name for name in names if name == crate.get("default_run")] or names
    if len(named) == 1:
        return crate["name"], named[0], document["target_directory"]
    if names:
        found = ", ".join(names)
        raise PackageInvalid(f"{root}/Cargo.toml: several programs: {found}; name one as `default-run`", NOT_BUILT)
    raise PackageInvalid(
        f"{root}: the crate has no program (src/main.rs); accepted is one that serves the provider contract itself, "
        "not a library for an SDK",
        NOT_BUILT,
    )


def _cargo_home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME", "")
    return environ.get("CARGO_HOME") or (f"{home}/.cargo" if home else "")


def _cargo_toml(folder: Path) -> dict[str, object]:
    path = folder / "Cargo.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackageInvalid(f"{path}: {error}", NOT_BUILT) from None


def _path_dependencies(table: object) -> Iterator[str]:
    """Yield the ``path`` of each dependency in the table and the tables below it."""
    if not isinstance(table, dict):
        return
    for name, below in table.items():
        if name.endswith("dependencies") and isinstance(below, dict):
            for item in below.values():
                if isinstance(item, dict) and isinstance(item.get("path"), str):
                    yield item["path"]
        else:
            yield from _path_dependencies(below)
