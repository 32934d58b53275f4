from __future__ import annotations

import re
import stat
import sys
import venv
from pathlib import Path

import pytest

from gestalt_host.config.errors import Place
from gestalt_host.config.model import ProviderEntry, Source, SourceMode
from gestalt_host.packages import Manifest, PackageInvalid, Workplace, prepare, read_manifest
from gestalt_host.packages.languages import LaunchCommand, python_target, source_command
from gestalt_host.packages.languages.python import find_interpreter
from gestalt_host.packages.platforms import host_arch, host_os
from tests.support.commands import ROOT
from tests.support.rigs.package import MANIFEST, PROJECT, Write, entry_of

WORKFLOW = MANIFEST.replace("kind: plugin", "kind: workflow")


async def launch_command(manifest: Manifest, environ: dict[str, str]) -> LaunchCommand:
    return await source_command(manifest, "echo", manifest.root / "artifacts", environ)


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


async def test_python_source_is_run_by_our_own_interpreter(package: Write) -> None:
    manifest = read_manifest(package(pyproject__toml=PROJECT))
    command = await launch_command(manifest, {})
    root = str(manifest.root)
    assert command.args == (
        sys.executable,
        "-P",
        "-m",
        "gestalt_sdk.run",
        root,
        "echo_plugin:EchoPlugin",
        "integration",
    )
    assert command.env == {"PYTHONPATH": ""}


@pytest.mark.parametrize(
    ("kind", "project", "target"),
    [
        ("plugin", 'provider = "a"', "a"),
        ("plugin", 'plugin = "a.b:c"', "a.b:c"),
        ("workflow", 'workflow = "w:W"\nprovider = "p"', "w:W"),
        ("workflow", 'agent = "a"', None),
        ("plugin", 'workflow = "w"', None),
    ],
)
def test_the_target_is_that_of_the_kind(package: Write, kind: str, project: str, target: str | None) -> None:
    text = MANIFEST.replace("kind: plugin", f"kind: {kind}")
    manifest = read_manifest(package(text, pyproject__toml=f"[tool.gestalt]\n{project}\n"))
    assert python_target(manifest) == target


@pytest.mark.parametrize("target", ['"a-b"', '"a:b:c"', '"a:b.c"', "1", '""'])
def test_a_malformed_target_is_refused(package: Write, target: str) -> None:
    manifest = read_manifest(package(pyproject__toml=f"[tool.gestalt]\nprovider = {target}\n"))
    with pytest.raises(PackageInvalid, match="is not of the form module or module:attribute"):
        python_target(manifest)


async def test_a_source_without_target_is_named(package: Write) -> None:
    manifest = read_manifest(package(WORKFLOW, pyproject__toml="[project]\nname = 'x'\n"))
    with pytest.raises(
        PackageInvalid,
        match=r"TypeScript workflow source package found: no go.mod, no Cargo.toml; pyproject.toml has no target",
    ):
        await launch_command(manifest, {})
    manifest = read_manifest(package(pyproject__toml="[tool.gestalt\n"))
    with pytest.raises(PackageInvalid, match=r"pyproject\.toml: "):
        await launch_command(manifest, {})


def test_interpreters_are_looked_for_in_order(tmp_path: Path) -> None:
    system, arch = host_os(), host_arch()
    root, named, other = tmp_path / "root", program(tmp_path / "named", ""), program(tmp_path / "other", "")
    root.mkdir()
    environ = {f"GESTALT_PYTHON_{system}_{arch}".upper(): str(named), "GESTALT_PYTHON": str(other)}
    assert find_interpreter(root, {}) == Path(sys.executable)
    venv = program(root / "venv" / "bin" / "python", "")
    assert find_interpreter(root, {}) == venv
    assert find_interpreter(root, {"GESTALT_PYTHON": str(other)}) == other
    dot_venv = program(root / ".venv" / "bin" / "python", "")
    assert find_interpreter(root, {"GESTALT_PYTHON": str(other)}) == dot_venv
    platform_venv = program(root / f".venv-{system}-{arch}" / "bin" / "python", "")
    assert find_interpreter(root, {}) == platform_venv
    assert find_interpreter(root, environ) == named
    with pytest.raises(PackageInvalid, match=r"GESTALT_PYTHON_.* names '/none', which does not exist"):
        find_interpreter(root, {next(iter(environ)): "/none"})


async def test_an_interpreter_with_the_reference_sdk_uses_its_runtime(package: Write, tmp_path: Path) -> None:
    """The interpreter is asked what it has; this one answers as an environment with only the reference SDK would."""
    python = program(tmp_path / "python", "#!/bin/sh\necho gestalt._runtime True\n")
    manifest = read_manifest(package(WORKFLOW, pyproject__toml='[tool.gestalt]\nworkflow = "w:W"\n'))
    command = await launch_command(manifest, {"GESTALT_PYTHON": str(python)})
    assert command.args == (str(python), "-m", "gestalt._runtime", str(manifest.root), "w:W", "workflow")


async def test_the_probe_sees_what_the_provider_will_see_and_not_the_working_directory(
    package: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(package(WORKFLOW, pyproject__toml='[tool.gestalt]\nworkflow = "w:W"\n'))
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(PackageInvalid, match="has no Gestalt runtime"):
        await launch_command(manifest, {"GESTALT_PYTHON": str(python)})
    sdk = tmp_path / "sdk"
    (sdk / "gestalt").mkdir(parents=True)
    (sdk / "pyproject.toml").touch()
    (sdk / "gestalt" / "_runtime.py").touch()
    command = await launch_command(manifest, {"GESTALT_PYTHON": str(python), "GESTALT_PYTHON_SDK_DIR": str(sdk)})
    assert command.args[1:3] == ("-m", "gestalt._runtime")
    assert command.env == {"PYTHONPATH": str(sdk)}


@pytest.mark.parametrize(
    ("kind", "kinds"), [("workflow", ("workflow",)), ("indexeddb", ()), ("external_credentials", ())]
)
async def test_the_reference_sdk_is_told_only_the_kinds_that_it_knows(
    package: Write, tmp_path: Path, kind: str, kinds: tuple[str, ...]
) -> None:
    """Of another kind it serves what registers its services itself, when it is told none."""
    python = program(tmp_path / "python", "#!/bin/sh\necho gestalt._runtime True 3\n")
    manifest = read_manifest(
        package(WORKFLOW.replace("workflow", kind), pyproject__toml='[tool.gestalt]\nprovider = "w:W"\n')
    )
    command = await launch_command(manifest, {"GESTALT_PYTHON": str(python)})
    assert command.args == (str(python), "-m", "gestalt._runtime", str(manifest.root), "w:W", *kinds)


@pytest.mark.parametrize(
    ("line", "spoken"),
    [
        ("CURRENT_PROTOCOL_VERSION: Final[int] = 5", "5"),
        ("CURRENT_PROTOCOL_VERSION = 2", "2"),
        ("CURRENT_PROTOCOL_VERSION: Final[int] = 3", ""),
        ("raise SystemExit  # reading it runs nothing", ""),
    ],
)
async def test_a_reference_sdk_that_speaks_another_protocol_is_refused_before_anything_is_started(
    package: Write, tmp_path: Path, line: str, spoken: str
) -> None:
    manifest = read_manifest(package(WORKFLOW, pyproject__toml='[tool.gestalt]\nworkflow = "w:W"\n'))
    venv.create(tmp_path / "bare", with_pip=False)
    sdk = tmp_path / "sdk"
    (sdk / "gestalt").mkdir(parents=True)
    (sdk / "pyproject.toml").touch()
    (sdk / "gestalt" / "__init__.py").write_text("raise SystemExit")
    (sdk / "gestalt" / "_runtime.py").write_text(f"import os\n{line}\n")
    environ = {"GESTALT_PYTHON": str(tmp_path / "bare" / "bin" / "python"), "GESTALT_PYTHON_SDK_DIR": str(sdk)}
    if not spoken:
        assert (await launch_command(manifest, environ)).args[1:3] == ("-m", "gestalt._runtime")
        return
    with pytest.raises(PackageInvalid) as failure:
        await launch_command(manifest, environ)
    assert str(failure.value) == (
        f"{environ['GESTALT_PYTHON']}: its SDK speaks version {spoken} of the protocol, this host speaks 3; "
        "accepted are releases of gestalt-sdk up to 0.0.1a19, and gestaltd-sdk"
    )


async def test_an_interpreter_without_a_runtime_is_named(package: Write, tmp_path: Path) -> None:
    python = program(tmp_path / "bare", f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    manifest = read_manifest(package(pyproject__toml=PROJECT))
    with pytest.raises(PackageInvalid, match="bare: has no Gestalt runtime; install gestaltd-sdk into"):
        await launch_command(manifest, {"GESTALT_PYTHON": str(python)})


async def test_the_reference_sdk_folder_goes_onto_the_path(package: Write, tmp_path: Path) -> None:
    manifest = read_manifest(package(pyproject__toml=PROJECT))
    sdk = tmp_path / "sdk"
    with pytest.raises(PackageInvalid, match=r"has no pyproject.toml and package gestalt"):
        await launch_command(manifest, {"GESTALT_PYTHON_SDK_DIR": str(sdk)})
    (sdk / "gestalt").mkdir(parents=True)
    (sdk / "pyproject.toml").touch()
    environ = {"GESTALT_PYTHON_SDK_DIR": str(sdk), "PYTHONPATH": "/mine"}
    assert (await launch_command(manifest, environ)).env == {"PYTHONPATH": f"{sdk}:/mine"}


def packaged(entry: str = "bin/run", args: str = "[--a, b]") -> str:
    artifact = f"{{os: {host_os()}, arch: {host_arch()}, path: bin/run, sha256: x}}"
    return f"{WORKFLOW}artifacts: [{artifact}]\nentrypoint: {{artifactPath: {entry}, args: {args}}}\n"


async def test_a_packaged_provider_is_its_entrypoint(package: Write) -> None:
    path = package(packaged())
    manifest = read_manifest(path)
    with pytest.raises(PackageInvalid, match="is not an executable file"):
        await launch_command(manifest, {})
    run = program(path.parent / "bin" / "run", "#!/bin/sh\n")
    command = await launch_command(manifest, {})
    assert command.args == (str(run), "--a", "b")
    assert command.env == {}


async def test_a_package_for_another_platform_has_no_command(package: Write) -> None:
    manifest = read_manifest(package(packaged().replace(host_os(), "plan9")))
    with pytest.raises(PackageInvalid, match=f"no executable for {host_os()}/{host_arch()} in the manifest"):
        await launch_command(manifest, {})


@pytest.mark.parametrize(
    ("pyproject", "text"),
    [
        ({}, "there is no pyproject.toml"),
        (
            {"pyproject__toml": "tool = 5"},
            'pyproject.toml has no target in [tool.gestalt], such as workflow = "module:attribute"',
        ),
        ({"pyproject__toml": "[tool.gestalt]"}, 'such as workflow = "module:attribute"'),
    ],
)
async def test_a_source_without_target_says_what_is_missing(
    package: Write, pyproject: dict[str, str], text: str
) -> None:
    with pytest.raises(PackageInvalid, match=re.escape(text)):
        await launch_command(read_manifest(package(WORKFLOW, **pyproject)), {})


async def test_preparing_names_the_entry_and_what_is_wrong(package: Write, tmp_path: Path) -> None:
    manifest = package(WORKFLOW, pyproject__toml=PROJECT)
    with pytest.raises(
        PackageInvalid, match=r'^prepare plugin "echo": .*kind is workflow, but plugins.echo needs plugin'
    ):
        await prepare(entry_of(manifest), Workplace(tmp_path, tmp_path), {})
    with pytest.raises(PackageInvalid, match="is a directory; name its manifest file"):
        await prepare(entry_of(manifest.parent), Workplace(tmp_path, tmp_path), {})
    with pytest.raises(PackageInvalid, match=r'prepare workflow "local": .*none.yaml: no such file or directory'):
        await prepare(entry_of(tmp_path / "none.yaml", "workflow", "local"), Workplace(tmp_path, tmp_path), {})
    remote = ProviderEntry("plugins", "far", Source(SourceMode.URL, url="https://x.org/p"), Place("c.yaml"))
    with pytest.raises(PackageInvalid, match=r'prepare plugin "far": .*/\.gestaltd/providers/far: no manifest'):
        await prepare(remote, Workplace(tmp_path, tmp_path), {})
    surfaces = "spec: {surfaces: {openapi: {document: api.yaml}}}"
    declarative = package(MANIFEST.replace("spec: {}", surfaces), folder="openapi")
    with pytest.raises(PackageInvalid, match=r"spec.surfaces \(openapi\) is not supported by this version"):
        await prepare(entry_of(declarative), Workplace(tmp_path, tmp_path), {})
