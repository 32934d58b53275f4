"""What trying a rule comes to besides that it is kept."""

from __future__ import annotations

from gestalt_host.errors import HostError


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
