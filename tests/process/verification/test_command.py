"""`gestaltd provider verify` as authors run it: what it takes, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from gestalt_host.packages.archives.pack import pack
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.platforms import host_arch, host_os, host_platform
from gestalt_host.packages.releases.metadata import ReleaseArtifact, ReleaseMetadata, render_metadata
from gestalt_sdk.common.process_identity import ProcessIdentity
from tests.support.commands import ROOT
from tests.support.waiting import until

FAULTY = ROOT / "tests" / "support" / "plugins" / "faulty" / "faulty.py"
SOURCE = "example.org/owner/repo/indexeddb/faulty"
KIND = "contract.md 1.3/kind"


def verify(*words: str | Path) -> subprocess.CompletedProcess[str]:
    args = [sys.executable, "-m", "gestalt_host.daemon", "provider", "verify", *map(str, words)]
    return subprocess.run(
        args, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=110
    )


def package(folder: Path, kind: str = "indexeddb") -> Path:
    """Make a folder with the minimal provider as a program, and a manifest of it."""
    folder.mkdir(parents=True)
    program = folder / "faulty"
    program.write_text(f"#!/bin/sh\nexport KIND={kind} PYTHONPATH={ROOT}\nexec {sys.executable} {FAULTY}\n")
    program.chmod(0o755)
    artifact = {"os": host_os(), "arch": host_arch(), "path": "faulty", "sha256": sha256_of(program)}
    document = {
        "kind": kind,
        "source": SOURCE,
        "version": "1.0.0",
        "artifacts": [artifact],
        "entrypoint": {"artifactPath": "faulty"},
        "spec": {},
    }
    (folder / "manifest.yaml").write_text(yaml.safe_dump(document))
    return folder


def archive(folder: Path) -> Path:
    made = folder / "faulty.tar.gz"
    pack(package(folder / "package"), made)
    return made


def release(folder: Path) -> Path:
    made = archive(folder)
    artifacts = {host_platform(): ReleaseArtifact(made.name, sha256_of(made))}
    metadata = ReleaseMetadata(SOURCE, "indexeddb", "1.0.0", "executable", artifacts)
    (folder / "provider-release.yaml").write_bytes(render_metadata(metadata))
    return folder / "provider-release.yaml"


@pytest.mark.parametrize(
    "source",
    [
        lambda folder: package(folder / "p"),
        lambda folder: package(folder / "p") / "manifest.yaml",
        archive,
        release,
        lambda folder: release(folder).parent,
    ],
    ids=["directory", "manifest", "archive", "release", "directory of a release"],
)
def test_a_source_is_verified_wherever_it_lies(tmp_path: Path, source: Callable[[Path], Path]) -> None:
    ended = verify(source(tmp_path), "--rule", KIND)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[2].split(maxsplit=1)[0] == "passed"


def test_a_program_is_verified_as_the_kind_that_is_named(tmp_path: Path) -> None:
    program = package(tmp_path / "p") / "faulty"
    assert verify(program, "--kind", "indexeddb", "--rule", KIND).returncode == 0
    ended = verify(program, "--kind", "workflow", "--rule", KIND, "--format", "json")
    assert ended.returncode == 1
    assert ended.stderr == "gestaltd: 1 of 1 rules are broken\n"
    [finding] = json.loads(ended.stdout)["rules"]
    assert (finding["rule"], finding["outcome"]) == (KIND, "failed")
    assert (finding["expected"], finding["seen"]) == ("kind PROVIDER_KIND_WORKFLOW", "PROVIDER_KIND_INDEXEDDB")


def test_a_program_that_ends_at_once_fails(tmp_path: Path) -> None:
    ended = verify("/bin/false", "--kind", "plugin", "--format", "junit", "--output", tmp_path / "report.xml")
    assert (ended.returncode, ended.stdout) == (1, "")
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert [case.get("classname") for case in suite.findall("testcase[failure]")] == ["contract.md 2.4"]
    assert suite.get("skipped") == str(int(suite.get("tests") or 0) - 1)


def test_a_report_that_its_file_cannot_hold_is_shown() -> None:
    ended = verify("/bin/false", "--kind", "plugin", "--rule", "contract.md 2.4/serves", "--output", "/dev/full")
    assert ended.returncode == 2
    assert ended.stderr == "gestaltd: --output /dev/full: no space left on device\n"
    assert "failed       contract.md 2.4/serves" in ended.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "SOURCE is required"),
        (["/no/such/file"], "no such file or directory"),
        (["/bin/false"], "--kind is plugin, workflow, indexeddb"),
        (["/etc/passwd"], "is no executable file; accepted is a manifest"),
        (["/bin/false", "--kind", "cache"], '--kind "cache" is not verified; accepted are plugin, workflow, indexeddb'),
        (["/bin/false", "--kind", "plugin", "--format", "pdf"], "accepted are text, json, junit"),
        (["/bin/false", "--kind", "plugin", "--rule", "contract.md 99/x"], 'no rule "contract.md 99/x"'),
        (["/bin/false", "--kind", "plugin", "--rule", KIND], f'no rule "{KIND}"'),
        (["/no/such/file", "--rule", "contract.md 99"], 'no rule "contract.md 99"'),
        (
            ["/bin/false", "--kind", "plugin", "--output", "/no/such/report"],
            "/no/such/report: no such file or directory",
        ),
        (["/bin/false", "--kind", "plugin", "--config", '{"a": hunter2'], "--config:1 is no mapping in JSON or YAML"),
        (["/bin/false", "--kind", "plugin", "--config", "/no/such/file"], "/no/such/file"),
        (["--no-such-option"], "flag provided but not defined: -no-such-option"),
        (["a", "b"], "unexpected arguments: b"),
        ([ROOT / "examples" / "plugins" / "crossref"], "a declarative plugin has no process"),
        ([ROOT / "providers" / "indexeddb", "--kind", "indexeddb"], "kind is workflow, not indexeddb"),
    ],
)
def test_what_cannot_be_verified_ends_with_status_2(words: list[str | Path], said: str) -> None:
    ended = verify(*words)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_ends_everything_it_has_started(tmp_path: Path, number: signal.Signals) -> None:
    program, scratch = tmp_path / "sleeper", tmp_path / "scratch"
    program.write_text("#!/bin/sh\nsleep 600 &\necho $! > $0.child\nexec sleep 600\n")
    program.chmod(0o755)
    scratch.mkdir()
    args = [sys.executable, "-m", "gestalt_host.daemon", "provider", "verify", str(program), "--kind", "workflow"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    command = subprocess.Popen(args, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child = tmp_path / "sleeper.child"
    until(lambda: child.is_file() and child.read_text().strip(), within_s=60)
    sleeper = ProcessIdentity.of(int(child.read_text()))
    command.send_signal(number)
    out, err = command.communicate(timeout=30)
    assert command.returncode != 0
    assert (out, "Traceback" in err) == ("", False)
    until(sleeper.has_ended, within_s=10)
    assert list(scratch.iterdir()) == []


def test_the_rules_are_listed_with_their_kinds() -> None:
    ended = verify("--list", "--kind", "plugin")
    assert ended.returncode == 0
    assert "contract.md 2.4/sigterm" in ended.stdout
    assert KIND not in ended.stdout
