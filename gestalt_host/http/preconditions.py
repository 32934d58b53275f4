"""``ETag`` and ``If-Match`` (RFC 9110, 8.8.3 and 13.1.1): the revision of a schedule or trigger as an entity tag.

A tag stands for what people have made of an object, so that nobody overwrites what somebody else has changed. It stays
when a schedule fires, although ``nextRunAt`` changes then, and so ``If-None-Match`` is not answered with 304.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from gestalt_host.errors import InvalidArgument, quoted
from gestalt_host.http.headers import RawHeaders
from gestalt_host.workflows.model import IfMatch

_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"')
_REVISION = re.compile("[1-9][0-9]{0,18}")


def etag(revision: int) -> RawHeaders:
    """Return the header that tells the revision; none where the provider does not tell it."""
    return [(b"etag", b'"%d"' % revision)] if revision else []


def if_match(headers: Headers) -> IfMatch | None:
    """Return what the request's ``If-Match`` wants the object to be, None without one.

    A tag that is weak, or that is no revision, is well-formed and matches nothing.

    Raises:
        InvalidArgument: it is neither ``*`` nor a list of entity tags.
    """
    values = headers.getlist("if-match")
    if not values:
        return None
    value = ",".join(values).strip(" \t")
    if value == "*":
        return IfMatch(None)
    elements = {element.strip(" \t") for element in _TAG.sub("\0", value).split(",")} - {""}
    if elements != {"\0"}:
        accepted = "* or entity tags as ETag has them, in double quotes and with commas between"
        raise InvalidArgument(f"If-Match must be {accepted}, got {quoted(value)}")
    tags = (tag["opaque"] for tag in _TAG.finditer(value) if not tag["weak"])
    return IfMatch(frozenset(int(tag) for tag in tags if _REVISION.fullmatch(tag)))
