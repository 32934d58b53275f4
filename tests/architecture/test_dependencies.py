"""What a pyproject.toml declares is what its code imports: nothing more, nothing less."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
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

OURS = {"gestaltd", "gestaltd-sdk"}
OUR_PACKAGES = {"gestalt_host", "gestalt_sdk"}

DEVELOPMENT = ["gestalt_sdk", "gestalt_host", "providers", "examples", "tests", "benchmarks", "tools"]
SHIPPED_WITH_THE_HOST = ["gestalt_host", "providers", "examples/plugins"]

DECLARED: dict[str, list[str]] = {
    "sdk": ["gestalt_sdk"],
    "host": SHIPPED_WITH_THE_HOST,
    "postgres": ["providers/indexeddb_store"],
    "release": ["gestalt_host"],
    "dev": DEVELOPMENT,
}
"""What each of our two distributions and each extra of `gestaltd` requires: the folders whose imports justify it."""

PLUGINS = sorted(path.parent.name for path in (ROOT / "examples" / "plugins").glob("*/pyproject.toml"))


READ_FOR_NAMES = ("", ".toml", ".md", ".py", ".txt", ".yaml", ".yml")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: Iterable[str]) -> set[str]:
    """Return the distributions of requirement lines, without their versions, extras and markers."""
    return {normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in requirements} - OURS


def imported(folders: Iterable[str]) -> set[str]:
    """Return the dotted names that modules below the folders import."""
    return {name for folder in folders for name in imported_below(folder)}


@cache
def imported_below(folder: str) -> set[str]:
    return {name for path in (ROOT / folder).rglob("*.py") for name in imports(path)}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def installed() -> Mapping[str, list[str]]:
    """Return the distributions that each top-level name comes from."""
    return packages_distributions()


def distributions(names: Iterable[str]) -> set[str]:
    """Return the installed distributions that the dotted names come from."""
    tops = installed()
    found: set[str] = set()
    for top in {name.split(".")[0] for name in names}:
        if top in sys.stdlib_module_names or top in OUR_PACKAGES:
            continue
        found |= {normal(distribution) for distribution in tops.get(top, ())}
    return found


def unused(declared: set[str], names: Iterable[str]) -> set[str]:
    return declared - distributions(names) - set(NOT_IMPORTED)


def requirements() -> dict[str, list[str]]:
    sdk = tomllib.loads((ROOT / "gestalt_sdk" / "pyproject.toml").read_text())["project"]
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    host = document["tool"]["hatch"]["metadata"]["hooks"]["custom"]["dependencies"]
    return {"sdk": sdk["dependencies"], "host": host, **document["project"]["optional-dependencies"]}


@pytest.mark.parametrize("where", DECLARED)
def test_every_declared_dependency_is_used(where: str) -> None:
    assert unused(named(requirements()[where]), imported(DECLARED[where])) == set()


@pytest.mark.parametrize(
    ("folders", "lists"), [(["gestalt_sdk"], ["sdk"]), (SHIPPED_WITH_THE_HOST, ["sdk", "host", "postgres", "release"])]
)
def test_what_a_distribution_imports_is_declared(folders: list[str], lists: list[str]) -> None:
    declared = {name for where in lists for name in named(requirements()[where])}
    # googleapis-common-protos carries google.rpc and comes with grpcio-status.
    assert distributions(imported(folders)) - declared - {"googleapis-common-protos"} == set()


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_declares_what_it_imports(plugin: str) -> None:
    folder = f"examples/plugins/{plugin}"
    table = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    assert "gestaltd-sdk>=0.1" in table["dependencies"]
    assert distributions(imported([folder])) == named(table["dependencies"])


INSTALLED = re.compile(
    r"pip3? (?:install|download)[^`#\n]*?[\s'\"]gestalt(?:-sdk)?(?:[\[=<>~!\s'\"`;]|$)", re.MULTILINE
)
REQUIRED = re.compile(
    r"[\"']gestalt(?:-sdk)?(?:\[[\w,-]*\])?\s*(?:[=<>~!]=?\s*\d[^\"']*)?[\"'],?\s*(?:\]|#|$)"
    r"|^name = \"gestalt(?:-sdk)?\"|^gestalt(?:-sdk)?(?:\[[\w,-]*\])?\s*[=<>~!]=",
    re.MULTILINE,
)
"""Distributions `gestalt` and `gestalt-sdk`, which are others' on the package index (decision 30), in a command and in
a list of requirements."""


def names_of_others(text: str, *, has_requirements: bool) -> list[str]:
    patterns = (INSTALLED, REQUIRED) if has_requirements else (INSTALLED,)
    return [found.group().strip() for pattern in patterns for found in pattern.finditer(text)]


@pytest.mark.parametrize(
    ("text", "is_foreign"),
    [
        ("pip install gestalt", True),
        ("run `pip install 'gestalt[postgres]'`", True),
        ("pip install -U gestalt-sdk", True),
        ("pip install --find-links dist gestaltd gestaltd-sdk", False),
        ("pip install gestaltd  # brings the program gestalt", False),
        ('dependencies = ["gestalt"]', True),
        ('dependencies = ["httpx>=0.28", "gestalt>=0.1"]', True),
        ('  "gestalt[host,postgres]",', True),
        ('dependencies = ["gestaltd-sdk>=0.1"]', False),
        ('name = "gestalt-sdk"', True),
        ("gestalt-sdk==1.0", True),
        ("The package `gestalt` of the reference SDK", False),
    ],
)
def test_a_name_of_others_is_recognised(text: str, is_foreign: bool) -> None:
    assert bool(names_of_others(text, has_requirements=True)) == is_foreign


def test_nothing_installs_or_requires_distributions_of_others_that_are_named_like_ours() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wrong = [
        f"{name}: {found}"
        for name in files.splitlines()
        if (suffix := Path(name).suffix) in READ_FOR_NAMES and name != "tests/architecture/test_dependencies.py"
        for found in names_of_others((ROOT / name).read_text(encoding="utf-8"), has_requirements=suffix != ".py")
    ]
    assert wrong == []


def test_the_sdk_carries_the_licence_of_the_tree() -> None:
    assert (ROOT / "gestalt_sdk" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_a_dependency_that_nothing_imports_is_found() -> None:
    assert unused({"aiosqlite", "croniter"}, ["aiosqlite", "json"]) == {"croniter"}
