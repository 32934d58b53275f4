"""Bound what one request may bring: a run holds target, event and result, and is read and written in one message."""

from __future__ import annotations

from gestalt_sdk.common.sizes import NAME_BYTES, too_long
from gestalt_workflow.model.errors import InvalidRequest

LARGEST_BYTES = 16 * 1024 * 1024
"""Of a target, event, signal or execution reference. With a result (``maxResultBytes``) three of them fit 64 MiB."""


def bounded(name: str, data: bytes) -> bytes:
    """Return the encoded data; raise ``InvalidRequest`` when it is larger than a run may hold."""
    if len(data) > LARGEST_BYTES:
        raise InvalidRequest(f"{name} has {len(data)} bytes; accepted are at most {LARGEST_BYTES}")
    return data


def named(name: str, text: str, limit: int = NAME_BYTES) -> str:
    """Return the text, trimmed; raise ``InvalidRequest`` when it has more bytes than an id or a name may have."""
    trimmed = text.strip()
    refusal = too_long(name, trimmed, limit)
    if refusal:
        raise InvalidRequest(refusal)
    return trimmed
