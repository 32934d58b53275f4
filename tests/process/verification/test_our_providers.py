"""What we ship keeps the rules that others are held to."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.commands import ROOT
from tests.support.nightly import NIGHTLY

STORE = ["--config", '{"dsn": "sqlite://{dir}/state.db"}']
OURS = {
    "providers/indexeddb_store": STORE,
    "providers/indexeddb": [],
    "examples/plugins/roadmap": [],
    "examples/plugins/search": [],
    "examples/plugins/slack": ["--config", '{"webhookUrl": "https://hooks.slack.example/services/a/b/c"}'],
    "examples/plugins/templates": [],
}
SOME = ["--rule", "contract.md 1.2", "--rule", "contract.md 2.4/parent"]
"""Each rule is a process; all of them are tried at night."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("folder", OURS)
def test_our_providers_keep_the_rules(folder: str) -> None:
    words = [str(ROOT / folder), *OURS[folder], "--format", "json", *([] if NIGHTLY else SOME)]
    ended = subprocess.run(
        [sys.executable, "-m", "gestalt_host.daemon", "provider", "verify", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=600,
    )
    assert ended.stdout, ended.stderr
    rules = json.loads(ended.stdout)["rules"]
    assert [rule for rule in rules if rule["outcome"] in ("failed", "not run")] == []
    assert ended.returncode == 0
