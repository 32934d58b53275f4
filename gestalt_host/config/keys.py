"""The key that everything secret of the host is derived from (config.md 8.2)."""

from __future__ import annotations

import re

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
_SALT = b"gestalt-derivekey-v1"


def derive_encryption_key(text: str) -> bytes:
    """32 bytes: 64 hexadecimal digits are decoded, any other text goes through Argon2id (about 0.1 s, 64 MiB)."""
    if _HEX_KEY.fullmatch(text):
        return bytes.fromhex(text)
    return Argon2id(salt=_SALT, length=32, iterations=3, lanes=4, memory_cost=64 * 1024).derive(text.encode())
