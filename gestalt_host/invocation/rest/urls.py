"""The URL of an operation: a base URL and a path, both templates, with each value encoded for its place.

Whatever a value holds, it stays within the part of the URL that its placeholder stands in: a path keeps the segments of
its template, a query its parameters, and the host is the template's own, but for the labels that it leaves open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from gestalt_host.errors import quoted
from gestalt_host.invocation.rest.values import Unrequestable, text_of
from gestalt_host.packages.manifests.rest_model import PLACEHOLDER
from gestalt_sdk.common.printable import printable

_BASE = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_LABELS = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_WHOLE_AUTHORITY = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_AUTHORITY = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_LITERAL = "/:@!$&'()*+,;=~-._[]?%"
"""What of a template goes as it is; everything else is percent-encoded."""
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS = re.compile(r"\.+")
_VALUE = "\0"
"""Stands before each value while a URL is made; in what is encoded it does not occur."""


@dataclass(frozen=True, slots=True)
class Url:
    """Where a request goes.

    Attributes:
        text: The whole URL, ready to be sent: no path is to be made simpler.
        shown: The same with the placeholders of path and base path, without a query: for messages.
    """

    text: str
    shown: str


def url_of(
    base_url: str,
    path: str,
    values: Mapping[str, object],
    query: Iterable[tuple[str, str]],
    connection_params: Mapping[str, str],
) -> Url:
    """Return the URL of an operation: ``path`` appended to ``base_url``, values filled in, the query extended.

    Args:
        values: Of the placeholders of ``path``, all of them.
        query: Names and texts, in the order in which they are written.
        connection_params: Of the placeholders of ``base_url``; one that is not among them stays as it is.
    Raises:
        Unrequestable: the base URL is none, ``path`` would become part of the host, or a connection's parameter
            cannot be where it stands.
        Unwritable: a value that no URL can carry.
    """
    found = _BASE.fullmatch(base_url)
    if found is None:
        # It is not shown: it may hold a password.
        raise Unrequestable("the base URL cannot be used; accepted is one that begins with http:// or https://")
    authority = _authority(found["authority"], connection_params)
    base = _filled(found["rest"], connection_params.get)
    target = base + _filled(path, values.__getitem__)
    before, _, fixed = target.partition("?")
    if before and not before.startswith("/"):
        raise Unrequestable(
            f"path {quoted(path)} would become part of the host of base URL {quoted(base_url)}; "
            "accepted is a path that begins with a slash, or a base URL that ends with one"
        )
    asked = "&".join(part for part in (fixed.replace(_VALUE, ""), urlencode(list(query))) if part)
    origin = f"{found['scheme'].lower()}://{authority}"
    text = f"{origin}{_without_steps(before) or '/'}{'?' if asked else ''}{asked}"
    return Url(text, printable(f"{origin}{(found['rest'] + path).partition('?')[0]}"))


def _filled(template: str, value_of: Callable[[str], object]) -> str:
    """Return a template without its fragment, literal parts made fit for a URL, each value encoded and marked."""
    template = template.partition("#")[0]
    made, at = "", 0
    for placeholder in PLACEHOLDER.finditer(template):
        value = value_of(placeholder[1])
        if value is None:
            continue
        made += _literal(template[at : placeholder.start()]) + _VALUE + quote(text_of(value), safe="")
        at = placeholder.end()
    return made + _literal(template[at:])


def _literal(text: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=_LITERAL)


def _without_steps(path: str) -> str:
    """Return a path whose values are marked without the marks; no value makes a segment a step up or down."""
    return "/".join(_segment(part) for part in path.split("/"))


def _segment(part: str) -> str:
    text = part.replace(_VALUE, "")
    return "%2E" * len(text) if _VALUE in part and _DOTS.fullmatch(text) else text


def _authority(template: str, params: Mapping[str, str]) -> str:
    def label(placeholder: re.Match[str]) -> str:
        name = placeholder[1]
        value = params.get(name)
        if value is None:
            raise Unrequestable(f"the host of the base URL needs connection parameter {quoted(name)}, which is not set")
        whole = placeholder[0] == template
        if not (_WHOLE_AUTHORITY if whole else _LABELS).fullmatch(value):
            accepted = "a host name or address, with or without a port" if whole else "letters, digits, - _ and ."
            raise Unrequestable(
                f"connection parameter {quoted(name)} is {quoted(value)}, which cannot be part of a host; "
                f"accepted is {accepted}"
            )
        return value

    authority = PLACEHOLDER.sub(label, template)
    if "@" in authority:
        raise Unrequestable("the base URL holds a user name or password; accepted is one without, and a credential")
    if not _AUTHORITY.fullmatch(authority):
        raise Unrequestable(
            f"base URL has the host {quoted(authority)}, which cannot be; accepted is HOST or HOST:PORT"
        )
    return authority
