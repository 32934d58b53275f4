"""Connections of plugins, and the credential that a call uses of one (config.md 15).

Connections without authentication and platform connections with a static token work. A user's own credentials need
a credential store, which this host does not have: a connection in mode ``user`` answers that none is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gestalt_host.config.declared.connections import AuthMapping, ConnectionParam, CredentialField
from gestalt_host.errors import CredentialMissing, InvalidInvocation, PlatformCredentialMissing, quoted

CREDENTIAL_MODES = ("", "none", "user")
PLUGIN_CONNECTION = "_plugin"
"""Internal name of a plugin's implicit connection; ``plugin`` is its public alias."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How a plugin reaches the service behind it (config.md 15).

    Attributes:
        mode: ``none``, ``platform`` (one credential of the deployment) or ``user`` (the subject's own).
        token: Static access token of a platform connection; empty when it has none.
        internal: Only for runs of the configuration, never for public requests.
        declared_params: What base URLs and headers may name; ``params`` has the values that are known.
        auth_mapping: How the credential is sent; None: as ``Authorization: Bearer``.
        auth_type: ``oauth2``, ``mcp_oauth``, ``bearer``, ``manual`` or ``none``; blank: not said.
        credential_fields: What a person fills in; none: one value, the credential.
    """

    name: str
    mode: str = "none"
    token: str = field(default="", repr=False)
    internal: bool = False
    display_name: str = ""
    declared_params: Mapping[str, ConnectionParam] = field(default_factory=dict)
    auth_mapping: AuthMapping | None = None
    auth_type: str = ""
    credential_fields: tuple[CredentialField, ...] = ()

    @property
    def params(self) -> dict[str, str]:
        return {name: item.default for name, item in self.declared_params.items() if item.default}

    @property
    def is_configured(self) -> bool:
        """Whether the deployment has set what a platform connection sends: a credential, and what it requires."""
        required = [name for name, item in self.declared_params.items() if item.required]
        has_credential = bool(self.token) or self.auth_mapping is not None
        return has_credential and all(name in self.params for name in required)


@dataclass(frozen=True, slots=True)
class InvocationCredential:
    """The credential that an invocation sends along; ``connection`` is the internal name.

    Attributes:
        params: Values of the connection's parameters.
        mapping: How it is sent; None: the token as ``Authorization: Bearer``. ``fields`` are those that it may name.
    """

    mode: str = "none"
    subject_id: str = ""
    connection: str = ""
    instance: str = ""
    token: str = field(default="", repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    mapping: AuthMapping | None = None
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)


def internal_name(connection: str) -> str:
    """Return the connection's internal name: ``plugin`` is the public alias of ``_plugin``."""
    return PLUGIN_CONNECTION if connection == "plugin" else connection


def credential_for(
    plugin: str, connection: Connection, instance: str = "", credential_mode: str = ""
) -> InvocationCredential:
    """Return the credential of an invocation; ``credential_mode`` overrides the connection's mode.

    Raises:
        InvalidInvocation: an unknown credential mode.
        CredentialMissing, PlatformCredentialMissing: none is stored, or the deployment has not set one, or none for
            that instance.
    """
    if credential_mode not in CREDENTIAL_MODES:
        raise InvalidInvocation(f"credential mode {quoted(credential_mode)} is not supported; use none or user")
    mode, mapping = credential_mode or connection.mode, connection.auth_mapping
    credential = InvocationCredential("none", "", connection.name, instance, params=connection.params)
    if mode == "none":
        return credential
    if mode == "platform":
        if instance:
            reason = f"deployment-managed connection for integration {quoted(plugin)} does not support instances"
            raise PlatformCredentialMissing(plugin, reason)
        if not connection.is_configured:
            raise PlatformCredentialMissing(plugin)
        return replace(credential, mode="platform", token=connection.token, mapping=mapping)
    raise CredentialMissing(plugin)
