"""Files that a provider was installed with are compared before each start of its process."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.installed.readings import state_of
from gestalt_host.supervisor import ProviderProcess, State
from gestalt_host.supervisor.errors import FilesChanged
from gestalt_host.supervisor.launching.pinned import check_pinned
from tests.support.rigs.supervisor import WORKFLOW, new_process
from tests.support.waiting import eventually, until

Launch = Callable[..., Awaitable[ProviderProcess]]
Script = Callable[..., LaunchCommand]


def pinned(command: LaunchCommand) -> LaunchCommand:
    path = Path(command.args[1])
    return replace(command, pinned=((path, sha256_of(path)),))


async def test_a_replaced_file_is_refused_by_name_and_nothing_runs(script: Script, tmp_path: Path) -> None:
    command = pinned(script(WORKFLOW))
    Path(command.args[1]).write_text("open('ran', 'w')")
    process = new_process(command)
    with pytest.raises(FilesChanged) as caught:
        await process.start()
    await process.stop(1)
    assert str(caught.value).startswith(f'workflow "local": it is not started: {tmp_path}/provider.py is not the file')
    assert caught.value.reason == "not as installed: provider.py"
    assert not (tmp_path / "ran").exists()


async def test_a_file_that_is_gone_is_refused_by_name(script: Script, tmp_path: Path) -> None:
    process = new_process(replace(script(WORKFLOW), pinned=((tmp_path / "gone", "0" * 64),)))
    with pytest.raises(FilesChanged, match="gone cannot be read: no such file or directory"):
        await process.start()
    await process.stop(1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files whose content was read to be compared, in their order."""
    files: list[Path] = []

    def counted(path: Path) -> str:
        files.append(path)
        return sha256_of(path)

    monkeypatch.setattr("gestalt_host.supervisor.launching.pinned.sha256_of", counted)
    return files


def compared(command: LaunchCommand) -> LaunchCommand:
    """Return the command of a start that has compared the files already."""
    return replace(command, compared={path: state_of(path.lstat()) for path, _ in command.pinned})


async def test_what_the_start_has_compared_is_read_again_only_by_a_restart(
    launched: Launch, script: Script, read: list[Path]
) -> None:
    command = compared(pinned(script(WORKFLOW)))
    process = await launched(command)
    assert read == []
    os.kill(process.pid or 0, signal.SIGKILL)

    async def restarted() -> bool | None:
        return (process.restarts == 1 and process.state is State.READY) or None

    await eventually(restarted)
    assert read == [path for path, _ in command.pinned]


@pytest.mark.parametrize("how", ["written in place, its time set back", "replaced", "a link"])
async def test_a_file_changed_between_comparison_and_start_is_refused(script: Script, tmp_path: Path, how: str) -> None:
    command = compared(pinned(script(WORKFLOW)))
    program = Path(command.args[1])
    before, other = program.stat(), tmp_path / "other.py"
    evil = "x" * before.st_size
    if how == "written in place, its time set back":

        def written() -> bool:
            program.write_text(evil)
            os.utime(program, ns=(before.st_atime_ns, before.st_mtime_ns))
            return program.stat().st_ctime_ns != before.st_ctime_ns  # no longer within the same tick of the clock

        until(written)
    else:
        other.write_text(evil)
        program.unlink()
        program.symlink_to(other) if how == "a link" else other.rename(program)
    process = new_process(command)
    with pytest.raises(FilesChanged, match=r"provider\.py is (not the file that was|no regular file)"):
        await process.start()
    await process.stop(1)


async def test_a_program_replaced_while_it_runs_is_refused_at_its_restart_and_used_again_once_it_is_back(
    launched: Launch, script: Script
) -> None:
    command = pinned(script(WORKFLOW))
    process = await launched(command)
    program = Path(command.args[1])
    program.write_text(WORKFLOW + "\n# evil")
    os.kill(process.pid or 0, signal.SIGKILL)

    async def refused() -> bool | None:
        return True if "not as installed" in process.absence else None

    await eventually(refused)
    assert process.absence == "it has ended and cannot be started again: not as installed: provider.py"
    assert "is not the file that was installed" in process.last_error
    assert process.state is State.RESTARTING
    script(WORKFLOW)

    async def ready() -> bool | None:
        return True if process.is_ready else None

    await eventually(ready)
    assert process.absence == ""


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, tuple[tuple[Path, str], ...]]:
    """A directory with two files, and their digests."""
    folder = tmp_path / "installed"
    (folder / "lib").mkdir(parents=True)
    files = (folder / "run", folder / "lib" / "code.py")
    for file in files:
        file.write_text(file.name)
    return folder, tuple((file, sha256_of(file)) for file in files)


async def test_what_is_not_as_installed_is_named_whatever_it_is(
    sealed: tuple[Path, tuple[tuple[Path, str], ...]], tmp_path: Path
) -> None:
    folder, pinned = sealed
    await check_pinned(pinned, folder)

    async def fault() -> str:
        with pytest.raises(FilesChanged) as caught:
            await check_pinned(pinned, folder)
        return str(caught.value)

    (folder / "lib" / "sitecustomize.py").write_text("evil")
    assert f"{folder}/lib/sitecustomize.py was added" in await fault()
    (folder / "lib" / "sitecustomize.py").unlink()
    (folder / "link").symlink_to(tmp_path)
    assert f"{folder}/link was added" in await fault()
    (folder / "link").unlink()
    (folder / "run").rename(tmp_path / "run")
    (folder / "run").symlink_to(tmp_path / "run")
    assert f"{folder}/run is no regular file any more" in await fault()
    (folder / "run").unlink()
    os.mkfifo(folder / "run")
    assert f"{folder}/run is no regular file any more" in await fault()
    (folder / "run").unlink()
    (tmp_path / "run").rename(folder / "run")
    await check_pinned(pinned, folder)
    (folder / "lib").rename(tmp_path / "elsewhere")
    (folder / "lib").symlink_to(tmp_path / "elsewhere")
    assert f"{folder}/lib was added" in await fault()
