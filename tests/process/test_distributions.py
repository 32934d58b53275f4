"""What we distribute: the same bytes twice, and all that is needed where nothing is known of the checkout."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from gestalt_host.daemon.provider.authoring.rendering import rendered
from gestalt_host.daemon.provider.authoring.templates import TEMPLATES
from gestalt_sdk.version import VERSION
from tests.support.bare import Bare, bare, code_blocks, wheelhouse
from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.waiting import until
from tools.release import EPOCH, checksums, distributions, release

HOST = f"gestaltd-{VERSION}"
SDK = f"gestaltd_sdk-{VERSION}"
ARCHIVES = [f"{HOST}-py3-none-any.whl", f"{HOST}.tar.gz", f"{SDK}-py3-none-any.whl", f"{SDK}.tar.gz"]
WHERE = """
import importlib.metadata, json, sys
import {package}
print(json.dumps([{package}.__file__, sys.path, sorted(d.name for d in importlib.metadata.distributions())]))
"""


@pytest.fixture(autouse=True)
def one_time_for_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EPOCH, "1790000000")


def files(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_tree_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    distributions(tmp_path / "here")
    elsewhere = tmp_path / "elsewhere"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if (ROOT / name).is_file():
            (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, elsewhere / name)
            (elsewhere / name).chmod(0o600)
    # A checkout in which somebody has worked.
    for words in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *words], cwd=elsewhere, check=True)
    for junk in (".venv/lib/module.py", "roadmap_plugin/state.db", "notes.md"):
        path = elsewhere / "examples" / "plugins" / "roadmap" / junk
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    distributions(tmp_path / "there", elsewhere)
    here = files(tmp_path / "here")
    assert sorted(here) == sorted(ARCHIVES)
    assert files(tmp_path / "there") == here
    # From a source archive, as an index serves it, comes the same wheel.
    for name in (HOST, SDK):
        with tarfile.open(tmp_path / "here" / f"{name}.tar.gz") as archive:
            archive.extractall(tmp_path / "unpacked", filter="data")
        command = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
            str(tmp_path / "again"),
        ]
        subprocess.run(command, cwd=tmp_path / "unpacked" / name, check=True)
        assert (tmp_path / "again" / f"{name}-py3-none-any.whl").read_bytes() == here[f"{name}-py3-none-any.whl"]


def test_each_distribution_holds_its_own_packages_and_the_host_requires_its_sdk(tmp_path: Path) -> None:
    distributions(tmp_path)
    with zipfile.ZipFile(tmp_path / ARCHIVES[0]) as host, zipfile.ZipFile(tmp_path / ARCHIVES[2]) as sdk:
        assert {name.split("/")[0] for name in host.namelist()} == {"gestalt_host", f"{HOST}.dist-info"}
        assert {name.split("/")[0] for name in sdk.namelist()} == {"gestalt_sdk", f"{SDK}.dist-info"}
        inside = [Path(name).suffix or Path(name).name for name in sdk.namelist() if name.startswith("gestalt_sdk/")]
        assert set(inside) == {".py", ".pyi", ".typed"}
        about = host.read(f"{HOST}.dist-info/METADATA").decode()
        assert f"Requires-Dist: gestaltd-sdk=={VERSION}" in about.splitlines()
        bundled = [name.split("/")[2] for name in host.namelist() if name.startswith("gestalt_host/bundled/")]
        assert set(bundled) == {"indexeddb", "indexeddb_store", "plugins", "providers"}


def test_a_release_replaces_the_one_before_and_a_step_that_fails_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "dist"

    def step(text: str) -> None:
        def write(directory: Path) -> None:
            (directory / "file").write_text(text)
            if text == "broken":
                raise OSError("disk full")

        monkeypatch.setattr("tools.release.STEPS", (write, checksums))

    step("first")
    release(target)
    step("broken")
    with pytest.raises(OSError, match="disk full"):
        release(target)
    assert (target / "file").read_text() == "first"
    step("second")
    release(target)
    assert sorted(files(target)) == ["checksums.txt", "file"]
    checked = subprocess.run(["sha256sum", "--check", "checksums.txt"], cwd=target, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "file: OK\n")
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]


def test_the_changelog_has_a_heading_for_the_version() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert [line for line in lines if re.fullmatch(rf"## {re.escape(VERSION)} \(\d{{4}}-\d\d-\d\d\)", line)]


@pytest.mark.timeout(400)  # two environments are made and filled
def test_the_wheels_serve_the_demo_and_a_plugin_whose_environment_has_the_sdk_alone(tmp_path: Path) -> None:
    dist, home, plugin = tmp_path / "dist", tmp_path / "home", tmp_path / "greeter"
    distributions(dist)
    host_env = bare(tmp_path / "host", f"gestaltd=={VERSION}", dist, wheelhouse())
    write_greeter(plugin)
    sdk_env = bare(plugin / ".venv", "gestaltd-sdk>=0.1", dist, wheelhouse())
    home.mkdir()
    assert_apart(host_env, "gestalt_host", {"gestaltd", "gestaltd-sdk", "starlette", "grpcio"}, set(), home)
    assert_apart(sdk_env, "gestalt_sdk", {"gestaltd-sdk", "grpcio"}, {"gestaltd", "starlette", "click", "httpx"}, home)
    assert host_env.run(host_env.program("gestaltd"), "version", cwd=home) == f"{VERSION}\n"
    assert host_env.run(host_env.program("gestalt"), "--version", cwd=home) == f"gestalt {VERSION}\n"
    for template in TEMPLATES:
        words = ("provider", "new", template.kind, "made", "--language", template.language, "--output", template.folder)
        host_env.run(host_env.program("gestaltd"), *words, cwd=home)
        made = [path for path in (home / template.folder).rglob("*") if path.is_file() and path.suffix != ".whl"]
        texts = {path.relative_to(home / template.folder).as_posix(): path.read_text() for path in made}
        assert texts == rendered(template, "made")
    assert (home / "plugin-python" / "wheels" / f"{SDK}-1gestaltd-py3-none-any.whl").is_file()

    host = gestaltd_without_configuration(host_env, home)
    host.start()
    try:
        served = host.children()
        assert [child.name for child in served] == ["greeter", "local", "roadmap", "search", "slack", "workflow_state"]
        interpreters = {child.name: Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0")[0] for child in served}
        assert interpreters.pop("greeter") == str(sdk_env.python).encode()
        assert set(interpreters.values()) == {str(host_env.python).encode()}
        assert not [child for child in served if str(ROOT) in "".join(child.environment.values())]

        def gestalt(*words: str) -> object:
            text = host_env.run(host_env.program("gestalt"), "--url", host.url, *words, "--format", "json", cwd=home)
            return json.loads(text)

        assert gestalt("invoke", "greeter", "greet", "-p", "name=Ada") == {"greeting": "Hello, Ada"}
        gestalt("invoke", "roadmap", "sync")
        until(
            lambda: "search.reindex" in succeeded(gestalt("workflow", "runs", "list", "--owner", "config")), within_s=60
        )
    finally:
        host.stop()


@pytest.mark.timeout(400)  # an environment is made and filled, and three releases are made
def test_a_plugin_is_released_with_the_sdk_beside_gestaltd_where_no_index_has_one(tmp_path: Path) -> None:
    dist, plugin = tmp_path / "dist", tmp_path / "my greeter"
    distributions(dist)
    env = bare(tmp_path / "host", f"gestaltd[release]=={VERSION}", dist, wheelhouse())
    write_greeter(plugin)
    with (plugin / "pyproject.toml").open("a") as project:  # an older pip would ask for the package wheel else
        project.write('[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n')
    # What is required of others is there, and no SDK.
    words = ("provider", "release", "--version", "1.0.0", "--find-links", str(wheelhouse()), "--output")
    env.run(env.program("gestaltd"), *words, tmp_path / "one", cwd=plugin, env={"PIP_NO_INDEX": "1"})
    # Wherever another of the same version comes from, the one beside gestaltd is taken.
    others = []
    for folder in (tmp_path / "0", tmp_path / "~"):
        folder.mkdir()
        with zipfile.ZipFile(folder / ARCHIVES[2], "w") as other:
            other.writestr(
                f"{SDK}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: gestaltd-sdk\nVersion: {VERSION}\n"
            )
        others += ["--find-links", str(folder)]
    env.run(env.program("gestaltd"), *words, tmp_path / "two", *others, cwd=plugin, env={"PIP_NO_INDEX": "1"})
    assert files(tmp_path / "one") == files(tmp_path / "two")
    checkout = (sys.executable, "-m", "gestalt_host.daemon")
    env.run(*checkout, *words, tmp_path / "checkout", cwd=plugin, env={"PIP_NO_INDEX": "1", "PYTHONPATH": str(ROOT)})
    with zipfile.ZipFile(dist / ARCHIVES[2]) as built:
        published = {name: built.read(name) for name in built.namelist() if "/RECORD" not in name}
    published.pop(f"{SDK}.dist-info/WHEEL")
    for name in ("one", "checkout"):
        (archive,) = (tmp_path / name).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extract("gestalt-plugin-greeter", tmp_path / name, filter="data")
        with zipfile.ZipFile(tmp_path / name / "gestalt-plugin-greeter") as zipapp:
            packages = "site-packages/gestalt_sdk/", f"site-packages/{SDK}.dist-info/"
            inside = {
                item.removeprefix("site-packages/"): zipapp.read(item)
                for item in zipapp.namelist()
                if item.startswith(packages) and not item.endswith(("/RECORD", "/WHEEL"))
            }
        assert inside == published


def write_greeter(folder: Path) -> None:
    """Write the plugin of the SDK's README, as it stands there."""
    blocks = code_blocks(ROOT / "gestalt_sdk" / "README.md")
    folder.mkdir()
    (folder / "greeter.py").write_text(blocks["python"])
    (folder / "pyproject.toml").write_text(blocks["toml"])
    (folder / "manifest.yaml").write_text(blocks["yaml"])


def assert_apart(env: Bare, package: str, present: set[str], absent: set[str], cwd: Path) -> None:
    """Fail unless the package comes from the environment, no path of it leads here, and it has what it should."""
    file, path, names = json.loads(env.run(env.python, "-P", "-c", WHERE.format(package=package), cwd=cwd))
    assert Path(file).is_relative_to(env.folder)
    assert not [entry for entry in path if Path(entry).is_relative_to(ROOT)]
    assert present <= set(names)
    assert not absent & set(names)


def gestaltd_without_configuration(env: Bare, home: Path) -> Gestaltd:
    """Have `gestaltd` write its default configuration; return the host with the greeter added, on a port of its own.

    The first start ends as soon as it finds its port taken, by this test or by somebody else.
    """
    config = home / ".gestaltd" / "config.yaml"
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass
        ended = subprocess.run(
            [env.program("gestaltd")], cwd=home, env={"HOME": str(home)}, capture_output=True, timeout=60, check=False
        )
    assert ended.returncode == 1
    assert b"8080" in ended.stderr
    port, text = free_port(), config.read_text()
    assert "port: 8080" in text
    text = text.replace("port: 8080", f"port: {port}")
    config.write_text(
        text.replace("plugins:\n", f"plugins:\n  greeter: {{source: {home.parent}/greeter/manifest.yaml}}\n")
    )
    return Gestaltd([], {"HOME": str(home)}, port, home, program=[str(env.program("gestaltd"))])


def succeeded(runs: object) -> list[str]:
    """Return the targets of the runs that succeeded."""
    assert isinstance(runs, list)
    targets = [run["target"]["plugin"] for run in runs if run["status"] == "succeeded"]
    return [f"{target['name']}.{target['operation']}" for target in targets]
