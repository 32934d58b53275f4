"""Judging what a server answers: its status in words that say what to do, its encoding, and pages for browsers."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gestalt_host.packages.errors import PackageInvalid

PASSING = frozenset({429, *range(500, 600)})
"""Statuses after which the same request may succeed."""
_PARTS_A_TURN = 16
_UNPACKED_A_TURN = 256 * 1024
_HTML = re.compile(rb"\s*<(?:!doctype|html|head|body|script|\?xml)", re.IGNORECASE)
_HINTS = {
    204: "the server has nothing to send; check the URL",
    404: "nothing is published there, or not for everybody; check the URL, and source.auth.token where it is private",
    407: "the proxy wants a name and password; set them in the proxy variable",
    410: "it is no longer published there; check the URL",
    429: "the server wants fewer requests; try again later",
}


def is_html(data: bytes) -> bool:
    """Return whether the bytes are a page for a browser, which many servers send in place of a refusal."""
    return _HTML.match(data) is not None


def status_text(status: int, token: str) -> str:
    """Return what an unexpected status means and what to do.

    Args:
        token: ``sent``, ``withheld`` (the server is not the one that it is for) or blank without one.
    """
    if status in (401, 403):
        hint = {
            "sent": "the server refuses the token; check source.auth.token",
            "withheld": "the token was not sent there, since it is for the origin of the metadata alone",
        }.get(token, "the server wants a token; set source.auth.token")
    elif status in _HINTS:
        hint = _HINTS[status]
    elif status in PASSING:
        hint = "the server has failed; try again later"
    else:
        hint = "accepted is 200; check the URL"
    return f"unexpected status {status}; {hint}"


class BodyTooLarge(PackageInvalid):
    """A body has more bytes than are accepted."""


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Return how long a ``Retry-After`` asks to wait, None when it says nothing that can be read."""
    if not retry_after:
        return None
    if re.fullmatch(r"[0-9]{1,9}", retry_after.strip()):
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


async def decoded(
    chunks: AsyncIterator[bytes], encoding: str | None, most: int, grown: Callable[[int], Awaitable[None]] | None = None
) -> bytes:
    """Return a body that is wanted whole, unpacked where the server has packed it without being asked.

    Args:
        grown: Told how many bytes there are, again and again; nothing more is read until it returns.

    Raises:
        PackageInvalid: it has an encoding other than gzip, or is not whole gzip.
        BodyTooLarge: it has more than ``most`` bytes.
    """
    name = (encoding or "").strip().lower()
    if name not in ("", "identity", "gzip", "x-gzip"):
        raise PackageInvalid(f"the body has Content-Encoding {name[:50]!r}; accepted are none and gzip")
    unpack = _Unpacking() if name in ("gzip", "x-gzip") else None
    body = bytearray()
    parts = 0
    async for chunk in chunks:
        for part in unpack.more(chunk) if unpack else (chunk,):
            body += part
            if len(body) > most:
                raise BodyTooLarge(f"the body has more than the {most} bytes that are accepted")
            if grown is not None:
                await grown(len(body))
            parts += 1
            # What is there already comes without a wait: others have their turn in between.
            if unpack or parts % _PARTS_A_TURN == 0:
                await asyncio.sleep(0)
    if unpack is not None and not unpack.is_whole:
        raise PackageInvalid("the gzip body breaks off before its end")
    return bytes(body)


class _Unpacking:
    """A gzip stream of one or more members that comes in chunks; no bytes at all are an empty body."""

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None

    @property
    def is_whole(self) -> bool:
        """Whether no member is left unfinished."""
        return self._member is None

    def more(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the chunk holds in parts of ``_UNPACKED_A_TURN`` bytes. Raises ``PackageInvalid``: it is no gzip.

        No more is unpacked than is asked for.
        """
        try:
            while chunk:
                self._member = self._member or zlib.decompressobj(wbits=31)
                part = self._member.decompress(chunk, _UNPACKED_A_TURN)
                chunk = self._member.unconsumed_tail
                if self._member.eof:
                    chunk, self._member = self._member.unused_data, None
                yield part
        except zlib.error:
            raise PackageInvalid("the body is not the gzip that its Content-Encoding says") from None
