"""What the SDK's packages give, and what a process imports for it."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import gestalt_sdk

ROOT = Path(gestalt_sdk.__file__).parent
PACKAGES = [
    ".".join(("gestalt_sdk", *path.parent.relative_to(ROOT).parts))
    for path in sorted(ROOT.rglob("__init__.py"))
    if "gen" not in path.relative_to(ROOT).parts
]


def declared_names(package: str) -> dict[str, str]:
    """Return the names that the package imports for type checkers, with the module of each."""
    source = Path(str(importlib.import_module(package).__file__)).read_text()
    return {
        alias.asname or alias.name: str(node.module)
        for statement in ast.parse(source).body
        if isinstance(statement, ast.If)
        for node in statement.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_public_name_is_what_its_module_gives_and_what_type_checkers_see(package: str) -> None:
    module, declared = importlib.import_module(package), declared_names(package)
    assert module.__all__ == sorted(declared)
    for name, source in declared.items():
        assert getattr(module, name) is getattr(importlib.import_module(source), name)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_hides_a_module(package: str) -> None:
    folder = Path(str(importlib.import_module(package).__file__)).parent
    assert not set(declared_names(package)) & {path.stem for path in folder.iterdir()}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"module 'gestalt_sdk.plugin' has no attribute 'Nothing'"):
        getattr(importlib.import_module("gestalt_sdk.plugin"), "Nothing")  # noqa: B009 - mypy knows it is absent


@pytest.mark.parametrize(
    ("statement", "unused"),
    [
        ("import gestalt_sdk, gestalt_sdk.plugin", {"agent", "bases", "indexeddb", "plugin.base", "workflow"}),
        ("from gestalt_sdk.plugin import Plugin, Request, operation", {"agent", "indexeddb", "serving", "workflow"}),
        ("from gestalt_sdk.indexeddb import IndexedDB", {"agent", "bases", "plugin", "workflow"}),
        ("from gestalt_sdk.workflow import WorkflowProvider", {"agent", "indexeddb", "plugin"}),
    ],
)
def test_a_process_imports_only_what_it_uses(statement: str, unused: set[str]) -> None:
    script = f"import sys; {statement}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert not {f"gestalt_sdk.{room}" for room in unused} & set(ended.stdout.split())
