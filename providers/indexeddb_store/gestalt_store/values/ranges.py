"""Key ranges and index values as spans of encoded keys (contract.md 5.4).

Every form of a range becomes one span: a lower bound that belongs to it and an upper one that does not, so that each
is a bounded walk through a b-tree.
"""

from __future__ import annotations

from dataclasses import dataclass

from gestalt_store.errors import InvalidBound, Undecodable
from gestalt_store.values.keys import AFTER, PlainValue, encode, encode_parts
from gestalt_store.values.schema import IndexSchema
from gestalt_store.values.values import from_typed, index_values
from gestalt_store.values.wire import Message

LOWEST = b""
HIGHEST = b"\xff"


@dataclass(frozen=True, slots=True)
class Span:
    """The encoded keys from ``lower`` on, below ``upper``.

    Attributes:
        ties: Only for an index: the tie bytes that a key must have, None for any.
    """

    lower: bytes = LOWEST
    upper: bytes = HIGHEST
    ties: bytes | None = None

    @property
    def empty(self) -> bool:
        """Return whether no key can be in it."""
        return self.lower >= self.upper

    @property
    def unbounded(self) -> bool:
        """Return whether every key is in it."""
        return self.lower == LOWEST and self.upper == HIGHEST and self.ties is None

    def within(self, other: Span) -> Span:
        """Return the span of the keys in both; the other has no ``ties``."""
        return Span(max(self.lower, other.lower), min(self.upper, other.upper), self.ties)


EVERYTHING = Span()
NOTHING = Span(HIGHEST, LOWEST)


def _bound(message: Message, which: str) -> PlainValue:
    """Return the value of a bound; None when there is none, and null is no bound."""
    if not message.HasField(which):
        return None
    try:
        return from_typed(getattr(message, which))
    except Undecodable as error:
        raise InvalidBound(f"unmarshal key range: {which}: {error}") from None


def primary_span(request: Message) -> Span:
    """Return the span of a request's ``range`` over primary keys, which are stored whole (order and ties)."""
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


def index_span(index: IndexSchema, request: Message, what: str = "unmarshal index values") -> Span:
    """Return the span of a request's ``values`` and ``range`` over an index's order bytes.

    Args:
        what: Begins the text of the error about a value that cannot be decoded.
    """
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


def values_span(index: IndexSchema, values: list[PlainValue]) -> Span:
    """Return the span of the index keys that begin with the values; as many as the index has parts mean that key."""
    if len(values) > len(index.key_path):
        return NOTHING
    key = encode_parts(values)
    if len(values) == len(index.key_path):
        return Span(key.order, key.order + b"\x00", key.ties)
    return Span(key.order, key.order + AFTER)


def _parts(bound: PlainValue) -> bytes:
    """Encode a bound on an index, which is an array: a list gives its parts, anything else is the only part."""
    return encode_parts(bound).order if isinstance(bound, list) else encode(bound).order
