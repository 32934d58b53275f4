"""Read the imports of a tree of modules, without running them.

Every import counts: at the top of a module, inside a function and under ``TYPE_CHECKING``. A circle that only a late
import hides is a circle all the same to somebody who reads. One exception: what an ``__init__`` imports under
``TYPE_CHECKING`` is the list of its public names, which are loaded when somebody asks for them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One imported name: in which file and line it is imported, and its absolute dotted name."""

    path: Path
    line: int
    name: str


def module_name(path: Path, above: Path) -> str:
    """Return the dotted name of the module in ``path``, counted from the folder ``above``."""
    parts = path.relative_to(above).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, above: Path) -> Iterator[Import]:
    """Yield each name that a module imports; relative imports are made absolute."""
    package = path.relative_to(above).parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    if path.name == "__init__.py":
        tree.body = [node for node in tree.body if not _lists_public_names(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join((*package[: len(package) - node.level + 1], *([base] if base else [])))
            for alias in node.names:
                yield Import(path, node.lineno, f"{base}.{alias.name}")


def _lists_public_names(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@dataclass(frozen=True)
class Arrow:
    """One module of a package imports another of it."""

    importer: str
    imported: str
    line: int


class Package:
    """A Python package on disk: its modules, and which of them import which.

    Args:
        folder: The folder of the package; its parent is where dotted names begin.
        leave_out: Names of sub-folders that are not read, such as generated code.
    """

    def __init__(self, folder: Path, leave_out: frozenset[str] = frozenset({"gen"})) -> None:
        self.folder = folder
        self.modules: dict[str, Path] = {
            module_name(path, folder.parent): path
            for path in sorted(folder.rglob("*.py"))
            if not leave_out.intersection(path.relative_to(folder).parts)
        }

    @cached_property
    def arrows(self) -> list[Arrow]:
        """The imports between modules of this package, in the order of the files."""
        return [
            Arrow(name, imported, found.line)
            for name, path in self.modules.items()
            for found in imports_of(path, self.folder.parent)
            if (imported := self._module_of(found.name)) and imported != name
        ]

    def room(self, module: str) -> str:
        """Return the first part below the package: ``edge`` for ``gestalt_workflow.edge.faults``; "" for itself."""
        return module.split(".")[1] if "." in module else ""

    def _module_of(self, name: str) -> str | None:
        while name and name not in self.modules:
            name = name.rpartition(".")[0]
        return name or None


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return each group of nodes that reach one another, sorted; an empty list when there is no circle."""
    reached = {node: _reachable(node, graph) for node in graph}
    groups = {
        tuple(sorted({other for other in reached[node] if node in reached.get(other, set())}))
        for node in graph
        if node in reached[node]
    }
    return sorted([list(group) for group in groups])


def _reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = list(graph.get(start, ()))
    while ahead:
        node = ahead.pop()
        if node not in seen:
            seen.add(node)
            ahead += graph.get(node, ())
    return seen
