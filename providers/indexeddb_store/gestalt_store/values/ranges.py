"""Key ranges and index values as spans of encoded keys (contract.md 5.4).

Every range form ends as one span: a lower bound that belongs to it and an upper one that does not, so that each is a
bounded walk through a b-tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gestalt_store.errors import Undecodable
from gestalt_store.values.keys import AFTER, encode, encode_parts
from gestalt_store.values.schema import IndexSchema
from gestalt_store.values.values import from_typed, index_values


class InvalidBound(Undecodable):
    """A bound that cannot be decoded: never taken for no bound."""


LOWEST = b""
HIGHEST = b"\xff"


@dataclass(frozen=True, slots=True)
class Span:
    """Keys from ``lower`` on, below ``upper``.

    Attributes:
        ties: Only for an index: the tie bytes that a key must have, None for any.
    """

    lower: bytes = LOWEST
    upper: bytes = HIGHEST
    ties: bytes | None = None

    @property
    def empty(self) -> bool:
        return self.lower >= self.upper

    @property
    def unbounded(self) -> bool:
        return self.lower == LOWEST and self.upper == HIGHEST and self.ties is None

    def within(self, other: Span) -> Span:
        """The keys in both; the other has no ``ties``."""
        return Span(max(self.lower, other.lower), min(self.upper, other.upper), self.ties)


EVERYTHING = Span()
NOTHING = Span(HIGHEST, LOWEST)


def _bound(message: Any, which: str) -> Any:
    """The bound's value; None when there is none, and null is no bound."""
    if not message.HasField(which):
        return None
    try:
        return from_typed(getattr(message, which))
    except Undecodable as error:
        raise InvalidBound(f"unmarshal key range: {which}: {error}") from None


def primary_span(request: Any) -> Span:
    """The span of a request's ``range`` over primary keys, which are stored whole (order and ties)."""
    if not request.HasField("range"):
        return EVERYTHING
    message = request.range
    lower, upper = _bound(message, "lower"), _bound(message, "upper")
    first, last = LOWEST, HIGHEST
    if lower is not None:
        first = encode(lower).order + (AFTER if message.lower_open else b"")
    if upper is not None:
        last = encode(upper).order + (b"" if message.upper_open else AFTER)
    return Span(first, last)


def index_span(index: IndexSchema, request: Any, what: str = "unmarshal index values") -> Span:
    """The span of a request's ``values`` and ``range`` over an index's order bytes."""
    span = values_span(index, index_values(request.values, what)) if request.values else EVERYTHING
    if not request.HasField("range"):
        return span
    message = request.range
    lower, upper = _bound(message, "lower"), _bound(message, "upper")
    first, last = LOWEST, HIGHEST
    if lower is not None:
        first = _parts(lower) + (b"\x00" if message.lower_open else b"")
    if upper is not None:
        last = _parts(upper) + (b"" if message.upper_open else b"\x00")
    return span.within(Span(first, last))


def values_span(index: IndexSchema, values: list[Any]) -> Span:
    """The index keys that begin with the values; all of them given means exactly that key."""
    if len(values) > len(index.key_path):
        return NOTHING
    key = encode_parts(values)
    if len(values) == len(index.key_path):
        return Span(key.order, key.order + b"\x00", key.ties)
    return Span(key.order, key.order + AFTER)


def _parts(bound: Any) -> bytes:
    """A bound on an index is an array: a list gives its parts, anything else is the only part."""
    return encode_parts(bound).order if isinstance(bound, list) else encode(bound).order
