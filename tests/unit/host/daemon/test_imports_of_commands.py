"""What commands import: help and version come at once because they need no package, and validate serves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
before = set(sys.modules)
from gestalt_host.daemon.__main__ import main
status = main(sys.argv[1:])
print(json.dumps([status, sorted(set(sys.modules) - before)]))
"""


def modules_of(folder: Path, *words: str) -> list[str]:
    """Run a command in a process of its own; return the modules that it imported."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    status, modules = json.loads(ended.stdout.splitlines()[-1])
    assert status == 0, ended.stderr
    return list(modules)


@pytest.mark.parametrize(
    "words", [["--help"], ["help"], ["version"], ["--version"], ["serve", "--help"], ["validate", "-h"]]
)
def test_help_and_version_import_no_package_and_few_modules(words: list[str], tmp_path: Path) -> None:
    modules = modules_of(tmp_path, *words)
    tops = {name.partition(".")[0] for name in modules}
    assert tops - set(sys.stdlib_module_names) == {"gestalt_host", "gestalt_sdk"}
    assert "asyncio" not in tops
    assert len(modules) <= 80


def test_validate_imports_nothing_that_serves(tmp_path: Path) -> None:
    (tmp_path / "gestalt.yaml").write_text("apiVersion: gestaltd.config/v5\n")
    modules = set(modules_of(tmp_path, "validate", "--config", "gestalt.yaml"))
    serving = {
        "starlette",
        "uvicorn",
        "prometheus_client",
        "httpx",
        "jwt",
        "gestalt_host.http",
        "gestalt_host.supervisor",
    }
    assert modules & serving == set()
    assert "gestalt_host.config" in modules
