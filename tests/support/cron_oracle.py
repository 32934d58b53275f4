"""Slots for the vectors, written by what tries every minute (``verification/suites/workflow/oracle.py``).

``python -m tests.support.cron_oracle FILE`` writes the slots into vectors that have none yet (their ``next`` or
``previous`` is then the number wanted).
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gestalt_host.verification.suites.workflow.oracle import following, preceding, spelled


def derived(vector: dict[str, Any], zone: ZoneInfo, count: int) -> list[str]:
    """What ``next`` or ``previous`` of the vector must be."""
    if "next" in vector:
        return spelled(following(vector["cron"], zone, datetime.fromisoformat(vector["after"]), count))
    return spelled(preceding(vector["cron"], zone, datetime.fromisoformat(vector["until"]), count))


def main(path: Path) -> None:
    from gestalt_sdk.timing.zones import load_zone

    lines = []
    for line in path.read_text().splitlines():
        vector = json.loads(line)
        for name in ("next", "previous"):
            if isinstance(vector.get(name), int):
                vector[name] = derived(vector, load_zone(vector["timezone"]), vector[name])
        lines.append(json.dumps(vector))
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
