"""Writing JSON as the API does (http-api.md 1.2, 1.3): one document and a newline, keys in their documented order.

Fixed-shape objects are built by the callers in key order; ``free_form`` readies values that users own: keys sorted by
byte order, numbers written as doubles are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from gestalt_sdk.transport.values import rfc3339

PART_BYTES = 64 * 1024


def document(value: Any) -> bytes:
    """Write a response body: the value as JSON and a newline."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


async def document_parts(items: AsyncIterator[object]) -> AsyncIterator[bytes]:
    """Yield the parts of a response body that is a list, each of ``PART_BYTES`` and one item at most."""
    part, separator = bytearray(b"["), b""
    async for item in items:
        part += separator + orjson.dumps(item)
        separator = b","
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
    yield bytes(part + b"]\n")


def error_document(text: str, code: str = "", plugin: str = "") -> bytes:
    """Write the error envelope; ``code`` and ``plugin`` only for the typed errors of http-api.md 7.4."""
    shape = {"error": text}
    if code:
        shape["code"] = code
    if plugin:
        shape["integration"] = plugin
    return document(shape)


def free_form(value: Any) -> Any:
    """Return a JSON-like value with sorted keys, ready for ``document``."""
    if isinstance(value, dict):
        return {key: free_form(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [free_form(item) for item in value]
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -_EXACT_INTEGER <= value <= _EXACT_INTEGER:
        return number(float(value))
    return value


def number(value: float) -> Any:
    """Return a double as JSON writes it: whole ones without ``.0``, an exponent only below 1e-6 and from 1e21 on."""
    size = abs(value)
    if size <= _EXACT_INTEGER and value.is_integer():
        return int(value)
    if 1e-3 <= size < _EXACT_INTEGER:
        return value
    if 1e-6 <= size < 1e21:
        return orjson.Fragment(f"{Decimal(repr(value)):f}")
    if value != value or size == _INFINITY:
        return None  # No JSON number; no request can contain one.
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    return orjson.Fragment(f"{mantissa}e{exponent}")


def put_text(shape: dict[str, Any], key: str, value: str) -> None:
    """Set an "omitted when empty" text."""
    if value:
        shape[key] = value


def put_time(shape: dict[str, Any], key: str, moment: datetime | None) -> None:
    """Set a time, omitted when unknown."""
    if moment is not None:
        shape[key] = rfc3339(moment)


def put_map(shape: dict[str, Any], key: str, value: Mapping[str, Any]) -> None:
    """Set an "omitted when empty" free-form object."""
    if value:
        shape[key] = free_form(value)


_EXACT_INTEGER = 2**53
_INFINITY = float("inf")
