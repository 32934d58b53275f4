"""What a declarative plugin may reach: names, addresses in any spelling, private networks (decision 32)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from gestalt_host.invocation.rest.egress import EgressRules, is_pattern, is_public, plain_host

LIST = EgressRules(("api.example.com", "*.example.org", "192.0.2.7", "10.1.0.0/16", "fd00::/8"))


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("API.Example.COM.", "api.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("api。example。com", "api.example.com"),
        ("under_score.example", "under_score.example"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127。0。0。1", "127.0.0.1"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("[::ffff:7f00:1]", "127.0.0.1"),
        ("[0:0:0:0:0:ffff:0a00:0001]", "10.0.0.1"),
    ],
)
def test_a_host_has_one_spelling(host: str, plain: str) -> None:
    assert plain_host(host) == plain


@pytest.mark.parametrize(
    "host", ["", ".", "a..b", "a b", "127.0.0.1 x", "a/b", "a@b", "-a.example", "[::1", "a" * 300, "\u2100.example\0"]
)
def test_what_is_no_host_is_refused_naming_it(host: str) -> None:
    with pytest.raises(ValueError, match="accepted are names and addresses"):
        plain_host(host)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "198.18.0.1",
        "192.0.0.192",
        "168.63.129.16",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "3fff::1",
        "2002:c000:c0::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_an_address_that_not_everybody_reaches_is_private(text: str) -> None:
    assert not is_public(ip_address(text))
    assert "private address" in EgressRules().refusal_of_address("api.example.com", ip_address(text))


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_an_address_of_the_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))
    assert EgressRules().refusal_of_address("api.example.com", ip_address(text)) == ""


@pytest.mark.parametrize("host", ["api.example.com", "x.example.org", "a.b.example.org", "192.0.2.7", "10.1.2.3"])
def test_what_a_list_names_may_be_reached_although_it_is_private(host: str) -> None:
    assert LIST.refusal_of_host(host) == ""
    address = ip_address("10.1.9.9") if host[0].isalpha() else ip_address(host)
    assert LIST.refusal_of_address(host, address) == ""


@pytest.mark.parametrize(
    "host", ["example.org", "notexample.org", "api.example.com.evil.test", "192.0.2.8", "10.2.0.1"]
)
def test_what_a_list_does_not_name_may_not_be_reached(host: str) -> None:
    address = ip_address("1.1.1.1") if not host[0].isdigit() else ip_address(host)
    assert LIST.refusal_of_address(host, address) == f"{address} is not among egress.allowedHosts of the plugin"


def test_an_address_is_refused_before_it_is_dialled_and_a_name_only_where_no_address_is_listed() -> None:
    assert "not among" in LIST.refusal_of_host("192.0.2.8")
    assert LIST.refusal_of_host("elsewhere.test") == ""
    assert LIST.refusal_of_address("elsewhere.test", ip_address("10.1.0.1")) == ""
    assert EgressRules(("api.example.com",)).refusal_of_host("elsewhere.test") != ""


def test_a_list_of_hosts_holds_for_a_base_url_too() -> None:
    rules = EgressRules(("example.com",), named=frozenset({"127.0.0.1"}))
    assert rules.refusal_of_host("127.0.0.1") != ""


def test_a_host_that_the_operator_has_written_may_be_private_in_any_spelling() -> None:
    rules = EgressRules(named=frozenset({"LOCALHOST", "0x7f.1", "[::1]"}))
    assert rules.refusal_of_address("localhost", ip_address("127.0.0.1")) == ""
    assert rules.refusal_of_address("127.0.0.1", ip_address("127.0.0.1")) == ""
    assert rules.refusal_of_address("::1", ip_address("::1")) == ""
    assert rules.refusal_of_address("127.0.0.2", ip_address("127.0.0.2")) != ""
    assert rules.refusal_of_address("rebound.test", ip_address("127.0.0.1")) != ""


def test_without_a_list_deny_refuses_all_and_says_so() -> None:
    rules = EgressRules(default_deny=True, named=frozenset({"localhost"}))
    for refusal in (rules.refusal_of_host("1.1.1.1"), rules.refusal_of_address("localhost", ip_address("127.0.0.1"))):
        assert refusal == "server.egress.defaultAction is deny, and the plugin has no egress.allowedHosts"
    assert EgressRules(("1.1.1.1",), default_deny=True).refusal_of_host("1.1.1.1") == ""


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("example.com", True),
        ("*.example.com", True),
        ("10.0.0.0/8", True),
        ("10.0.0.1/8", True),
        ("::1", True),
        ("[::1]", True),
        ("fd00::/8", True),
        ("localhost", True),
        ("*", False),
        ("*.", False),
        ("*.10.0.0.1", False),
        ("a.*.example", False),
        ("http://example.com", False),
        ("example.com:80", False),
        ("10.0.0.0/33", False),
        ("", False),
    ],
)
def test_a_pattern_is_a_name_a_suffix_an_address_or_a_block(text: str, fits: bool) -> None:
    assert is_pattern(text) is fits
