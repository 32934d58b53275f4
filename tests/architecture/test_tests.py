"""The suite itself: who imports whom, what waits how, and that each known trap has a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.commands import ROOT
from tests.support.imports import imports_of
from tests.support.traps import TRAPS, numbers_of

TESTS = ROOT / "tests"


@cache
def modules() -> list[tuple[Path, ast.Module]]:
    """Every module of the suite, read once for all tests here."""
    return [(path, ast.parse(path.read_text(), str(path))) for path in sorted(TESTS.rglob("*.py"))]


# Imports --------------------------------------------------------------------------------------------------------------


def shared_by_tests(path: Path, above: Path = ROOT) -> list[str]:
    """Return what a module imports from a conftest or from a module of tests."""
    return [
        f"{path.relative_to(above)}:{found.line} imports {found.name}: what tests share is in tests/support"
        for found in imports_of(path, above)
        if re.search(r"^tests\..*\.(conftest|test_\w+)(\.|$)", found.name)
    ]


def test_nothing_is_imported_from_a_conftest_or_a_module_of_tests() -> None:
    assert not (wrong := [line for path, _ in modules() for line in shared_by_tests(path)]), "\n".join(wrong)


def test_an_import_from_a_conftest_or_a_module_of_tests_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(
        "from tests.unit.host.http.conftest import api\n"
        "from tests.contract.workflow import test_runs\n"
        "from tests.support.rigs.host import rig\n"
    )
    assert [line.partition(" ")[2].partition(":")[0] for line in shared_by_tests(planted, tmp_path)] == [
        "imports tests.unit.host.http.conftest.api",
        "imports tests.contract.workflow.test_runs",
    ]


# Waiting --------------------------------------------------------------------------------------------------------------

MAY_SLEEP = {
    "tests/support/waiting.py": "what the others call",
    "tests/support/plugins": "a plugin that takes its time",
    "tests/simulation": "on a loop whose clock jumps to the next timer: nothing waits",
    "tests/conformance/tools": "programs that know nothing of the suite",
}


def sleeps(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every call of a ``sleep``, however it was imported."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module in ("asyncio", "time"):
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "sleep"}
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = node.func
            if (isinstance(called, ast.Name) and called.id in names) or (
                isinstance(called, ast.Attribute) and called.attr == "sleep"
            ):
                yield node.lineno, ast.unparse(node)


def test_only_named_reasons_let_time_pass() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text}: await a condition, or use a name of tests/support/waiting.py"
        for path, module in modules()
        if not any(path.is_relative_to(ROOT / place) for place in MAY_SLEEP)
        for line, text in sleeps(module)
    ]
    assert not wrong, "\n".join(wrong)


def test_a_sleep_is_found_however_it_is_called() -> None:
    text = "import time\nfrom asyncio import sleep as doze\ntime.sleep(1)\nasync def f():\n    await doze(0)\n"
    assert list(sleeps(ast.parse(text))) == [(3, "time.sleep(1)"), (5, "doze(0)")]


# Traps: what went wrong in other implementations, semantics.md 22 -----------------------------------------------------


def traps_marked(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Names of tests with a mark ``trap``, and the numbers it gives; marks of parameters are named by their table."""
    for node in module.body:
        name, marks = marked_in(node)
        for mark in marks:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.trap":
                for argument in mark.args:
                    assert isinstance(argument, ast.Constant), f"{name}: a trap is a number or a letter"
                    yield name, str(argument.value)


def marked_in(node: ast.stmt) -> tuple[str, list[ast.expr]]:
    """Return the name of a test and its decorators, or of a table at the top of a module and its values."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
        return node.name, node.decorator_list
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
        return ast.unparse(node.targets[0]), node.value.values
    return "", []


def wrong_traps(known: frozenset[str], marked: list[tuple[str, str]]) -> list[str]:
    found = {trap for _, trap in marked}
    wrong = [f"{name} is marked as trap {trap}, which is none" for name, trap in marked if trap not in known]
    return wrong + [f"trap {trap} has no test" for trap in sorted(known - found)]


def test_every_trap_of_the_specification_has_a_test_and_no_other_is_marked() -> None:
    marked = [found for _, module in modules() for found in traps_marked(module)]
    assert not (wrong := wrong_traps(TRAPS, marked)), "\n".join(wrong)


def test_a_trap_without_a_test_and_a_mark_without_a_trap_are_found() -> None:
    text = "@pytest.mark.trap(1, 31)\nasync def test_a(): ...\n\nMARKS = {'b': pytest.mark.trap('s')}\n"
    assert wrong_traps(frozenset({"1", "a"}), list(traps_marked(ast.parse(text)))) == [
        "test_a is marked as trap 31, which is none",
        "MARKS is marked as trap s, which is none",
        "trap a has no test",
    ]


def test_the_specification_lists_thirty_fixed_and_eighteen_latent_traps() -> None:
    assert numbers_of("## 22. T\n### 22.1 A\n 1. x\n10. z\n### 22.2 B\n a. b\n## 23. C\n 3. d\n") == {
        "1",
        "10",
        "a",
    }
    assert {str(number) for number in range(1, 31)} | set("abcdefghijklmnopqr") == TRAPS
