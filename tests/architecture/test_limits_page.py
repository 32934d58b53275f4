"""docs/limits.md names a test for each limit, and that test exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "limits.md"
COLUMNS = ["what grows", "bound", "set by", "beyond it", "test"]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(text: str) -> list[list[str]]:
    """Return the cells of each row below a heading row of a table."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("|") and not line.startswith("|---") and cells != COLUMNS:
            found.append(cells)
    return found


def problem(cells: list[str]) -> str | None:
    """Return what is wrong with a row, or None."""
    if len(cells) != len(COLUMNS) or not all(cells):
        return f"a row has not the cells {COLUMNS}: {cells}"
    named = TEST.findall(cells[-1])
    if not named:
        return f"no test is named as `tests/….py::test_name`: {cells}"
    for file, name in named:
        path = ROOT / file
        if not path.is_file():
            return f"{file} does not exist"
        tree = ast.walk(ast.parse(path.read_text()))
        if name not in {node.name for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}:
            return f"{file} has no {name}"
    return None


def test_each_limit_names_a_test_that_exists() -> None:
    assert [found for row in rows(PAGE.read_text()) if (found := problem(row))] == []


@pytest.mark.parametrize(
    "row",
    [
        "| runs | 1 |  | 400 | `tests/architecture/test_limits_page.py::problem` |",
        "| runs | 1 | `maxRuns` | 400 | somebody tried it |",
        "| runs | 1 | `maxRuns` | 400 | `tests/architecture/test_no_page.py::test_limit` |",
        "| runs | 1 | `maxRuns` | 400 | `tests/architecture/test_limits_page.py::test_nothing` |",
        "| runs | 1 | `maxRuns` | `tests/architecture/test_limits_page.py::problem` |",
    ],
)
def test_a_row_without_a_test_is_found(row: str) -> None:
    (cells,) = rows(row)
    assert problem(cells)
