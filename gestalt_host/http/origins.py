"""Which requests of browsers are answered: not those that a page of another origin caused (decision 21).

A server on this machine can be reached by every page that its user opens, so being reachable proves nothing of who
asks. Programs that are no browsers send none of the headers that are looked at here.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from starlette.types import Scope

from gestalt_host.errors import HostError, quoted
from gestalt_sdk.common.texts import cut

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_OWN_SITES = ("same-origin", "none")
_OPEN_PATHS = frozenset({b"/health", b"/ready"})
_NAVIGATED = frozenset({b"/api/v1/auth/login", b"/api/v1/auth/login/callback", b"/api/v1/auth/callback"})
"""Routes of the API that other sites send a browser to: the sign-in, and what it and a connection come back to."""
_SHOWN_BYTES = 200


class BrowserRefused(HostError):
    """A page that is not the server's own caused the request; the text says what is accepted."""


class AllowedHosts:
    """The hosts, as requests name them, that a listener without authentication answers to.

    A page of another name can have that name resolve to this machine (DNS rebinding); its requests are of the same
    origin then, and only their Host tells them from the user's own. A client without Host is no browser.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Take names and addresses, without scheme and port, that are answered to beside the listener's own."""
        self._names = frozenset(name for name in map(_host_of, names) if name)
        self._allows = lru_cache(maxsize=256)(self._find)

    def allows(self, host: str, local_address: str) -> bool:
        """Return whether a request with this Host, on a connection to ``local_address``, is answered."""
        return self._allows(host, local_address)

    def _find(self, host: str, local_address: str) -> bool:
        name = _host_of(host)
        if name in self._names or name == "localhost" or name.endswith(".localhost"):
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or address == _address(local_address))


class BrowserRules:
    """Decides on each request before anything of it is looked at."""

    def __init__(self, base_url: str, hosts: AllowedHosts | None) -> None:
        """Take the public base URL, blank when unset; ``hosts`` is None where any Host is answered to."""
        self._own = _origin_of_url(base_url)
        self._hosts = hosts

    def check(self, scope: Scope, raw_path: bytes) -> None:
        """Check one request.

        Raises:
            BrowserRefused: naming what was sent and what is accepted.
        """
        found: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in _LOOKED_AT:
                text = value.decode("latin-1")
                if name == b"host":
                    self._check_host(scope, text)
                elif name in found and name == b"origin":
                    text = "null"  # Two are none that could be the server's own.
                found[name] = text
        if (b"origin" in found or b"sec-fetch-site" in found) and not _is_free(scope["method"], raw_path, found):
            self._check_origin(scope, found)

    def _check_host(self, scope: Scope, host: str) -> None:
        local_address = (scope.get("server") or ("", 0))[0]
        if self._hosts is not None and host and not self._hosts.allows(host, local_address):
            shown = quoted(cut(host, _SHOWN_BYTES))
            raise BrowserRefused(
                f"this server does not answer to the host {shown}; accepted are localhost, the addresses that it "
                "listens on, the host of server.baseUrl, and what server.public.allowedHosts lists"
            )

    def _check_origin(self, scope: Scope, found: dict[bytes, str]) -> None:
        origin, site = found.get(b"origin"), found.get(b"sec-fetch-site")
        own = self._own or _origin(scope["scheme"], found.get(b"host", ""))
        if origin is not None and origin.lower() != own:
            raise BrowserRefused(
                f"a page of the origin {quoted(cut(origin, _SHOWN_BYTES))} may not use this server; only pages of "
                f"{quoted(own)} may, which server.baseUrl sets"
            )
        if site is not None and site not in _OWN_SITES:
            raise BrowserRefused(
                f"a page of another origin may not use this server: Sec-Fetch-Site is {quoted(cut(site, _SHOWN_BYTES))}"
            )


_LOOKED_AT = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})


def _is_free(method: str, raw_path: bytes, found: dict[bytes, str]) -> bool:
    """Return whether other sites may cause the request: asking for health, and opening a page by a link."""
    if raw_path in _OPEN_PATHS:
        return True
    opens_a_page = (
        method == "GET" and found.get(b"sec-fetch-mode") == "navigate" and found.get(b"sec-fetch-dest") == "document"
    )
    is_api = raw_path == b"/api" or raw_path.startswith(b"/api/")
    return opens_a_page and (not is_api or raw_path in _NAVIGATED)


def _origin_of_url(url: str) -> str:
    parts = urlsplit(url)
    return _origin(parts.scheme, parts.netloc.rpartition("@")[2]) if parts.netloc else ""


def _origin(scheme: str, host: str) -> str:
    """Return the origin as browsers write it; blank without a host."""
    host = host.strip().lower().removesuffix(_DEFAULT_PORTS.get(scheme, "\n"))
    return f"{scheme}://{host}" if host else ""


def _host_of(text: str) -> str:
    """Return the host of ``host``, ``host:port``, ``[address]`` or ``[address]:port``, or of an address alone."""
    text = text.strip().lower()
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        return name if not rest or rest.startswith(":") else ""
    if text.count(":") == 1:
        text = text.partition(":")[0]
    return text.removesuffix(".")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, None for a name; an IPv4 address in IPv6 form is the IPv4 address."""
    try:
        address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
