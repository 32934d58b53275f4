"""Each option, mark and variable of the suite does what it says: shown on small files, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.engine.proof import SEED, chosen_seed
from tests.support.commands import ROOT, STORE, WORKFLOW
from tests.support.nightly import VARIABLE as NIGHTLY

WORKFLOW_TESTS = "tests/contract/workflow/test_runs.py::test_runs_are_listed_by_creation"
WORKFLOW_OURS = "tests/contract/workflow/test_budgets.py::test_a_run_costs_the_same_whatever_the_history"
STORE_TESTS = (
    "tests/contract/indexeddb/test_stores.py::test_a_refusal_of_something_long_arrives_with_its_code[provider]"
)
STORE_OURS = "tests/contract/indexeddb/test_stores.py::test_a_refusal_of_something_long_arrives_with_its_code[scope]"
NIGHTLY_FILE = "tests/process/test_benchmarks.py"
NOTHING = "/bin/false"


def pytest_of_its_own(*arguments: str, **variables: str) -> str:
    """Return what a pytest with these arguments and additional variables prints, and the status that it ends with."""
    own = {WORKFLOW.variable, STORE.variable, NIGHTLY, "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"}
    environment = {name: value for name, value in os.environ.items() if name not in own} | variables
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=short", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return f"{done.stdout}{done.stderr}status {done.returncode}"


def test_the_workflow_provider_that_an_option_names_is_tested_and_what_only_ours_can_do_is_skipped() -> None:
    printed = pytest_of_its_own(WORKFLOW_TESTS, WORKFLOW_OURS, WORKFLOW.option, NOTHING)
    assert "w1 exited with 1" in printed, printed
    assert "1 skipped, 1 error in" in printed, printed


def test_the_store_that_an_option_names_is_tested_and_what_only_ours_can_do_is_skipped() -> None:
    printed = pytest_of_its_own(STORE_TESTS, STORE_OURS, WORKFLOW_TESTS, STORE.option, NOTHING)
    assert "the store exited with 1" in printed, printed
    assert "store exited with 1" in printed, printed
    assert "1 skipped, 2 errors in" in printed, printed


def test_variables_do_the_same_and_what_only_ours_can_do_runs_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = pytest_of_its_own(STORE_OURS, "--ours", **{STORE.variable: NOTHING})
    assert "the store exited with 1" in printed, printed
    assert "1 error in" in printed, printed
    monkeypatch.setenv(WORKFLOW.variable, "/bin/provider --flag")
    assert WORKFLOW.words() == ["/bin/provider", "--flag"]
    assert WORKFLOW.replaced


def test_the_store_behind_a_named_socket_is_tested(tmp_path: Path) -> None:
    nobody = str(tmp_path / "nobody.sock")
    printed = pytest_of_its_own(STORE_TESTS, STORE_OURS, "--indexeddb-socket", nobody)
    assert "UNAVAILABLE" in printed, printed
    assert "1 failed, 1 skipped in" in printed, printed


def test_what_runs_at_night_runs_when_it_is_asked_for_and_not_otherwise() -> None:
    def collected(*arguments: str, **variables: str) -> set[str]:
        printed = pytest_of_its_own("--collect-only", NIGHTLY_FILE, *arguments, **variables)
        assert "status 0" in printed or "status 5" in printed, printed
        return {line for line in printed.splitlines() if "::" in line}

    by_day = collected(**{NIGHTLY: "0"})
    at_night = collected(**{NIGHTLY: "1"})
    assert not by_day
    assert at_night == collected("-m", "nightly") != set()


def test_the_tests_of_one_trap_are_chosen_by_its_number() -> None:
    printed = pytest_of_its_own("--collect-only", "tests/unit/host/access/test_invocation_tokens.py", "--trap", "k")
    assert "::test_an_empty_ceiling_stays_empty" in printed, printed
    assert "(6 deselected)" in printed, printed
    printed = pytest_of_its_own("--collect-only", "tests/unit/host/access/test_invocation_tokens.py", "--trap", "31")
    assert "argument --trap: invalid choice: '31'" in printed


def test_the_seed_that_a_failing_proof_printed_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEED, "17")
    assert chosen_seed() == 17
    monkeypatch.delenv(SEED)
    assert chosen_seed() != chosen_seed()


def test_unknown_marks_are_refused(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("strict_markers")
