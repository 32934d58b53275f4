"""Replays the recorded conversations against real processes: the contract, the store, the workflow provider, HTTP, CLI.

One test a recording. A failing one prints every step that differs; the programs in ``tools/`` do the same by hand.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import ROOT, STORE, WORKFLOW
from tests.support.recordings import RECORDINGS, as_built, recordings, replay
from tests.support.rigs.gestaltd import Gestaltd, rig

PROGRAM = Path(sys.executable).with_name("gestalt")
PROTOS = ("--proto-path", ROOT / "proto")


def replay_store(path: Path) -> None:
    replay("replay_store.py", *PROTOS, "--command", STORE.text, path)


def replay_workflow(path: Path) -> None:
    commands = ["--store-command", STORE.text, "--workflow-command", WORKFLOW.text]
    replay("replay_workflow.py", *PROTOS, *commands, path)


def replay_cli(url: str, path: Path) -> None:
    replay("replay_cli.py", "--program", PROGRAM, "--url", url, path)


def altered(recording: str, folder: Path, was: str, becomes: str) -> Path:
    """Write how a recording begins, with an answer changed, to ``folder``; nothing is stored by so little of it."""
    text = "".join((RECORDINGS / recording).read_text().splitlines(keepends=True)[:2])
    assert was in text
    changed = folder / Path(recording).name
    changed.write_text(text.replace(was, becomes))
    return changed


found = partial(pytest.raises, pytest.fail.Exception, match=r"py exited with 1\n")
"""Around a replay that must find a difference."""


def test_the_protos_declare_exactly_the_contract() -> None:
    replay("check_contract.py", ROOT / "proto")


def test_a_field_that_the_contract_does_not_have_is_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    message = "message WorkflowEventMatch {"
    (file,) = [path for path in (tmp_path / "proto").rglob("workflow.proto") if message in path.read_text()]
    file.write_text(file.read_text().replace(message, f"{message}\n  string planted = 999;"))
    with found():
        replay("check_contract.py", tmp_path / "proto")


def test_a_store_that_answers_otherwise_is_found(tmp_path: Path) -> None:
    with found():
        replay_store(altered("store/schema.jsonl", tmp_path, "NOT_FOUND", "ABORTED"))


def test_a_workflow_provider_that_answers_otherwise_is_found(tmp_path: Path) -> None:
    with found():
        replay_workflow(altered("workflow/targets.jsonl", tmp_path, "target is required", "target is optional"))


def test_an_http_api_and_a_command_line_that_answer_otherwise_are_found(other_host: Gestaltd, tmp_path: Path) -> None:
    with found():
        replay("replay_http.py", other_host.url, altered("http/basics.jsonl", tmp_path, '"ok"', '"fine"'))
    with found():
        replay_cli(other_host.url, altered("cli/schedules.jsonl", tmp_path, "No results.", "Some results."))


@pytest.mark.parametrize("path", recordings("store"))
def test_the_store_answers_as_recorded(path: Path) -> None:
    replay_store(path)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", recordings("workflow"))
def test_the_workflow_provider_answers_as_recorded(path: Path) -> None:
    replay_workflow(path)


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
def test_the_http_api_answers_as_recorded(host: Gestaltd, path: Path, tmp_path: Path) -> None:
    replay("replay_http.py", host.url, as_built(path, tmp_path))


@pytest.mark.timeout(300)  # a hundred and more client processes, one after the other
@pytest.mark.parametrize("path", recordings("cli"))
def test_the_command_line_prints_as_recorded(other_host: Gestaltd, path: Path, tmp_path: Path) -> None:
    replay_cli(other_host.url, as_built(path, tmp_path))
