"""What a pyproject.toml declares is what its code imports: nothing more, nothing less."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NOT_IMPORTED = {
    "mypy": "a command of `make lint`",
    "ruff": "a command of `make lint`",
    "pre-commit": "a command of those who commit",
    "buf-bin": "a command of `make lint`",
    "coverage": "a command of `make coverage`",
    "types-protobuf": "read by mypy",
    "types-pyyaml": "read by mypy",
    "pytest-asyncio": "a plugin of pytest, named in its configuration",
    "pytest-timeout": "a plugin of pytest, named in its configuration",
    "pytest-xdist": "a plugin of pytest, used by `make test`",
    "grpcio-tools": "runs as `python -m grpc_tools.protoc`",
}
"""Distributions that no module imports by a statement, each with what uses it."""

DEVELOPMENT = ["gestalt_sdk", "gestalt_host", "providers", "examples", "tests", "benchmarks", "tools"]

DECLARED: dict[str, tuple[str, list[str]]] = {
    "dependencies": ("", ["gestalt_sdk"]),
    "host": ("host", ["gestalt_host", "providers", "examples/plugins"]),
    "postgres": ("postgres", ["providers/indexeddb_store"]),
    "dev": ("dev", DEVELOPMENT),
}
"""Each list of the root's pyproject.toml: the extra it is, and the folders whose imports justify its entries."""

PLUGINS = sorted(path.parent.name for path in (ROOT / "examples" / "plugins").glob("*/pyproject.toml"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: Iterable[str]) -> set[str]:
    """Return the distributions of requirement lines, without their versions, extras and markers."""
    return {normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in requirements} - {"gestalt"}


def imported(folders: Iterable[str], root: Path = ROOT) -> Iterator[str]:
    """Yield the dotted names that modules below the folders import."""
    for folder in folders:
        for path in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module
                    yield from (f"{node.module}.{alias.name}" for alias in node.names)


def distributions(names: Iterable[str]) -> set[str]:
    """Return the installed distributions that the dotted names come from."""
    tops = packages_distributions()
    found: set[str] = set()
    for name in set(names):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names:
            continue
        found |= {normal(distribution) for distribution in tops.get(top, ())}
    return found


def unused(declared: set[str], names: Iterable[str]) -> set[str]:
    return declared - distributions(names) - set(NOT_IMPORTED)


def project() -> dict[str, list[str]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


@pytest.mark.parametrize("where", DECLARED)
def test_every_declared_dependency_is_used(where: str) -> None:
    extra, folders = DECLARED[where]
    assert unused(named(project()[extra]), imported(folders)) == set()


def test_what_the_sdk_imports_is_declared() -> None:
    needed = distributions(imported(["gestalt_sdk"])) - {"gestalt"}
    # googleapis-common-protos carries google.rpc and comes with grpcio-status.
    assert needed - named(project()[""]) - {"googleapis-common-protos"} == set()


@pytest.mark.parametrize(
    "plugin", sorted(path.parent.name for path in (ROOT / "examples" / "plugins").glob("*/pyproject.toml"))
)
def test_a_plugin_declares_what_it_imports(plugin: str) -> None:
    folder = f"examples/plugins/{plugin}"
    table = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    assert distributions(imported([folder])) - {"gestalt"} == named(table["dependencies"])


def test_a_dependency_that_nothing_imports_is_found() -> None:
    assert unused({"aiosqlite", "croniter"}, ["aiosqlite", "json"]) == {"croniter"}
