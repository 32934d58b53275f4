"""Providers in Go, Rust and TypeScript with their real tools: built by a host, started, released."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gestalt_host.packages import read_manifest
from gestalt_host.packages.languages import build_release, source_command
from gestalt_host.packages.platforms import host_platform
from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.rigs.toolchains import PLUGINS, PROGRAMS, cached_environ, require

SOURCES = {"go": "main.go", "rust": "src/main.rs", "typescript": "src/main.ts"}
CONFIG = """apiVersion: gestaltd.config/v5
server: {{public: {{port: {port}}}, encryptionKey: "a key for tests only"}}
providers:
  indexeddb:
    main: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "sqlite://{folder}/state.db"}}}}
plugins:
  echo: {{source: {{path: {manifest}}}}}
"""
pytestmark = [
    pytest.mark.parametrize("language", list(PROGRAMS)),
    pytest.mark.timeout(900),  # without caches all that the Rust plugin depends on is built first
]


@pytest.fixture
def source(language: str, tmp_path: Path) -> Path:
    """A copy of the plugin in the language, built once so that what it needs is in the caches; its manifest."""
    require(language)
    folder = copy_of(language, tmp_path / "plugin")
    asyncio.run(source_command(read_manifest(folder), "echo", tmp_path / "warm", cached_environ()))
    return folder


def copy_of(language: str, folder: Path) -> Path:
    shutil.copytree(PLUGINS / language, folder, ignore=shutil.ignore_patterns("node_modules", "target"))
    return folder / "manifest.yaml"


@pytest.fixture
def host(source: Path, tmp_path: Path) -> Iterator[Gestaltd]:
    port = free_port()
    config = tmp_path / "gestalt.yaml"
    config.write_text(CONFIG.format(port=port, folder=tmp_path, manifest=source))
    cargo = {name: value for name, value in cached_environ().items() if name.startswith(("CARGO", "RUSTUP"))}
    served = Gestaltd([config], cargo, port, tmp_path)
    yield served
    served.stop()


def built(folder: Path) -> set[str]:
    return {path.name for path in (folder / ".gestaltd" / "builds" / "plugin" / "echo").iterdir()}


def test_a_host_builds_the_source_when_it_has_changed_and_serves_it(
    language: str, source: Path, host: Gestaltd, tmp_path: Path
) -> None:
    before = {path for path in source.parent.rglob("*") if "node_modules" not in path.parts}
    host.start()
    sent = {"text": "grüß dich", "more": [1, {"deep": True}, None]}
    assert host.post("/echo/echo", sent).json() == sent
    (first,) = built(tmp_path)
    host.stop()

    host.start()
    assert built(tmp_path) == {first}
    assert host.log.count("build.begun") == 1
    host.stop()

    text = (source.parent / SOURCES[language]).read_text()
    (source.parent / SOURCES[language]).write_text(text.replace("title: Echo", "title: Repeat"))
    host.start()
    assert len(built(tmp_path)) == 2
    assert [item["title"] for item in host.get("/integrations/echo/operations")] == ["Repeat"]
    assert {path for path in source.parent.rglob("*") if "node_modules" not in path.parts} == before


def test_a_fault_in_the_source_is_told_with_its_line(language: str, source: Path, host: Gestaltd) -> None:
    path = source.parent / SOURCES[language]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "this is not a program"]))
    host.start()
    answer = host.post("/echo/echo", {"text": "x"})
    assert "it could not be started: its source cannot be built" in answer.json()["error"]
    assert f"{SOURCES[language]}:{len(lines) + 1}:" in host.log
    assert "Traceback" not in host.log


async def test_a_release_is_the_same_bytes_twice_and_runs(language: str, source: Path, tmp_path: Path) -> None:
    programs = []
    for number, manifest in enumerate((source, copy_of(language, tmp_path / "elsewhere"))):
        program = tmp_path / f"program-{number}"
        await build_release(read_manifest(manifest), host_platform(), program, cached_environ())
        programs.append(program)
    assert len({hashlib.sha256(program.read_bytes()).hexdigest() for program in programs}) == 1
    if language == "go":
        assert b"/lib64/ld-linux" not in programs[0].read_bytes(), "it needs no library of the system"
    catalogue = tmp_path / "catalog.yaml"
    environ = {**os.environ, "GESTALT_PLUGIN_WRITE_CATALOG": str(catalogue)}
    await asyncio.to_thread(subprocess.run, [programs[1]], env=environ, check=True, timeout=60)
    assert catalogue.read_text().startswith("name: echo\n")


def command(*words: str | Path, cwd: Path) -> list[str]:
    """Run a command of `gestaltd` that has to succeed; return the lines that it printed."""
    program = [sys.executable, "-m", "gestalt_host.daemon", *map(str, words)]
    environ = {**cached_environ(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=cwd, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_release_is_locked_installed_and_served_without_the_tools(
    language: str, source: Path, host: Gestaltd, tmp_path: Path
) -> None:
    there = {path for path in source.parent.rglob("*") if "node_modules" not in path.parts}
    for name in ("one", "two"):
        made = command("provider", "release", "--version", "1.2.3", "--output", tmp_path / name, cwd=source.parent)
        assert made[0].endswith(f"_v1.2.3_{host_platform().replace('/', '_')}.tar.gz")
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert {path for path in source.parent.rglob("*") if "node_modules" not in path.parts} == there
    config = tmp_path / "gestalt.yaml"
    config.write_text(config.read_text().replace(str(source), f"{tmp_path}/one/provider-release.yaml"))
    for words in (["lock"], ["sync", "--locked"]):
        command(*words, "--config", config, cwd=tmp_path)
    host.program = (*host.program, "--locked")
    # A TypeScript program brings no Node along; nothing else is needed.
    host.environment = {"PATH": folder_with(tmp_path, "node" if language == "typescript" else "true")}
    host.start()
    sent = {"text": "grüß dich", "more": [1, {"deep": True}, None]}
    assert host.post("/echo/echo", sent).json() == sent
    assert [item["title"] for item in host.get("/integrations/echo/operations")] == ["Echo"]


def folder_with(folder: Path, *programs: str) -> str:
    """Return a search path on which a shell and these programs are, and no tools."""
    path = folder / "programs"
    path.mkdir()
    for name in ("sh", *programs):
        found = shutil.which(name)
        assert found is not None
        (path / name).symlink_to(Path(found).resolve())
    return str(path)


def test_go_is_released_for_other_platforms_than_this_one(language: str, source: Path, tmp_path: Path) -> None:
    if language != "go":
        pytest.skip(f"{language} is released for the platform that its tools are installed for")
    wanted = {"linux/amd64": b"\x7fELF", "linux/arm64": b"\x7fELF", "darwin/arm64": b"\xcf\xfa\xed\xfe"}
    machines = {"linux/amd64": 62, "linux/arm64": 183}
    made = command(
        *("provider", "release", "--version", "1.2.3", "--platform", ",".join(wanted), "--output", tmp_path / "out"),
        cwd=source.parent,
    )
    for platform, magic in wanted.items():
        suffix = platform.replace("/", "_")
        (archive,) = (Path(line.removeprefix("created ")) for line in made if f"_{suffix}." in line)
        with tarfile.open(archive) as packed:
            file = packed.extractfile("gestalt-plugin-echo-go")
            assert file is not None
            head = file.read(32)
            assert "catalog.yaml" in packed.getnames(), "written by the program for this platform"
        assert head.startswith(magic)
        if platform in machines:
            assert int.from_bytes(head[18:20], "little") == machines[platform]


def test_the_locks_of_the_plugin_name_no_registry(language: str) -> None:
    if language == "typescript":
        lock = json.loads((PLUGINS / language / "package-lock.json").read_text())
        assert not [name for name, item in lock["packages"].items() if "resolved" in item]
