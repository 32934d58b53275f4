"""The cron vectors under ``tests/support/data``: what their fields mean is in the README there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "data"


def _read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_FOLDER / name).read_text().splitlines() if line]


VECTORS = _read("cron-vectors.jsonl")
"""Given with the specification."""
OWN_VECTORS = _read("slot-vectors.jsonl")
"""Ours."""


def name_of(vector: dict[str, Any]) -> str:
    place = [vector[name] for name in ("timezone", "after", "until") if name in vector]
    return " ".join([vector["cron"], *place])
