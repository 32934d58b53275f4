"""Request bodies: JSON text to the fields a route declares, by the rules of http-api.md 1.2.

A route declares the fixed-shape objects it takes as a ``Shape``: field name to field kind. Decoding answers a dict
that holds the fields the body set, under the declared names. Everything wrong with a body is ``InvalidBody``, which
names the member, what it is and what is accepted; where the text is no JSON, the line and column.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from gestalt_host.errors import HostError, InvalidArgument, quoted
from gestalt_sdk.common.members import member_path
from gestalt_sdk.common.numbers import INEXACT, first_inexact, is_exact
from gestalt_sdk.common.sizes import LEVELS, is_nested_too_deeply
from gestalt_sdk.common.texts import cut

BODY_LIMIT_BYTES = 1 << 20

MAX_NESTING = LEVELS
"""Levels of objects and lists in a free-form value. Each level of objects costs three of the hundred message levels
that protobuf parsers accept, and the value travels inside requests, runs and records that need their share."""

INVALID_BODY = "invalid JSON body"


class BodyLate(HostError):
    """The client has begun a request and does not send the rest; the text says how much came."""


class BodyTooLarge(HostError):
    """The body is over the limit. ``size`` is in bytes, None where only that it is over is known."""

    def __init__(self, size: int | None) -> None:
        shown = f"more than {BODY_LIMIT_BYTES}" if size is None else f"{size}"
        super().__init__(f"request body of {shown} bytes is over the limit of {BODY_LIMIT_BYTES} bytes")


class InvalidBody(InvalidArgument):
    """The body is not the JSON that the route takes.

    Args:
        fault: What is wrong and what is accepted, such as ``must be a string, not a number``.
        member: Path of the member that is at fault; empty for the body itself.
    """

    def __init__(self, fault: str, member: tuple[str | int, ...] = ()) -> None:
        super().__init__(f"{INVALID_BODY}: {member_path(member)} {fault}" if member else f"{INVALID_BODY}: {fault}")
        self._fault = fault
        self._member = member

    def inside(self, part: str | int) -> InvalidBody:
        """Return the error of what holds the member at fault as ``part``."""
        return InvalidBody(self._fault, (part, *self._member))


class NestedTooDeeply(InvalidBody):
    """A value is nested deeper than the wire to the providers can carry; it is not said where."""

    def __init__(self) -> None:
        super().__init__("")
        self.args = (
            f"the JSON body is nested too deeply: at most {MAX_NESTING} levels of objects and lists are accepted",
        )

    def inside(self, part: str | int) -> InvalidBody:
        """Return the error itself."""
        return self


class _Repeated(dict[str, Any]):
    """An object with a repeated key: as a dict the last value of each, in ``pairs`` all of them."""

    pairs: list[tuple[str, Any]]


FieldKind = Callable[[Any, Any, bool], Any]
"""Decode one field: (JSON value, what an earlier spelling of the key gave or ``ABSENT``, strict) -> value.

Answering ``ABSENT`` leaves the field out. Raises ``InvalidBody``.
"""

ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Shape:
    """A fixed-shape object: field name, as declared and in lower case -> declared name and kind.

    Keys of a body match in any letter case.
    """

    fields: Mapping[str, tuple[str, FieldKind]]

    @classmethod
    def of(cls, **kinds: FieldKind) -> Shape:
        declared = {name: (name, kind) for name, kind in kinds.items()}
        return cls({name.lower(): row for name, row in declared.items()} | declared)

    @property
    def names(self) -> list[str]:
        """The declared names, in their order."""
        return list(dict.fromkeys(name for name, _ in self.fields.values()))

    def decode(self, value: Any, into: dict[str, Any], *, strict: bool) -> dict[str, Any]:
        """Fill ``into`` from a parsed object; a repeated object is merged into what its first text gave."""
        if value is None:
            return into
        if not isinstance(value, dict):
            raise _must_be("an object", value)
        pairs: Iterable[tuple[str, Any]] = value.pairs if isinstance(value, _Repeated) else value.items()
        for key, item in pairs:
            field = self.fields.get(key) or self.fields.get(_folded(key))
            if field is None:
                if strict:
                    raise InvalidBody(f"is not known; accepted are {', '.join(self.names)}", (key,))
                continue
            name, kind = field
            try:
                decoded = kind(item, into.get(name, ABSENT), strict)
            except InvalidBody as error:
                raise error.inside(name) from None
            if decoded is ABSENT:
                into.pop(name, None)
            else:
                into[name] = decoded
        return into


def text(value: Any, before: Any, strict: bool) -> Any:
    """Decode a string; null changes nothing."""
    if value is None:
        return before
    if not isinstance(value, str):
        raise _must_be("a string", value)
    return value


def boolean(value: Any, before: Any, strict: bool) -> Any:
    """Decode true or false; null changes nothing."""
    if value is None:
        return before
    if not isinstance(value, bool):
        raise _must_be("true or false", value)
    return value


def integer(value: Any, before: Any, strict: bool) -> Any:
    """Decode a whole number of 32 bits, written without fraction and exponent; null changes nothing."""
    if value is None:
        return before
    if type(value) is not int or not -(1 << 31) <= value < 1 << 31:
        shown = f"the number {value}" if type(value) in (int, float) else _kind_of(value)
        raise InvalidBody(f"must be a whole number of 32 bits, without fraction and exponent, not {shown}")
    return value


def moment(value: Any, before: Any, strict: bool) -> Any:
    """Decode an RFC 3339 time to aware UTC ``datetime``, cut to microseconds; null and the zero time are absent."""
    if value is None:
        return ABSENT
    if not isinstance(value, str):
        raise _must_be(_TIME, value)
    decoded = parse_moment(value)
    return ABSENT if decoded == _ZERO_TIME else decoded


def free_object(value: Any, before: Any, strict: bool) -> Any:
    """Decode a free-form object; null is absent; a repeated one adds its keys."""
    if value is None:
        return ABSENT
    if not isinstance(value, dict):
        raise _must_be("an object", value)
    _check_free_form(value)
    if before is ABSENT:
        return value
    before.update(value)  # in place: a body may repeat a large one many thousand times
    return before


def anything(value: Any, before: Any, strict: bool) -> Any:
    """Decode any JSON value; null is absent."""
    if value is None:
        return ABSENT
    _check_free_form(value)
    return value


def nested(shape: Shape) -> FieldKind:
    """Decode an object of that shape; null changes nothing, a repeated one is merged."""

    def decode(value: Any, before: Any, strict: bool) -> Any:
        if value is None:
            return before
        return shape.decode(value, {} if before is ABSENT else before, strict=strict)

    return decode


def optional(shape: Shape) -> FieldKind:
    """Decode an object of that shape whose presence matters: ``{}`` is present, null absent, a repeated one merged."""

    def decode(value: Any, before: Any, strict: bool) -> Any:
        if value is None:
            return ABSENT
        return shape.decode(value, {} if before is ABSENT else before, strict=strict)

    return decode


def list_of(shape: Shape) -> FieldKind:
    """Decode a list of objects of that shape; null is absent, null in the list an empty object."""

    def decode(value: Any, before: Any, strict: bool) -> Any:
        if value is None:
            return ABSENT
        if not isinstance(value, list):
            raise _must_be("a list", value)
        decoded = []
        for at, item in enumerate(value):
            try:
                decoded.append(shape.decode(item, {}, strict=strict))
            except InvalidBody as error:
                raise error.inside(at) from None
        return decoded

    return decode


def decode_strict(body: bytes, shape: Shape) -> dict[str, Any]:
    """Decode a body that must be one JSON object of known fields, and nothing after it."""
    return shape.decode(parse(body, strict=True), {}, strict=True)


def decode_lenient(body: bytes, shape: Shape) -> dict[str, Any]:
    """Decode a body whose first JSON value counts; unknown fields and text after it are ignored."""
    return shape.decode(parse(body, strict=False), {}, strict=False)


def decode_parameters(body: bytes) -> dict[str, Any]:
    """Decode an operation's parameters: a free-form object, lenient; ``null`` is an empty one."""
    value = parse(body, strict=False)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _must_be("an object", value)
    _check_free_form(value)
    return dict(value) if isinstance(value, _Repeated) else value


def parse(body: bytes, *, strict: bool) -> Any:
    """Parse the first JSON value of a body; strict: the only one.

    Numbers are ``float``, but for integers up to 2**53, and for those that no double holds, which free-form values
    refuse: they are ``int``. Invalid UTF-8 and lone surrogates become U+FFFD.
    """
    source = body.decode("utf-8", _EACH_BYTE)
    try:
        start = _WHITESPACE.match(source).end()  # type: ignore[union-attr]
        value, end = _DECODER.raw_decode(source, start)
    except RecursionError:
        raise NestedTooDeeply from None
    except json.JSONDecodeError as error:
        raise _malformed(source, error) from None
    except _NoNumber as error:
        raise InvalidBody(str(error)) from None
    if strict and (rest := _WHITESPACE.match(source, end).end()) != len(source):  # type: ignore[union-attr]
        raise _malformed(source, json.JSONDecodeError("text behind the JSON value", source, rest))
    if _SURROGATE_ESCAPE.search(source, start, end):
        try:
            value = _without_surrogates(value)
        except RecursionError:
            raise NestedTooDeeply from None
    return value


def parse_moment(value: str) -> datetime:
    """Parse an RFC 3339 time with upper-case ``T`` and ``Z`` or an offset. Raises ``InvalidBody``."""
    match = _RFC3339.fullmatch(value)
    if match is None:
        raise InvalidBody(f"must be {_TIME}, not {quoted(value)}")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    micros = int((match[7] or "").ljust(6, "0")[:6])
    zone = UTC
    if match[8] != "Z":
        hours, minutes = int(match[9]), int(match[10])
        if hours > 23 or minutes > 59:
            raise InvalidBody(f"must be {_TIME}, not {quoted(value)}: offsets go to 23:59")
        offset = timedelta(hours=hours, minutes=minutes)
        zone = timezone(-offset if match[8][0] == "-" else offset)
    try:
        return datetime(year, month, day, hour, minute, second, micros, zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidBody(f"must be {_TIME} that exists, in the years 1 to 9999, not {quoted(value)}") from None


class _NoNumber(Exception):
    """A number that the decoder does not take; no ValueError, which it would take for something else."""


def _must_be(accepted: str, value: object) -> InvalidBody:
    return InvalidBody(f"must be {accepted}, not {_kind_of(value)}")


def _kind_of(value: object) -> str:
    """Return what a JSON value is. A text is not shown: it may be a secret in the wrong place."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds = {str: "a string", dict: "an object", list: "a list"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "a number")


def _malformed(source: str, error: json.JSONDecodeError) -> InvalidBody:
    """Return where a text stops to be JSON, and why."""
    if not source.strip(" \t\n\r"):
        return InvalidBody("it is empty; a JSON object is accepted")
    if source.startswith("\ufeff"):
        return InvalidBody("it begins with a byte order mark; accepted is JSON without one")
    why = error.msg.removesuffix(" at").removesuffix(" starting")
    return InvalidBody(f"line {error.lineno}, column {error.colno}: {why[:1].lower()}{why[1:]}")


def _folded(key: str) -> str:
    if key.isascii():
        return key.lower()
    # Two letters outside ASCII fold to ASCII ones: the long s and the Kelvin sign.
    return key.replace("\u017f", "s").replace("\u212a", "k").lower()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = _Repeated(found)
    repeated.pairs = pairs
    return repeated


def _whole(digits: str) -> int | float:
    if len(digits) < 16:
        return int(digits)
    number = _number(digits)  # refuses what int() would take long for
    whole = int(digits)
    return number if is_exact(whole) and abs(number) > _EXACT_INTEGER else whole


def _number(digits: str) -> float:
    number = float(digits)
    if number in (_INFINITY, -_INFINITY):
        raise _NoNumber(f"the number {cut(digits, _SHOWN_BYTES)} is out of the range of a double")
    return number


def _constant(name: str) -> Any:
    raise _NoNumber(f"{name} is not JSON")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, _Repeated):
        return _object([(_SURROGATE.sub("\ufffd", key), _without_surrogates(item)) for key, item in value.pairs])
    if isinstance(value, dict):
        return _object([(_SURROGATE.sub("\ufffd", key), _without_surrogates(item)) for key, item in value.items()])
    return value


def _check_free_form(value: object) -> None:
    """Refuse what the wire to the providers cannot carry: deep nesting, integers that no double holds (decision 28)."""
    if is_nested_too_deeply(value):
        raise NestedTooDeeply
    member = first_inexact(value)
    if member is not None:
        raise InvalidBody(INEXACT, member)


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


_EACH_BYTE = "gestalt.each_byte"
codecs.register_error(_EACH_BYTE, _each_byte)

_TIME = "an RFC 3339 time such as 2026-05-08T09:00:00Z"
_SHOWN_BYTES = 40
_INFINITY = float("inf")
_EXACT_INTEGER = 2.0**53
_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
_WHITESPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(Z|[+-]([0-9]{2}):([0-9]{2}))"
)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_whole, parse_constant=_constant, strict=True
)
