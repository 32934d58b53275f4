"""Imports point one way. Reads every module's imports; nothing is executed.

The order is the one the host is described in: transports call the domain, the domain calls processes and packages, and
nobody calls back. Generated code stays in transport edges.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HOST_LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"daemon"}),
    frozenset({"http", "hostservices"}),
    frozenset({"workflows"}),
    frozenset({"invocation"}),
    frozenset({"access"}),
    frozenset({"supervisor"}),
    frozenset({"packages"}),
    frozenset({"config"}),
)
"""Packages of gestalt_host from top to bottom; each may import its own layer's own package and those below."""
EDGES = re.compile(r"(.*_)?(service|client|convert)|lifecycle")
"""Names of modules that are transport edges, wherever they are: they may import generated code."""
OTHER_EDGES = {
    "providers/indexeddb/gestalt_workflow/dispatch/host_client.py": "client of WorkflowHost",
    "gestalt_host/supervisor/stores.py": "opens scopes on the store's socket",
    **{
        f"providers/indexeddb/gestalt_workflow/{room}.py": "messages and this provider's own types"
        for room in ("wire/messages", "wire/payloads", "wire/policies", "wire/targets", "edge/extensions")
    },
    "providers/indexeddb_store/gestalt_store/values/wire.py": "splices records as the bytes they arrived in",
}


def modules(folder: str) -> Iterator[Path]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "gen" not in path.relative_to(ROOT).parts[:2]:
            yield path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Absolute names of everything a module imports, with the line."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def layer_of(package: str) -> int | None:
    return next((index for index, names in enumerate(HOST_LAYERS) if package in names), None)


def host_package(name: str) -> str | None:
    """``workflows`` for ``gestalt_host.workflows.manager``."""
    parts = name.split(".")
    return parts[1] if parts[0] == "gestalt_host" and len(parts) > 1 and layer_of(parts[1]) is not None else None


def test_the_host_imports_downwards() -> None:
    wrong = []
    for path in modules("gestalt_host"):
        own = path.relative_to(ROOT / "gestalt_host").parts[0]
        if (mine := layer_of(own)) is None:
            continue
        for line, name in imports(path):
            other = host_package(name)
            if other is None or other == own:
                continue
            theirs = layer_of(other)
            if theirs is not None and theirs <= mine:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}: {own} may not import {other}")
    assert not wrong, "\n".join(wrong)


def test_what_the_whole_host_shares_imports_none_of_its_parts() -> None:
    wrong = []
    for path in (ROOT / "gestalt_host").glob("*.py"):
        wrong += [f"{path.name}:{line} {name}" for line, name in imports(path) if name.startswith("gestalt_host.")]
    assert not wrong, "\n".join(wrong)


def test_the_command_line_imports_nothing_else_of_the_host() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("gestalt_host/cli")
        for line, name in imports(path)
        if name.startswith("gestalt_host.") and not name.startswith("gestalt_host.cli")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["gestalt_sdk", "providers", "examples/plugins", "tests/support/plugins/rig"])
def test_providers_and_the_sdk_never_import_the_host(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(folder)
        for line, name in imports(path)
        if name.split(".")[0] == "gestalt_host"
    ]
    assert not wrong, "\n".join(wrong)


def test_the_sdk_imports_no_provider() -> None:
    theirs = {path.name for folder in ("providers", "examples/plugins") for path in (ROOT / folder).glob("*/*")}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("gestalt_sdk")
        for line, name in imports(path)
        if name.split(".")[0] in theirs
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["gestalt_host", "providers", "examples/plugins"])
def test_generated_code_stays_in_transport_edges(folder: str) -> None:
    wrong = []
    for path in modules(folder):
        name_below = path.relative_to(ROOT).as_posix()
        if EDGES.fullmatch(path.stem) or name_below in OTHER_EDGES or "hostservices" in path.parts:
            continue
        wrong += [
            f"{path.relative_to(ROOT)}:{line} imports {name}"
            for line, name in imports(path)
            if name.startswith("gestalt_sdk.gen")
        ]
    assert not wrong, "\n".join(wrong)
