"""Integers that the wire cannot carry in a free-form value, where every number is a double (decision 28)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_EXACT = 2**53
"""Up to here a double holds every integer."""
INEXACT = "is an integer that no double holds, so another one would arrive; write it as text"
"""The end of a sentence that begins with the member. The integer is not shown: it may be a secret."""


def is_exact(number: int) -> bool:
    """Return whether a double holds the integer."""
    if -_EXACT <= number <= _EXACT:
        return True
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


def first_inexact(value: object) -> tuple[str | int, ...] | None:
    """Return the path of the first integer in a JSON-like value that no double holds; None where there is none."""
    if isinstance(value, int):
        return None if is_exact(value) else ()
    if isinstance(value, Mapping):
        parts: Iterable[tuple[str | int, object]] = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return None
    for part, item in parts:
        path = first_inexact(item)
        if path is not None:
            return (part, *path)
    return None
