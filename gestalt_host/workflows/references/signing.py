"""The host's signature over execution references (decision 18).

A reference that travels with InvokeOperation is believed only when this host signed it. The signature covers everything
that decides what a run may do. It does not cover times, so that the provider may fill them in.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import orjson

from gestalt_host.access.keys import subkey
from gestalt_host.workflows.model import ExecutionReference
from gestalt_host.workflows.targets.equality import normalised


class ReferenceSigner:
    """Signs with a key derived from ``server.encryptionKey``; ``key_id`` changes with it."""

    def __init__(self, master_key: bytes) -> None:
        self._key = subkey(master_key, "gestalt execution reference")
        self.key_id = hashlib.sha256(b"key id\0" + self._key).hexdigest()[:16]

    def sign(self, reference: ExecutionReference) -> ExecutionReference:
        return replace(reference, signature=self._mac(reference), signature_key_id=self.key_id)

    def knows(self, reference: ExecutionReference) -> bool:
        """Return whether the reference carries a signature made with this key (valid or not)."""
        return bool(reference.signature) and reference.signature_key_id == self.key_id

    def valid(self, reference: ExecutionReference) -> bool:
        return self.knows(reference) and hmac.compare_digest(reference.signature, self._mac(reference))

    def _mac(self, reference: ExecutionReference) -> bytes:
        return hmac.digest(self._key, canonical(reference), "sha256")


def canonical(reference: ExecutionReference) -> bytes:
    """Return the signed bytes: a JSON array, in which no two different references look alike."""
    return orjson.dumps(
        [
            "gestalt.execution-reference.v1",
            reference.id,
            reference.provider,
            normalised(reference.target).decode(),
            reference.subject_id,
            reference.subject_kind,
            reference.display_name,
            reference.auth_source,
            reference.credential_subject_id,
            reference.caller_plugin,
            [[item.plugin, list(item.operations)] for item in reference.permissions],
        ]
    )
