"""X-Request-Id: one name for a request in its answer, the host's log and the log of the plugin that it calls.

A client may choose it, so that its own log has the name too. One that is too long or has other characters is replaced,
not refused: nothing about the request depends on it.
"""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers

from gestalt_sdk.common.requests import accepted_request_id


def new_request_id() -> str:
    """Return a new id, 16 hexadecimal digits."""
    return secrets.token_hex(8)


def request_id_of(headers: Headers) -> str:
    """Return the id that the client has chosen, else a new one."""
    return accepted_request_id(headers.get("x-request-id", "")) or new_request_id()


def request_id_header(request_id: str) -> tuple[bytes, bytes]:
    """Return the header of an answer."""
    return b"x-request-id", request_id.encode()
