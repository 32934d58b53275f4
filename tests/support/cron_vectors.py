"""The cron vectors of ``gestaltd provider verify``: what their fields mean is in the README beside them."""

from __future__ import annotations

from typing import Any

from gestalt_host.verification.suites.workflow.vectors import GIVEN, OWN, read

VECTORS: list[dict[str, Any]] = [dict(vector) for vector in read(GIVEN)]
"""Given with the specification."""
OWN_VECTORS: list[dict[str, Any]] = [dict(vector) for vector in read(OWN)]
"""Ours."""


def name_of(vector: dict[str, Any]) -> str:
    place = [vector[name] for name in ("timezone", "after", "until") if name in vector]
    return " ".join([vector["cron"], *place])
