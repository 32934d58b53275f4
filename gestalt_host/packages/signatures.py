"""Ed25519 signatures over release metadata (packaging.md 16, decision 46).

All three texts name what they are, their algorithm and the version of their form, parted by colons, so that none is
taken for another::

    gestalt-public-key:ed25519:1:<base64 of the 32 bytes of the key>
    gestalt-private-key:ed25519:1:<base64 of the 32 bytes of the seed>
    gestalt-signature:ed25519:1:<key id>:<base64 of the 64 bytes of the signature>

What is signed are the bytes of ``provider-release.yaml`` as they are published. ``provider-release.yaml.sig`` holds one
signature a line, so that a release can be signed with an old key and a new one. The key id, the first 16 hexadecimal
digits of the SHA-256 of the public key, only says which key a line is for: it is never trusted instead of the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gestalt_host.packages.errors import PackageInvalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SUFFIX = ".sig"
"""Of the file beside the metadata that holds its signatures."""
MAX_BYTES = 64 * 1024
"""Of that file."""
REQUIRED = "required"
"""Value of an entry's ``verify`` without a signature by a pinned key."""
_PUBLIC, _PRIVATE, _SIGNATURE = (f"gestalt-{word}:ed25519:1" for word in ("public-key", "private-key", "signature"))
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64
_REASON = "the signature of its release is wrong"


def new_key() -> str:
    """Return the text of a new private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return f"{_PRIVATE}:{_base64(Ed25519PrivateKey.generate().private_bytes_raw())}"


def public_key(private_key: str) -> str:
    """Return the text of the public key that belongs to a private one.

    Raises:
        PackageInvalid: the text is no private key; it is not shown.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(_seed(private_key))
    return f"{_PUBLIC}:{_base64(key.public_key().public_bytes_raw())}"


def key_id(public_key_text: str) -> str:
    """Return the 16 hexadecimal digits that signatures name the key by.

    Raises:
        PackageInvalid: the text is no public key.
    """
    return hashlib.sha256(_public_bytes(public_key_text)).hexdigest()[:16]


def check_public_key(text: str) -> None:
    """Raise ``PackageInvalid`` saying what would be accepted, unless the text is a public key."""
    _public_bytes(text)


def write_private_key(path: Path, private_key: str) -> None:
    """Write a private key into a new file that only its owner can read.

    Raises:
        PackageInvalid: the file exists already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{private_key}\n")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
    except FileExistsError:
        raise PackageInvalid(f"{path}: exists already; a key is never overwritten") from None
    except OSError as error:
        raise PackageInvalid(f"{path}: {(error.strerror or str(error)).lower()}") from None


def read_private_key(path: Path) -> str:
    """Return the private key of a file.

    Raises:
        PackageInvalid: it cannot be read, others than its owner can, or it holds no private key.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_bytes().decode("ascii").strip()
        if mode & 0o077:
            raise PackageInvalid(f"{path}: has mode {mode & 0o777:04o}; a private key must be its owner's alone (0600)")
        _seed(text)
    except OSError as error:
        raise PackageInvalid(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise PackageInvalid(f"{path}: {_not_private()}") from None
    except PackageInvalid as error:
        raise PackageInvalid(str(error) if str(error).startswith(f"{path}:") else f"{path}: {error}") from None
    return text


def sign(data: bytes, *private_keys: str) -> str:
    """Return the content of the ``.sig`` file: a line for each key.

    Raises:
        PackageInvalid: one of the texts is no private key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    lines = []
    for text in private_keys:
        signature = Ed25519PrivateKey.from_private_bytes(_seed(text)).sign(data)
        lines.append(f"{_SIGNATURE}:{key_id(public_key(text))}:{_base64(signature)}\n")
    return "".join(lines)


def verify(data: bytes, signature_text: str, keys: Mapping[str, str]) -> str:
    """Return the name of the pinned key that has signed the data; blank when only keys that are not pinned have.

    Args:
        keys: Texts of the public keys that the configuration pins, by name (``providerKeys``).
    Raises:
        PackageInvalid: the signature of a pinned key does not fit the data, a line is no signature, or a pinned text no
            key.
    """
    from cryptography.exceptions import InvalidSignature

    names = {_pinned_id(name, text): name for name, text in sorted(keys.items(), reverse=True)}
    found = ""
    for number, line in enumerate(signature_text.splitlines(), start=1):
        if not line.strip():
            continue
        signer, signature = _signature(line.strip(), number)
        name = names.get(signer)
        if name is None:
            continue
        try:
            _loaded(keys[name]).verify(signature, data)
        except InvalidSignature:
            raise PackageInvalid(
                f'the signature by the key "{name}" does not fit the metadata: one of them has been changed', _REASON
            ) from None
        found = found or name
    return found


def _pinned_id(name: str, text: str) -> str:
    try:
        return key_id(text)
    except PackageInvalid as error:
        raise PackageInvalid(f"providerKeys.{name}: {error}", "a key in providerKeys is none") from None


def _signature(line: str, number: int) -> tuple[str, bytes]:
    head, _, rest = line.removeprefix(f"{_SIGNATURE}:").partition(":")
    signature = _bytes_of(rest)
    if not line.startswith(f"{_SIGNATURE}:") or not _KEY_ID.fullmatch(head) or len(signature) != _SIGNATURE_BYTES:
        raise PackageInvalid(f"line {number} is no signature; accepted is {_SIGNATURE}:<key id>:<base64>", _REASON)
    return head, signature


def _loaded(text: str) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(_public_bytes(text))


def _public_bytes(text: str) -> bytes:
    key = _bytes_of(text.removeprefix(f"{_PUBLIC}:"))
    if text.startswith(f"{_PRIVATE}:"):
        raise PackageInvalid("a private key stands where a public one is wanted; its value is not shown")
    if not text.startswith(f"{_PUBLIC}:") or len(key) != _KEY_BYTES:
        raise PackageInvalid(
            f"{text!r} is no public key; accepted is {_PUBLIC}:<base64>, as `gestaltd provider keygen` prints it"
        )
    return key


def _seed(text: str) -> bytes:
    seed = _bytes_of(text.removeprefix(f"{_PRIVATE}:"))
    if not text.startswith(f"{_PRIVATE}:") or len(seed) != _KEY_BYTES:
        raise PackageInvalid(_not_private())
    return seed


def _not_private() -> str:
    return f"holds no private key; accepted is {_PRIVATE}:<base64>, as `gestaltd provider keygen` writes it"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes_of(text: str) -> bytes:
    """Return what the base64 stands for; nothing when it is none in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if _base64(data) == text else b""
