"""Providers as `gestaltd provider new` makes them: their tests, the rules of their kind, their Makefile's release."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gestalt_host.daemon.provider.authoring.templates import TEMPLATES, Template
from gestalt_host.packages.signatures import read_private_key
from tests.support.commands import ROOT
from tests.support.rigs.toolchains import PROGRAMS, cached_environ, require

GESTALTD = f"{sys.executable} -m gestalt_host.daemon"
NAME = "blue-zebra"


def run(*words: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program that has to succeed; return what it printed."""
    environ = {**cached_environ(), "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        [*map(str, words)], cwd=cwd, env=environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make(template: Template, folder: Path) -> Path:
    words = ("provider", "new", template.kind, NAME, "--language", template.language)
    run(*GESTALTD.split(), *words, cwd=folder)
    return folder / NAME


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", sorted({item.kind for item in TEMPLATES if item.language == "python"}))
def test_one_in_python_passes_its_tests_and_keeps_rules(kind: str, tmp_path: Path) -> None:
    template = next(item for item in TEMPLATES if (item.kind, item.language) == (kind, "python"))
    folder = make(template, tmp_path)
    run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    config = ("--config", template.config) if template.config else ()
    rules = ("--rule", "contract.md 2.1/socket", "--rule", "contract.md 2.4/sigterm")
    said = run(*GESTALTD.split(), "provider", "verify", ".", *config, *rules, cwd=folder)
    assert "2 passed, 0 failed" in said


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("template", TEMPLATES, ids=[item.folder for item in TEMPLATES])
def test_the_makefile_tests_verifies_and_releases_it(template: Template, tmp_path: Path) -> None:
    if template.language in PROGRAMS:
        require(template.language)
    folder = make(template, tmp_path)
    run(*GESTALTD.split(), "provider", "keygen", cwd=folder)
    assert read_private_key(folder / "gestalt-release.key")
    # As in the shell of somebody who has neither our variables nor our modules.
    clean = {name: value for name, value in cached_environ().items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    program = tmp_path / "gestaltd"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {GESTALTD} "$@"\n')
    program.chmod(0o755)
    words = ["make", "release", "VERSION=1.2.3", "KEY=gestalt-release.key", f"GESTALTD={program}"]
    words.append(f"PYTHON={sys.executable}")
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, timeout=1700, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    released = {path.name for path in (folder / "dist").iterdir()}
    assert {"provider-release.yaml", "provider-release.yaml.sig", "checksums.txt"} < released
    refused = subprocess.run(["make", "release"], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert "say which version: make release VERSION=1.0.0" in refused.stderr
