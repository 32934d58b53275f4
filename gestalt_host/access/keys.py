"""Keys: the server's master key from ``server.encryptionKey`` (config.md 8.2) and what is derived from it."""

from __future__ import annotations

import re

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


def master_key(text: str) -> bytes:
    """Return the 32 bytes that the text is in 64 hexadecimal digits, else Argon2id of the text (takes about 0.1 s)."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    derive = Argon2id(salt=b"gestalt-derivekey-v1", length=KEY_BYTES, iterations=3, lanes=4, memory_cost=64 * 1024)
    return derive.derive(text.encode())


def subkey(master: bytes, purpose: str) -> bytes:
    """Derive an independent 32-byte key for one purpose."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(master)
