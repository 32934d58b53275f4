"""From `provider keygen` and `provider release --sign` to `lock`: which releases a configuration with keys accepts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gestalt_host.daemon.program import run
from gestalt_host.packages.platforms import host_arch, host_os
from gestalt_host.packages.signatures import new_key, public_key, sign, write_private_key

CONFIG = """\
apiVersion: gestaltd.config/v5
providers:
  indexeddb:
    main: {source: "%s", verify: %s}
providerKeys: %s
"""


@dataclass
class Release:
    """A signed release in a folder, and the configuration that uses it."""

    folder: Path
    keys: dict[str, str] = field(default_factory=lambda: {"acme": new_key(), "old": new_key()})

    @property
    def metadata(self) -> Path:
        return self.folder / "dist" / "provider-release.yaml"

    @property
    def signature(self) -> Path:
        return self.metadata.with_name("provider-release.yaml.sig")

    def lock(self, verify: str, **pinned: str) -> int:
        """Run `gestaltd lock` on the configuration; return its exit status."""
        config = self.folder / "gestalt.yaml"
        config.write_text(CONFIG % (self.metadata, verify, json.dumps(pinned)))
        return run(["lock", "--config", str(config)])


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Return a release made and signed by the commands."""
    made = Release(tmp_path)
    # The command would set up the log of this whole process, and tests after it look at their own.
    monkeypatch.setattr("gestalt_host.daemon.program._begin", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_private_key(tmp_path / "acme.key", made.keys["acme"])
    artifact = {"os": host_os(), "arch": host_arch(), "path": "thing"}
    document = {
        "kind": "indexeddb",
        "source": "github.com/acme/providers/indexeddb/thing",
        "version": "0.0.1",
        "artifacts": [artifact],
        "entrypoint": {"artifactPath": "thing"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    (tmp_path / "thing").write_text("#!/bin/sh\n")
    (tmp_path / "thing").chmod(0o755)
    assert run(["provider", "release", "--version", "1.0.0", "--sign", "acme.key"]) == 0
    return made


Change = Callable[[Release], None]


def unsigned(release: Release) -> None:
    release.signature.unlink()


def changed_by_one_byte(release: Release) -> None:
    release.metadata.write_bytes(release.metadata.read_bytes() + b"\n")


def signed_by(*names: str) -> Change:
    def change(release: Release) -> None:
        keys = [release.keys.get(name) or new_key() for name in names]
        release.signature.write_text(sign(release.metadata.read_bytes(), *keys))

    return change


def rubbish(release: Release) -> None:
    release.signature.write_text("rubbish\n")


def as_published(release: Release) -> None:
    assert release.signature.is_file()


@pytest.mark.parametrize(
    ("change", "verify", "refused"),
    [
        (as_published, "required", ""),
        (as_published, '""', ""),
        (signed_by("somebody", "acme"), "required", ""),
        (unsigned, "required", "is not signed"),
        (unsigned, '""', ""),
        (signed_by("somebody"), "required", "signed by no key of providerKeys"),
        (signed_by("somebody"), '""', ""),
        (changed_by_one_byte, "required", 'signature by the key "acme" does not fit'),
        (changed_by_one_byte, '""', 'signature by the key "acme" does not fit'),
        (rubbish, "required", "provider-release.yaml.sig: line 1 is no signature"),
        (rubbish, '""', "provider-release.yaml.sig: line 1 is no signature"),
    ],
)
def test_what_a_configuration_with_a_key_accepts(
    release: Release, capsys: pytest.CaptureFixture[str], change: Change, verify: str, refused: str
) -> None:
    change(release)
    status = release.lock(verify, acme=public_key(release.keys["acme"]))
    told = capsys.readouterr().err
    lockfile = release.folder / "gestalt.lock.json"
    assert (status, lockfile.exists()) == ((1, False) if refused else (0, True)), told
    assert refused in told
    assert "Traceback" not in told


def test_without_keys_a_signature_is_not_looked_at(release: Release) -> None:
    rubbish(release)
    assert release.lock('""') == 0


def test_the_key_that_signed_need_not_be_the_only_one(release: Release) -> None:
    pinned = {name: public_key(key) for name, key in release.keys.items()}
    assert release.lock("required", **pinned) == 0
    assert os.path.lexists(release.folder / "gestalt.lock.json")
