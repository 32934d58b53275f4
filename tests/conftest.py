"""Options and marks of the suite: other implementations to test in place of ours, and what runs only at night."""

from __future__ import annotations

import os

import hypothesis
import pytest

from tests.support.commands import STORE, WORKFLOW
from tests.support.nightly import NIGHTLY
from tests.support.rigs.postgres import postgres_server as postgres_server
from tests.support.rigs.toolchains import grpcurl as grpcurl
from tests.support.traps import TRAPS

# A deadline for each example would fail a test for what else the machine is doing.
hypothesis.settings.register_profile("gestalt", deadline=None)
hypothesis.settings.load_profile("gestalt")


def pytest_addoption(parser: pytest.Parser) -> None:
    for command in (WORKFLOW, STORE):
        parser.addoption(command.option, help=command.help)
    parser.addoption(
        "--indexeddb-socket", help="unix socket of a configured IndexedDB provider to test instead of starting ours"
    )
    parser.addoption(
        "--ours", action="store_true", help="with one of these: run what relies on our extensions and budgets too"
    )
    parser.addoption("--trap", choices=sorted(TRAPS), help="run the tests of this trap of semantics.md 22 alone")


def pytest_configure(config: pytest.Config) -> None:
    for command in (WORKFLOW, STORE):
        if text := config.getoption(command.option):
            os.environ[command.variable] = text


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip_foreign(config, items)
    if not NIGHTLY and "nightly" not in config.option.markexpr:
        deselect(config, items, [item for item in items if item.get_closest_marker("nightly")])
    if trap := config.getoption("--trap"):
        deselect(config, items, [item for item in items if trap not in traps_of(item)])


def skip_foreign(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what another implementation than ours need not do."""
    foreign = {
        "workflow": WORKFLOW.replaced,
        "store": STORE.replaced or bool(config.getoption("--indexeddb-socket")),
    }
    reason = "about extensions, records or budgets of our own provider: --ours"
    for item in items:
        kinds = {mark.args[0] for mark in item.iter_markers("ours")}
        if not config.getoption("--ours") and any(foreign[kind] for kind in kinds):
            item.add_marker(pytest.mark.skip(reason=reason))


def traps_of(item: pytest.Item) -> set[str]:
    return {str(trap) for mark in item.iter_markers("trap") for trap in mark.args}


def deselect(config: pytest.Config, items: list[pytest.Item], those: list[pytest.Item]) -> None:
    gone = set(those)
    if gone:
        config.hook.pytest_deselected(items=those)
        items[:] = [item for item in items if item not in gone]
