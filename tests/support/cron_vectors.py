"""The cron vectors: expression, zone, a moment, and the slots that follow it, or why the expression is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent.parent / "data" / "cron-vectors.jsonl"

VECTORS: list[dict[str, Any]] = [json.loads(line) for line in _FILE.read_text().splitlines() if line]
"""``cron``, ``timezone``, ``after`` and either ``next`` (times in UTC) or ``refused``."""
