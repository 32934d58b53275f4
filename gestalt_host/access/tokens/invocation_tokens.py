"""Invocation tokens: what a plugin shows to act as the subject of the request that it serves (contract.md 4.4).

A token is a signed JWT, opaque to plugins, bound to the plugin that it was minted for.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson

from gestalt_host.access.subjects import Actor, Cause, Ceiling, Principal
from gestalt_host.errors import HostError, quoted

ISSUER = "gestaltd"
AUDIENCE = "gestalt-provider-host"
ROOT_LIFETIME_S = 15 * 60
CHILD_LIFETIME_S = 10 * 60

_HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=") + b"."


class InvocationTokenInvalid(HostError):
    """The token is missing, badly signed, expired or another plugin's, or asks for grants beyond its parent's."""


@dataclass(frozen=True, slots=True)
class InvocationGrant:
    """What a child token may invoke on one plugin."""

    plugin: str
    operations: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    all_operations: bool = False

    def covers(self, other: InvocationGrant) -> bool:
        if self.plugin != other.plugin:
            return False
        operations = self.all_operations or (not other.all_operations and set(other.operations) <= set(self.operations))
        return operations and set(other.surfaces) <= set(self.surfaces)


@dataclass(frozen=True, slots=True)
class CallChain:
    """The chain of calls that led to an invocation; each link is ``plugin/instance-or-default/operation``."""

    request_id: str = ""
    depth: int = 0
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delegation:
    """A token's content.

    Attributes:
        principal: Whom its bearer acts as; ``caller_plugin`` is the bearer.
        grants: What it may invoke; None means everything that the plugin declares.
        connection, instance: Of the request being served, the defaults of nested calls.
        ends_at: End of the root token, seconds since the epoch: no child lives longer.
    """

    principal: Principal
    call: CallChain = field(default_factory=CallChain)
    grants: tuple[InvocationGrant, ...] | None = None
    connection: str = ""
    instance: str = ""
    ends_at: float = 0.0


class InvocationTokens:
    def __init__(self, key: bytes | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """Sign with ``key``: at least 32 bytes, derived from the server's; random for this process when None."""
        self._key = key or secrets.token_bytes(32)
        self._clock = clock

    def mint(self, plugin: str, delegation: Delegation, lifetime_s: float = ROOT_LIFETIME_S) -> str:
        """Make a root token for ``plugin``, to be sent with the request that it is about to serve."""
        now = self._clock()
        return self._encode(plugin, delegation, now, now + lifetime_s, now + lifetime_s)

    def resolve(self, token: str, plugin: str) -> Delegation:
        """Return the content of a token that ``plugin`` shows.

        Raises:
            InvocationTokenInvalid: with the texts of contract.md 4.3.
        """
        token = token.strip()
        if not token:
            raise InvocationTokenInvalid("invocation token is required")
        required = ["exp", "iat", "sub", "caller_plugin"]
        try:
            # The times are checked below, against the clock that was given.
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": required, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            raise InvocationTokenInvalid("invocation token is invalid or expired") from error
        if not claims["iat"] - 60 <= self._clock() < claims["exp"]:
            raise InvocationTokenInvalid("invocation token is invalid or expired")
        if claims["caller_plugin"] != plugin:
            raise InvocationTokenInvalid(f"plugin invocation token is not valid for {quoted(plugin)}")
        return _delegation(claims)

    def exchange(self, token: str, plugin: str, grants: Sequence[InvocationGrant], ttl_s: float = 0) -> str:
        """Make a child token with narrower grants; without any it inherits its parent's.

        Raises:
            InvocationTokenInvalid: the parent does not hold, or a grant goes beyond it.
        """
        parent = self.resolve(token, plugin)
        if parent.grants is not None:
            held = parent.grants
            for grant in grants:
                if not any(item.covers(grant) for item in held):
                    raise InvocationTokenInvalid("requested invocation grants exceed the parent token")
        now = self._clock()
        lifetime = min(ttl_s, ROOT_LIFETIME_S) if ttl_s > 0 else CHILD_LIFETIME_S
        child = Delegation(
            principal=parent.principal,
            call=parent.call,
            grants=tuple(grants) if grants else parent.grants,
            connection=parent.connection,
            instance=parent.instance,
        )
        return self._encode(plugin, child, now, min(now + lifetime, parent.ends_at), parent.ends_at)

    def _encode(self, plugin: str, delegation: Delegation, now: float, expires: float, ends_at: float) -> str:
        who = delegation.principal
        actor = who.actor
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": actor.subject_id,
            "jti": secrets.token_hex(16),
            "iat": int(now),
            "nbf": int(now),
            "exp": expires,
            "delegation_expires_at": ends_at,
            "caller_plugin": plugin,
            "subject_kind": actor.subject_kind,
            "display_name": actor.display_name,
            "auth_source": actor.auth_source,
            "credential_subject_id": who.credential_subject_id,
            "invocation": {
                "request_id": delegation.call.request_id,
                "depth": delegation.call.depth,
                "call_chain": delegation.call.chain,
                "internal_connection_access": who.internal_connections,
            },
            "connection": delegation.connection,
            "instance": delegation.instance,
        }
        if who.ceiling is not None:
            # Written also when it is empty: a missing member would read as unrestricted.
            plugins = who.ceiling.plugins.items()
            claims["token_permissions"] = {name: None if held is None else sorted(held) for name, held in plugins}
        if who.cause is not None:
            claims["cause"] = [who.cause.root, who.cause.chain]
        if delegation.grants is not None:
            claims["grants"] = [[g.plugin, g.operations, g.surfaces, g.all_operations] for g in delegation.grants]
        # Every operation gets a token, and encoding it here takes a seventh of the library's time.
        signed = _HEADER + base64.urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=")
        mac = base64.urlsafe_b64encode(hmac.digest(self._key, signed, "sha256")).rstrip(b"=")
        return (signed + b"." + mac).decode()


def _delegation(claims: Mapping[str, Any]) -> Delegation:
    invocation = claims["invocation"]
    permissions = claims.get("token_permissions")
    ceiling = None
    if permissions is not None:
        ceiling = Ceiling({name: None if held is None else frozenset(held) for name, held in permissions.items()})
    grants = claims.get("grants")
    return Delegation(
        principal=Principal(
            actor=Actor(claims["sub"], claims["subject_kind"], claims["display_name"], claims["auth_source"]),
            credential_subject_id=claims["credential_subject_id"],
            ceiling=ceiling,
            caller_plugin=claims["caller_plugin"],
            internal_connections=invocation["internal_connection_access"],
            cause=Cause(*claims["cause"]) if "cause" in claims else None,
        ),
        call=CallChain(invocation["request_id"], invocation["depth"], tuple(invocation["call_chain"])),
        grants=None if grants is None else tuple(InvocationGrant(p, tuple(o), tuple(s), a) for p, o, s, a in grants),
        connection=claims["connection"],
        instance=claims["instance"],
        ends_at=claims["delegation_expires_at"],
    )
