"""Providers written with the public Python SDK of the contract, in an environment of their own.

The SDK is another project's distribution (decision 30). It is installed once, into the cache that all checkouts share;
where the registry is not reached the tests are skipped, saying so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.rigs.toolchains import BUILD_S, PLUGINS, cache

PEERS = PLUGINS / "peers"
TESTED = ("gestalt-sdk==0.0.1a19", "croniter==6.0.0")
"""The last release of the SDK that speaks protocol version 3, and what the workflow provider needs besides."""
LATER = ("gestalt-sdk==0.0.1a29",)
"""A release that speaks a later protocol version, so that this host must refuse it."""


def installed(*requirements: str, dependencies: bool = True) -> Path | str:
    """Return an environment with these distributions, made when it is first needed, or why there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / "peers" / "_".join((version, *requirements))
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        # Its programs in bin name the folder that it is made in; only its interpreter is used.
        made = Path(fresh) / "environment"
        options = ("--quiet", "--disable-pip-version-check", *(() if dependencies else ("--no-deps",)))
        commands = (
            (sys.executable, "-m", "venv", str(made)),
            (str(made / "bin" / "python"), "-m", "pip", "install", *options, *requirements),
        )
        for command in commands:
            done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=BUILD_S, check=False)
            if done.returncode != 0:
                why = " ".join((done.stderr or done.stdout).strip().splitlines()[-1:])
                return f"{' and '.join(requirements)} cannot be installed: {why}"
        if not folder.exists():
            made.rename(folder)
    return folder


def environment(*requirements: str, dependencies: bool = True) -> Path:
    """Return an environment with these distributions; the test is skipped where the registry is not reached."""
    made = installed(*requirements, dependencies=dependencies)
    return made if isinstance(made, Path) else pytest.skip(made)


def provider_source(kind: str, folder: Path, environment: Path) -> Path:
    """Copy the provider of this kind with its environment beside it, as its author has it; return its manifest."""
    shutil.copytree(PEERS / kind, folder, ignore=shutil.ignore_patterns("__pycache__", ".gestaltd"))
    (folder / ".venv").symlink_to(environment)
    return folder / "manifest.yaml"


@contextmanager
def host_of(folder: Path, config: str) -> Iterator[Gestaltd]:
    """Serve a configuration without its first lines, those of the server; ended after the block."""
    port = free_port()
    path = folder / "gestalt.yaml"
    server = f'server: {{public: {{port: {port}}}, encryptionKey: "a key for tests only"}}\n'
    path.write_text(f"apiVersion: gestaltd.config/v5\n{server}{config}")
    host = Gestaltd([path], {"HOME": os.environ["HOME"]}, port, folder)
    try:
        yield host
    finally:
        host.stop()
