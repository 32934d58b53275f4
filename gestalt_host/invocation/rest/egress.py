"""Where a declarative plugin may send requests: its list of hosts, and no private address that nobody named.

Decision 32. A host is judged by its name before each hop, and by each address that the name stands for when it is
dialled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from gestalt_host.packages.downloads.urls import Address, address_of

ACCEPTED_PATTERNS = "a host name, *.SUFFIX for the names below one, an address, or a block such as 10.0.0.0/8"
_NAME = re.compile(r"(?!-)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_DOTS = re.compile("[\u3002\uff0e\uff61]")
_DENIED = "server.egress.defaultAction is deny, and the plugin has no egress.allowedHosts"
_NAT64 = ip_network("64:ff9b::/96")
_FOR_SOME = tuple(map(ip_network, ("100.64.0.0/10", "192.0.0.0/24", "168.63.129.16/32", "3fff::/20")))
"""Not public although they are in no private network: shared by providers, for protocols and clouds, documentation."""


@lru_cache(maxsize=1024)
def plain_host(host: str) -> str:
    """Return a host in the one spelling in which it is compared and dialled.

    An address is written in full, IPv6 without brackets; a name in ASCII and lower case, without the dot at its end.

    Raises:
        ValueError: it is neither; the text says so.
    """
    text = _DOTS.sub(".", host[1:-1] if host[:1] + host[-1:] == "[]" else host).removesuffix(".").lower()
    if not text.isascii():
        import idna

        try:
            text = idna.encode(text, uts46=True).decode()
        except idna.IDNAError:
            text = ""
    address = None if re.search(r"\s", text) else address_of(text)
    if address is not None:
        return str(address)
    if not _NAME.fullmatch(text) or len(text) > 253:
        raise ValueError(f"{host[:100]!r} is no host; accepted are names and addresses")
    return text


def is_pattern(text: str) -> bool:
    """Return whether a text can stand in ``allowedHosts``, as ``ACCEPTED_PATTERNS`` says."""
    try:
        _parsed(text)
    except ValueError:
        return False
    return True


def is_public(address: Address) -> bool:
    """Return whether everybody can reach the address: it is none of a private network, of one machine or a group."""
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return is_public(carried)
        if address.is_site_local:
            return False
    if any(address in network for network in _FOR_SOME):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What one plugin may reach.

    Attributes:
        allowed: Patterns of its ``egress.allowedHosts``, as ``ACCEPTED_PATTERNS`` says. Without any every host is
            allowed, unless ``default_deny``.
        default_deny: Whether without a list nothing is allowed.
        named: Hosts whose addresses may be private although no list names them: those of base URLs that the operator
            has written himself.
    """

    allowed: tuple[str, ...] = ()
    default_deny: bool = False
    named: frozenset[str] = frozenset()

    def refusal_of_host(self, host: str) -> str:
        """Return why no request goes to a host, as ``plain_host`` writes it; blank where its addresses decide."""
        if not self.allowed:
            return _DENIED if self.default_deny else ""
        address = address_of(host)
        if self._names(host) or (any(self._networks()) if address is None else self._holds(address)):
            return ""
        return f"{host} is not among egress.allowedHosts of the plugin"

    def refusal_of_address(self, host: str, address: Address) -> str:
        """Return why an address that a host's name stands for is not dialled; blank where it may be."""
        if self._names(host) or self._holds(address):
            return ""
        if self.allowed or self.default_deny:
            return self.refusal_of_host(str(address))
        if is_public(address) or host in {_plain_or_blank(name) for name in self.named}:
            return ""
        which = host if host == str(address) else f"{host} ({address})"
        return f"{which} is a private address; accepted where egress.allowedHosts of the plugin names it"

    def _holds(self, address: Address) -> bool:
        """Return whether a pattern is the address, or a block that it is in."""
        return any(address in network for network in self._networks())

    def _names(self, host: str) -> bool:
        """Return whether a pattern is the host's name, or a suffix of it."""
        patterns = [pattern for text in self.allowed if isinstance(pattern := _parsed(text), str)]
        return any(host.endswith(pattern[1:]) if pattern.startswith("*") else host == pattern for pattern in patterns)

    def _networks(self) -> Iterator[IPv4Network | IPv6Network]:
        for text in self.allowed:
            if not isinstance(pattern := _parsed(text), str):
                yield pattern


@lru_cache(maxsize=1024)
def _parsed(text: str) -> str | IPv4Network | IPv6Network:
    """Return a pattern as a name, as ``*.suffix``, or as a network. Raises ``ValueError``."""
    text = text.strip()
    if "/" in text:
        return ip_network(text, strict=False)
    if text.startswith("*."):
        suffix = plain_host(text[2:])
        if address_of(suffix) is not None:
            raise ValueError(text)
        return f"*.{suffix}"
    host = plain_host(text)
    return host if (address := address_of(host)) is None else ip_network(str(address))


def _plain_or_blank(host: str) -> str:
    try:
        return plain_host(host)
    except ValueError:
        return ""
