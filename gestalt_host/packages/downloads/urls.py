"""URLs of what is downloaded: their origin, how they are shown, and what a reference in a document leads to."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from gestalt_host.packages.errors import PackageInvalid

_PORTS = {"http": 80, "https": 443}
# What a path may consist of as it stands; in one with anything else all that is not in the second set is encoded.
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~$&+,/:;=@!'()*\[\]]|%[0-9A-Fa-f]{2})*")
_KEPT_IN_PATH = "$&+,/:;=@-._~"
_DOTS = "\u3002\uff0e\uff61"
"""Of other scripts, which names of hosts may have in place of a full stop."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Origin = tuple[str, str, int]
"""Scheme, host and port."""


def is_http(url: str) -> bool:
    """Return whether the URL is one of http or https with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in _PORTS and bool(parts.hostname)
    except ValueError:
        return False


def origin(url: str) -> Origin | None:
    """Return whom a URL's requests reach; None for one that is none of http or https, or has no such port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname.lower(), _PORTS[parts.scheme] if port is None else port


def shown(url: str) -> str:
    """Return the URL for messages: without name and password, ``***`` for query and fragment, which may be secrets."""
    head, mark, _ = url.partition("?")
    if not mark:
        head, mark, _ = url.partition("#")
    scheme, sign, rest = head.partition("//") if "//" in head else ("", "", head)
    authority, slash, path = rest.partition("/")
    return f"{scheme}{sign}{authority.rpartition('@')[2]}{slash}{path}{f'{mark}***' if mark else ''}"


def shown_origin(url: str) -> str:
    """Return scheme, host and port of a URL for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def without_password(url: str) -> str:
    """Return the URL without name and password, which whoever configured it keeps to himself."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url


def with_password_of(url: str, other: str) -> str:
    """Return the URL with name and password of the other one, where both have one origin and it has none itself."""
    parts, known = urlsplit(url), urlsplit(other)
    if "@" in parts.netloc or "@" not in known.netloc or origin(url) != origin(other):
        return url
    return urlunsplit(parts._replace(netloc=f"{known.netloc.rpartition('@')[0]}@{parts.netloc}"))


def is_loopback(url: str) -> bool:
    """Return whether the URL names this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    for dot in _DOTS:
        host = host.replace(dot, ".")
    host = host.removesuffix(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = address_of(host)
    if address is None:
        return False
    # A connection to the unspecified address comes to this machine too.
    return address.is_loopback or address.is_unspecified


def address_of(host: str) -> Address | None:
    """Return the address that a host is in any spelling that a connection understands, such as ``127.1``; None: a name.

    An IPv4 address that is written as an IPv6 one is the IPv4 one.
    """
    try:
        address = ipaddress.ip_address(host)
        return getattr(address, "ipv4_mapped", None) or address
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def resolved(base: str, reference: str) -> str:
    """Return the URL that a reference in the document at ``base`` means (RFC 3986).

    What a URL cannot contain is percent-encoded; query and fragment stay as they are written but for blanks.

    Args:
        base: A URL with scheme http, https or file.

    Raises:
        PackageInvalid: it leads to another scheme than these, or is no URL.
    """
    text = reference.strip()
    try:
        parts = urlsplit(text)
        if _CONTROL.search(text) or parts.scheme not in ("", "http", "https", "file"):
            raise ValueError
        if parts.scheme in _PORTS and not parts.hostname:
            raise ValueError
        given, parts = parts, urlsplit(urljoin(base, text))
        if given.path and not given.scheme and not given.netloc:  # urljoin leaves empty segments out
            folder = "" if given.path.startswith("/") else f"{urlsplit(base).path.rpartition('/')[0]}/"
            parts = parts._replace(path=folder + given.path)
        if parts.scheme not in ("http", "https", "file") or (parts.scheme != "file" and not parts.hostname):
            raise ValueError
        parts.port  # noqa: B018 - the property checks the port
    except ValueError:
        raise PackageInvalid(
            f"{text[:200]!r} is not a URL that can be followed; "
            "accepted are relative references and absolute http and https URLs"
        ) from None
    path = _without_dots(_encoded(parts.path))
    rest = (part.replace(" ", "%20") for part in (parts.query, parts.fragment))
    return urlunsplit((parts.scheme, parts.netloc, path, *rest))


def beside(url: str, suffix: str) -> str:
    """Return the URL of the file beside that of ``url`` whose name is longer by the suffix."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path + suffix, fragment=""))


def name_of(url: str) -> str:
    """Return the last part of the path of a URL or file, for messages."""
    return unquote(urlsplit(url).path).rpartition("/")[2] or url


def file_of(url: str) -> Path:
    """Return the file that a ``file`` URL names.

    Raises:
        PackageInvalid: it names another machine, or no absolute path.
    """
    parts = urlsplit(url)
    path = url2pathname(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise PackageInvalid(f"{shown(url)} names no file of this machine; accepted is file:///path")
    return Path(path)


def _encoded(path: str) -> str:
    return path if _PATH.fullmatch(path) else quote(unquote_to_bytes(path), safe=_KEPT_IN_PATH)


def _without_dots(path: str) -> str:
    """Return the path without ``.`` and ``..``, which stay at the root."""
    kept: list[str] = []
    parts = path.split("/")
    for index, part in enumerate(parts):
        if part == "..":
            kept = kept[:-1] if len(kept) > 1 else kept
        elif part != ".":
            kept.append(part)
        if part in (".", "..") and index == len(parts) - 1:
            kept.append("")
    return "/".join(kept)
