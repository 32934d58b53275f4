"""Reading connections: shared ones, and those of a plugin (config.md 15)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from gestalt_host.config.declared.connections import read_auth_mapping, read_credential_fields, read_params
from gestalt_host.config.model import ConnectionConfig
from gestalt_host.config.reader import Block, parse_config_duration
from gestalt_host.config.sections import Findings, accept_unused

NAME = re.compile(r"[a-zA-Z0-9._-]+")
MODES = ("none", "platform", "user")
_AUTH_TEXTS = (
    *("grantType", "refreshToken", "authorizationUrl", "tokenUrl", "clientId", "clientSecret", "redirectUrl"),
    *("clientAuth", "tokenExchange", "tokenPrefix", "scopeParam", "scopeSeparator", "acceptHeader", "accessTokenPath"),
)
_AUTH_OTHERS = (
    *("scopes", "tokenMetadata", "pkce", "authorizationParams", "tokenParams", "refreshParams", "tokenExchangeDrivers"),
    "credentials",
)
AUTH_TYPES = ("oauth2", "mcp_oauth", "bearer", "manual", "none")


def read_shared_connections(root: Block, findings: Findings) -> dict[str, ConnectionConfig]:
    """Read the top-level ``connections``."""
    connections: dict[str, ConnectionConfig] = {}
    for name, block in root.entries("connections"):
        _check_name(name, block)
        with block:
            connections[name] = _definition(name, block, findings, shared=True)
    return connections


def read_bindings(
    entry: Block, shared: Mapping[str, ConnectionConfig], findings: Findings
) -> dict[str, ConnectionConfig]:
    """Read a plugin's ``connections``: references to shared ones, or inline ones without a user's credentials."""
    bindings: dict[str, ConnectionConfig] = {}
    for name, block in entry.entries("connections"):
        _check_name(name, block)
        with block:
            ref = block.text("ref")
            exposure = block.one_of("exposure", ("user", "internal"))
            binding = (
                _reference(name, ref, block, shared, findings)
                if ref
                else _definition(name, block, findings, shared=False)
            )
        mode = binding.mode
        if exposure == "internal" and mode == "user":
            block.fault("exposure", "'internal' is invalid for a connection with user credentials")
        bindings[name] = ConnectionConfig(
            name=name,
            mode=mode,
            display_name=binding.display_name,
            exposure=exposure,  # type: ignore[arg-type]
            ref=ref,
            auth_type=binding.auth_type,
            token=binding.token,
            params=binding.params,
            auth_mapping=binding.auth_mapping,
        )
    return bindings


def _reference(
    name: str, ref: str, block: Block, shared: Mapping[str, ConnectionConfig], findings: Findings
) -> ConnectionConfig:
    display_name = block.text("displayName")
    _credential_refresh(block, findings)
    for key in ("mode", "auth", "params"):
        if block.has(key):
            block.fault(key, "cannot be combined with ref")
    target = shared.get(ref)
    if target is None:
        known = ", ".join(sorted(shared)) or "none"
        block.fault("ref", f"references unknown connection {ref!r}; configured are {known}")
        return ConnectionConfig(name, ref=ref)
    return replace(target, name=name, display_name=display_name or target.display_name, ref=ref)


def _definition(name: str, block: Block, findings: Findings, *, shared: bool) -> ConnectionConfig:
    display_name = block.text("displayName")
    mode = block.one_of("mode", MODES)
    _credential_refresh(block, findings)
    params = read_params(block)
    auth = block.block("auth")
    with auth:
        auth_type = auth.one_of("type", AUTH_TYPES)
        token = auth.text("token")
        _oauth_keys(auth, findings)
        if not mode and (shared or auth.present):
            mode = "none" if auth_type in ("", "none") else "user"
        fields = read_credential_fields(auth, mode)
        mapping = read_auth_mapping(auth, fields)
    if not shared and mode == "user" and auth_type not in ("", "none"):
        block.fault("auth", "an inline connection may not hold a user's credentials; define it under connections")
    if mode == "platform" and not token and mapping is None and auth_type not in ("", "none"):
        findings.not_provided(block, "auth", "a platform connection without a static token or an authMapping")
    return ConnectionConfig(
        name=name,
        mode=mode or None,  # type: ignore[arg-type]
        display_name=display_name,
        auth_type=auth_type,
        token=token,
        params=params,
        auth_mapping=mapping,
        credential_fields=fields,
    )


def _oauth_keys(auth: Block, findings: Findings) -> None:
    """Read the keys of a user's sign-in to what is behind the plugin, which waits for a credential store."""
    accept_unused(auth, findings, *_AUTH_TEXTS, *_AUTH_OTHERS)
    for key in _AUTH_TEXTS:
        auth.text(key)
    auth.texts("scopes")
    auth.texts("tokenMetadata")
    auth.boolean("pkce")
    for key in ("authorizationParams", "tokenParams", "refreshParams"):
        auth.text_map(key)
    for driver in auth.blocks("tokenExchangeDrivers"):
        with driver:
            for key in ("type", "targetPrincipal", "endpoint"):
                driver.text(key)
            driver.texts("scopes")
            driver.integer("lifetimeSeconds")
            driver.opaque("params")


def _credential_refresh(block: Block, findings: Findings) -> None:
    accept_unused(block, findings, "credentialRefresh")
    with block.block("credentialRefresh") as refresh:
        refresh.duration("refreshInterval", parse_config_duration)
        refresh.duration("refreshBeforeExpiry", parse_config_duration)


def _check_name(name: str, block: Block) -> None:
    if not NAME.fullmatch(name):
        block.fault("", f"{name!r} cannot name a connection; accepted are letters, digits, '.', '_' and '-'")
