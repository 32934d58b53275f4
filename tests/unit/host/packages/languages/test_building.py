"""``release.build.command`` and executables that a package brings along."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gestalt_host.packages import PackageInvalid, read_manifest
from gestalt_host.packages.errors import NotPrepared
from gestalt_host.packages.languages import run_build_command, source_command
from gestalt_host.packages.platforms import host_arch, host_os
from tests.support.rigs.package import MANIFEST, Write

BUILT = f"""{MANIFEST}
artifacts: [{{os: {host_os()}, arch: {host_arch()}, path: bin/run}}]
entrypoint: {{artifactPath: bin/run}}
release: {{build: {{workdir: work, command: [./make, "a b"]}}}}
"""
MAKE = '#!/bin/sh\necho "$1" >> made\nmkdir -p ../bin && cp make ../bin/run\n'


@pytest.fixture
def manifest(package: Write) -> Path:
    path = package(BUILT)
    make = path.parent / "work" / "make"
    make.parent.mkdir()
    make.write_text(MAKE)
    make.chmod(0o755)
    return path


async def start(manifest: Path, tmp_path: Path) -> list[str]:
    """Return the arguments, and how often the command has been run."""
    command = await source_command(read_manifest(manifest), "echo", tmp_path, os.environ)
    made = (manifest.parent / "work" / "made").read_text().splitlines()
    assert set(made) == {"a b"}
    return [*command.args, str(len(made))]


async def test_the_command_is_run_when_files_have_changed_or_its_artifact_is_missing(
    manifest: Path, tmp_path: Path
) -> None:
    program = manifest.parent / "bin" / "run"
    with pytest.raises(NotPrepared, match="has not been run since its files have changed"):
        await source_command(read_manifest(manifest), "echo", tmp_path, os.environ, build=False)
    assert await start(manifest, tmp_path) == [str(program), "1"]
    assert await start(manifest, tmp_path) == [str(program), "1"]
    (manifest.parent / "work" / "source").touch()
    assert await start(manifest, tmp_path) == [str(program), "2"]
    program.unlink()
    assert await start(manifest, tmp_path) == [str(program), "3"]
    await run_build_command(read_manifest(manifest), os.environ)
    assert await start(manifest, tmp_path) == [str(program), "5"], "what somebody else has built is a change"


async def test_a_command_that_fails_is_told_with_what_it_wrote_and_run_again(manifest: Path, tmp_path: Path) -> None:
    make = manifest.parent / "work" / "make"
    make.write_text("#!/bin/sh\necho first; echo second >&2; exit 4\n")
    for _ in range(2):
        with pytest.raises(PackageInvalid, match=r"make a b: failed \(exit status 4\)\n  second$"):
            await source_command(read_manifest(manifest), "echo", tmp_path, os.environ)
    make.write_text(MAKE)
    assert (await start(manifest, tmp_path))[-1] == "1"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ("command: [./none]", "none: is not an executable file"),
        ("command: [none-such-tool]", "release.build.command: 'none-such-tool' is not on the search path"),
        ("command: [./make], workdir: gone", "release.build.workdir: .*/gone is not a directory"),
    ],
)
async def test_a_command_that_cannot_be_run_is_named(manifest: Path, tmp_path: Path, changed: str, text: str) -> None:
    workdir = "" if "workdir" in changed else "workdir: work, "
    manifest.write_text(BUILT.replace('workdir: work, command: [./make, "a b"]', f"{workdir}{changed}"))
    with pytest.raises(PackageInvalid, match=text):
        await source_command(read_manifest(manifest), "echo", tmp_path, os.environ)


async def test_a_prebuilt_executable_is_used_as_it_is_and_the_source_where_it_is_missing(
    package: Write, tmp_path: Path
) -> None:
    path = package(BUILT.partition("release:")[0], go__mod="module example.org/echo\n")
    with pytest.raises(PackageInvalid, match=r"^go is not on the search path"):
        await source_command(read_manifest(path), "echo", tmp_path, {"PATH": "/nowhere"})
    program = path.parent / "bin" / "run"
    program.parent.mkdir()
    program.write_text(MAKE)
    program.chmod(0o755)
    command = await source_command(read_manifest(path), "echo", tmp_path, {"PATH": "/nowhere"})
    assert (command.args, command.build) == ((str(program),), "")
