"""Packing a package: the same bytes twice, and only what can be unpacked again (packaging.md 6)."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from gestalt_host.packages import PackageInvalid
from gestalt_host.packages.archives.extract import extract
from gestalt_host.packages.archives.pack import pack
from tests.support.rigs.archives import manifest_text


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "b" / ("deep" * 40)).mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "manifest.json").write_text(manifest_text())
    (source / "foo").write_text("x")
    (source / "foo").chmod(0o4755)
    (source / "b" / ("deep" * 40) / ("grün" * 10)).write_text("y")
    (source / "b.txt").write_text("z")
    return source


def test_the_same_content_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "one.tar.gz")
    for number, path in enumerate(sorted(source.rglob("*"))):
        os.utime(path, (number, number))
    pack(source, tmp_path / "two.tar.gz")
    data = (tmp_path / "one.tar.gz").read_bytes()
    assert data == (tmp_path / "two.tar.gz").read_bytes()
    assert data[3] == 0, "no name in the gzip header"
    assert data[4:8] == b"\0\0\0\0", "no time in the gzip header"


def test_files_alone_are_packed_in_order_without_owner_and_time(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    assert names == sorted(names)
    assert names[:2] == ["b.txt", f"b/{'deep' * 40}/{'grün' * 10}"]
    assert all(member.isreg() for member in members)
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 0)}
    assert {m.name: m.mode for m in members}["foo"] == 0o755


def test_what_is_packed_can_be_unpacked(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "a.tar.gz")
    into = tmp_path / "into"
    into.mkdir(mode=0o700)
    extract(tmp_path / "a.tar.gz", into)
    for path in source.rglob("*"):
        if path.is_file():
            assert (into / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_an_archive_inside_of_what_is_packed_is_refused(source: Path) -> None:
    with pytest.raises(PackageInvalid, match="lies inside"):
        pack(source, source / "b" / "a.tar.gz")


def test_links_pipes_and_odd_names_are_refused_and_leave_nothing(source: Path, tmp_path: Path) -> None:
    for make, reason in (
        (lambda path: path.symlink_to("foo"), "regular files and directories"),
        (os.mkfifo, "regular files and directories"),
        (lambda path: path.with_name("a\nb").write_text("x"), "cannot be shown"),
    ):
        make(source / "odd")
        with pytest.raises(PackageInvalid, match=reason):
            pack(source, tmp_path / "a.tar.gz")
        (source / "odd").unlink(missing_ok=True)
        (source / "a\nb").unlink(missing_ok=True)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_package_is_read_before_it_is_packed(source: Path, tmp_path: Path) -> None:
    (source / "manifest.json").write_text("{}")
    with pytest.raises(PackageInvalid, match="kind: is required"):
        pack(source, tmp_path / "a.tar.gz")
