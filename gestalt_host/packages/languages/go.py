"""Providers in Go: a program that serves the contract, built by the ``go`` command (decision 45)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.languages.builds import BuiltLanguage
from gestalt_host.packages.languages.tools import NOT_BUILT, find_tool, run_tool
from gestalt_host.packages.manifests.model import Manifest

INSTALL = "Go 1.22 or newer: the system's package (golang-go), or the archive from https://go.dev/dl/"
_OLDEST = (1, 22)
_VERSION = re.compile(r"\bgo(\d+)\.(\d+)")
_REPLACED = re.compile(r"^(?!\s*//).*=>\s*(\.{1,2}(?:/\S*)?)\s*(?://.*)?$", re.MULTILINE)
_STATIC = {"CGO_ENABLED": "0"}


class _Go(BuiltLanguage):
    name = "Go"
    file = "program"
    recipe = "1"

    def is_source(self, manifest: Manifest) -> bool:
        return (manifest.root / "go.mod").is_file()

    def folders(self, manifest: Manifest) -> list[Path]:
        found = [manifest.root]
        for folder in found:
            # Modules that a `replace` takes from a folder beside this one, and what those take.
            text = (folder / "go.mod").read_text(encoding="utf-8", errors="replace")
            beside = [(folder / path).resolve() for path in _REPLACED.findall(text)]
            found += [path for path in beside if (path / "go.mod").is_file() and path not in found]
        return found

    async def toolchain(self, manifest: Manifest, environ: Mapping[str, str]) -> str:
        text = (await run_tool((self._go(environ), "version"), manifest.root, environ)).strip()
        version = _VERSION.search(text)
        if version and (int(version[1]), int(version[2])) < _OLDEST:
            raise PackageInvalid(f"{text} is too old; install {INSTALL}", NOT_BUILT)
        return text

    async def build(self, manifest: Manifest, output: Path, environ: Mapping[str, str]) -> None:
        await self._compile(manifest, output, environ, _STATIC)

    async def build_release(self, manifest: Manifest, platform: str, output: Path, environ: Mapping[str, str]) -> None:
        await self.toolchain(manifest, environ)
        system, _, arch = platform.partition("/")
        await self._compile(manifest, output, environ, {**_STATIC, "GOOS": system, "GOARCH": arch})

    async def _compile(
        self, manifest: Manifest, output: Path, environ: Mapping[str, str], env: Mapping[str, str]
    ) -> None:
        package = await self._main_package(manifest, environ, env)
        # Neither the folder nor the commit is in what is built, so the same files give the same bytes.
        options = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w")
        args = (self._go(environ), "build", *options, "-o", os.fspath(output), package)
        await run_tool(args, manifest.root, environ, env)

    async def _main_package(self, manifest: Manifest, environ: Mapping[str, str], env: Mapping[str, str]) -> str:
        """Return the program of the module, as an argument of ``go build``."""
        root = manifest.root
        folders = [".", *(f"./cmd/{path.name}" for path in sorted(root.glob("cmd/*")) if any(path.glob("*.go")))]
        listed = await run_tool(
            (self._go(environ), "list", "-e", "-find", "-f", "{{.Name}}", *folders), root, environ, env
        )
        # With -e there is one line for each folder, blank for one that is not a package.
        names = listed.split("\n")
        programs = [folder for folder, name in zip(folders, names, strict=False) if name == "main"]
        if "." in programs or len(programs) == 1:
            return programs[0]
        if programs:
            text = (
                f"{', '.join(programs)} are several programs; accepted is one at the root, or a single one below cmd/"
            )
            raise PackageInvalid(f"{root}: {text}", NOT_BUILT)
        raise PackageInvalid(
            f"{root}: no package main at the root or below cmd/; accepted is a program that serves the provider "
            "contract itself, not a package with New() for an SDK",
            NOT_BUILT,
        )

    def _go(self, environ: Mapping[str, str]) -> str:
        return find_tool("go", INSTALL, environ)


GO = _Go()
