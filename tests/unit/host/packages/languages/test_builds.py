"""When a source is built and what becomes of it. The tool is a stand-in; test_languages has the real ones."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gestalt_host.packages import PackageInvalid, read_manifest
from gestalt_host.packages.errors import NotPrepared
from gestalt_host.packages.languages import LaunchCommand, source_command
from gestalt_host.packages.languages import tools as tools_module
from tests.support.rigs.gestaltd import alive
from tests.support.rigs.package import Write
from tests.support.rigs.toolchains import Tools
from tests.support.waiting import eventually

GO = """
case $1 in
version) echo go version go${GO_VERSION:-1.22.1} linux/amd64 ;;
list) echo main ;;
build) while [ "$1" != -o ]; do shift; done; BUILD; echo built > "$2" ;;
esac
"""
FILES = {"go__mod": "module example.org/echo\n\ngo 1.22\n", "main__go": "package main\n"}


@pytest.fixture
def source(package: Write, tools: Tools) -> Path:
    """A source in Go, and a ``go`` that builds it; returns its manifest."""
    tools.write("go", GO.replace("BUILD", ":"))
    return package(**FILES)


async def command(manifest: Path, artifacts: Path, environ: dict[str, str], *, build: bool = True) -> LaunchCommand:
    return await source_command(read_manifest(manifest), "echo", artifacts, environ, build=build)


def builds(artifacts: Path) -> list[str]:
    return sorted(path.name for path in (artifacts / ".gestaltd" / "builds" / "plugin" / "echo").iterdir())


async def test_a_source_is_built_once_for_each_state_of_its_files(source: Path, tools: Tools, tmp_path: Path) -> None:
    first = await command(source, tmp_path, tools.environ)
    (program,) = first.args
    assert Path(program).read_text() == "built\n"
    assert Path(program).is_relative_to(tmp_path / ".gestaltd" / "builds" / "plugin" / "echo" / first.build)
    assert {path.name for path in source.parent.iterdir()} == {"go.mod", "main.go", "manifest.yaml"}

    assert await command(source, tmp_path, tools.environ) == first
    for folder in (".git", "target", "node_modules", "dist"):
        (source.parent / folder).mkdir()
        (source.parent / folder / "file").touch()
    assert await command(source, tmp_path, tools.environ) == first
    assert tools.calls("go build") == 1

    (source.parent / "main.go").write_text("package main // changed\n")
    second = await command(source, tmp_path, tools.environ)
    assert second.build != first.build
    third = await command(source, tmp_path, {**tools.environ, "GO_VERSION": "1.23.0"})
    assert third.build not in (first.build, second.build)
    (source.parent / "go.sum").touch()
    await command(source, tmp_path, tools.environ)
    assert tools.calls("go build") == 4
    assert len(builds(tmp_path)) == 3, "older builds go"


async def test_a_module_beside_the_source_counts(source: Path, tools: Tools, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "go.mod").write_text("module example.org/shared\n")
    with (source.parent / "go.mod").open("a") as file:
        file.write("replace example.org/shared => ../shared\n")
    first = await command(source, tmp_path, tools.environ)
    (shared / "shared.go").write_text("package shared\n")
    assert (await command(source, tmp_path, tools.environ)).build != first.build


async def test_a_missing_tool_is_named_and_what_was_built_is_started_without_it(
    source: Path, tools: Tools, tmp_path: Path
) -> None:
    without = {**tools.environ, "PATH": "/nowhere"}
    with pytest.raises(PackageInvalid, match=r"^go is not on the search path .*; install Go 1.22 or newer.*go.dev"):
        await command(source, tmp_path, without)
    with pytest.raises(NotPrepared, match="has changed since it was built, or never was"):
        await command(source, tmp_path, without, build=False)
    built = await command(source, tmp_path, tools.environ)
    assert await command(source, tmp_path, without) == built
    assert await command(source, tmp_path, without, build=False) == built
    (source.parent / "main.go").touch()
    assert await command(source, tmp_path, without) == built, "content counts, not time"
    with pytest.raises(PackageInvalid, match=r"go1\.21\.5 linux/amd64 is too old; install Go 1\.22"):
        await command(source, tmp_path / "other", {**tools.environ, "GO_VERSION": "1.21.5"})


async def test_a_failed_build_shows_the_last_lines_and_leaves_nothing(
    source: Path, tools: Tools, tmp_path: Path
) -> None:
    written = "for n in $(seq 30); do echo line $n >&2; done; printf './main.go:3:7: \\033[31mno such\\n' >&2; exit 2"
    tools.write("go", GO.replace("BUILD", written))
    with pytest.raises(PackageInvalid) as failure:
        await command(source, tmp_path, tools.environ)
    text = str(failure.value)
    assert text.startswith(f"{source.parent}: go build: failed (exit status 2)\n  line 12\n")
    assert text.endswith("\n  ./main.go:3:7: \\x1b[31mno such")
    assert failure.value.reason == "its source cannot be built"
    assert builds(tmp_path) == []


async def test_an_interrupted_build_ends_with_all_it_has_started_and_does_not_count(
    source: Path, tools: Tools, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    tools.write("go", GO.replace("BUILD", f"echo half > $2; sleep 600 & echo $! > {pid}; wait"))
    build = asyncio.create_task(command(source, tmp_path, tools.environ))

    async def started() -> int | None:
        return int(pid.read_text()) if pid.exists() and pid.read_text() else None

    sleeping = await eventually(started)
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    await eventually(lambda: _gone(sleeping))
    assert builds(tmp_path) == []

    # What a host that was killed has left is not taken for a build either.
    tools.write("go", GO.replace("BUILD", ":"))
    (program,) = (await command(source, tmp_path, tools.environ)).args
    assert Path(program).read_text() == "built\n"


async def _gone(pid: int) -> bool | None:
    return None if alive(pid) else True


async def test_a_build_that_takes_too_long_is_told_and_ended(
    source: Path, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools_module, "SLOW_S", 0.1)
    monkeypatch.setattr(tools_module, "BUILD_LIMIT_S", 2)
    tools.write("go", GO.replace("BUILD", "sleep 600"))
    with capture_logs() as lines, pytest.raises(PackageInvalid, match="go build: took more than 2 s"):
        await command(source, tmp_path, tools.environ)
    assert ("warning", f"{source.parent}: go build") in [
        (line["log_level"], line["step"]) for line in lines if line["event_name"] == "build.slow"
    ]


async def test_two_hosts_at_once_build_one_after_the_other_and_only_once_for_both(
    source: Path, tools: Tools, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    tools.write("go", GO.replace("BUILD", f"mkdir {alone} || exit 7; sleep 0.3; rmdir {alone}"))
    both = await asyncio.gather(*(command(source, tmp_path, tools.environ) for _ in range(2)))
    assert both[0] == both[1]
    assert tools.calls("go build") == 1
    # With directories of their own each builds, and neither while the other does.
    await asyncio.gather(*(command(source, tmp_path / name, tools.environ) for name in ("a", "b")))
    assert tools.calls("go build") == 3


@pytest.mark.parametrize(
    ("listed", "text"),
    [
        ("echo echo", "no package main at the root or below cmd/; accepted is a program that serves the provider"),
        ("printf 'echo\\nmain\\nmain\\n'", "./cmd/a, ./cmd/b are several programs; accepted is one at the root, or"),
    ],
)
async def test_a_source_without_one_program_is_refused(
    source: Path, tools: Tools, tmp_path: Path, listed: str, text: str
) -> None:
    for name in ("a", "b"):
        (source.parent / "cmd" / name).mkdir(parents=True)
        (source.parent / "cmd" / name / "main.go").touch()
    tools.write("go", GO.replace("echo main", listed))
    with pytest.raises(PackageInvalid, match=re.escape(text)):
        await command(source, tmp_path, tools.environ)


async def test_the_single_program_below_cmd_is_built(source: Path, tools: Tools, tmp_path: Path) -> None:
    (source.parent / "cmd" / "serve").mkdir(parents=True)
    (source.parent / "cmd" / "serve" / "main.go").touch()
    tools.write("go", GO.replace("BUILD", ":").replace("echo main", "printf 'echo\\nmain\\n'"))
    await command(source, tmp_path, tools.environ)
    assert (tools.folder / "calls").read_text().splitlines()[-1].endswith("/program ./cmd/serve")
