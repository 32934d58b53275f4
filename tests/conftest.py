"""What tests of every folder may ask for: one PostgreSQL server, and other implementations to test in place of ours."""

from __future__ import annotations

import os

import hypothesis
import pytest

from tests.support.postgres import postgres_server as postgres_server

# A deadline for each example would fail a test for what else the machine is doing.
hypothesis.settings.register_profile("gestalt", deadline=None)
hypothesis.settings.load_profile("gestalt")

COMMANDS = {
    "--workflow-command": ("GESTALT_TEST_WORKFLOW_COMMAND", "command of a workflow provider to test instead of ours"),
    "--store-command": ("GESTALT_TEST_STORE_COMMAND", "command of an IndexedDB provider to run it on"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for option, (variable, text) in COMMANDS.items():
        parser.addoption(option, default=os.environ.get(variable), help=text)
    parser.addoption(
        "--ours", action="store_true", help="with --workflow-command: run what relies on our extensions and budgets too"
    )


def pytest_configure(config: pytest.Config) -> None:
    for option, (variable, _) in COMMANDS.items():
        command = config.getoption(option)
        if command:
            os.environ[variable] = command


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--workflow-command") or config.getoption("--ours"):
        return
    for item in items:
        if item.get_closest_marker("ours"):
            item.add_marker(pytest.mark.skip(reason="about extensions, records or budgets of our own provider: --ours"))
