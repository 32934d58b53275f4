"""What manifests and configurations say alike of a connection: its parameters, and how its credential is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gestalt_host.config.declared.headers import check_header, fits_header
from gestalt_host.config.reader import Block


@dataclass(frozen=True, slots=True)
class ConnectionParam:
    """A parameter of a connection, which base URLs and headers may name; ``default`` is blank where there is none."""

    name: str
    description: str = ""
    default: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class MappedValue:
    """What is sent: a fixed ``value``, or the field of the credential that ``field`` names; one of them is blank."""

    value: str = field(default="", repr=False)
    field: str = ""


@dataclass(frozen=True, slots=True)
class AuthMapping:
    """What a connection sends in place of ``Authorization: Bearer``: headers, and a name with a password."""

    headers: Mapping[str, MappedValue] = field(default_factory=dict)
    basic: tuple[MappedValue, MappedValue] | None = None

    @property
    def values(self) -> tuple[MappedValue, ...]:
        return (*self.headers.values(), *(self.basic or ()))


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One of the values that a person fills in; ``label`` and ``description`` are blank where there are none."""

    name: str
    label: str = ""
    description: str = ""


def read_params(block: Block) -> dict[str, ConnectionParam]:
    """Read ``params`` of a connection; ``from`` and ``field`` are accepted and mean nothing to a stored value."""
    params = {}
    for name, item in block.entries("params"):
        with item:
            params[name] = ConnectionParam(
                name, item.text("description"), item.text("default"), item.boolean("required")
            )
            for key in ("from", "field"):
                item.text(key)
    return params


def read_credential_fields(auth: Block, mode: str) -> tuple[CredentialField, ...]:
    """Read ``credentials`` of a connection's ``auth``; ``mode`` is the effective one.

    A credential of the deployment has no fields that somebody fills in, so its mapping has fixed values alone.
    """
    fields = []
    for item in auth.blocks("credentials"):
        with item:
            name = item.text("name", required=True)
            fields.append(CredentialField(name, item.text("label"), item.text("description")))
    if fields and mode == "platform":
        auth.fault("credentials", "are what a user fills in; a connection in mode platform has none")
    return tuple(fields)


def read_auth_mapping(auth: Block, credential_fields: Iterable[CredentialField]) -> AuthMapping | None:
    """Read ``authMapping`` of a connection's ``auth``, None where there is none."""
    fields = [item.name for item in credential_fields]
    block = auth.block("authMapping")
    if not block.present:
        return None
    with block:
        headers = {}
        for name, item in block.entries("headers"):
            check_header(item, "", name)
            headers[name] = _mapped(item, fields)
        basic = block.block("basic")
        both = None
        if basic.present:
            with basic:
                both = (_mapped(basic.block("username"), fields), _mapped(basic.block("password"), fields))
                if ":" in both[0].value:
                    basic.fault("username", "holds a colon, which a user name cannot")
    if not headers and both is None:
        block.fault("", "is empty; accepted are headers, basic or both")
    return AuthMapping(dict(sorted(headers.items())), both)


def _mapped(block: Block, fields: list[str]) -> MappedValue:
    if not block.present:
        block.fault("", "is required: {value: …} or {valueFrom: {credentialFieldRef: {name: …}}}")
        return MappedValue()
    with block:
        value = block.raw_text("value")
        with block.block("valueFrom") as source, source.block("credentialFieldRef") as reference:
            name = reference.text("name", required=source.present)
    if bool(value) == source.present:
        block.fault("", "exactly one of value and valueFrom is required")
    if not fits_header(value):
        block.fault("value", "holds a line break or another control character, which no header can")
    if name and name not in fields:
        known = ", ".join(fields) or "none"
        reference.fault("name", f"{name!r} is not a field of credentials; declared are {known}")
    return MappedValue(value, name)
