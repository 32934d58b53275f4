"""The configuration of a host whose workflow provider goes by a clock that the test moves."""

from __future__ import annotations

from pathlib import Path

from tests.process.engine.clock import VARIABLE
from tests.support.commands import ROOT

RIG = ROOT / "tests" / "support" / "plugins" / "rig" / "manifest.yaml"
CONFIG = """
server:
  public: {{port: {port}}}
  encryptionKey: "a key for tests only"
providers:
  indexeddb:
    main:
      source: {{builtin: indexeddb_store}}
      config: {{dsn: "sqlite://{folder}/state.db"}}
  workflow:
    local:
      source: {{path: {folder}/clocked/manifest.yaml}}
      env: {{{variable}: {folder}/clock}}
      indexeddb: {{provider: main, db: workflow}}
      config: {{pollInterval: 1s}}
plugins:
  roadmap: {{source: {{path: {rig}}}}}
"""
CLOCKED = """
import sys
sys.path[:0] = [{root!r}, {provider!r}]
from tests.process.engine.clock import provider
"""


def write_config(folder: Path, port: int, provider: str = CLOCKED, more: str = "") -> Path:
    """Write the configuration and return its path; ``more`` is put behind it."""
    package = folder / "clocked"
    package.mkdir()
    for line in ("manifest.yaml", "pyproject.toml"):
        text = (ROOT / "providers" / "indexeddb" / line).read_text()
        (package / line).write_text(text.replace("gestalt_workflow.provider:provider", "clocked:provider"))
    (package / "clocked.py").write_text(
        provider.format(root=str(ROOT), provider=str(ROOT / "providers" / "indexeddb")).lstrip()
    )
    config = folder / "gestalt.yaml"
    config.write_text(
        "apiVersion: gestaltd.config/v5" + CONFIG.format(port=port, folder=folder, variable=VARIABLE, rig=RIG) + more
    )
    return config
