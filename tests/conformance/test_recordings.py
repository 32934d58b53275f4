"""Replays what was recorded against real processes: contract, store, workflow provider, HTTP, CLI, packages.

One test a recording. A failing one prints every step that differs; the programs in ``tools/`` do the same by hand.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import ROOT, STORE, WORKFLOW
from tests.support.recordings import RECORDINGS, as_built, recordings, replay
from tests.support.rigs.gestaltd import Gestaltd, free_port, rig
from tests.support.rigs.rest import recorded_plugins

PROGRAM = Path(sys.executable).with_name("gestalt")
GESTALTD = Path(sys.executable).with_name("gestaltd")
PACKAGING = RECORDINGS / "packaging"
PARTS = ("config", "archives", "lock", "stale", "downloads", "release")
PACKAGING_WITHIN_S = 580
"""Each of two hundred rows is one or more commands, and other tests run beside them."""
PROTOS = ("--proto-path", ROOT / "proto")


def replay_store(path: Path) -> None:
    replay("replay_store.py", *PROTOS, "--command", STORE.text, path)


def replay_workflow(path: Path) -> None:
    commands = ["--store-command", STORE.text, "--workflow-command", WORKFLOW.text]
    replay("replay_workflow.py", *PROTOS, *commands, path)


def replay_cli(url: str, path: Path) -> None:
    replay("replay_cli.py", "--program", PROGRAM, "--url", url, path)


def replay_packaging(part: str, program: str | Path = GESTALTD, recorded: Path = PACKAGING) -> None:
    words = ("--program", shlex.quote(str(program)), "--part", part)
    replay("replay_packaging.py", *words, recorded, within_s=PACKAGING_WITHIN_S)


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


def with_one_row(name: str, row: str, was: str, becomes: str, folder: Path) -> Path:
    """Copy the recordings of packages with one row of a file, with an answer changed."""
    changed = folder / "packaging"
    shutil.copytree(PACKAGING, changed)
    (line,) = [line for line in (PACKAGING / name).read_text().splitlines() if f'"name": "{row}"' in line]
    assert was in line
    (changed / name).write_text(line.replace(was, becomes) + "\n")
    return changed


@pytest.mark.parametrize(
    ("part", "name", "row", "was", "becomes"),
    [
        ("config", "config.jsonl", "secret-good", '"expect": "ok"', '"expect": "error"'),
        ("archives", "archives.jsonl", "good", '"expect": "accepted"', '"expect": "refused"'),
        ("downloads", "downloads.jsonl", "url", "/h/archive.tar.gz", "/h/another.tar.gz"),
        ("stale", "stale.jsonl", "nothing", '"ok"', '{"error": ""}'),
    ],
)
@pytest.mark.timeout(300)
def test_packages_that_are_judged_otherwise_are_found(
    part: str, name: str, row: str, was: str, becomes: str, tmp_path: Path
) -> None:
    with found():
        replay_packaging(part, recorded=with_one_row(name, row, was, becomes, tmp_path))


@pytest.mark.timeout(300)
def test_a_lock_file_with_another_byte_is_found(tmp_path: Path) -> None:
    changed = tmp_path / "packaging"
    shutil.copytree(PACKAGING, changed)
    for case in (changed / "lock").glob("*/gestalt.lock.json"):
        if case.parent.name != "local-release":
            shutil.rmtree(case.parent)
    path = changed / "lock" / "local-release" / "gestalt.lock.json"
    path.write_text(path.read_text() + "\n")
    with found():
        replay_packaging("lock", recorded=changed)


@pytest.mark.parametrize("part", PARTS)
def test_a_program_that_does_nothing_agrees_in_no_row(part: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"(?m)^0 of [1-9][0-9]* rows agree$"):
        replay_packaging(part, "/bin/false")


@pytest.mark.timeout(PACKAGING_WITHIN_S + 20)
@pytest.mark.parametrize("part", PARTS)
def test_packages_are_handled_as_recorded(part: str) -> None:
    replay_packaging(part)


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


@pytest.fixture(scope="module")
def plugins_without_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    """A host with the recorded plugins that are HTTP requests, and the service behind them."""
    with recorded_plugins(tmp_path_factory.mktemp("rest")) as served:
        yield served


@pytest.mark.parametrize("path", recordings("http/rest"))
def test_plugins_without_code_answer_as_recorded(plugins_without_code: Gestaltd, path: Path) -> None:
    for _ in range(2):  # nothing that was asked changes what is answered
        replay("replay_http.py", plugins_without_code.url, path)


def test_a_plugin_without_code_that_answers_otherwise_is_found(plugins_without_code: Gestaltd, tmp_path: Path) -> None:
    with found():
        changed = altered("http/rest/catalogue.jsonl", tmp_path, "Rig small", "Rig large")
        replay("replay_http.py", plugins_without_code.url, changed)
    with found():
        changed = altered("http/rest/parameters.jsonl", tmp_path, '"method": "GET"', '"method": "PUT"')
        replay("replay_http.py", plugins_without_code.url, changed)


def test_a_server_that_is_not_there_agrees_in_no_step() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for path in sorted((RECORDINGS / "http" / "rest").glob("*.jsonl")):
        with pytest.raises(pytest.fail.Exception, match=r"(?m)^0 of [1-9][0-9]* steps agree$"):
            replay("replay_http.py", url, path)


@pytest.mark.timeout(300)  # a hundred and more client processes, one after the other
@pytest.mark.parametrize("path", recordings("cli"))
def test_the_command_line_prints_as_recorded(other_host: Gestaltd, path: Path, tmp_path: Path) -> None:
    replay_cli(other_host.url, as_built(path, tmp_path))
