"""`gestaltd provider release`: what is in the output folder, what is refused, and what an interruption leaves."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from gestalt_host.packages import PackageInvalid
from gestalt_host.packages.installed.install import install
from gestalt_host.packages.installed.record import Expected
from gestalt_host.packages.installed.zipapps import ROOT, zipapp_environment
from gestalt_host.packages.platforms import ALL, host_arch, host_os, host_platform
from gestalt_host.packages.releases.metadata import read_metadata
from gestalt_host.packages.releasing import output as output_module
from gestalt_host.packages.releasing.making import ReleaseRequest, parse_platforms, release
from gestalt_host.packages.signatures import new_key, public_key, verify
from tests.support.waiting import until

SOURCE = "github.com/acme/providers/indexeddb/thing"
CATALOGUE = "name: thing\noperations:\n- id: echo\n  transport: plugin\n"
SUFFIX = f"{host_os()}_{host_arch()}"
ENVIRON = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}


def write(directory: Path, **files: str) -> Path:
    for name, content in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return directory


def prebuilt(directory: Path, *, kind: str = "indexeddb", file: str = "manifest.json", **more: object) -> Path:
    """Make a package with an executable that its author has built."""
    document = {
        "kind": kind,
        "source": SOURCE,
        "version": "0.0.1",
        "displayName": "Thing <&>",
        "artifacts": [{"os": host_os(), "arch": host_arch(), "path": "bin/thing"}],
        "entrypoint": {"artifactPath": "bin/thing", "args": ["--quiet"]},
        **more,
    }
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "thing").write_text("#!/bin/sh\nexit 0\n")
    (directory / "bin" / "thing").chmod(0o755)
    text = json.dumps(document) if file.endswith(".json") else yaml.safe_dump(document, sort_keys=False)
    (directory / file).write_text(text)
    return directory


SURFACES = {"rest": {"baseUrl": "https://x.example", "operations": [{"name": "a", "method": "GET", "path": "/"}]}}


def declarative(directory: Path, *, file: str = "manifest.yaml", **more: object) -> Path:
    """Make a package without a program: an icon, a schema with a document beside it, and what is not part of it."""
    spec = {"configSchemaPath": "schemas/config.json", "surfaces": SURFACES}
    document = {
        "kind": "plugin",
        "source": SOURCE,
        "version": "1.0.0",
        "iconFile": "art/icon.svg",
        "spec": spec,
        **more,
    }
    text = json.dumps(document) if file.endswith(".json") else yaml.safe_dump(document, sort_keys=False)
    return write(
        directory,
        **{
            file: text,
            "art__icon.svg": "<svg/>",
            "schemas__config.json": '{"properties": {"a": {"$ref": "common.json"}}}',
            "schemas__common.json": "{}",
            "README.md": "not part of it",
        },
    )


def request(output: Path, **more: object) -> ReleaseRequest:
    return ReleaseRequest(version="1.2.3", output=output, **more)  # type: ignore[arg-type]


def tree(directory: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(directory)): (path.stat().st_mode, (path.is_file() and path.read_bytes().hex()) or "")
        for path in sorted(directory.rglob("*"))
    }


def members(archive: Path) -> dict[str, tuple[int, bytes]]:
    with tarfile.open(archive) as tar:
        return {item.name: (item.mode, tar.extractfile(item).read()) for item in tar}  # type: ignore[union-attr]


class TestPrebuilt:
    async def test_files_and_their_content(self, tmp_path: Path) -> None:
        root, output = prebuilt(tmp_path / "src"), tmp_path / "out"
        before = tree(root)
        made = await release(root, request(output), ENVIRON)
        archive = output / "gestalt-plugin-thing_v1.2.3.tar.gz"
        assert made == [archive, output / "checksums.txt", output / "provider-release.yaml"]
        assert sorted(output.iterdir()) == sorted(made)
        assert tree(root) == before
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert (output / "checksums.txt").read_text() == f"{digest}  {archive.name}\n"
        metadata = read_metadata((output / "provider-release.yaml").read_bytes(), "x")
        assert (metadata.package, metadata.kind, metadata.version) == (SOURCE, "indexeddb", "1.2.3")
        assert metadata.runtime == "executable"
        assert {key: (item.path, item.sha256) for key, item in metadata.artifacts.items()} == {
            host_platform(): (archive.name, digest)
        }
        inside = members(archive)
        assert sorted(inside) == ["bin/thing", "manifest.json"], "no leading folder, nothing else"
        assert inside["bin/thing"][0] == 0o755
        manifest = json.loads(inside["manifest.json"][1])
        assert manifest["version"] == "1.2.3"
        assert manifest["artifacts"][0]["sha256"] == hashlib.sha256(inside["bin/thing"][1]).hexdigest()
        assert manifest["entrypoint"] == {"artifactPath": "bin/thing", "args": ["--quiet"]}
        assert inside["manifest.json"][1].decode().startswith('{\n  "kind": "indexeddb",\n')
        assert "Thing <&>" in inside["manifest.json"][1].decode()

    async def test_what_is_released_can_be_installed(self, tmp_path: Path) -> None:
        (archive, *_) = await release(prebuilt(tmp_path / "src"), request(tmp_path / "out"), ENVIRON)
        manifest = install(
            archive, tmp_path / "installed", Expected(SOURCE, "1.2.3", "indexeddb", "", None), host_platform()
        )
        assert manifest.version == "1.2.3"

    @pytest.mark.parametrize("file", ["manifest.yaml", "manifest.yml"])
    async def test_a_manifest_in_yaml_stays_yaml_with_four_blanks(self, tmp_path: Path, file: str) -> None:
        root = prebuilt(tmp_path / "src", file=file, release={"build": {"command": ["true"]}})
        (archive, *_) = await release(root, request(tmp_path / "out"), ENVIRON)
        text = members(archive)["manifest.yaml"][1].decode()
        assert "\n    artifactPath: bin/thing\n" in text
        assert "release" not in text

    async def test_documents_that_the_manifest_names_go_along(self, tmp_path: Path) -> None:
        root = prebuilt(
            tmp_path / "src",
            kind="plugin",
            iconFile="art/icon.svg",
            spec={"configSchemaPath": "schemas/config.yaml"},
        )
        write(
            root,
            **{
                "art__icon.svg": "<svg/>",
                "schemas__config.yaml": "properties: {a: {$ref: '../common/a.json#/$defs/a'}, b: {$ref: '#/x'}}\n",
                "common__a.json": '{"$defs": {"a": {"$ref": "b.json"}}}',
                "common__b.json": '{"$ref": "https://example.com/x"}',
                "common__unused.json": "{}",
                "catalog.yaml": CATALOGUE,
                "README.md": "not part of it",
            },
        )
        (archive, *_) = await release(root, request(tmp_path / "out"), ENVIRON)
        assert sorted(members(archive)) == [
            *("art/icon.svg", "bin/thing", "catalog.yaml", "common/a.json", "common/b.json", "manifest.json"),
            "schemas/config.yaml",
        ]

    async def test_a_missing_document_is_named(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src", iconFile="icon.svg")
        with pytest.raises(PackageInvalid, match=r"manifest\.json: names icon\.svg, which is no file"):
            await release(root, request(tmp_path / "out"), ENVIRON)
        assert not (tmp_path / "out").exists()

    async def test_a_document_outside_of_the_package_is_refused(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src", iconFile="icon.svg")
        (tmp_path / "secret").write_text("secret")
        (root / "icon.svg").symlink_to(tmp_path / "secret")
        with pytest.raises(PackageInvalid, match="is a link that leaves the package"):
            await release(root, request(tmp_path / "out"), ENVIRON)

    async def test_several_prebuilt_artifacts_give_an_archive_each(self, tmp_path: Path) -> None:
        other = "arm64" if host_arch() == "amd64" else "amd64"
        root = prebuilt(
            tmp_path / "src",
            artifacts=[
                {"os": host_os(), "arch": host_arch(), "path": "bin/thing"},
                {"os": "linux", "arch": other, "path": "bin/other"},
            ],
        )
        (root / "bin" / "other").write_text("other")
        made = await release(root, request(tmp_path / "out", platforms="rubbish"), ENVIRON)
        assert [path.name for path in made[:2]] == [
            f"gestalt-plugin-thing_v1.2.3_{SUFFIX}.tar.gz",
            f"gestalt-plugin-thing_v1.2.3_linux_{other}.tar.gz",
        ]
        inside = members(made[1])
        assert json.loads(inside["manifest.json"][1])["entrypoint"]["artifactPath"] == "bin/other"
        assert sorted(inside) == ["bin/other", "manifest.json"]

    async def test_the_build_command_runs_first(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src", release={"build": {"command": ["sh", "-c", "cp ../make bin/thing"]}})
        (tmp_path / "make").write_text("made")
        (root / "bin" / "thing").unlink()
        (archive, *_) = await release(root, request(tmp_path / "out"), ENVIRON)
        assert members(archive)["bin/thing"][1] == b"made"

    async def test_a_build_command_that_fails_shows_its_last_lines(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src", release={"build": {"command": ["sh", "-c", "echo broken; exit 3"]}})
        with pytest.raises(PackageInvalid, match=r"(?s)exit status 3.*broken|broken"):
            await release(root, request(tmp_path / "out"), ENVIRON)

    async def test_an_artifact_that_was_not_built_is_named(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src")
        (root / "bin" / "thing").unlink()
        with pytest.raises(PackageInvalid, match="the artifact bin/thing is not there; build it first"):
            await release(root, request(tmp_path / "out"), ENVIRON)

    async def test_neither_source_nor_executable(self, tmp_path: Path) -> None:
        root = write(tmp_path / "src", **{"manifest.yaml": f"kind: workflow\nsource: {SOURCE}\nversion: 1.0.0\n"})
        with pytest.raises(PackageInvalid, match="holds no workflow source in Go, Rust, Python or TypeScript"):
            await release(root, request(tmp_path / "out"), ENVIRON)

    async def test_a_broken_catalogue_is_refused(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src", kind="plugin", spec={})
        write(root, **{"catalog.yaml": "operations: 7\n"})
        with pytest.raises(PackageInvalid, match=r"catalog\.yaml"):
            await release(root, request(tmp_path / "out"), ENVIRON)

    async def test_an_executable_writes_the_catalogue_that_the_folder_lacks(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src", kind="plugin", spec={})
        (root / "bin" / "thing").write_text(f'#!/bin/sh\nprintf "{CATALOGUE}" > "$GESTALT_PLUGIN_WRITE_CATALOG"\n')
        before = tree(root)
        (archive, *_) = await release(root, request(tmp_path / "out"), ENVIRON)
        assert members(archive)["catalog.yaml"][1].decode() == CATALOGUE
        assert tree(root) == before


class TestWithoutExecutable:
    async def test_a_ui_is_one_generic_archive_with_its_assets(self, tmp_path: Path) -> None:
        root = write(
            tmp_path / "src",
            **{
                "manifest.yaml": f"kind: ui\nsource: {SOURCE}\nversion: 1.0.0\nspec: {{assetRoot: web/dist}}\n",
                "web__dist__index.html": "<html/>",
                "web__dist__js__a.js": "1",
                "web__src__a.ts": "not an asset",
            },
        )
        made = await release(root, request(tmp_path / "out", platforms="rubbish"), ENVIRON)
        assert made[0].name == "gestalt-plugin-thing_v1.2.3.tar.gz"
        assert sorted(members(made[0])) == ["manifest.yaml", "web/dist/index.html", "web/dist/js/a.js"]
        metadata = read_metadata(made[2].read_bytes(), "x")
        assert (metadata.runtime, list(metadata.artifacts)) == ("ui", ["generic"])
        for folder in ("web/dist", "web/dist/new"):
            with pytest.raises(PackageInvalid, match=r"lies in spec\.assetRoot"):
                await release(root, request(root / folder), ENVIRON)

    @pytest.mark.parametrize("file", ["manifest.yaml", "manifest.yml", "manifest.json"])
    async def test_a_declarative_plugin_is_one_generic_archive(self, tmp_path: Path, file: str) -> None:
        root = declarative(tmp_path / "src", file=file)
        before = tree(root)
        made = await release(root, request(tmp_path / "out", platforms="rubbish"), ENVIRON)
        assert tree(root) == before
        assert [path.name for path in made] == [
            *("gestalt-plugin-thing_v1.2.3.tar.gz", "checksums.txt", "provider-release.yaml"),
        ]
        metadata = read_metadata(made[2].read_bytes(), "x")
        assert (metadata.kind, metadata.runtime, list(metadata.artifacts)) == ("plugin", "declarative", ["generic"])
        digest = hashlib.sha256(made[0].read_bytes()).hexdigest()
        assert metadata.artifacts["generic"].sha256 == digest
        assert made[1].read_text() == f"{digest}  {made[0].name}\n"
        name = "manifest.json" if file.endswith(".json") else "manifest.yaml"
        inside = members(made[0])
        assert sorted(inside) == ["art/icon.svg", name, "schemas/common.json", "schemas/config.json"]
        manifest = yaml.safe_load(inside[name][1])
        assert manifest["version"] == "1.2.3"
        assert manifest["spec"] == {"configSchemaPath": "schemas/config.json", "surfaces": SURFACES}
        assert manifest.keys() & {"artifacts", "entrypoint", "release"} == set()

    async def test_a_declarative_release_is_signed_and_installed(self, tmp_path: Path) -> None:
        key = new_key()
        made = await release(declarative(tmp_path / "src"), request(tmp_path / "out", keys=[key]), ENVIRON)
        assert made[3].name == "provider-release.yaml.sig"
        assert verify(made[2].read_bytes(), made[3].read_text(), {"acme": public_key(key)}) == "acme"
        manifest = install(
            made[0],
            tmp_path / "installed",
            Expected(SOURCE, "1.2.3", "plugin", "", None, "declarative"),
            host_platform(),
        )
        assert (manifest.runtime, list(manifest.surfaces)) == ("declarative", ["rest"])
        assert (tmp_path / "installed" / "art" / "icon.svg").read_text() == "<svg/>"

    async def test_the_build_command_of_a_declarative_plugin_makes_its_documents(self, tmp_path: Path) -> None:
        root = declarative(tmp_path / "src", release={"build": {"command": ["sh", "-c", "echo built > art/icon.svg"]}})
        (root / "art" / "icon.svg").unlink()
        (archive, *_) = await release(root, request(tmp_path / "out"), ENVIRON)
        assert members(archive)["art/icon.svg"][1] == b"built\n"

    @pytest.mark.parametrize(
        ("more", "files", "program"),
        [
            ({"artifacts": [{"os": "linux", "arch": "amd64", "path": "run"}]}, {"run": "x"}, "names an executable"),
            (
                {
                    "artifacts": [{"os": "linux", "arch": "amd64", "path": "run"}],
                    "entrypoint": {"artifactPath": "run"},
                },
                {"run": "x"},
                "names an executable",
            ),
            ({}, {"go.mod": "module x\n"}, "lies beside Go source"),
            ({}, {"pyproject.toml": '[tool.gestalt]\nprovider = "a:b"\n'}, "lies beside Python source"),
            (
                {"release": {"build": {"command": ["sh", "-c", "touch was-run"]}}},
                {"Cargo.toml": "[package]\n"},
                "lies beside Rust source",
            ),
        ],
    )
    async def test_operations_with_a_program_are_refused_before_anything_is_built(
        self, tmp_path: Path, more: dict[str, Any], files: dict[str, str], program: str
    ) -> None:
        root = write(declarative(tmp_path / "src", **more), **files)
        with pytest.raises(PackageInvalid) as caught:
            await release(root, request(tmp_path / "out"), ENVIRON)
        assert str(caught.value) == (
            f"{root / 'manifest.yaml'}: has operations in spec.surfaces (rest) and {program}; "
            "accepted is one of the two: a plugin without code, or a program without surfaces"
        )
        assert not (tmp_path / "out").exists()
        assert not (root / "was-run").exists()


class TestReproducible:
    async def test_the_same_input_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            root = prebuilt(tmp_path / name / "src")
            os.utime(root / "bin" / "thing", (1, 1 if name == "one" else 2))
            await release(root, request(tmp_path / name / "out"), ENVIRON)
        assert tree(tmp_path / "one" / "out") == tree(tmp_path / "two" / "out")


class TestOutput:
    async def test_older_releases_and_other_files_stay(self, tmp_path: Path) -> None:
        root, output = prebuilt(tmp_path / "src"), tmp_path / "out"
        await release(root, request(output, keys=[new_key()]), ENVIRON)
        (output / "notes").mkdir()
        (output / "notes" / "x").write_text("x")
        made = await release(root, ReleaseRequest("1.3.0", output), ENVIRON)
        assert {path.name for path in output.iterdir()} == {
            *(path.name for path in made),
            *("gestalt-plugin-thing_v1.2.3.tar.gz", "notes"),
        }, "the signature of the older metadata is gone with them"
        assert (output / "notes" / "x").read_text() == "x"
        assert read_metadata((output / "provider-release.yaml").read_bytes(), "x").version == "1.3.0"

    async def test_what_an_older_file_is_linked_to_is_not_written(self, tmp_path: Path) -> None:
        root, output = prebuilt(tmp_path / "src"), tmp_path / "out"
        await release(root, request(output), ENVIRON)
        os.link(output / "checksums.txt", tmp_path / "kept")
        kept = (tmp_path / "kept").read_text()
        (root / "bin" / "thing").write_text("changed")
        await release(root, request(output), ENVIRON)
        assert (tmp_path / "kept").read_text() == kept

    async def test_a_folder_that_holds_the_package_is_refused(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src")
        for output in (root, tmp_path):
            with pytest.raises(PackageInvalid, match="holds the package itself"):
                await release(root, request(output), ENVIRON)

    async def test_what_is_no_folder_is_refused(self, tmp_path: Path) -> None:
        root = prebuilt(tmp_path / "src")
        (tmp_path / "file").write_text("")
        (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
        for name in ("file", "link"):
            with pytest.raises(PackageInvalid, match=f"--output {tmp_path / name}: is "):
                await release(root, request(tmp_path / name), ENVIRON)

    async def test_a_failure_leaves_the_folder_as_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root, output = prebuilt(tmp_path / "src"), tmp_path / "out"
        await release(root, request(output), ENVIRON)
        before = tree(tmp_path)

        def fail(new: Path, directory: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(output_module, "put_in_place", fail)
        with pytest.raises(PackageInvalid, match="no space left on device"):
            await release(root, ReleaseRequest("2.0.0", output), ENVIRON)
        assert tree(tmp_path) == before

    @pytest.mark.parametrize(("point", "after"), [("put", False), ("put_in_place", False), ("put_in_place", True)])
    def test_a_kill_leaves_the_old_folder_or_the_new_one(self, tmp_path: Path, point: str, after: bool) -> None:
        root, output = prebuilt(tmp_path / "src"), tmp_path / "out"
        run(root, "--version", "1.0.0", "--output", str(output))
        before = tree(output)
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, point, "--version", "2.0.0", "--output", str(output)],
            cwd=root,
            env={**ENV, "TMPDIR": str(root), **({"after": "1"} if after else {})},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        names = {path.name for path in output.iterdir()}
        assert (tree(output) == before) == (not after)
        assert ("gestalt-plugin-thing_v2.0.0.tar.gz" in names) == after
        run(root, "--version", "2.0.0", "--output", str(output))
        assert "gestalt-plugin-thing_v2.0.0.tar.gz" in {path.name for path in output.iterdir()}
        assert {path.name for path in tmp_path.iterdir()} == {"src", "out"}, "nothing is left beside it"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    @pytest.mark.parametrize("language", ["none", "python"])
    def test_a_signal_while_it_builds_ends_the_build_and_changes_nothing(
        self, tmp_path: Path, number: signal.Signals, language: str
    ) -> None:
        building = tmp_path / "building"
        if language == "python":
            root = python_source(tmp_path / "src", "indexeddb", PROJECT)
            code = f"import os, time\nopen({str(building)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
            (root / "backend.py").write_text(code)
        else:
            command = ["sh", "-c", f"echo $$ > {building}; exec sleep 600"]
            root = prebuilt(tmp_path / "src", release={"build": {"command": command}})
        process = subprocess.Popen(words("--version", "1.0.0"), cwd=root, env=ENV, stderr=subprocess.PIPE)
        try:
            until(lambda: building.exists() and building.read_text(), within_s=60)
        finally:
            process.send_signal(number)
            process.communicate(timeout=60)
        assert process.returncode not in (0, None)
        until(lambda: not is_running(int(building.read_text())), within_s=30)
        assert not (root / "dist").exists()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


KILLED = """
import os, signal, sys
from gestalt_host.daemon.program import run
from gestalt_host.packages.releasing import output
point, words = sys.argv[1], sys.argv[2:]
real = getattr(output, point)
def die(*arguments):
    if point == "put_in_place" and "after" in os.environ:
        real(*arguments)
    elif point == "put":
        arguments[1].write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
setattr(output, point, die)
sys.exit(run(["provider", "release", *words]))
"""
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def words(*more: str, command: str = "release") -> list[str]:
    return [sys.executable, "-m", "gestalt_host.daemon", "provider", command, *more]


def run(root: Path, *more: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words(*more), cwd=root, env=ENV, capture_output=True, text=True, timeout=120, check=check)


class TestCommand:
    def test_each_file_is_told_on_stdout(self, tmp_path: Path) -> None:
        done = run(prebuilt(tmp_path / "src"), "--version", "1.2.3")
        assert done.stdout.splitlines() == [
            "created dist/gestalt-plugin-thing_v1.2.3.tar.gz",
            "created dist/checksums.txt",
            "created dist/provider-release.yaml",
        ]

    @pytest.mark.parametrize(
        ("more", "text"),
        [
            ([], "--version is required"),
            (["--version", "v1"], "invalid --version: 'v1' is not a semantic version"),
            (["--version", "1.2"], "invalid --version: "),
            (["--version", "1.2.3", "--bogus"], "flag provided but not defined: -bogus"),
            (["--version", "1.2.3", "extra"], "unexpected arguments: extra"),
            (["--version", "1.2.3", "--sign", "nowhere"], "nowhere: no such file or directory"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, more: list[str], text: str) -> None:
        done = run(prebuilt(tmp_path / "src"), *more, check=False)
        assert done.returncode == 1
        assert text in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "src" / "dist").exists()

    def test_a_folder_without_manifest(self, tmp_path: Path) -> None:
        done = run(tmp_path, "--version", "1.2.3", check=False)
        expected = f"no manifest file found in {tmp_path} (tried manifest.json, manifest.yaml, manifest.yml)"
        assert (done.returncode, expected in done.stderr) == (1, True)

    def test_keygen_and_sign(self, tmp_path: Path) -> None:
        root, key = prebuilt(tmp_path / "src"), tmp_path / "my.key"
        keygen = words("--output", str(key), command="keygen")
        done = subprocess.run(keygen, env=ENV, capture_output=True, text=True, timeout=60, check=True)
        printed = done.stdout.strip()
        assert printed == public_key(key.read_text().strip())
        assert key.stat().st_mode & 0o777 == 0o600
        assert subprocess.run(keygen, env=ENV, capture_output=True, timeout=60, check=False).returncode == 1
        signed = run(root, "--version", "1.2.3", "--sign", str(key))
        assert signed.stdout.splitlines()[-1] == "created dist/provider-release.yaml.sig"
        metadata = (root / "dist" / "provider-release.yaml").read_bytes()
        assert verify(metadata, (root / "dist" / "provider-release.yaml.sig").read_text(), {"me": printed}) == "me"


class TestPlatforms:
    def test_lists(self) -> None:
        assert parse_platforms("") == (host_platform(),)
        assert parse_platforms("all") == ALL
        assert parse_platforms("linux/arm64, linux/amd64,linux/arm64") == ("linux/arm64", "linux/amd64")

    @pytest.mark.parametrize("text", ["linux", "linux/", "a/b/c", "linux/amd64,", ","])
    def test_malformed(self, text: str) -> None:
        with pytest.raises(PackageInvalid, match=r'invalid platform ".*", expected os/arch'):
            parse_platforms(text)


SDK = f"""
import json, os, sys
def main():
    if os.environ.get("GESTALT_PLUGIN_WRITE_CATALOG"):
        open(os.environ["GESTALT_PLUGIN_WRITE_CATALOG"], "w").write({CATALOGUE!r})
    root, target, kind = sys.argv[1:]
    module = __import__(target.partition(":")[0])
    print(json.dumps([target, kind, module.NAME, os.path.basename(root)]))
if __name__ == "__main__":
    main()
"""
BACKEND = """
import os, zipfile
ABOUT = {
    "METADATA": ["Metadata-Version: 2.1", "Name: thing", "Version: 0.1", "Requires-Dist: gestaltd-sdk"],
    "WHEEL": ["Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any"],
    "RECORD": [],
}
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "thing-0.1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        archive.write("thing.py")
        archive.writestr("thing-0.1.data/scripts/thing", "#!python")
        archive.writestr("thing-0.1.data/purelib/extra.py", "")
        for file, lines in ABOUT.items():
            archive.writestr("thing-0.1.dist-info/" + file, "".join(line + "\\n" for line in lines))
    os.makedirs("build")
    return name
"""
TARGET = '[tool.gestalt]\nindexeddb = "thing:provider"\nprovider = "thing:provider"\n'
PROJECT = (
    '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    f'[project]\nname = "thing"\nversion = "0.1"\ndependencies = ["gestaltd-sdk"]\n{TARGET}'
)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Return a folder with a wheel of an SDK that tells how it was started."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    wheel(directory, "gestaltd_sdk-9.0-py3-none-any.whl", {"gestalt_sdk/__init__.py": "", "gestalt_sdk/run.py": SDK})
    return directory


def wheel(directory: Path, name: str, files: dict[str, str]) -> None:
    project, version = name.split("-")[:2]
    tag = "-".join(name.removesuffix(".whl").split("-")[2:])
    about = f"{project}-{version}.dist-info"
    files = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n",
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{about}/RECORD": "",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    (directory / name).write_bytes(buffer.getvalue())


def python_source(directory: Path, kind: str, pyproject: str, **files: str) -> Path:
    spec = "spec: {}\n" if kind == "plugin" else ""
    return write(
        directory,
        **{
            "manifest.yaml": f"kind: {kind}\nsource: {SOURCE}\nversion: 0.1.0\n{spec}",
            "pyproject.toml": pyproject,
            "thing.py": "NAME = 'thing'\n",
            "backend.py": BACKEND,
            ".venv__secret": "not part of it",
            **files,
        },
    )


def start(executable: Path, **env: str) -> str:
    """Run it as a host does, with little in its environment; return what it prints."""
    # The Python of these tests need not be the one that the path has under the name of its version.
    env = {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])), **env}
    return subprocess.run([executable], cwd="/", env=env, capture_output=True, text=True, timeout=60, check=True).stdout


class TestPython:
    @pytest.mark.parametrize("pyproject", [TARGET, PROJECT], ids=["modules", "project"])
    @pytest.mark.parametrize(("kind", "word"), [("indexeddb", "indexeddb"), ("plugin", "integration")])
    async def test_the_executable_serves_the_target(
        self, tmp_path: Path, wheels: Path, pyproject: str, kind: str, word: str
    ) -> None:
        root = python_source(tmp_path / "src", kind, pyproject)
        before = tree(root)
        (archive, *_) = await release(root, request(tmp_path / "out", find_links=(str(wheels),)), ENVIRON)
        assert archive.name == f"gestalt-plugin-thing_v1.2.3_{SUFFIX}.tar.gz"
        assert tree(root) == before, "neither catalogue nor caches nor build folders"
        installed = tmp_path / "installed"
        manifest = install(archive, installed, Expected(SOURCE, "1.2.3", kind, "", None), host_platform())
        assert manifest.entrypoint is not None
        assert manifest.entrypoint.artifact_path == "gestalt-plugin-thing"
        executable = installed / "gestalt-plugin-thing"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        assert executable.read_bytes().startswith(f"#!/usr/bin/env python{version}\n".encode())
        told = start(executable, XDG_CACHE_HOME=str(tmp_path / "cache"), **zipapp_environment(installed))
        assert not (tmp_path / "cache").exists()
        assert json.loads(told) == ["thing:provider", word, "thing", "site-packages"]
        assert (installed / "catalog.yaml").is_file() == (kind == "plugin")
        site_packages = next(installed.rglob("site-packages"))
        assert site_packages.is_relative_to(installed / ROOT)
        assert (site_packages / "extra.py").is_file() == (pyproject == PROJECT)
        assert not (site_packages / "bin").exists()

    async def test_the_interpreter_that_a_variable_names_need_not_be_on_the_path(
        self, tmp_path: Path, wheels: Path
    ) -> None:
        root = python_source(tmp_path / "src", "plugin", PROJECT)
        environ = {**ENVIRON, "PATH": str(tmp_path), "GESTALT_PYTHON": sys.executable}
        (archive, *_) = await release(root, request(tmp_path / "out", find_links=(str(wheels),)), environ)
        assert members(archive)["catalog.yaml"][1].decode() == CATALOGUE

    async def test_by_itself_it_unpacks_into_the_users_cache(self, tmp_path: Path, wheels: Path) -> None:
        root = python_source(tmp_path / "src", "indexeddb", TARGET)
        (archive, *_) = await release(root, request(tmp_path / "out", find_links=(str(wheels),)), ENVIRON)
        with tarfile.open(archive) as tar:
            tar.extract("gestalt-plugin-thing", tmp_path, filter="data")
        (tmp_path / "home").mkdir()
        for env, place in (
            ({"XDG_CACHE_HOME": str(tmp_path / "cache")}, tmp_path / "cache" / "gestalt" / "zipapps"),
            ({"HOME": str(tmp_path / "home")}, tmp_path / "home" / ".cache" / "gestalt" / "zipapps"),
            ({"HOME": "/nonexistent", "TMPDIR": str(tmp_path)}, tmp_path / f"gestalt-zipapps-{os.getuid()}"),
        ):
            start(tmp_path / "gestalt-plugin-thing", **env)
            assert list(place.glob("gestalt-plugin-thing_*/site-packages/thing.py")), env
            assert place.stat().st_mode & 0o077 == 0

    async def test_the_same_wheels_give_the_same_bytes(self, tmp_path: Path, wheels: Path) -> None:
        for name, mask in (("one", 0o022), ("two", 0o077)):
            old = os.umask(mask)
            try:
                root = python_source(tmp_path / name, "plugin", PROJECT)
                await release(root, request(tmp_path / f"{name}-out", find_links=(str(wheels),)), ENVIRON)
            finally:
                os.umask(old)
        files = [{path.name: path.read_bytes() for path in (tmp_path / f"{n}-out").iterdir()} for n in ("one", "two")]
        assert files[0] == files[1]

    async def test_other_platforms_take_their_own_wheels(self, tmp_path: Path, wheels: Path) -> None:
        version = f"{sys.version_info.major}{sys.version_info.minor}"
        for tag in ("manylinux_2_17_x86_64", "manylinux_2_28_aarch64", "macosx_11_0_arm64", "macosx_10_9_x86_64"):
            wheel(wheels, f"native-1.0-cp{version}-cp{version}-{tag}.whl", {"native.py": f"TAG = {tag!r}"})
        root = python_source(tmp_path / "src", "plugin", PROJECT)
        text = (root / "backend.py").read_text()
        (root / "backend.py").write_text(text.replace('-sdk"]', '-sdk", "Requires-Dist: native"]'))
        made = await release(root, request(tmp_path / "out", find_links=(str(wheels),), platforms="all"), ENVIRON)
        tags = []
        for archive in made[:4]:
            with zipfile.ZipFile(io.BytesIO(members(archive)["gestalt-plugin-thing"][1])) as zipapp:
                tags.append(zipapp.read("site-packages/native.py").decode().split("'")[1])
        assert tags == ["macosx_10_9_x86_64", "macosx_11_0_arm64", "manylinux_2_17_x86_64", "manylinux_2_28_aarch64"]
        assert list(read_metadata(made[5].read_bytes(), "x").artifacts) == list(ALL)
        assert [line.split("  ")[1] for line in made[4].read_text().splitlines()] == [path.name for path in made[:4]]

    async def test_a_platform_without_a_wheel_is_named(self, tmp_path: Path, wheels: Path) -> None:
        wheel(wheels, "native-1.0-cp399-cp399-manylinux_2_17_x86_64.whl", {"native.py": ""})
        root = python_source(tmp_path / "src", "indexeddb", PROJECT)
        text = (root / "backend.py").read_text()
        (root / "backend.py").write_text(text.replace('-sdk"]', '-sdk", "Requires-Dist: native"]'))
        with pytest.raises(PackageInvalid, match=r"(?s)wheels for darwin/arm64.*native.*macosx_12_0_arm64"):
            await release(root, request(tmp_path / "out", find_links=(str(wheels),), platforms="darwin/arm64"), ENVIRON)

    async def test_a_platform_that_python_has_no_wheels_for(self, tmp_path: Path, wheels: Path) -> None:
        root = python_source(tmp_path / "src", "indexeddb", TARGET)
        with pytest.raises(PackageInvalid, match="cannot be released for plan9/mips; accepted are darwin/amd64"):
            await release(root, request(tmp_path / "out", find_links=(str(wheels),), platforms="plan9/mips"), ENVIRON)

    async def test_a_project_without_the_sdk_is_told_to_require_it(self, tmp_path: Path, wheels: Path) -> None:
        root = python_source(tmp_path / "src", "indexeddb", PROJECT)
        text = (root / "backend.py").read_text()
        (root / "backend.py").write_text(text.replace(', "Requires-Dist: gestaltd-sdk"', ""))
        with pytest.raises(PackageInvalid, match=r'add "gestaltd-sdk" to project\.dependencies'):
            await release(root, request(tmp_path / "out", find_links=(str(wheels),)), ENVIRON)

    async def test_a_wheel_that_names_a_file_outside_is_refused(self, tmp_path: Path, wheels: Path) -> None:
        wheel(wheels, "gestaltd_sdk-10.0-py3-none-any.whl", {"gestalt_sdk/run.py": SDK, "../evil.py": ""})
        root = python_source(tmp_path / "src", "indexeddb", TARGET)
        with pytest.raises(PackageInvalid, match=r"'\.\./evil\.py' is no path inside the wheel"):
            await release(root, request(tmp_path / "out", find_links=(str(wheels),)), ENVIRON)

    async def test_missing_tools_are_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = python_source(tmp_path / "src", "indexeddb", TARGET)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(
            PackageInvalid, match=r"pip and shiv, which is not installed.*pip install 'gestaltd\[release\]'"
        ):
            await release(root, request(tmp_path / "out"), ENVIRON)
