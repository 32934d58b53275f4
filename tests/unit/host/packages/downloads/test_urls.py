"""What a reference in a document leads to, and how URLs are shown (packaging.md 8.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.packages.downloads.urls import beside, file_of, is_loopback, origin, resolved, shown
from gestalt_host.packages.errors import PackageInvalid

BASE = "http://h:1/a/provider-release.yaml?download=1"


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("archive.tar.gz", "http://h:1/a/archive.tar.gz"),
        (" archive.tar.gz ", "http://h:1/a/archive.tar.gz"),
        ("archive.tar.gz?x=1&y=<2>", "http://h:1/a/archive.tar.gz?x=1&y=<2>"),
        ("archive.tar.gz#frag", "http://h:1/a/archive.tar.gz#frag"),
        ("my archive.tar.gz", "http://h:1/a/my%20archive.tar.gz"),
        ("ü.tar.gz", "http://h:1/a/%C3%BC.tar.gz"),
        ("a%2Fb.tar.gz", "http://h:1/a/a%2Fb.tar.gz"),
        ("a(1)[2].tar.gz", "http://h:1/a/a(1)[2].tar.gz"),
        ("x//y.tar.gz", "http://h:1/a/x//y.tar.gz"),
        ("../x//./y.tar.gz", "http://h:1/x//y.tar.gz"),
        ("a%zz.tar.gz", "http://h:1/a/a%25zz.tar.gz"),
        ("../h/archive.tar.gz", "http://h:1/h/archive.tar.gz"),
        ("../../../x", "http://h:1/x"),
        ("/x/./y/../z", "http://h:1/x/z"),
        ("x/..", "http://h:1/a/"),
        ("//other/x", "http://other/x"),
        ("https://other/a/../x", "https://other/x"),
        ("HTTP://Other/x", "http://Other/x"),
        ("?x=1", "http://h:1/a/provider-release.yaml?x=1"),
    ],
)
def test_a_reference_is_resolved_against_the_metadata(reference: str, url: str) -> None:
    assert resolved(BASE, reference) == url


@pytest.mark.parametrize(
    "reference",
    [
        "ftp://h/x",
        "javascript:x",
        "C:/x",
        "data:,x",
        "http://",
        "http:x",
        "http://h:99999/x",
        "http://[",
        "a\nb",
        "a\0b",
    ],
)
def test_what_cannot_be_followed_is_refused(reference: str) -> None:
    with pytest.raises(PackageInvalid, match="accepted are relative references"):
        resolved(BASE, reference)


@given(st.text(max_size=30))
def test_whatever_the_reference_it_is_resolved_or_refused(reference: str) -> None:
    try:
        url = resolved(BASE, reference)
    except PackageInvalid:
        return
    assert url.partition(":")[0] in ("http", "https", "file")
    assert "/../" not in url.partition("?")[0].partition("#")[0]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://me:hush@h:1/x?token=hush#hush", "https://h:1/x?***"),
        ("https://h/x#hush", "https://h/x#***"),
        ("https://h/x", "https://h/x"),
        ("https://hush@h", "https://h"),
        ("https://h/x@y", "https://h/x@y"),
        ("me:hush@proxy:3128", "proxy:3128"),
        ("//me:hush@h/x", "//h/x"),
        ("https:me:hush@h/x", "h/x"),
    ],
)
def test_secrets_of_a_url_are_not_shown(url: str, text: str) -> None:
    assert shown(url) == text


@pytest.mark.parametrize(
    ("url", "who"),
    [
        ("HTTP://Host/x", ("http", "host", 80)),
        ("https://me@host", ("https", "host", 443)),
        ("https://host:443/", ("https", "host", 443)),
        ("http://host:8443/", ("http", "host", 8443)),
        ("http://host:0/", ("http", "host", 0)),
        ("file:///x", None),
        ("http://host:x/", None),
        ("http://[", None),
        ("relative", None),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, who: object) -> None:
    assert origin(url) == who


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "x.localhost", "[::1]", "[::ffff:127.0.0.2]"),
        *("127.1", "2130706433", "0x7f000001", "017700000001", "127\u30020\uff0e0\uff611"),
        *("0", "0.0.0.0", "[::]", "[::ffff:0:0]"),
    ],
)
def test_this_machine_has_many_names(host: str) -> None:
    assert is_loopback(f"http://{host}:1/")
    assert not is_loopback(f"http://example.com/{host}")


def test_a_signature_lies_beside_its_file() -> None:
    assert beside("http://h/a/m.yaml?x=1#y", ".sig") == "http://h/a/m.yaml.sig?x=1"


@pytest.mark.parametrize(
    ("url", "path"), [("file:///a/b%20c", "/a/b c"), ("file://localhost/a", "/a"), ("file:/a", "/a")]
)
def test_a_file_url_names_a_file(url: str, path: str) -> None:
    assert file_of(url) == Path(path)


@pytest.mark.parametrize("url", ["file://other/a", "file:a", "file:///a%00b"])
def test_a_file_url_of_another_machine_is_refused(url: str) -> None:
    with pytest.raises(PackageInvalid, match="accepted is file:///path"):
        file_of(url)
