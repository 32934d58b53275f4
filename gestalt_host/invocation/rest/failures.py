"""Why there was no answer, or none that could be read: in words that name no library and no value."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpcore

from gestalt_host.invocation.rest.dialling import MOST_INTERIM, TOO_LONG, TOO_MANY_INTERIM
from gestalt_host.packages.downloads.failures import judged_connection

_NO_ANSWER = "Server disconnected"
_BROKEN_OFF = "peer closed connection"
"""How the client's texts begin where an end came too early, and not something else than HTTP."""


def cause_without_answer(error: BaseException) -> str:
    """Return why no answer began."""
    if (known := judged_connection(error)) is not None:
        return str(known)
    if isinstance(error, httpcore.ConnectTimeout):
        return "no connection came about in time"
    if isinstance(error, httpcore.LocalProtocolError):
        return "the request has a header that HTTP does not allow"
    if isinstance(error, httpcore.RemoteProtocolError):
        if str(error).startswith(_NO_ANSWER):
            return "the connection ended before there was an answer"
        if str(error) == TOO_LONG:
            return "the headers of its answer have more than 100 KiB; no more are read"
        if str(error) == TOO_MANY_INTERIM:
            return f"more than {MOST_INTERIM} interim answers (1xx) came before its answer; no more are read"
        return "what it answers is no HTTP"
    if isinstance(error, httpcore.ConnectError) and (reason := _system_reason(error)):
        return f"the connection failed: {reason}"
    return "the connection broke off before there was an answer"


def cause_in_body(error: BaseException) -> str:
    """Return why a body could not be read to its end."""
    if isinstance(error, httpcore.RemoteProtocolError) and not str(error).startswith(_BROKEN_OFF):
        return "the parts of its answer are not framed as HTTP asks"
    return "its answer broke off before its end"


def _system_reason(error: BaseException) -> str:
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
