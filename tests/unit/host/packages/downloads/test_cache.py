"""Archives by digest: private, checked when they are taken, whole whoever else is at work (decision 43)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt_host.packages.downloads import cache as module
from gestalt_host.packages.downloads.cache import ArchiveCache, user_directory
from tests.support.commands import ROOT

BODY = b"an archive"
SHA = hashlib.sha256(BODY).hexdigest()


def put(cache: ArchiveCache, body: bytes = BODY) -> Path:
    with cache.partial() as partial:
        partial.write(body)
        return cache.keep(partial)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_in_the_user_s_cache_and_the_user_s_alone(tmp_path: Path) -> None:
    cache = ArchiveCache.of_user({"HOME": str(tmp_path)})
    assert cache.take(SHA) is None
    path = put(cache)
    assert path == tmp_path / ".cache" / "gestalt" / "archives" / SHA
    assert (path.read_bytes(), mode(path), mode(path.parent)) == (BODY, 0o600, 0o700)
    assert cache.take(SHA) == path


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/gestalt"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/gestalt"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/gestalt"),
    ],
)
def test_the_directory_follows_the_rules_of_xdg(environ: dict[str, str], directory: str) -> None:
    assert user_directory(environ, "XDG_CACHE_HOME", ".cache") == Path(directory)


def test_a_directory_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.joinpath("archives").mkdir(mode=0o755)
    cache = ArchiveCache(tmp_path / "archives")
    assert mode(put(cache).parent) == 0o700


def test_a_corrupt_file_is_removed_and_not_used(tmp_path: Path) -> None:
    cache = ArchiveCache(tmp_path / "archives")
    path = put(cache)
    path.write_bytes(b"an archivE")
    assert cache.take(SHA) is None
    assert not path.exists()
    assert put(cache).read_bytes() == BODY


def test_what_is_no_file_is_not_used(tmp_path: Path) -> None:
    cache = ArchiveCache(tmp_path / "archives")
    path = put(cache)
    elsewhere = path.rename(tmp_path / "elsewhere")
    path.symlink_to(elsewhere)
    assert cache.take(SHA) is None
    assert put(cache).read_bytes() == BODY
    assert not path.is_symlink()


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, ".partial"])
def test_only_digests_are_looked_up(tmp_path: Path, name: str) -> None:
    cache = ArchiveCache(tmp_path / "archives")
    put(cache)
    assert cache.take(name) is None


def test_what_is_not_kept_is_removed(tmp_path: Path) -> None:
    cache = ArchiveCache(tmp_path / "archives")
    with cache.partial() as partial:
        partial.write(BODY)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not(tmp_path: Path) -> None:
    cache = ArchiveCache(tmp_path / "archives")
    put(cache)
    area = tmp_path / "archives" / ".partial"
    left, written, young = (area / name for name in ("left", "written", "young"))
    old = time.time() - module.ABANDONED_S - 1
    for path in (left, written, young):
        path.write_bytes(b"some")
    for path in (left, written):
        os.utime(path, (old, old))
    with written.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        put(cache)
    assert sorted(path.name for path in area.iterdir()) == ["written", "young"]


def in_the_way(directory: Path) -> Path:
    directory.write_text("a file")
    return directory


def not_ours(directory: Path) -> Path:
    directory.mkdir()
    if os.geteuid() == 0:
        os.chown(directory, 12345, -1)
    else:
        directory.chmod(0o500)
    return directory


@pytest.mark.parametrize("blocked", [lambda directory: None, in_the_way, not_ours])
def test_where_it_cannot_be_written_a_temporary_directory_is_used_and_removed(
    tmp_path: Path, blocked: Callable[[Path], Path | None]
) -> None:
    directory = blocked(tmp_path / "archives")
    cache = ArchiveCache(directory)
    path = put(cache)
    assert path.read_bytes() == BODY
    assert tmp_path not in path.parents
    assert (cache.take(SHA), mode(path.parent)) == (path, 0o700)
    cache.close()
    assert not path.parent.exists()


def test_several_processes_keep_the_same_archive(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from gestalt_host.packages.downloads.cache import ArchiveCache\n"
        "cache = ArchiveCache(Path(sys.argv[1]))\n"
        "for _ in range(50):\n"
        "    with cache.partial() as partial:\n"
        "        partial.write(b'an archive'); path = cache.keep(partial)\n"
        "    assert cache.take(path.name) == path\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "archives")]
    started = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [SHA]
