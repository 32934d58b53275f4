"""Invocation tokens: bound to one plugin and a time, never wider than what they came from (contract.md 4.4)."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from gestalt_host.access.subjects import Actor, Ceiling, Principal
from gestalt_host.access.tokens.invocation_tokens import (
    CallChain,
    Delegation,
    InvocationGrant,
    InvocationTokenInvalid,
    InvocationTokens,
)

KEY = bytes(32)
ANN = Principal(
    Actor("user:ann", "user", "Ann", "session"),
    "user:cred",
    Ceiling({"a": None, "b": frozenset({"x", "y"})}),
    "roadmap",
    True,
)
FULL = Delegation(ANN, CallChain("req-1", 2, ("a/default/x",)), None, "default", "i 1")


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> InvocationTokens:
    return InvocationTokens(KEY, clock=clock)


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def test_a_token_says_again_what_it_was_made_of(tokens: InvocationTokens) -> None:
    read = tokens.resolve(f" {tokens.mint('roadmap', FULL)} ", "roadmap")
    assert (read.principal, read.call, read.grants) == (FULL.principal, FULL.call, FULL.grants)
    assert (read.connection, read.instance) == ("default", "i 1")


def test_it_is_a_standard_token_with_the_contracts_claims(tokens: InvocationTokens, clock: Clock) -> None:
    token = tokens.mint("roadmap", FULL)
    options: Any = {"verify_exp": False}
    found = jwt.decode(token, KEY, algorithms=["HS256"], audience="gestalt-provider-host", options=options)
    assert (found["iss"], found["sub"], found["caller_plugin"]) == ("gestaltd", "user:ann", "roadmap")
    assert found["exp"] - clock.now == 15 * 60 == found["delegation_expires_at"] - clock.now
    assert claims(tokens.mint("roadmap", FULL))["jti"] != found["jti"]


@pytest.mark.trap("k")
@pytest.mark.parametrize("ceiling", [None, Ceiling({}), Ceiling({"a": frozenset()}), Ceiling({"a": None})])
def test_an_empty_ceiling_stays_empty(tokens: InvocationTokens, ceiling: Ceiling | None) -> None:
    who = Principal(ANN.actor, ceiling=ceiling)
    assert tokens.resolve(tokens.mint("p", Delegation(who)), "p").principal.ceiling == ceiling


def refused(tokens: InvocationTokens, token: str, plugin: str = "roadmap") -> str:
    with pytest.raises(InvocationTokenInvalid) as error:
        tokens.resolve(token, plugin)
    return str(error.value)


def test_tokens_that_do_not_hold(tokens: InvocationTokens, clock: Clock) -> None:
    token = tokens.mint("roadmap", FULL)
    invalid = "invocation token is invalid or expired"
    assert refused(tokens, "  ") == "invocation token is required"
    assert refused(tokens, "nonsense") == invalid
    assert refused(tokens, token[:-2] + ("AA" if token[-2:] != "AA" else "BB")) == invalid
    assert refused(InvocationTokens(bytes(31) + b"x", clock=clock), token) == invalid
    assert refused(tokens, token, "slack") == 'plugin invocation token is not valid for "slack"'
    head, body, mac = token.split(".")
    wider = base64.urlsafe_b64encode(json.dumps({**claims(token), "sub": "system:config"}).encode()).decode()
    assert refused(tokens, f"{head}.{wider.rstrip('=')}.{mac}") == invalid
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert refused(tokens, f"{none}.{body}.") == invalid
    other = jwt.encode({**claims(token), "aud": "someone"}, KEY, algorithm="HS256")
    assert refused(tokens, other) == invalid
    clock.now += 15 * 60
    assert refused(tokens, token) == invalid


def test_children_live_ten_minutes_and_never_longer_than_the_root(tokens: InvocationTokens, clock: Clock) -> None:
    root = tokens.mint("roadmap", FULL)

    def lifetime(token: str) -> float:
        return claims(token)["exp"] - clock.now

    assert lifetime(tokens.exchange(root, "roadmap", ())) == 600
    assert lifetime(tokens.exchange(root, "roadmap", (), 30)) == 30
    assert lifetime(tokens.exchange(root, "roadmap", (), 10_000)) == 900
    clock.now += 800
    child = tokens.exchange(root, "roadmap", (), 900)
    assert lifetime(child) == 100
    assert lifetime(tokens.exchange(child, "roadmap", (), 900)) == 100


def test_grants_only_narrow(tokens: InvocationTokens) -> None:
    root = tokens.mint("roadmap", FULL)
    child = tokens.exchange(
        root, "roadmap", (InvocationGrant("b", ("x", "y"), ("graphql",)), InvocationGrant("c", all_operations=True))
    )
    assert tokens.resolve(child, "roadmap").principal == ANN
    narrower = tokens.exchange(child, "roadmap", (InvocationGrant("b", ("x",)), InvocationGrant("c", ("z",))))
    assert tokens.resolve(narrower, "roadmap").grants == (InvocationGrant("b", ("x",)), InvocationGrant("c", ("z",)))
    assert tokens.resolve(tokens.exchange(narrower, "roadmap", ()), "roadmap").grants == (
        InvocationGrant("b", ("x",)),
        InvocationGrant("c", ("z",)),
    )
    for grant in (
        InvocationGrant("b", ("z",)),
        InvocationGrant("b", (), ("rest",)),
        InvocationGrant("b", all_operations=True),
        InvocationGrant("d", ("x",)),
        InvocationGrant("c", (), ("graphql",)),
    ):
        with pytest.raises(InvocationTokenInvalid, match="requested invocation grants exceed the parent token"):
            tokens.exchange(child, "roadmap", (grant,))


def test_without_a_key_each_process_has_its_own() -> None:
    token = InvocationTokens().mint("roadmap", FULL)
    assert refused(InvocationTokens(), token) == "invocation token is invalid or expired"
