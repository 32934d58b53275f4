"""The base URL of a REST surface, which manifests and configurations write under the same name."""

from __future__ import annotations

import re

from gestalt_host.config.reader import Block

ACCEPTED = "an http or https URL without a user, a query or a fragment, such as https://api.example.org/v1"
_BASE_URL = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?", re.IGNORECASE)


def read_base_url(surface: Block) -> str:
    """Read ``baseUrl``; blank where nothing is written. Parameters of a connection may stand in it as ``{name}``."""
    text = surface.text("baseUrl")
    if text and not _BASE_URL.fullmatch(text):
        # The URL is not shown: it may hold a password.
        surface.fault("baseUrl", f"cannot be used; accepted is {ACCEPTED}")
    return text
