"""The configuration that `gestaltd` writes for somebody who has none: the quickstart, with what ships inside."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_TEMPLATE = """\
# Written by gestaltd because no configuration was found. Change what you like: it is not written again.
#
#     every minute:  nightly_sync --> roadmap.sync --> event roadmap.sync.completed
#                                                        |--> notify_sync_completed --> slack.chat.postMessage
#                                                        `--> refresh_search_index  --> search.reindex
apiVersion: gestaltd.config/v5

server:
  public: {{host: 127.0.0.1, port: 8080}}
  # Signs what the host hands out. Keep this file to yourself.
  encryptionKey: {key}

providers:
  # Where everything is kept: an object store on SQLite. One process serves every binding, each with its own database.
  indexeddb:
    workflow_state:
      source: {{builtin: indexeddb_store}}
      config:
        dsn: {dsn}

  # Who keeps schedules, triggers and runs, and says when something is due.
  workflow:
    local:
      source: {{builtin: indexeddb}}
      indexeddb: {{provider: workflow_state, db: workflow}}
      config:
        pollInterval: 1s

# What can be invoked. Every plugin gets a database of its own in the object store, named after the plugin.
plugins:
  roadmap:
    source: {{builtin: roadmap}}
    # config: {{folder: /path/to/items}}  # Markdown or JSON; without it a few sample items

  slack:
    source: {{builtin: slack}}
    config:
      # With a webhookUrl messages are posted there; without one they are appended to this file.
      file: {slack}

  search:
    source: {{builtin: search}}
    config:
      database: {search}
    # Operations of other plugins that this one may call.
    invokes:
      - {{plugin: roadmap, operation: items.list}}

# Objects that this file owns. They run as `system:config`, are brought level with this file at every start, and can be
# read, not changed, over HTTP: GET /api/v1/workflow/schedules?owner=config
workflows:
  schedules:
    nightly_sync:
      provider: local
      cron: "* * * * *"  # every minute, so that you see it fire; "0 3 * * *" would be nightly
      timezone: UTC
      target:
        plugin:
          name: roadmap
          operation: sync
          input: {{mode: incremental}}

  eventTriggers:
    notify_sync_completed:
      provider: local
      match: {{type: roadmap.sync.completed, source: roadmap}}
      target:
        plugin:
          name: slack
          operation: chat.postMessage
          input: {{channel: "#roadmap", text: "Roadmap sync finished"}}

    refresh_search_index:
      provider: local
      match: {{type: roadmap.sync.completed, source: roadmap}}
      target:
        plugin: {{name: search, operation: reindex}}
      # A configured run may do what its target needs and no more; reindex also reads roadmap's items.
      permissions:
        - {{plugin: roadmap, operations: [items.list]}}
"""


def write_default_config(path: Path) -> None:
    """Write the configuration, readable by this user only; its state goes beside it, into ``state``.

    Raises:
        OSError: the directory or file cannot be written.
        FileExistsError: somebody else has written one meanwhile; it is left alone.
    """
    directory = path.parent
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    state = directory / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    text = _TEMPLATE.format(
        key=f'"{secrets.token_hex(32)}"',
        dsn=_quoted(f"sqlite://{state / 'gestalt.db'}"),
        slack=_quoted(str(state / "slack.jsonl")),
        search=_quoted(str(state / "search.db")),
    )
    # Written under another name and linked when complete, so that a crash leaves no half configuration behind.
    temporary = directory / f".{path.name}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink()


def _quoted(text: str) -> str:
    """Return a YAML text in double quotes, a dollar sign escaped: it would be read as the start of a variable."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\x24")
    return f'"{escaped}"'
