"""Installing release archives: checked whole, put in place at once, and nothing left of what failed."""

from __future__ import annotations

import io
import json
import multiprocessing
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt_host.packages import PackageInvalid
from gestalt_host.packages.installed import swap
from gestalt_host.packages.installed.install import check_unpacked, install
from gestalt_host.packages.installed.record import FILE_NAME, Expected, faults_of
from gestalt_host.packages.installed.swap import installing_into, put_in_place
from tests.support.commands import ROOT
from tests.support.rigs.archives import PACKAGE, PROGRAM, archive, entry, manifest_text, sha256, store, written

PLATFORM = "linux/amd64"
OTHER = "0" * 64


def expected(data: bytes = b"", /, **changes: str) -> Expected:
    fields = {
        "package": PACKAGE,
        "version": "1.2.3",
        "kind": "indexeddb",
        "archive_sha256": sha256(data) if data else "",
    }
    return Expected(**{**fields, **changes})  # type: ignore[arg-type]


def installed(tmp_path: Path, data: bytes, **changes: str) -> Path:
    directory = tmp_path / "prepared" / "main"
    install(written(tmp_path / "a.tar.gz", data), directory, expected(data, **changes), PLATFORM)
    return directory


def test_an_archive_is_installed_with_its_record_for_its_owner_alone(tmp_path: Path) -> None:
    data = store(entry("docs/readme", b"hello"))
    path = written(tmp_path / "a.tar.gz", data)
    directory = tmp_path / "prepared" / "main"
    manifest = install(path, directory, expected(data, runtime="executable"), PLATFORM)
    assert manifest.path == directory / "manifest.json"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    record = json.loads((directory / FILE_NAME).read_text())
    assert record["archive_sha256"] == sha256(data)
    assert record["files"].keys() == {"foo", "manifest.json", "docs/readme"}
    assert record["files"]["foo"] == {"sha256": sha256(PROGRAM), "size": len(PROGRAM), "mode": 0o755}
    assert faults_of(directory, expected(data)) == []
    assert [path.name for path in directory.parent.iterdir()] == ["main"]


def test_digests_in_upper_case_are_the_same_digests(tmp_path: Path) -> None:
    upper = manifest_text(
        artifacts=[{"os": "linux", "arch": "amd64", "path": "foo", "sha256": sha256(PROGRAM).upper()}]
    )
    data = store(manifest=upper)
    directory = installed(tmp_path, data, archive_sha256=sha256(data).upper())
    assert faults_of(directory, expected(data, archive_sha256=sha256(data).upper())) == []


def artifact(**changes: str) -> list[dict[str, str]]:
    return [{"os": "linux", "arch": "amd64", "path": "foo", "sha256": sha256(PROGRAM), **changes}]


PLUGIN = {"kind": "plugin"}
UI: dict[str, object] = {"kind": "ui", "artifacts": None, "entrypoint": None}
REST = {"surfaces": {"rest": {"baseUrl": "http://x", "operations": [{"name": "a", "method": "GET", "path": "/"}]}}}
REFUSED: dict[str, tuple[bytes, dict[str, str], str]] = {
    "another archive": (store(), {"archive_sha256": OTHER}, f"expected was {OTHER}"),
    "another package": (store(), {"package": "example.org/a/b/c"}, f"source is {PACKAGE}, that of the release"),
    "another version": (store(), {"version": "1.2.3+b1"}, "version is 1.2.3, that of the release 1.2.3+b1"),
    "another kind": (store(), {"kind": "workflow"}, "kind is indexeddb, that of the release workflow"),
    "another runtime": (store(), {"runtime": "declarative"}, "runtime is executable, that of the release declarative"),
    "no manifest": (archive(entry("foo", PROGRAM)), {}, "a.tar.gz: no manifest; looked for manifest.json"),
    "another executable": (store(program=b"x", manifest=manifest_text()), {}, "foo: its sha256 is"),
    "no executable": (archive(entry("manifest.json", manifest_text().encode())), {}, "foo, the executable for linux"),
    "a directory as executable": (
        archive(entry("manifest.json", manifest_text().encode()), entry("foo/a")),
        {},
        "foo, the executable for linux/amd64, is not in the archive",
    ),
    "no digest": (store(manifest=manifest_text(artifacts=artifact(sha256=""))), {}, "artifacts[0].sha256: is required"),
    "a short digest": (store(manifest=manifest_text(artifacts=artifact(sha256="ab"))), {}, "'ab' is not one"),
    "another platform": (
        store(manifest=manifest_text(artifacts=artifact(os="darwin"))),
        {},
        "'foo' is not the path of an artifact for linux/amd64; artifacts are there for darwin/amd64",
    ),
    "the executable of another platform": (
        store(
            entry("bar", PROGRAM),
            manifest=manifest_text(
                artifacts=[*artifact(), *artifact(os="darwin", path="bar")], entrypoint={"artifactPath": "bar"}
            ),
        ),
        {},
        "'bar' is not the path of an artifact for linux/amd64",
    ),
    "no entrypoint": (store(manifest=manifest_text(entrypoint=None)), {}, "entrypoint: is required for a packaged"),
    "release": (
        store(manifest=manifest_text(release={"build": {"command": ["true"]}})),
        {},
        "release: belongs to source manifests",
    ),
    "a record of its own": (store(entry(FILE_NAME, b"{}")), {}, f"{FILE_NAME} is written by the host"),
    "a missing schema": (store(manifest=manifest_text(spec={"configSchemaPath": "s.json"})), {}, "s.json is not in"),
    "a plugin without a catalogue": (store(manifest=manifest_text(**PLUGIN)), PLUGIN, "needs catalog.yaml"),
    "a plugin without an entrypoint": (
        store(manifest=manifest_text(**PLUGIN, entrypoint=None)),
        PLUGIN,
        "entrypoint: is required for a packaged plugin",
    ),
    "a ui without its files": (
        archive(entry("manifest.json", manifest_text(**UI, spec={"assetRoot": "out"}).encode())),
        {"kind": "ui"},
        "spec.assetRoot: out is not a directory in the archive",
    ),
    "a faulty entry behind everything": (store(entry("../evil")), {}, "the name has '..' in it"),
    "a cut archive": (store()[:-30], {}, "not a whole gzip stream"),
}


@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_nothing_and_the_old_installation_as_it_was(
    tmp_path: Path, case: str, before: bool
) -> None:
    data, changes, reason = REFUSED[case]
    old = store(entry("old"))
    directory = tmp_path / "prepared" / "main"
    if before:
        installed(tmp_path, old)
    with pytest.raises(PackageInvalid) as failure:
        install(written(tmp_path / "a.tar.gz", data), directory, expected(**changes), PLATFORM)
    assert reason in str(failure.value)
    assert "a.tar.gz" in str(failure.value)
    assert str(tmp_path) not in str(failure.value)
    assert failure.value.reason in ("its package cannot be installed", "its archive cannot be used")
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == (["main"] if before else [])
    assert not before or faults_of(directory, expected(old)) == []


def alone(*more: bytes, **changes: object) -> bytes:
    return archive(entry("manifest.json", manifest_text(artifacts=None, entrypoint=None, **changes).encode()), *more)


def with_artifacts(*artifacts: list[dict[str, str]]) -> bytes:
    return store(manifest=manifest_text(artifacts=[item for items in artifacts for item in items]))


KINDS: dict[str, tuple[bytes, str, str]] = {
    "plugin": (store(entry("catalog.yaml"), manifest=manifest_text(**PLUGIN)), "plugin", "executable"),
    "hybrid": (store(manifest=manifest_text(**PLUGIN, spec=REST)), "plugin", "executable"),
    "declarative": (alone(**PLUGIN, spec=REST), "plugin", "declarative"),
    "ui": (alone(entry("out/a"), kind="ui", spec={"assetRoot": "out"}), "ui", "ui"),
    "two C libraries": (
        with_artifacts(artifact(libc="musl"), artifact(libc="glibc", path="bar")),
        "indexeddb",
        "executable",
    ),
    "another platform too": (with_artifacts(artifact(), artifact(os="darwin", path="mac")), "indexeddb", "executable"),
}


@pytest.mark.parametrize("case", KINDS)
def test_each_kind_of_package_is_installed(tmp_path: Path, case: str) -> None:
    data, kind, runtime = KINDS[case]
    directory = installed(tmp_path, data, kind=kind, runtime=runtime)
    assert faults_of(directory, expected(data, kind=kind, runtime=runtime)) == []


def test_what_is_unpacked_elsewhere_can_be_checked_alike(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(manifest_text())
    with pytest.raises(PackageInvalid, match=r"a\.tar\.gz: foo, the executable for linux/amd64"):
        check_unpacked(tmp_path / "a.tar.gz", tmp_path, expected(), PLATFORM)
    (tmp_path / "foo").write_bytes(PROGRAM)
    assert check_unpacked(tmp_path / "a.tar.gz", tmp_path, expected(), PLATFORM).version == "1.2.3"


def zipapp(**files: str) -> bytes:
    """Return an executable as shiv makes it, with these files in its site-packages."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("_bootstrap/__init__.py", "")
        packed.writestr("environment.json", json.dumps({"build_id": "abc"}))
        for name, text in files.items():
            packed.writestr(f"site-packages/{name}", text)
    return b"#!" + sys.executable.encode() + b"\n" + out.getvalue()


@pytest.fixture
def as_on_its_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zipapps are unpacked by the platform that they are for."""
    monkeypatch.setattr("gestalt_host.packages.installed.install.host_platform", lambda: PLATFORM)


@pytest.mark.usefixtures("as_on_its_platform")
def test_the_libraries_of_a_zipapp_are_unpacked_and_recorded(tmp_path: Path) -> None:
    program = zipapp(**{"lib.py": "x = 1\n"})
    data = store(program=program)
    directory = installed(tmp_path, data)
    library = directory / ".gestalt-zipapp" / "foo_abc" / "site-packages" / "lib.py"
    assert faults_of(directory, expected(data)) == []
    library.write_text("x = 2\n")
    assert faults_of(directory, expected(data)) == [f"{library.relative_to(directory)}: its content has been changed"]


@pytest.mark.usefixtures("as_on_its_platform")
def test_a_hostile_zipapp_is_refused_by_the_name_of_its_archive(tmp_path: Path) -> None:
    data = store(program=zipapp(**{"../evil": ""}))
    with pytest.raises(PackageInvalid, match=r"a\.tar\.gz: foo: 'site-packages/\.\./evil' is no plain file") as failure:
        installed(tmp_path, data)
    assert str(tmp_path) not in str(failure.value)
    assert list((tmp_path / "prepared").iterdir()) == []


def link_elsewhere(directory: Path, elsewhere: Path) -> None:
    directory.symlink_to(elsewhere)


def file_there(directory: Path, _: Path) -> None:
    directory.write_text("x")


def tree_there(directory: Path, _: Path) -> None:
    (directory / "stale" / "files").mkdir(parents=True)


@pytest.mark.parametrize("plant", [link_elsewhere, file_there, tree_there])
def test_whatever_is_there_is_replaced_and_no_link_is_followed(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (tmp_path / "prepared").mkdir()
    plant(tmp_path / "prepared" / "main", elsewhere)
    directory = installed(tmp_path, store())
    assert not directory.is_symlink()
    assert {path.name for path in directory.iterdir()} == {"foo", "manifest.json", FILE_NAME}
    assert (elsewhere / "precious").read_text() == "x"
    assert [path.name for path in directory.parent.iterdir()] == ["main"]


@pytest.mark.parametrize("mode", ["first", "exchange", "renames"])
def test_an_installation_that_is_killed_at_any_step_leaves_the_old_or_the_new_one(tmp_path: Path, mode: str) -> None:
    old = written(tmp_path / "old.tar.gz", store(entry("old/file")))
    new = written(tmp_path / "new.tar.gz", store(entry("new/file")))
    words = [sys.executable, "-m", "tests.support.killed_installs", *map(str, (old, new, tmp_path / "work")), mode]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 20


def _install_often(path: Path, directory: Path, digest: str) -> None:
    for _ in range(5):
        install(path, directory, expected(archive_sha256=digest), PLATFORM)


def test_installations_at_once_end_with_one_of_them_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    directory = tmp_path / "prepared" / "main"
    archives = [store(*(entry(f"{number}/{file}") for file in range(20))) for number in range(3)]
    workers = []
    for number, data in enumerate(archives):
        path = written(tmp_path / f"{number}.tar.gz", data)
        workers.append(context.Process(target=_install_often, args=(path, directory, sha256(data))))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [] in [faults_of(directory, expected(data)) for data in archives]
    assert [path.name for path in directory.parent.iterdir()] == ["main"]


def test_an_installation_that_does_not_end_is_named(tmp_path: Path) -> None:
    with installing_into(tmp_path / "one"):
        with pytest.raises(PackageInvalid, match="another installation there has not ended"):
            with installing_into(tmp_path / "two", wait_s=0.1):
                pass


def test_where_a_file_system_cannot_exchange_two_renames_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
    installed(tmp_path, store(entry("old")))
    data = store(entry("new"))
    directory = installed(tmp_path, data)
    assert faults_of(directory, expected(data)) == []
    beside = [path for path in directory.parent.iterdir() if path.name.startswith(f".{directory.name}.")]
    assert beside == [], "the old state does not stay aside"


def test_two_directories_are_exchanged_in_one_step_here(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    put_in_place(tmp_path / "one", tmp_path / "two")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "one",
        "one/two",
        "two",
        "two/one",
    ]


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "prepared").touch()
    with pytest.raises(PackageInvalid, match="prepared: file exists"):
        installed(tmp_path, store())
