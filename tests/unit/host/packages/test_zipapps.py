"""Zipapps that are unpacked while they are installed: what a start then finds, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from shiv.bootstrap.environment import Environment
from shiv.builder import create_archive

from gestalt_host.packages import PackageInvalid
from gestalt_host.packages.installed import zipapps
from gestalt_host.packages.installed.zipapps import ROOT, unpack_zipapp, zipapp_environment

PYTHON_NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"
PROGRAM = """
import sys
def main():
    print(__file__, __cached__)
"""


def make_zipapp(directory: Path, interpreter: str = sys.executable, name: str = "gestalt-plugin-x") -> Path:
    sources = directory / "sources"
    (sources / "pack").mkdir(parents=True)
    (sources / "pack" / "__init__.py").write_text(PROGRAM)
    (sources / "pack" / "tool").write_text("#!/bin/sh\n")
    (sources / "pack" / "tool").chmod(0o755)
    executable = directory / name
    environment = Environment(built_at="2020-01-01 00:00:00", shiv_version="1", entry_point="pack:main")
    create_archive([sources], executable, interpreter, "_bootstrap:bootstrap", environment)
    return executable


def start(executable: Path, **env: str) -> subprocess.CompletedProcess[str]:
    minimal = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env}
    return subprocess.run([executable], env=minimal, capture_output=True, text=True, timeout=60, check=True)


def files(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(directory)): (path.stat().st_mtime_ns, path.stat().st_mode)
        for path in directory.rglob("*")
    }


def test_a_start_uses_what_was_unpacked_and_writes_nothing(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path / "made")
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    assert unpack_zipapp(executable, prepared)
    before = files(prepared)
    output = start(executable, **zipapp_environment(prepared)).stdout.split()
    assert [Path(path).is_relative_to(prepared / ROOT) for path in output] == [True, True]
    assert Path(output[1]).is_file(), "byte code is there before the first start"
    assert files(prepared) == before


def test_a_prepared_directory_may_be_moved(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path / "made")
    (tmp_path / "aside").mkdir()
    unpack_zipapp(executable, tmp_path / "aside")
    (tmp_path / "aside").rename(tmp_path / "final")
    output = start(executable, **zipapp_environment(tmp_path / "final")).stdout
    assert output.startswith(str(tmp_path / "final"))


def test_permissions_are_kept_without_more_than_the_owners_write_bit(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path / "made")
    (tmp_path / "made" / "p").mkdir()
    unpack_zipapp(executable, tmp_path / "made" / "p")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "made" / "p").rglob("pack/*")}
    assert modes["tool"] & 0o133 == 0o111
    assert not modes["__init__.py"] & 0o133


@pytest.mark.parametrize("content", [b"\x7fELF....", b"#!/bin/sh\nexit 0\n", b""])
def test_other_executables_are_left_alone(tmp_path: Path, content: bytes) -> None:
    executable = tmp_path / "x"
    executable.write_bytes(content)
    assert not unpack_zipapp(executable, tmp_path)
    assert zipapp_environment(tmp_path) == {}


def test_a_zipapp_that_shiv_did_not_make_is_left_alone(tmp_path: Path) -> None:
    executable = tmp_path / "x"
    with executable.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("__main__.py", "print(1)")
    assert not unpack_zipapp(executable, tmp_path)


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path, "/usr/bin/env python3.99")
    with pytest.raises(PackageInvalid, match=r"needs python3\.99, which is not on this machine's PATH") as caught:
        unpack_zipapp(executable, tmp_path)
    assert caught.value.reason == "it needs python3.99, which is not installed"


def test_the_name_of_the_interpreter_is_looked_up_on_the_path(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path, f"/usr/bin/env {PYTHON_NAME}")
    assert unpack_zipapp(executable, tmp_path)


@pytest.mark.parametrize("line", ["/bin/sh", "./python3", "bin/python3", "/usr/bin/env ./python3", "/tmp/evil"])
def test_what_is_started_to_compile_is_a_python_and_nothing_that_a_package_brings_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    for name in ("python3", "bin/python3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("#!/bin/sh\ntouch ran\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PackageInvalid, match="accepted is a Python, by its name or absolute path"):
        unpack_zipapp(make_zipapp(tmp_path / "made", line), tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["environment.json", "site-packages/pack/__init__.py"])
def test_a_packing_that_shiv_does_not_use_is_refused_by_name(tmp_path: Path, name: str) -> None:
    executable = make_zipapp(tmp_path)
    data = bytearray(executable.read_bytes())
    with zipfile.ZipFile(executable) as archive:
        offset = archive.getinfo(name).header_offset
    directory = data.index(name.encode(), data.index(b"PK\1\2")) - 46
    for method in (offset + 8, directory + 10):
        data[method] = zipfile.ZIP_LZMA
    executable.write_bytes(data)
    with pytest.raises(PackageInvalid, match=f"{name}' is neither stored nor deflated"):
        unpack_zipapp(executable, tmp_path)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path)
    changed(executable, "site-packages/ü")
    executable.write_bytes(executable.read_bytes().replace("ü".encode(), b"\xff\xff"))
    with pytest.raises(PackageInvalid, match="is no sound zipapp"):
        unpack_zipapp(executable, tmp_path)


def changed(executable: Path, name: str, data: bytes = b"x", mode: int = 0o100644, build_id: object = None) -> None:
    """Append an entry to the zipapp, or put another build id in."""
    with zipfile.ZipFile(executable) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    with executable.open("wb") as file:
        file.write(f"#!{sys.executable}\n".encode())
        with zipfile.ZipFile(file, "w") as archive:
            for info, content in entries:
                if info.filename == "environment.json" and build_id is not None:
                    content = json.dumps({**json.loads(content), "build_id": build_id}).encode()
                archive.writestr(info, content)
            if name:
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                archive.writestr(info, data)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("site-packages/../evil", 0o100644),
        ("site-packages/../../evil", 0o100644),
        ("site-packages//evil", 0o100644),
        ("site-packages/./evil", 0o100644),
        ("site-packages/a\\..\\evil", 0o100644),
        ("site-packages/a\nb", 0o100644),
        ("site-packages/link", 0o120777),
        ("site-packages/fifo", 0o010644),
        ("site-packages/pack/__init__.py/below", 0o100644),
        ("site-packages/pack", 0o100644),
    ],
)
def test_hostile_names_are_refused_by_name(tmp_path: Path, name: str, mode: int) -> None:
    executable = make_zipapp(tmp_path / "made")
    changed(executable, name, mode=mode)
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    with pytest.raises(PackageInvalid, match=r"is no plain file inside the zipapp|both a file and a folder"):
        unpack_zipapp(executable, prepared)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path)
    changed(executable, "site-packages/pack/__init__.py")
    with pytest.raises(PackageInvalid, match="is no plain file"):
        unpack_zipapp(executable, tmp_path)


@pytest.mark.parametrize("build_id", ["", "../../x", "a/b", 7, "a" * 65])
def test_a_build_id_that_would_be_another_path_is_refused(tmp_path: Path, build_id: object) -> None:
    executable = make_zipapp(tmp_path)
    changed(executable, "", build_id=build_id)
    with pytest.raises(PackageInvalid, match="no usable build_id"):
        unpack_zipapp(executable, tmp_path)


def test_sizes_and_counts_are_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = make_zipapp(tmp_path / "made")
    changed(executable, "site-packages/bomb", bytes(1_000_000))
    for limit, directory in (("MAX_BYTES", tmp_path / "a"), ("MAX_FILES", tmp_path / "b")):
        directory.mkdir()
        with monkeypatch.context() as patched:
            patched.setattr(zipapps, limit, 1)
            with pytest.raises(PackageInvalid, match="holds more than 1"):
                unpack_zipapp(executable, directory)


def test_a_package_may_not_bring_the_folder_along(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path)
    (tmp_path / ROOT).mkdir()
    with pytest.raises(PackageInvalid, match="the name is reserved"):
        unpack_zipapp(executable, tmp_path)


def test_a_damaged_zipapp_is_refused(tmp_path: Path) -> None:
    executable = make_zipapp(tmp_path)
    data = bytearray(executable.read_bytes())
    place = data.index(b"site-packages/pack/__init__.py") + 60
    data[place : place + 20] = bytes(20)
    executable.write_bytes(bytes(data))
    with pytest.raises(PackageInvalid, match="no sound zipapp"):
        unpack_zipapp(executable, tmp_path)
