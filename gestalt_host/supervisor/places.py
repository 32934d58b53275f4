"""What a provider says of this machine is for the log alone: where files lie, and how databases are reached."""

from __future__ import annotations

import re

_END = r"(?=: |[\"'\n,;)]|$)"
_URL = re.compile(rf"\b([a-z][a-z0-9+.-]*)://[^\"'\n,;)]*?{_END}", re.IGNORECASE)
_DIRECTORIES = re.compile(r"(?<![\w.…/])/[^:\"'\n,;()]*/")
_SERVER = re.compile(r"\bserver at \"[^\"]*\"(?: \([^)]*\))?, port \d+")


def without_places(text: str) -> str:
    """Return the text with the names of files alone, and without what follows the scheme of a URL."""
    text = _SERVER.sub("server", _URL.sub(r"\1:…", text))
    return _DIRECTORIES.sub("", text)
