"""Replays the recorded conversations against real processes: the contract, the store, the workflow provider, HTTP, CLI.

One test a recording. A failing one prints every step that differs; the programs in ``tools/`` do the same by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ROOT, STORE, WORKFLOW
from tests.support.recordings import recordings, replay
from tests.support.rigs.gestaltd import Gestaltd, rig


def test_the_protos_declare_exactly_the_contract() -> None:
    replay("check_contract.py", ROOT / "proto")


@pytest.mark.parametrize("path", recordings("store"))
def test_the_store_answers_as_recorded(path: Path) -> None:
    replay("replay_store.py", "--proto-path", ROOT / "proto", "--command", STORE.text, path)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", recordings("workflow"))
def test_the_workflow_provider_answers_as_recorded(path: Path) -> None:
    commands = ["--store-command", STORE.text, "--workflow-command", WORKFLOW.text]
    replay("replay_workflow.py", "--proto-path", ROOT / "proto", *commands, path)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    """A host with the rig plugin three times and nothing stored, for HTTP."""
    with rig(tmp_path_factory.mktemp("http")) as served:
        yield served


@pytest.fixture(scope="module")
def other_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    """The same for the command line, whose recordings must not find the runs of others."""
    with rig(tmp_path_factory.mktemp("cli")) as served:
        yield served


@pytest.mark.parametrize("path", recordings("http"))
def test_the_http_api_answers_as_recorded(host: Gestaltd, path: Path) -> None:
    replay("replay_http.py", host.url, path)


@pytest.mark.timeout(300)  # a hundred and more client processes, one after the other
@pytest.mark.parametrize("path", recordings("cli"))
def test_the_command_line_prints_as_recorded(other_host: Gestaltd, path: Path) -> None:
    program = Path(sys.executable).with_name("gestalt")
    replay("replay_cli.py", "--program", str(program), "--url", other_host.url, path)
