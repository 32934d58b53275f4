"""The example plugin without code: what its folder has, and that it is released with the others.

``tests/process/rest/test_crossref.py`` calls it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gestalt_host.packages import read_manifest
from gestalt_host.packages.bundled import bundled, bundled_names
from gestalt_host.packages.releases.metadata import read_metadata
from tests.support.commands import ROOT
from tools import release_providers

FOLDER = "examples/plugins/crossref"


def test_it_is_a_manifest_and_what_tells_of_it() -> None:
    assert {path.name for path in (ROOT / FOLDER).iterdir()} == {"README.md", "manifest.yaml"}
    manifest = read_manifest(ROOT / FOLDER / "manifest.yaml")
    assert manifest.runtime == "declarative"
    told = (ROOT / FOLDER / "README.md").read_text()
    for operation in manifest.surfaces["rest"]["operations"]:
        assert f"`{operation['name']}`" in told


def test_every_example_and_provider_is_released_and_bundled() -> None:
    folders = [
        path.parent for place in ("providers", "examples/plugins") for path in (ROOT / place).glob("*/manifest.yaml")
    ]
    assert set(release_providers.PROVIDERS) == {str(path.relative_to(ROOT)) for path in folders}
    assert set(bundled_names()) == {path.name for path in folders}
    assert bundled("crossref") == ROOT / FOLDER


def test_its_release_needs_no_index_and_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.release_providers.subprocess.run", lambda *_, **__: pytest.fail("a process was started"))
    release_providers.providers(tmp_path, (FOLDER,))
    made = tmp_path / "providers" / "plugins" / "crossref"
    metadata = read_metadata((made / "provider-release.yaml").read_bytes(), "x")
    assert (metadata.runtime, list(metadata.artifacts)) == ("declarative", ["generic"])
