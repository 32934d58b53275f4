"""Our providers from their release archives: started by hand as any host of the contract does, and served by ours."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from gestalt_host.packages import check_packaged, find_manifest, read_manifest
from gestalt_host.packages.archives.extract import extract
from gestalt_host.packages.catalogue import read_catalogue
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.platforms import host_platform
from gestalt_host.packages.releases.metadata import read_metadata
from gestalt_sdk.gen.v1 import plugin_pb2_grpc, runtime_pb2_grpc
from gestalt_sdk.transport.channels import open_channel
from gestalt_sdk.transport.environment import Address
from gestalt_sdk.version import VERSION
from tests.support.commands import ROOT
from tests.support.released import PLUGINS, STORE, WORKFLOW, archive_of, released
from tests.support.rigs.gestaltd import QUICKSTART, Gestaltd, quickstart_host
from tests.support.waiting import eventually, until

PACKAGES = (STORE, WORKFLOW, *(f"plugins/{name}" for name in PLUGINS))
PROTOCOL = 3
pytestmark = pytest.mark.timeout(900)
"""The first test builds what all use, where no earlier run has left it."""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder for each package, unpacked as a host does that knows nothing of zipapps."""
    folders = {}
    for name in PACKAGES:
        folders[name] = tmp_path_factory.mktemp(name.replace("/", "-"))
        extract(archive_of(name), folders[name])
    return folders


@asynccontextmanager
async def served(folder: Path, **variables: str) -> AsyncIterator[grpc.aio.Channel]:
    """Start the executable of a package with the environment that the contract promises, and no more."""
    executable = folder / f"gestalt-plugin-{read_manifest(find_manifest(folder)).source.rpartition('/')[2]}"
    with tempfile.TemporaryDirectory(prefix="gst-", dir="/tmp") as place:
        socket = Path(place) / "p.sock"
        environment = {"PATH": os.environ["PATH"], "GESTALT_PLUGIN_SOCKET": str(socket), **variables}
        process = await asyncio.create_subprocess_exec(
            str(executable), cwd="/", env=environment, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
        )
        channel = open_channel(Address(f"unix:{socket}"))
        try:

            async def is_there() -> bool | None:
                assert process.returncode is None, (await process.communicate())[1].decode()
                return socket.exists() or None

            await eventually(is_there, within_s=120)
            yield channel
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                assert await process.wait() == 0
        finally:
            await channel.close()
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.parametrize("name", PACKAGES)
async def test_an_executable_needs_nothing_but_its_socket(unpacked: dict[str, Path], tmp_path: Path, name: str) -> None:
    async with served(unpacked[name], TMPDIR=str(tmp_path), XDG_CACHE_HOME=str(tmp_path)) as channel:
        if name.startswith("plugins/"):
            metadata = await plugin_pb2_grpc.IntegrationProviderStub(channel).GetMetadata(Empty(), timeout=60)
            assert metadata.min_protocol_version <= PROTOCOL <= metadata.max_protocol_version
        else:
            identity = await runtime_pb2_grpc.ProviderLifecycleStub(channel).GetProviderIdentity(Empty(), timeout=60)
            assert identity.version == VERSION


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_in_an_archive_fits_what_is_told_of_it(unpacked: dict[str, Path], name: str) -> None:
    folder = unpacked[name]
    release = read_metadata((released() / "providers" / name / "provider-release.yaml").read_bytes(), name)
    manifest = read_manifest(find_manifest(folder))
    check_packaged(manifest, host_platform())
    assert (manifest.source, manifest.kind, manifest.version) == (release.package, release.kind, release.version)
    assert release.artifacts[host_platform()].sha256 == sha256_of(archive_of(name))
    (artifact,) = manifest.artifacts
    assert artifact.sha256 == sha256_of(folder / artifact.path)
    files = {path.name for path in folder.iterdir()}
    assert files == {"manifest.yaml", artifact.path, *(["catalog.yaml"] if manifest.kind == "plugin" else [])}


def test_the_catalogues_are_those_of_the_sources(unpacked: dict[str, Path]) -> None:
    operations = {
        name: set(read_catalogue(unpacked[f"plugins/{name}"] / "catalog.yaml").operations) for name in PLUGINS
    }
    assert operations["roadmap"] >= {"items.list", "sync"}
    assert operations["slack"] >= {"chat.postMessage"}
    assert operations["search"] >= {"reindex"}


def test_an_archive_holds_no_path_of_the_machine_that_made_it() -> None:
    for name in PACKAGES:
        with tarfile.open(archive_of(name)) as archive:
            assert {(item.uid, item.gid, item.uname, item.gname, item.mtime) for item in archive} == {(0, 0, "", "", 0)}


SOURCES = {
    "../../providers/indexeddb_store/manifest.yaml": STORE,
    "../../providers/indexeddb/manifest.yaml": WORKFLOW,
    **{f"../plugins/{name}/manifest.yaml": f"plugins/{name}" for name in PLUGINS},
}


def released_quickstart(folder: Path) -> Gestaltd:
    """Return the quickstart with every provider from its release; prepared, not started."""
    host = quickstart_host(folder)
    text = (QUICKSTART / "gestalt.yaml").read_text()
    for manifest, package in SOURCES.items():
        assert manifest in text
        text = text.replace(manifest, str(released() / "providers" / package / "provider-release.yaml"))
    (folder / "gestalt.yaml").write_text(text)
    host.configs = [folder / "gestalt.yaml", *host.configs[1:]]
    for command in (["lock"], ["sync", "--locked"]):
        words = [sys.executable, "-m", "gestalt_host.daemon", *command]
        words += [word for config in host.configs for word in ("--config", str(config))]
        environment = {**os.environ, **host.environment}
        done = subprocess.run(
            words, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
    host.program = (*host.program, "--locked")
    return host


def test_the_quickstart_runs_from_released_archives(tmp_path: Path) -> None:
    host = released_quickstart(tmp_path)
    prepared = [tmp_path / ".gestaltd", tmp_path / "indexeddb"]
    before = {path: path.lstat().st_mtime_ns for root in prepared for path in root.rglob("*")}
    try:
        host.start()
        started = {
            child.name: Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0") for child in host.children()
        }
        assert sorted(started) == ["local", "roadmap", "search", "slack", "workflow_state"]
        # The kernel has put the interpreter of the first line before it.
        assert all(str(tmp_path).encode() in words[1] for words in started.values())
        until(lambda: host.output.count("succeeded") >= 3, within_s=100, what=lambda: host.output + host.log)
        assert {line.split()[2] for line in host.output.splitlines() if "succeeded" in line} == {
            *("roadmap.sync", "search.reindex", "slack.chat.postMessage"),
        }
        for child in host.children():
            maps = Path(f"/proc/{child.pid}/maps").read_text()
            assert str(ROOT / ".venv") not in maps, "its libraries are those of the archive"
    finally:
        host.stop()
    after = {path: path.lstat().st_mtime_ns for root in prepared for path in root.rglob("*")}
    assert after == before, "a start writes nothing into what is installed"


def test_the_store_is_backed_up_checked_and_restored_by_its_release(tmp_path: Path) -> None:
    host = released_quickstart(tmp_path)
    host.start()
    host.stop()
    config = [word for path in host.configs for word in ("--config", str(path))]

    def store(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gestalt_host.daemon", "store", *words]
        environ = {**os.environ, **host.environment, "GESTALT_PYTHON": "/bin/false", "HOME": str(tmp_path / "nobody")}
        return subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False
        )

    before = {path: path.lstat().st_mtime_ns for path in (tmp_path / "indexeddb").rglob("*")}
    done = store("backup", *config, "b.tar")
    assert (done.returncode, "backed up" in done.stdout) == (0, True), done.stderr
    done = store("check", *config, "workflow_state")
    assert (done.returncode, "sound" in done.stdout) == (0, True), done.stderr
    done = store("restore", *config, "b.tar")
    assert done.returncode == 2, "it overwrites nothing"
    assert "Traceback" not in done.stderr
    assert {path: path.lstat().st_mtime_ns for path in (tmp_path / "indexeddb").rglob("*")} == before
    # What is run is what the lock names.
    executable = tmp_path / "indexeddb" / "workflow_state" / "gestalt-plugin-relationaldb"
    executable.write_bytes(executable.read_bytes() + b"x")
    done = store("check", *config)
    assert done.returncode == 2
    assert "gestalt-plugin-relationaldb: its content has been changed" in done.stderr
    assert "gestaltd sync --locked" in done.stderr
    (tmp_path / "gestalt.lock.json").unlink()
    done = store("check", *config)
    assert (done.returncode, "is missing or stale; run `gestaltd lock" in done.stderr) == (2, True), done.stderr
