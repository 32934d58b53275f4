"""What a directory of sockets says of itself, to people by its name and to programs by a file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.supervisor import ProviderProcess, directories
from gestalt_host.supervisor.about import (
    FILE,
    LONGEST_FILE_BYTES,
    About,
    AboutFile,
    HostAbout,
    SocketAbout,
    read_about,
    read_abouts,
    write_about,
)
from gestalt_host.supervisor.directories import LONGEST_BASE_BYTES, make_directory, remove_directory
from gestalt_sdk.common.process_identity import ProcessIdentity
from tests.support.rigs.supervisor import WORKFLOW
from tests.support.waiting import eventually

HERE = HostAbout.of_this_process("http://127.0.0.1:8080", [Path("gestalt.yaml")])


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    sockets = (SocketAbout("/tmp/a/scope-0.sock", ("x.Y",), "provider", "GESTALT_X", ("plugin/a", "host")),)
    about = About(HERE, "indexeddb", "main", sockets)
    write_about(tmp_path, about)
    assert read_about(tmp_path) == about
    assert about.host.pid == os.getpid()
    assert about.host.config == (str(Path("gestalt.yaml").absolute()),)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert list(read_abouts([tmp_path])) == [about]


def test_a_host_that_has_ended_is_not_told_of(tmp_path: Path) -> None:
    identity = ProcessIdentity.of(os.getpid())
    gone = ProcessIdentity(identity.pid, str(int(identity.start) - 1), identity.boot, identity.namespace)
    write_about(tmp_path, About(HostAbout(str(gone)), "plugin", "a"))
    assert read_about(tmp_path) is not None
    assert list(read_abouts([tmp_path, tmp_path / "missing"])) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"host": {}}',
        '{"host": 1, "kind": "a", "name": "b", "sockets": []}',
    ],
)
def test_a_file_of_another_form_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    assert read_about(tmp_path) is None


def test_a_directory_of_another_user_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_about(tmp_path, About(HERE, "plugin", "a"))
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert read_about(tmp_path) is None


def test_users_of_a_socket_are_added_once(tmp_path: Path) -> None:
    file = AboutFile(tmp_path, About(HERE, "indexeddb", "main"))
    for user in ("plugin/a", "workflow/b", "plugin/a"):
        file.note_user("/s", ("x.Y",), "GESTALT_X", user)
    read = read_about(tmp_path)
    assert read is not None
    assert read.sockets == (SocketAbout("/s", ("x.Y",), "provider", "GESTALT_X", ("plugin/a", "workflow/b")),)


@pytest.mark.parametrize(
    ("kind", "name", "label"),
    [("plugin", "slack", "8080-plugin-slack"), ("host", "host", "8080-host"), ("plugin", "a/b ç", "8080-plugin-a_b_")],
)
def test_the_name_of_a_directory_says_whose_it_is(kind: str, name: str, label: str) -> None:
    made = make_directory(About(HERE, kind, name).label)
    try:
        assert made.name.startswith(f"gstp-{label}-")
        assert made.stat().st_mode & 0o777 == 0o700
    finally:
        remove_directory(made)


@pytest.mark.parametrize("missing", [0, 1, 2, 40])
def test_a_label_is_cut_so_that_sockets_keep_their_limit(
    missing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Path("/var/tmp") / ("x" * (LONGEST_BASE_BYTES - missing - len("/var/tmp/")))
    base.mkdir()
    monkeypatch.setattr(directories, "base_directories", lambda: [base])
    try:
        made = make_directory("8080-plugin-" + "n" * 200)
        assert len(os.fsencode(made / "scope-1000000.sock")) <= 103
        assert made.name.startswith("gstp-8" if missing > 1 else "gstp-")
        remove_directory(made)
    finally:
        base.rmdir()


def _is(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool | None]]:
    async def probe() -> bool | None:
        return condition() or None

    return probe


def test_a_file_that_is_too_large_says_nothing(tmp_path: Path) -> None:
    write_about(tmp_path, About(HERE, "plugin", "a"))
    with (tmp_path / FILE).open("a") as file:
        file.write(" " * LONGEST_FILE_BYTES)
    assert read_about(tmp_path) is None


async def test_a_process_tells_of_its_sockets_again_when_its_directory_was_removed(
    script: Callable[..., LaunchCommand], launched: Callable[..., Awaitable[ProviderProcess]]
) -> None:
    process = await launched(script(WORKFLOW), host=HERE)
    first = process.pid
    assert first is not None
    remove_directory(process.directory)
    os.kill(first, signal.SIGKILL)
    await eventually(_is(lambda: process.is_ready and process.restarts == 1))
    assert process.directory.name.startswith("gstp-8080-workflow-local-")
    told = json.loads((process.directory / FILE).read_text())
    assert (told["kind"], told["name"], told["host"]["url"]) == ("workflow", "local", HERE.url)
    assert [item["path"] for item in told["sockets"]] == [str(process.socket)]
    assert "gestalt.provider.v1.WorkflowProvider" in told["sockets"][0]["services"]
