"""Imports point down, in every package, and never in a circle. Reads the imports; nothing of the project is run.

The floors are in ``tests/support/floors.py``: a room may import itself and rooms on lower floors, never one on its own
floor or above.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.support.floors import FLOORS
from tests.support.imports import Package, circles, imports_of

ROOT = Path(__file__).parents[2]

GENERATED: dict[str, set[str]] = {
    "providers/indexeddb/gestalt_workflow": {"edge", "wire", "dispatch/host_client"},
    "providers/indexeddb_store/gestalt_store": {"edge", "values/wire"},
}
"""Where each package may import generated code, by folder or module; the host's are ``HOST_EDGES``."""

HOST_EDGES = {"hostservices", "verification", "supervisor/stores", "supervisor/lifecycle"}
HOST_EDGE_NAMES = {"client", "convert", "service"}
"""Last words of the names of those modules of the host that speak protobuf, besides ``HOST_EDGES``."""

SDK_WITHOUT_GENERATED = {"timing", "common", "errors"}

MOST_MODULES_IN_A_FOLDER = 20


@cache
def package(folder: str) -> Package:
    return Package(ROOT / folder)


def room_graph(tree: Package) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for arrow in tree.arrows:
        above, below = tree.room(arrow.importer), tree.room(arrow.imported)
        if below and above != below:
            graph.setdefault(above, set()).add(below)
            graph.setdefault(below, set())
    return graph


@pytest.mark.parametrize("folder", FLOORS)
def test_every_room_stands_on_one_floor(folder: str) -> None:
    tree = package(folder)
    listed = Counter(room for floor in FLOORS[folder] for room in floor)
    assert [room for room, times in listed.items() if times > 1] == []
    present = {tree.room(module) for module in tree.modules} - {""}
    assert set(listed) == present


@pytest.mark.parametrize("folder", FLOORS)
def test_imports_point_down(folder: str) -> None:
    tree = package(folder)
    floor = {room: index for index, rooms in enumerate(FLOORS[folder]) for room in rooms}
    wrong = [
        f"{tree.modules[arrow.importer].relative_to(ROOT)}:{arrow.line} imports {arrow.imported}"
        for arrow in tree.arrows
        if (above := tree.room(arrow.importer)) != (below := tree.room(arrow.imported))
        and below
        and above
        and floor[below] <= floor[above]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", [*FLOORS, "benchmarks", "examples/plugins", "tests"])
def test_no_modules_import_each_other_in_a_circle(folder: str) -> None:
    tree = package(folder)
    graph: dict[str, set[str]] = {module: set() for module in tree.modules}
    for arrow in tree.arrows:
        graph[arrow.importer].add(arrow.imported)
    assert circles(graph) == []


@pytest.mark.parametrize("folder", FLOORS)
def test_no_rooms_import_each_other_in_a_circle(folder: str) -> None:
    assert circles(room_graph(package(folder))) == []


@pytest.mark.parametrize("folder", FLOORS)
def test_no_folder_of_source_is_a_wall(folder: str) -> None:
    modules = Counter(path.parent for path in package(folder).modules.values() if path.name != "__init__.py")
    walls = {str(path.relative_to(ROOT)): count for path, count in modules.items() if count > MOST_MODULES_IN_A_FOLDER}
    assert walls == {}, f"more than {MOST_MODULES_IN_A_FOLDER} modules side by side: find the room that is missing"


def test_a_circle_is_found(tmp_path: Path) -> None:
    tree = tmp_path / "house"
    (tree / "attic").mkdir(parents=True)
    (tree / "cellar").mkdir()
    (tree / "attic" / "chest.py").write_text("from house.cellar import wine\n")
    (tree / "cellar" / "wine.py").write_text("def pour():\n    from ..attic.chest import glass\n    return glass\n")
    planted = Package(tree)
    graph: dict[str, set[str]] = {}
    for arrow in planted.arrows:
        graph.setdefault(arrow.importer, set()).add(arrow.imported)
    assert circles(graph) == [["house.attic.chest", "house.cellar.wine"]]
    assert circles(room_graph(planted)) == [["attic", "cellar"]]


def test_the_command_line_imports_nothing_else_of_the_host() -> None:
    wrong = [
        f"{found.path.relative_to(ROOT)}:{found.line} imports {found.name}"
        for path in Package(ROOT / "gestalt_host" / "cli").modules.values()
        for found in imports_of(path, ROOT)
        if found.name.startswith("gestalt_host.") and not found.name.startswith("gestalt_host.cli")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "folder", ["gestalt_sdk", "providers", "examples/plugins", "examples/providers", "tests/support/plugins"]
)
def test_providers_and_the_sdk_never_import_the_host(folder: str) -> None:
    wrong = [
        f"{found.path.relative_to(ROOT)}:{found.line} imports {found.name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in imports_of(path, ROOT)
        if found.name.split(".")[0] == "gestalt_host"
    ]
    assert not wrong, "\n".join(wrong)


def test_the_sdk_imports_no_provider() -> None:
    theirs = {path.name for folder in ("providers", "examples/plugins") for path in (ROOT / folder).glob("*/*")}
    wrong = [
        f"{found.path.relative_to(ROOT)}:{found.line} imports {found.name}"
        for path in package("gestalt_sdk").modules.values()
        for found in imports_of(path, ROOT)
        if found.name.split(".")[0] in theirs
    ]
    assert not wrong, "\n".join(wrong)


def may_import_generated_code(folder: str, below: str) -> bool:
    """Say whether a module, named by its path below its package without ``.py``, is an edge."""
    if folder == "gestalt_sdk":
        return below.split("/")[0] not in SDK_WITHOUT_GENERATED
    if folder == "gestalt_host":
        stem = below.rsplit("/", 1)[-1]
        return stem.rsplit("_", 1)[-1] in HOST_EDGE_NAMES or any(
            below == edge or below.startswith(f"{edge}/") for edge in HOST_EDGES
        )
    return any(below == edge or below.startswith(f"{edge}/") for edge in GENERATED[folder])


@pytest.mark.parametrize("folder", FLOORS)
def test_generated_code_stays_at_the_edges(folder: str) -> None:
    tree = package(folder)
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.name}"
        for path in tree.modules.values()
        if not may_import_generated_code(folder, path.relative_to(tree.folder).with_suffix("").as_posix())
        for found in imports_of(path, tree.folder.parent)
        if found.name.startswith("gestalt_sdk.gen")
    ]
    assert not wrong, "\n".join(wrong)


def test_plugins_never_import_generated_code() -> None:
    wrong = [
        f"{found.path.relative_to(ROOT)}:{found.line} imports {found.name}"
        for path in sorted((ROOT / "examples").rglob("*.py"))
        # Stores and workflow providers serve the messages themselves.
        if not {"indexeddb-python", "workflow-python"} & set(path.parts)
        for found in imports_of(path, ROOT)
        if found.name.startswith("gestalt_sdk.gen")
    ]
    assert not wrong, "\n".join(wrong)
