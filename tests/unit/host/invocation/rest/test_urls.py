"""URLs of operations: whatever a value holds, it stays where its placeholder stands."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gestalt_host.invocation.rest.urls import Url, url_of
from gestalt_host.invocation.rest.values import Unrequestable, Unwritable

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
AWKWARD = st.sampled_from(
    ["", ".", "..", "...", "/", "//h", "a/b", "../..", "%2F", "%2e", "%", "?", "?x=1", "#", "a b", "+", ";", "\\", "@"]
) | st.sampled_from([":80", "é", "\r\nHost: x", "\0", "\t", "{b}", "\x7f", "\u2028"])


def built(base: str = "http://h/base", path: str = "/x", values: dict[str, object] | None = None, **params: str) -> Url:
    return url_of(base, path, values or {}, [], params)


def path_of(url: str) -> list[str]:
    """Return the segments of a URL's path as they stand."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("http", "h", "", "")
    return parts.path.split("/")


@given(a=AWKWARD | TEXT, b=AWKWARD | TEXT)
def test_a_path_has_the_segments_of_its_template_and_reads_as_the_values(a: str, b: str) -> None:
    url = built(path="/items/{a}/of/{b}/{a}.{b}", values={"a": a, "b": b}).text
    segments = path_of(url)
    assert [unquote(one) for one in segments] == ["", "base", "items", a, "of", b, f"{a}.{b}"]
    assert not {".", ".."} & set(segments)
    assert re.fullmatch(r"[!-~]*", url)


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_half_of_a_surrogate_pair_is_refused(value: str) -> None:
    with pytest.raises(Unwritable, match="surrogate"):
        built(path="/{a}", values={"a": value})


@given(value=TEXT)
@example(value="a&b=c#d+e")
def test_a_value_in_the_query_of_a_path_reads_as_it_was_given(value: str) -> None:
    url = url_of("http://h", "/x?q={q}&fixed", {"q": value}, [("more", value)], {}).text
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [("q", value), ("fixed", ""), ("more", value)]


@given(pairs=st.lists(st.tuples(TEXT, TEXT)))
def test_a_query_reads_as_it_was_given(pairs: list[tuple[str, str]]) -> None:
    url = url_of("http://h", "/x", {}, pairs, {}).text
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == pairs


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("http://h/base", "/x", "http://h/base/x"),
        ("http://h/base/", "/x", "http://h/base//x"),
        ("http://h/base/", "x", "http://h/base/x"),
        ("http://h/base", "x", "http://h/basex"),
        ("http://h", "/x", "http://h/x"),
        ("http://h", "?a=1", "http://h/?a=1"),
        ("HTTPS://h:8443/", "x", "https://h:8443/x"),
        ("http://[::1]:80", "/x", "http://[::1]:80/x"),
        ("http://h", "/../x/./y", "http://h/../x/./y"),
        ("http://h/{region}", "/a b/é%zz%2f", "http://h/%7Bregion%7D/a%20b/%C3%A9%25zz%2f"),
        ("http://h", "/x#part", "http://h/x"),
    ],
)
def test_a_path_is_appended_as_it_is(base: str, path: str, url: str) -> None:
    assert built(base, path).text == url


def test_messages_show_what_a_manifest_has_put_into_a_path() -> None:
    assert built(path="/a\nb\x1b[0m").shown == "http://h/base/a\\x0ab\\x1b[0m"


def test_messages_have_the_template_of_the_path() -> None:
    url = url_of("http://{t}.h/{r}/v1", "/items/{id}?q={q}", {"id": "7", "q": "s"}, [("k", "v")], {"t": "a", "r": "b"})
    assert url == Url("http://a.h/b/v1/items/7?q=s&k=v", "http://a.h/{r}/v1/items/{id}")


@pytest.mark.parametrize(
    ("base", "value", "host"),
    [
        ("https://{p}.example.com", "acme", "acme.example.com"),
        ("https://{p}.example.com/", "a.b-c_1", "a.b-c_1.example.com"),
        ("https://eu-{p}.example.com:8443", "7", "eu-7.example.com:8443"),
        ("https://h:{p}", "8443", "h:8443"),
        ("https://{p}/v1", "git.acme.com", "git.acme.com"),
        ("https://{p}/v1", "git.acme.com:8443", "git.acme.com:8443"),
        ("https://{p}/v1", "[::1]:80", "[::1]:80"),
    ],
)
def test_a_connection_parameter_may_be_a_part_of_the_host(base: str, value: str, host: str) -> None:
    assert urlsplit(built(base, p=value).text).netloc == host


NO_HOST = ["evil.com/", "evil.com?", "evil.com#", "evil.com\\", "u@evil.com", "u:p@evil.com", "a b", "a\r\nb", "a\0"]
NO_HOST += ["", ".", "a..b", ".a", "%2F", "%65vil", "é", "[::1", "a:b:1", "evil.com:", "{p}"]


@pytest.mark.parametrize(
    "base", ["https://{p}.example.com", "https://{p}.example.com/x", "https://{p}", "http://h:{p}"]
)
@pytest.mark.parametrize("value", NO_HOST)
def test_a_connection_parameter_cannot_change_the_host(base: str, value: str) -> None:
    with pytest.raises(Unrequestable, match="host"):
        built(base, p=value)


@given(value=TEXT)
def test_a_connection_parameter_in_the_path_of_a_base_url_is_one_segment(value: str) -> None:
    segments = path_of(built("http://h/{p}/v1", "/x", p=value).text)
    assert [unquote(one) for one in segments] == ["", value, "v1", "x"]


@pytest.mark.parametrize(
    ("base", "path", "fault"),
    [
        ("ftp://u:secret@h", "/x", "base URL"),
        ("h/x", "/x", "base URL"),
        ("http://", "/x", "host"),
        ("http://u:secret@h", "/x", "user name"),
        ("http://h\\evil", "/x", "host"),
        ("http://h h", "/x", "host"),
        ("http://h#", "x", "slash"),
        ("http://h:port", "/x", "host"),
        ("http://{nobody}.h", "/x", "connection parameter"),
        ("http://{port}.h", "/x", "letters, digits"),
        ("http://{v6}.h", "/x", "letters, digits"),
        ("http://h", "x", "slash"),
        ("http://h", "{a}", "slash"),
        ("http://h:80", "{a}", "slash"),
    ],
)
def test_what_is_no_base_url_is_refused(base: str, path: str, fault: str) -> None:
    with pytest.raises(Unrequestable, match=fault) as caught:
        built(base, path, {"a": "1"}, port="h:80", v6="[::1]")
    assert "secret" not in str(caught.value)
