"""Which headers manifests and configurations may declare, and what a header can hold."""

from __future__ import annotations

import re

from gestalt_host.config.reader import Block

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = frozenset(
    (
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    )
)
"""Of the connection and of the framing: the host's client sets them."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def is_settable_header(name: str) -> bool:
    """Return whether a manifest, parameter or credential can set a request's header of that name."""
    return _NAME.fullmatch(name) is not None and name.lower() not in _OWN_HEADERS


def fits_header(value: str) -> bool:
    """Return whether a header can hold the value: text without control characters other than tabs."""
    return _CONTROL.search(value) is None


def check_header(block: Block, key: str, name: str, value: str = "") -> None:
    """Note a fault of ``key`` where a declared header cannot be sent; the value is not shown, it may be a secret."""
    if not is_settable_header(name):
        accepted = "letters, digits and !#$%&'*+-.^_`|~, but not headers of the connection such as Host"
        block.fault(key, f"{name!r} cannot be set as a header; accepted are {accepted}")
    if not fits_header(value):
        block.fault(key, "holds a line break or another control character, which no header can")
