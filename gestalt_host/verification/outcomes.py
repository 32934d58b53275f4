"""What trying a rule comes to besides that it is kept."""

from __future__ import annotations

from gestalt_host.errors import HostError
from gestalt_sdk.common.texts import cut

MOST_SHOWN_BYTES = 2000
"""Of what was expected, and of what was seen, each."""


class Broken(HostError):
    """A rule does not hold.

    Attributes:
        expected: What had to be.
        seen: What was instead.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen


class NotOffered(HostError):
    """The provider does not have what the rule is about, and need not; the text says what that is."""


def require_equal(expected: object, seen: object, what: str) -> None:
    """
    Raises:
        Broken: what was seen is not what was expected.
    """
    if seen != expected:
        raise Broken(f"{what} to be {shown(expected)}", shown(seen))


def require(holds: bool, expected: str, seen: object) -> None:
    """
    Raises:
        Broken: it does not hold; says what was expected and seen.
    """
    if not holds:
        raise Broken(expected, shown(seen))


def shown(value: object) -> str:
    """Return a value as a report has it: a text as it is, cut where it is long."""
    return cut(value if isinstance(value, str) and value else repr(value), MOST_SHOWN_BYTES)
