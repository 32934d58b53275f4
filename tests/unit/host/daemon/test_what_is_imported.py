"""What a start imports, counted in modules: most of the time that a start takes is the import of packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.commands import ROOT

SERVING = {"grpc", "google.protobuf", "structlog", "starlette", "uvicorn", "jwt", "cryptography", "yaml", "asyncio"}
NOT_SERVING = {"rich", "pygments", "attr", "jsonschema", "referencing", "httpx", "ruamel"}
PLUGIN = ROOT / "tests" / "support" / "plugins" / "rig"


def imported(program: str) -> set[str]:
    """Return the names of the modules that are there when the program has ended."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words",
    [["--help"], ["serve", "--help"], ["validate", "--help"], ["lock", "--help"], ["sync", "--help"], ["version"]],
)
def test_help_and_version_import_nothing_that_serves(words: list[str]) -> None:
    found = imported(f"from gestalt_host.daemon.__main__ import main\nassert main({words!r}) == 0")
    assert not found & SERVING
    assert len(found) < 150


def test_a_wrong_option_imports_nothing_that_serves() -> None:
    found = imported("from gestalt_host.daemon.__main__ import main\nassert main(['serve', '--nope']) == 1")
    assert not found & SERVING


def test_a_host_imports_only_what_it_serves_with() -> None:
    found = imported("from gestalt_host.daemon import program\nprogram._commands()\nimport gestalt_host.daemon.host")
    assert found >= {"gestalt_host.http.app", "gestalt_host.daemon.wiring", "uvicorn", "grpc.aio"}
    assert not found & NOT_SERVING


def test_a_plugin_imports_only_what_it_serves_with() -> None:
    program = f"""
import asyncio
asyncio.run = lambda main: main.close()
import uvloop
uvloop.run = asyncio.run
from gestalt_sdk.run import main
assert main([{str(PLUGIN)!r}, "rig_plugin:provider"]) == 0
"""
    found = imported(program)
    assert found >= {"rig_plugin", "grpc.aio", "structlog"}
    assert not found & (NOT_SERVING | {"starlette", "jwt", "cryptography", "yaml"})
    assert not found & {"gestalt_sdk.agent", "gestalt_sdk.indexeddb", "gestalt_sdk.workflow"}
