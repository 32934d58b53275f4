"""TypeScript sources: what names them, when packages are installed, what is refused. The tools are stand-ins."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gestalt_host.packages import PackageInvalid, read_manifest
from gestalt_host.packages.languages import build_release, language_of, source_command
from gestalt_host.packages.languages.typescript import Target, target_of
from gestalt_host.packages.platforms import host_platform
from tests.support.rigs.package import MANIFEST, Write
from tests.support.rigs.toolchains import Tools

ESBUILD = """
for word in "$@"; do case $word in
--outfile=*) echo bundled > "${word#*=}" ;;
--metafile=*) echo "{\\"inputs\\": $INPUTS}" > "${word#*=}" ;;
esac; done
"""


def project(**members: Any) -> str:
    return json.dumps({"gestalt": {"provider": "./main.ts"}, **members})


@pytest.fixture
def environ(tools: Tools) -> dict[str, str]:
    tools.write("node", "echo v20.1.0")
    tools.write("npx", ESBUILD)
    tools.write("npm", "mkdir -p node_modules && echo '{}' > node_modules/.package-lock.json")
    return {**tools.environ, "PATH": f"{tools.folder}:/bin", "INPUTS": "{}"}


@pytest.mark.parametrize(
    ("kind", "provider", "target"),
    [
        ("plugin", "./main.ts", Target("./main.ts")),
        ("plugin", "main.ts#plugin", Target("main.ts", "plugin")),
        ("workflow", {"kind": "workflow", "target": "./main.ts"}, Target("./main.ts")),
        ("plugin", {"kind": "Plugin", "target": "./main.ts"}, Target("./main.ts")),
        ("plugin", None, None),
    ],
)
def test_a_target_is_read(package: Write, kind: str, provider: object, target: Target | None) -> None:
    text = MANIFEST.replace("kind: plugin", f"kind: {kind}")
    path = package(text, package__json=json.dumps({"gestalt": {"provider": provider}}), main__ts="")
    assert target_of(read_manifest(path)) == target
    assert (language_of(read_manifest(path)) is not None) == (target is not None)


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        (5, 'gestalt.provider: 5 is not a target; accepted are "./src/main.ts" for a plugin'),
        ({"kind": "plugin"}, "is not a target"),
        ({"kind": "nothing", "target": "./main.ts"}, "is not a target"),
        ({"kind": "workflow", "target": "./main.ts"}, "is of kind workflow, but the manifest says plugin"),
        ("./none.ts", "'./none.ts' is not a file of the package"),
        ("../main.ts", "'../main.ts' is not a file of the package"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(package: Write, provider: object, text: str) -> None:
    path = package(package__json=json.dumps({"gestalt": {"provider": provider}}), main__ts="")
    (path.parent.parent / "main.ts").touch()
    with pytest.raises(PackageInvalid, match=re.escape(text)):
        target_of(read_manifest(path))


async def test_packages_are_installed_when_they_are_not_those_of_the_lock(
    package: Write, tools: Tools, environ: dict[str, str], tmp_path: Path
) -> None:
    lock: Any = {"packages": {"": {}, "node_modules/a": {"version": "1.0.0"}, "node_modules/b": {"optional": True}}}
    manifest = package(package__json=project(dependencies={"a": "1"}), main__ts="")
    lock_file = manifest.parent / "package-lock.json"
    lock_file.write_text(json.dumps(lock))
    tools.write("npm", f"mkdir -p node_modules && cp {lock_file} node_modules/.package-lock.json")

    async def command() -> None:
        await source_command(read_manifest(manifest), "echo", tmp_path, environ)

    await command()
    assert tools.calls("npm ci") == 1
    (manifest.parent / "main.ts").write_text("// changed")
    await command()
    assert (tools.calls("npm"), tools.calls("npx --yes esbuild@")) == (1, 2)
    lock["packages"]["node_modules/a"]["version"] = "1.0.1"
    lock_file.write_text(json.dumps(lock))
    await command()
    assert (tools.calls("npm ci"), tools.calls("npx")) == (2, 3)


async def test_without_a_lock_packages_are_installed_and_none_is_written(
    package: Write, tools: Tools, environ: dict[str, str], tmp_path: Path
) -> None:
    manifest = package(package__json=project(dependencies={"a": "1"}), main__ts="")
    await source_command(read_manifest(manifest), "echo", tmp_path, environ)
    await source_command(read_manifest(manifest), "echo", tmp_path / "other", environ)
    assert tools.calls("npm install --no-package-lock") == 1
    (manifest.parent / "node_modules" / ".package-lock.json").unlink()
    (manifest.parent / "node_modules" / ".modules.yaml").touch()
    await source_command(read_manifest(manifest), "echo", tmp_path / "third", environ)
    assert tools.calls("npm") == 1, "another package manager's folder is its own affair"


async def test_the_projects_own_bundler_goes_first(
    package: Write, tools: Tools, environ: dict[str, str], tmp_path: Path
) -> None:
    manifest = package(package__json=project(), main__ts="")
    own = manifest.parent / "node_modules" / ".bin"
    own.mkdir(parents=True)
    (own / "esbuild").symlink_to(tools.write("esbuild", ESBUILD))
    built = await source_command(read_manifest(manifest), "echo", tmp_path, environ)
    assert built.args[:2] == (str(tools.folder / "node"), "--enable-source-maps")
    assert (tools.calls("npx"), tools.calls("npm"), tools.calls("esbuild ./main.ts --bundle")) == (0, 0, 1)


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        ({"build/addon.node": ""}, True),
        ({"binding.gyp": ""}, True),
        ({"package.json": '{"dependencies": {"node-gyp-build": "4"}}'}, True),
        ({"package.json": '{"optionalDependencies": {"@acme/fast-linux-x64": "1"}}'}, True),
        ({"package.json": '{"dependencies": {"b": "1"}}', "index.js": ""}, False),
    ],
)
async def test_packages_with_machine_code_are_refused_by_name(
    package: Write, environ: dict[str, str], tmp_path: Path, files: dict[str, str], refused: bool
) -> None:
    manifest = package(package__json=project(), main__ts="")
    for name, text in {"package.json": "{}", **files}.items():
        path = manifest.parent / "node_modules" / "@acme" / "fast" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    environ["INPUTS"] = json.dumps({"main.ts": {}, "node_modules/@acme/fast/index.js": {}})
    output = tmp_path / "program"
    build = build_release(read_manifest(manifest), host_platform(), output, environ)
    if refused:
        with pytest.raises(PackageInvalid, match=r"@acme/fast: has parts in machine code, which cannot be bundled"):
            await build
        assert not output.exists()
    else:
        await build
        assert output.stat().st_mode & 0o777 == 0o755


async def test_what_an_sdk_of_its_own_serves_needs_bun_and_that_sdk(
    package: Write, tools: Tools, environ: dict[str, str], tmp_path: Path
) -> None:
    manifest = package(package__json=json.dumps({"gestalt": {"provider": "./main.ts#plugin"}}), main__ts="")
    environ["HOME"] = str(tmp_path)
    with pytest.raises(PackageInvalid, match=r"main.ts#plugin is written for an SDK .* bun is missing; install Bun"):
        await source_command(read_manifest(manifest), "echo", tmp_path, environ)
    with pytest.raises(PackageInvalid, match="GESTALT_BUN names '/none', which is not a program"):
        await source_command(read_manifest(manifest), "echo", tmp_path, {**environ, "GESTALT_BUN": "/none"})
    bun = tools.write("bun", "")
    with pytest.raises(PackageInvalid, match="gestalt-ts-runtime is not in node_modules"):
        await source_command(read_manifest(manifest), "echo", tmp_path, environ)
    runtime = manifest.parent / "node_modules" / ".bin" / "gestalt-ts-runtime"
    runtime.parent.mkdir(parents=True)
    runtime.touch()
    root = str(manifest.parent)
    command = await source_command(read_manifest(manifest), "echo", tmp_path, environ)
    assert command.args == (
        *(str(bun), "run", "--cwd", root, "gestalt-ts-runtime", "--", root),
        "plugin:./main.ts#plugin",
    )
    with pytest.raises(PackageInvalid, match="is written for an SDK; accepted for a release is a program"):
        await build_release(read_manifest(manifest), host_platform(), tmp_path / "out", environ)
