"""The base URL of a REST surface, which manifests and configurations write under the same name."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gestalt_host.config.reader import Block

ACCEPTED = "an http or https URL without a user, a query or a fragment, such as https://api.example.org/v1"
_PLACEHOLDER = re.compile(r"\{[^{}]+\}")
_BASE_URL = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?", re.IGNORECASE)


def read_base_url(surface: Block) -> str:
    """Read ``baseUrl``; blank where nothing is written. Parameters of a connection may stand in it as ``{name}``."""
    text = surface.text("baseUrl")
    if text and not (_BASE_URL.fullmatch(text) and _has_port(text)):
        # The URL is not shown: it may hold a password.
        surface.fault("baseUrl", f"cannot be used; accepted is {ACCEPTED}")
    return text


def _has_port(url: str) -> bool:
    """Return whether host and port can be read, whatever the parameters in them are."""
    try:
        parts = urlsplit(_PLACEHOLDER.sub("1", url))
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
