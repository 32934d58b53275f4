"""Variables and addresses that a host gives a provider (contract.md 2.2, 2.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gestalt_sdk.transport.environment import (
    Address,
    EnvironmentUnusable,
    binding_variable,
    parse_address,
    service_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/tmp/x.sock", Address("unix:/tmp/x.sock")),
        ("unix:///tmp/x.sock", Address("unix:/tmp/x.sock")),
        ("tcp://127.0.0.1:8080", Address("127.0.0.1:8080")),
        ("tls://gestalt.example:443", Address("gestalt.example:443", tls=True)),
    ],
)
def test_every_form_of_an_address(text: str, address: Address) -> None:
    assert parse_address(text, variable="X") == address


@pytest.mark.parametrize("text", ["", "relative.sock", "http://x:1", "tcp://", "unix://", "tls"])
def test_other_forms_are_refused_with_the_variable_and_the_value(text: str) -> None:
    with pytest.raises(EnvironmentUnusable, match=r"GESTALT_X is .*; accepted are /path"):
        parse_address(text, variable="GESTALT_X")


def test_path_of_an_address() -> None:
    assert parse_address("/tmp/x", variable="X").path == Path("/tmp/x")
    assert parse_address("tcp://h:1", variable="X").path is None


@pytest.mark.parametrize(
    ("binding", "variable"),
    [("", "S"), ("  ", "S"), (" main ", "S_MAIN"), ("my-store.2", "S_MY_STORE_2"), ("über", "S__BER")],
)
def test_binding_names_become_suffixes(binding: str, variable: str) -> None:
    assert binding_variable("S", binding) == variable


def test_a_service_address_carries_its_token() -> None:
    environ = {"S": "tcp://h:1", "S_TOKEN": "secret"}
    assert service_address("S", environ) == Address("h:1", token="secret")
    with pytest.raises(EnvironmentUnusable, match="S is not set"):
        service_address("S", {})
