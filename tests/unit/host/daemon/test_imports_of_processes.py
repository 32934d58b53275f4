"""What a start imports, counted in modules: most of the time that a start takes is the import of packages."""

from __future__ import annotations

import subprocess
import sys

from tests.support.commands import ROOT

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


def test_a_host_imports_only_what_it_serves_with() -> None:
    found = imported("from gestalt_host.daemon import program\nprogram._begin()\nimport gestalt_host.daemon.serving")
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
