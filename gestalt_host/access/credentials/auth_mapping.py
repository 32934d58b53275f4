"""The headers in which a connection sends its credential, by its ``authMapping`` (config.md 15.1)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from gestalt_host.config.declared.connections import AuthMapping as AuthMapping
from gestalt_host.config.declared.connections import MappedValue as MappedValue
from gestalt_host.config.declared.headers import fits_header
from gestalt_host.errors import CredentialFieldUnfit


def mapped_headers(mapping: AuthMapping, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the headers by name, as the mapping spells them; ``fields`` are those of the stored credential.

    Raises:
        CredentialFieldUnfit: the credential lacks a field that the mapping names, or a header cannot have its value.
    """
    headers = {name: _value(value, fields) for name, value in mapping.headers.items()}
    if mapping.basic is not None:
        name, password = (_value(value, fields) for value in mapping.basic)
        if ":" in name:
            raise CredentialFieldUnfit(mapping.basic[0].field, "holds a colon, which a user name cannot")
        headers["Authorization"] = f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"
    return headers


def _value(mapped: MappedValue, fields: Mapping[str, str]) -> str:
    if not mapped.field:
        return mapped.value
    value = fields.get(mapped.field)
    if value is None:
        raise CredentialFieldUnfit(mapped.field, "is missing")
    if not fits_header(value):
        raise CredentialFieldUnfit(mapped.field, "holds a line break or another control character, which no header can")
    return value
