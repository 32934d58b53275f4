"""URLs of servers: their normal form, which of them name the same server, and how they are shown."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from gestalt_host.cli.errors import CliError

_PORT = re.compile(r"[^/?#]*[^/?#:]:[0-9]+(?=[/?#]|$)")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def normalise_url(text: str) -> str:
    """Return the URL without blanks and trailing slashes, with a scheme: http for this machine, else https.

    Raises:
        CliError: no host, a query or fragment, or a scheme other than http and https.
    """
    scheme, mark, rest = text.strip().partition("://")
    if not mark:
        scheme, rest = "", scheme
    rest = rest.rstrip("/")
    host = _host(f"//{rest}")
    if not host and _PORT.match(rest):
        raise CliError(f"invalid server URL '{concealed(text)}': its port is over 65535")
    if not host:
        raise CliError(
            f"invalid server URL '{concealed(text)}': it names no host; expected for example http://localhost:8080"
        )
    if scheme not in ("", "http", "https"):
        raise CliError(f"invalid server URL '{concealed(text)}': scheme '{scheme}' is not http or https")
    if "?" in rest or "#" in rest:
        raise CliError(f"invalid server URL '{concealed(text)}': a server's URL has no query and no fragment")
    return f"{scheme or ('http' if _is_loopback(host) else 'https')}://{rest}"


def same_server(one: str, other: str) -> bool:
    """Return whether two normalised URLs name one server: letter case of the host and the usual port do not count."""
    return _canonical(one) == _canonical(other)


def _canonical(url: str) -> tuple[str, str, str]:
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    return scheme, place.lower().removesuffix(f":{_DEFAULT_PORTS[scheme]}"), path


def concealed(url: str) -> str:
    """Return the URL for a message: ``***`` for a name and password before its host, and for its query."""
    before, at, rest = url.rpartition("@")
    scheme, mark, _ = before.partition("://")
    shown = f"{scheme}{mark}***@{rest}" if at and mark else f"***@{rest}" if at else url
    for sign in "?#":
        head, found, _ = shown.partition(sign)
        shown = f"{head}{sign}***" if found else shown
    return shown


def is_loopback_url(url: str) -> bool:
    """Return whether ``url`` names this machine."""
    return _is_loopback(_host(url))


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - the property checks the port
        return parts.hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    host = host.removesuffix(".")
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
