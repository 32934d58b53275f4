"""`lock` and `sync` killed at each of their steps, and several at once: what was there stays whole."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gestalt_host.packages.lock.file import read_lock
from tests.support.rigs.installation import Installation, refusal
from tests.support.rigs.installation import installation as installation

WRITING = os.O_WRONLY | os.O_RDWR
STEPS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "tempfile.", "fcntl.flock", "ctypes.dlsym")
"""What the names of audit events of steps begin with, besides files that are opened to be written."""


def in_child(work: Callable[[], object], kill_at: int = 0) -> int:
    """Do the work in a process of its own, killed at a step where one is given; return its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    count = 0

    def hook(event: str, arguments: Sequence[object]) -> None:
        nonlocal count
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if opens or event.startswith(STEPS):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def killed_steps(work: Callable[[], object], check: Callable[[], None]) -> int:
    """Kill the work at each of its steps in turn; check after each. Return how often it was killed."""
    kills = step = 0
    while True:
        step += 1
        status = in_child(work, kill_at=step)
        check()
        if not os.WIFSIGNALED(status):
            assert status == 0
            return kills
        kills += 1


def strays(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".gestalt.lock"))


def test_lock_killed_at_any_step_leaves_the_old_lock_file_whole(installation: Installation) -> None:
    installation.lock()
    old = read_lock(installation.lockfile)
    installation.republish("main", package="indexeddb/main", version="2.0.0")

    def check() -> None:
        found = read_lock(installation.lockfile)
        assert found == old or found.entries["indexeddb", "main"].version == "2.0.0"

    assert killed_steps(installation.lock, check) > 2
    installation.lock()
    installation.lock("check")
    assert strays(installation.work) == []


def test_sync_killed_at_any_step_leaves_every_installation_whole(installation: Installation) -> None:
    installation.ready()
    installation.republish("main", package="indexeddb/main", version="2.0.0")
    installation.republish("tasks", "plugin", "plugins/tasks", version="2.0.0")
    programs = {path: path.read_text() for path in (installation.store / "run", installation.plugin / "run")}
    installation.lock()

    def check() -> None:
        for path in programs:
            assert path.read_text() == programs[path]
        for folder in (installation.store, installation.plugin):
            texts = [(folder / name).read_text() for name in ("manifest.json", ".gestalt-installed.json")]
            assert len({"2.0.0" in text for text in texts}) == 1

    assert killed_steps(installation.sync, check) > 2
    installation.sync()
    installation.sync("check")
    assert [path.name for path in installation.store.parent.iterdir()] == ["main"]


def test_sync_removes_what_was_left_beside_a_package_that_is_whole(installation: Installation) -> None:
    installation.ready()
    left = installation.store.with_name(".main.new-abandoned")
    left.mkdir()
    (left / "run").write_text("half")
    descriptor = os.open(left.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    installation.sync()
    assert left.is_dir()  # somebody is at work there: it may be theirs
    os.close(descriptor)
    installation.sync("check")
    assert left.is_dir()
    installation.sync()
    assert [path.name for path in left.parent.iterdir()] == ["main"]


def test_two_syncs_at_once_end_with_what_is_locked(installation: Installation) -> None:
    installation.lock()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                installation.sync()
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    installation.sync("check")
    assert [path.name for path in installation.store.parent.iterdir()] == ["main"]


def test_a_lock_that_fails_leaves_the_old_lock_file(installation: Installation) -> None:
    installation.lock()
    old = installation.lockfile.read_bytes()
    (installation.folder / "releases/tasks/provider-release.yaml").write_text("{")
    assert "tasks" in refusal(installation.lock)
    assert installation.lockfile.read_bytes() == old


@pytest.fixture(autouse=True)
def quiet(capfd: pytest.CaptureFixture[str]) -> None:
    """Keep what the processes write out of the output of the tests."""
