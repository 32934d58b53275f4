"""What takes long runs at full count only at night: with ``GESTALT_NIGHTLY=1``, as ``make nightly`` does."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")
VARIABLE = "GESTALT_NIGHTLY"
NIGHTLY = os.environ.get(VARIABLE, "") not in ("", "0")


def at_night(many: T, *, otherwise: T) -> T:
    """Return how much of something this run asks for."""
    return many if NIGHTLY else otherwise
