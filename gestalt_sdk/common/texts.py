"""Cut texts to a size in bytes."""

from __future__ import annotations


def cut(text: str, limit_bytes: int) -> str:
    """Return the longest beginning of the text that takes at most ``limit_bytes`` bytes as UTF-8."""
    if len(text) * 4 <= limit_bytes:
        return text
    encoded = text.encode()
    return text if len(encoded) <= limit_bytes else encoded[:limit_bytes].decode(errors="ignore")
