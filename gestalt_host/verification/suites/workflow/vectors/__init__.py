"""Vectors of the cron dialect, one JSON object a line; the README beside them says what their fields mean."""

from __future__ import annotations

import json
from importlib import resources
from typing import TypedDict, cast

GIVEN, OWN = "cron-vectors.jsonl", "slot-vectors.jsonl"


class Vector(TypedDict, total=False):
    """One expression, and what must come of it."""

    cron: str
    timezone: str
    after: str
    next: list[str]
    until: str
    previous: list[str]
    refused: object
    note: str


def read(name: str) -> list[Vector]:
    """Return the vectors of one of the files."""
    lines = (resources.files(__package__) / name).read_text().splitlines()
    return [cast(Vector, json.loads(line)) for line in lines if line]
