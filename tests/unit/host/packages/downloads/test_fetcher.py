"""Fetching over HTTP: what is tried again, resumed, refused, and whom a token reaches (packaging.md 8.1)."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from gestalt_host.packages.downloads import fetcher as module
from gestalt_host.packages.downloads.cache import ArchiveCache
from gestalt_host.packages.downloads.failures import FetchFailed
from gestalt_host.packages.downloads.fetcher import NO_TOKEN, Fetcher, Timing, Token
from gestalt_host.packages.downloads.progress import Lines
from tests.support.rigs.web import Request, Web, serving, write_certificate

T = TypeVar("T")
LABEL = 'indexeddb "main"'
BODY = bytes(range(256)) * 4096
SHA = hashlib.sha256(BODY).hexdigest()
MOST = 1000


class Waits:
    """Takes the place of sleeping, and notes for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Rig:
    def __init__(self, directory: Path) -> None:
        self.cache = ArchiveCache(directory)
        self.waits = Waits()
        self.said = io.StringIO()
        self._fetchers: list[Fetcher] = []

    def fetcher(self, *, patient: bool = False, timing: Timing | None = None) -> Fetcher:
        one = Fetcher(self.cache, progress=Lines(self.said), patient=patient, timing=timing, sleep=self.waits)
        self._fetchers.append(one)
        return one

    async def document(self, url: str, *, token: str = "", most: int = MOST, **how: object) -> bytes:
        whose = Token.for_url(token, url) if token else NO_TOKEN
        return await self.fetcher(**how).document(url, label=LABEL, most=most, token=whose)  # type: ignore[arg-type]

    async def archive(self, url: str, sha256: str = SHA, *, token: Token = NO_TOKEN, **how: object) -> Path:
        return await self.fetcher(**how).archive(url, sha256, label=LABEL, token=token, fresh=True)  # type: ignore[arg-type]

    async def close(self) -> None:
        for one in self._fetchers:
            await one.close()

    def left_over(self) -> list[Path]:
        """Return the files that lie in the cache and are no archives."""
        directory = self.cache.directory
        assert directory is not None
        return [path for path in directory.rglob("*") if path.is_file() and path.name != SHA]


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    one = Rig(tmp_path / "archives")
    yield one
    await one.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    write_certificate(path)
    return path


async def refusal(call: Awaitable[object]) -> str:
    with pytest.raises(FetchFailed) as failed:
        await call
    return str(failed.value)


def once_broken(*, tag: str, cut: int = 100_000) -> Callable[[Request], None]:
    """Send the head of the whole body and not all of it."""

    def answer(request: Request) -> None:
        request.send_head(content_length=str(len(BODY)), etag=tag)
        request.wfile.write(BODY[:cut])
        request.break_off()

    return answer


def rest(request: Request) -> None:
    start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    request.send(BODY[start:], 206, content_range=f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")


# What is tried again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_status_that_may_pass_is_tried_again_with_growing_pauses(rig: Rig, web: Web, status: int) -> None:
    web.in_turn("/x", *(lambda request: request.send(b"", status),) * 4, lambda request: request.send(b"there"))
    assert await rig.document(web.url("/x")) == b"there"
    assert rig.waits.seconds == [1, 2, 4, 8]
    assert f"{web.url('/x')}: unexpected status {status}" in rig.said.getvalue()
    assert "trying again in 8 s" in rig.said.getvalue()


async def test_after_five_attempts_it_fails_with_the_status(rig: Rig, web: Web) -> None:
    web.put("/x", status=503)
    text = await refusal(rig.document(web.url("/x")))
    assert text == f"{web.url('/x')}: unexpected status 503; the server has failed; try again later; tried 5 times"
    assert len(web.asked) == 5


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (204, "the server has nothing to send"),
        (400, "accepted is 200"),
        (401, "the server wants a token; set source.auth.token"),
        (403, "the server wants a token; set source.auth.token"),
        (404, "nothing is published there"),
        (410, "it is no longer published there"),
        (304, "accepted is 200"),
        (203, "accepted is 200"),
    ],
)
async def test_any_other_status_fails_at_once_and_says_what_to_do(rig: Rig, web: Web, status: int, says: str) -> None:
    web.put("/x", status=status)
    text = await refusal(rig.document(web.url("/x")))
    assert f"unexpected status {status}; {says}" in text
    assert (len(web.asked), rig.waits.seconds) == (1, [])


async def test_a_token_that_is_refused_is_told_from_one_that_is_missing(rig: Rig, web: Web) -> None:
    web.put("/x", status=401)
    text = await refusal(rig.document(web.url("/x"), token="hush"))
    assert "the server refuses the token; check source.auth.token" in text
    assert "hush" not in text


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("5", [5]),
        ("0", [1]),
        ("86400", [60]),
        ("soon", [1]),
        ("Wed, 21 Oct 2015 07:28:00 GMT", [1]),
        ("Tue, 31 Dec 2999 23:59:59 GMT", [60]),
    ],
)
async def test_a_server_s_wish_to_wait_is_obeyed_within_bounds(
    rig: Rig, web: Web, asked: str, waited: list[float]
) -> None:
    web.in_turn("/x", lambda request: request.send(b"", 429, retry_after=asked), lambda request: request.send(b"yes"))
    assert await rig.document(web.url("/x")) == b"yes"
    assert rig.waits.seconds == waited


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_a_refused_connection_is_not_tried_again_where_a_person_waits(rig: Rig, closed_port: int) -> None:
    text = await refusal(rig.document(f"http://127.0.0.1:{closed_port}/x"))
    assert "the connection is refused: nothing listens there" in text
    assert rig.waits.seconds == []


async def test_a_refused_connection_is_tried_again_where_nobody_waits(rig: Rig, closed_port: int) -> None:
    text = await refusal(rig.document(f"http://127.0.0.1:{closed_port}/x", patient=True))
    assert "tried 5 times" in text
    assert rig.waits.seconds == [1, 2, 4, 8]


async def test_an_unknown_name_is_named_and_not_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    text = await refusal(rig.document("http://nowhere.invalid/x"))
    assert text.startswith("http://nowhere.invalid/x: the name of the host is not known")
    assert rig.waits.seconds == []


async def test_a_connection_that_breaks_is_tried_again(rig: Rig, web: Web) -> None:
    web.in_turn("/x", Request.break_off, lambda request: request.send(b"there"))
    assert await rig.document(web.url("/x")) == b"there"
    assert rig.waits.seconds == [1]


async def test_a_server_that_falls_silent_is_not_waited_for(rig: Rig, web: Web) -> None:
    web.in_turn("/x", Request.hang, lambda request: request.send(b"there"))
    assert await rig.document(web.url("/x"), timing=Timing(idle_s=0.2)) == b"there"
    assert "the server has sent nothing for too long" in rig.said.getvalue()


def trickle(request: Request) -> None:
    """Send a byte now and then, so that no single one is late."""
    request.send_head(content_length="1000000")
    while not request.server.web.closing.wait(0.02):
        request.wfile.write(b"a")
        request.wfile.flush()


async def test_a_document_that_trickles_is_given_up(rig: Rig, web: Web) -> None:
    web.answers["/x"] = trickle
    timing = Timing(document_s=0.3, waits_s=(1,))
    text = await refusal(rig.document(web.url("/x"), most=10**7, timing=timing))
    assert "it did not come whole within 0.3 s; tried 2 times" in text


async def test_an_archive_that_trickles_is_given_up(rig: Rig, web: Web) -> None:
    web.answers["/x"] = trickle
    text = await refusal(rig.archive(web.url("/x"), timing=Timing(window_s=0.2, waits_s=(1,))))
    assert "it comes too slowly" in text
    assert rig.left_over() == []


def trickle_headers(request: Request) -> None:
    """Send a status, and then headers without end."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not request.server.web.closing.wait(0.02):
        request.wfile.write(b"a")
        request.wfile.flush()


def announce(request: Request) -> None:
    """Send that the answer comes soon, again and again."""
    while not request.server.web.closing.wait(0.02):
        request.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        request.wfile.flush()


def trickle_frame(request: Request) -> None:
    """Send a part whose length has a comment without end."""
    request.send_head(transfer_encoding="chunked")
    request.wfile.write(b"5;")
    while not request.server.web.closing.wait(0.02):
        request.wfile.write(b"a")
        request.wfile.flush()


@pytest.mark.parametrize("answer", [trickle_headers, announce, trickle_frame])
async def test_what_never_comes_to_its_content_is_given_up(
    rig: Rig, web: Web, answer: Callable[[Request], None]
) -> None:
    web.answers["/x"] = answer
    timing = Timing(answer_s=0.3, window_s=0.3, waits_s=(1,))
    async with asyncio.timeout(30):
        text = await refusal(rig.archive(web.url("/x"), timing=timing))
    assert "it comes too slowly: 0 bytes" in text or "no whole answer began within 0.3 s" in text
    assert "tried 2 times" in text
    assert rig.left_over() == []


# A body that breaks off -----------------------------------------------------------------------------------------------


async def test_a_body_that_breaks_off_is_resumed_where_it_has_not_changed(rig: Rig, web: Web) -> None:
    web.in_turn("/a", once_broken(tag='"v1"'), rest)
    assert (await rig.archive(web.url("/a"))).read_bytes() == BODY
    resumed = web.asked[1].headers
    start = int(resumed["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 100_000
    assert resumed["if-range"] == '"v1"'


async def test_a_server_may_send_less_of_the_rest_than_was_asked_for(rig: Rig, web: Web) -> None:
    def some(request: Request) -> None:
        start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        request.send(BODY[start : start + 500], 206, content_range=f"bytes {start}-{start + 499}/{len(BODY)}")

    web.in_turn("/a", once_broken(tag='"v1"'), some, rest)
    assert (await rig.archive(web.url("/a"))).read_bytes() == BODY
    assert len(web.asked) == 3


async def test_a_body_that_has_changed_meanwhile_comes_from_the_start(rig: Rig, web: Web) -> None:
    # Its server answers If-Range with the whole of the new one.
    web.in_turn("/a", once_broken(tag='"v1"'), lambda request: request.send(BODY, etag='"v2"'))
    assert (await rig.archive(web.url("/a"))).read_bytes() == BODY


@pytest.mark.parametrize("tag", ['W/"v1"', ""])
async def test_without_a_strong_tag_nothing_is_resumed(rig: Rig, web: Web, tag: str) -> None:
    web.in_turn("/a", once_broken(tag=tag), lambda request: request.send(BODY))
    assert (await rig.archive(web.url("/a"))).read_bytes() == BODY
    assert "range" not in web.asked[1].headers


@pytest.mark.parametrize(
    "wrong",
    [
        lambda request: request.send(BODY[5:], 206, content_range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}"),
        lambda request: request.send(BODY, 206),
        lambda request: request.send(b"", 416, content_range="bytes */10"),
    ],
    ids=["other part", "no range", "not satisfiable"],
)
async def test_another_part_than_was_asked_for_begins_anew(
    rig: Rig, web: Web, wrong: Callable[[Request], None]
) -> None:
    web.in_turn("/a", once_broken(tag='"v1"'), wrong, lambda request: request.send(BODY))
    assert (await rig.archive(web.url("/a"))).read_bytes() == BODY
    assert "range" not in web.asked[2].headers


async def test_a_body_that_always_breaks_off_fails_and_leaves_nothing(rig: Rig, web: Web) -> None:
    web.answers["/a"] = once_broken(tag="")
    text = await refusal(rig.archive(web.url("/a")))
    assert "the connection broke" in text
    assert "tried 5 times" in text
    assert rig.left_over() == []


# What is too large ----------------------------------------------------------------------------------------------------


async def test_a_document_over_its_limit_is_refused_by_its_length(rig: Rig, web: Web) -> None:
    web.put("/x", b"a" * (MOST + 1))
    assert f"it has {MOST + 1} bytes; accepted are {MOST}" in await refusal(rig.document(web.url("/x")))


def endless(request: Request) -> None:
    request.send_head(transfer_encoding="chunked")
    while not request.server.web.closing.is_set():
        request.wfile.write(b"10000\r\n" + b"a" * 65536 + b"\r\n")


async def test_a_document_without_end_is_refused_while_it_comes(rig: Rig, web: Web) -> None:
    web.answers["/x"] = endless
    assert f"more than the {MOST} bytes that are accepted" in await refusal(rig.document(web.url("/x")))


async def test_an_archive_over_its_limit_is_refused_before_it_comes(rig: Rig, web: Web) -> None:
    def huge(request: Request) -> None:
        request.send_head(content_length=str(512 * 1024 * 1024 + 1))
        request.hang()

    web.answers["/a"] = huge
    text = await refusal(rig.archive(web.url("/a")))
    assert "it has 536870913 bytes; accepted are 536870912" in text


async def test_an_archive_without_end_is_refused_while_it_comes(
    rig: Rig, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ARCHIVE_BYTES", 10**6)
    web.answers["/a"] = endless
    assert "it has more than 1000000 bytes; accepted are 1000000" in await refusal(rig.archive(web.url("/a")))
    assert rig.left_over() == []


async def test_a_packed_document_is_unpacked_as_far_as_its_limit(rig: Rig, web: Web) -> None:
    web.put("/x", gzip.compress(b"small"), content_encoding="gzip")
    assert await rig.document(web.url("/x")) == b"small"
    assert web.asked[0].headers["accept-encoding"] == "identity"
    web.put("/x", gzip.compress(b"\0" * 50_000_000), content_encoding="gzip")
    text = await refusal(rig.document(web.url("/x"), most=100_000))
    assert "more than the 100000 bytes that are accepted" in text


@pytest.mark.parametrize(
    ("encoding", "body", "says"),
    [
        ("br", b"x", "Content-Encoding 'br'; accepted are none and gzip"),
        ("gzip", b"not packed", "not the gzip that its Content-Encoding says"),
        ("deflate", zlib.compress(b"x"), "Content-Encoding 'deflate'"),
        ("gzip", gzip.compress(b"x" * 500, mtime=0)[:-20], "the gzip body breaks off"),
    ],
)
async def test_another_encoding_is_named(rig: Rig, web: Web, encoding: str, body: bytes, says: str) -> None:
    web.put("/x", body, content_encoding=encoding)
    assert says in await refusal(rig.document(web.url("/x")))


async def test_an_archive_is_taken_as_it_comes_whatever_its_encoding_is_called(rig: Rig, web: Web) -> None:
    archive = gzip.compress(b"tar")
    web.put("/a", archive, content_encoding="gzip")
    path = await rig.archive(web.url("/a"), hashlib.sha256(archive).hexdigest())
    assert path.read_bytes() == archive


async def test_a_length_that_is_too_small_is_found_by_the_digest(rig: Rig, web: Web) -> None:
    def short(request: Request) -> None:
        request.send_head(content_length="10")
        request.wfile.write(BODY)
        request.break_off()

    web.answers["/a"] = short
    text = await refusal(rig.archive(web.url("/a")))
    assert f"not {SHA} (10 bytes came)" in text
    assert rig.left_over() == []


async def test_a_page_in_place_of_an_archive_is_named_as_such(rig: Rig, web: Web) -> None:
    web.put("/a", "<!DOCTYPE html><title>Log in</title>", content_type="text/html")
    assert "it is an HTML page, as servers send it to log in" in await refusal(rig.archive(web.url("/a")))


async def test_what_is_no_digest_is_refused_before_anything_is_asked(rig: Rig, web: Web) -> None:
    assert "'../../x' is no SHA-256 digest" in await refusal(rig.archive(web.url("/a"), "../../x"))
    assert web.asked == []


# Redirects and tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_with_the_token_within_an_origin(rig: Rig, web: Web, status: int) -> None:
    web.redirect("/x", "/y?z=1", status)
    web.put("/y", b"there")
    assert await rig.document(web.url("/x"), token=" t0ken ") == b"there"
    assert [(asked.path, asked.authorization) for asked in web.asked] == [
        ("/x", "Bearer t0ken"),
        ("/y?z=1", "Bearer t0ken"),
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_redirect_takes_the_token_to_another_host_or_port(rig: Rig, web: Web, other: Web, host: str) -> None:
    web.redirect("/x", other.url("/y", host))
    other.put("/y", b"there")
    assert await rig.document(web.url("/x"), token="t0ken") == b"there"
    assert other.asked[0].authorization is None


async def test_another_name_of_the_same_server_is_another_origin(rig: Rig, web: Web) -> None:
    web.redirect("/x", web.url("/y", "localhost"))
    web.put("/y", b"there")
    assert await rig.document(web.url("/x"), token="t0ken") == b"there"
    assert [asked.authorization for asked in web.asked] == ["Bearer t0ken", None]


async def test_a_redirect_back_does_not_bring_the_token_back(rig: Rig, web: Web, other: Web) -> None:
    web.redirect("/x", other.url("/y"))
    other.redirect("/y", web.url("/anything"))
    web.put("/anything", b"there")
    assert await rig.document(web.url("/x"), token="t0ken") == b"there"
    assert [asked.authorization for asked in web.asked] == ["Bearer t0ken", None]


async def test_a_token_that_was_not_sent_is_said_where_it_is_missed(rig: Rig, web: Web, other: Web) -> None:
    web.redirect("/x", other.url("/y?signature=hush"))
    other.put("/y", status=401)
    text = await refusal(rig.document(web.url("/x"), token="t0ken"))
    assert f"{other.url('/y?***')}, to which it redirects: unexpected status 401; the token was not sent there" in text
    assert "hush" not in text


async def test_an_archive_elsewhere_gets_no_token(rig: Rig, web: Web, other: Web) -> None:
    other.put("/a", BODY)
    await rig.archive(other.url("/a"), token=Token.for_url("t0ken", web.url("/")))
    assert other.asked[0].authorization is None


async def test_ten_redirects_are_followed_and_no_more(rig: Rig, web: Web) -> None:
    for number in range(11):
        web.redirect(f"/{number}", f"/{number + 1}")
    web.put("/11", b"there")
    assert await rig.document(web.url("/1")) == b"there"
    text = await refusal(rig.document(web.url("/0")))
    assert "more than 10 redirects" in text
    assert rig.waits.seconds == []


async def test_a_loop_ends_at_once(rig: Rig, web: Web) -> None:
    web.redirect("/x", "/x")
    assert "more than 10 redirects" in await refusal(rig.document(web.url("/x"), patient=True))
    assert (len(web.asked), rig.waits.seconds) == (11, [])


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/x", "javascript:1", "http://", "http://[", "\x01"])
async def test_only_http_is_followed(rig: Rig, web: Web, target: str) -> None:
    web.redirect("/x", target)
    assert "only http and https are followed" in await refusal(rig.document(web.url("/x")))


async def test_a_name_and_password_stay_with_their_origin(rig: Rig, web: Web, other: Web) -> None:
    web.redirect("/x", "/y")
    web.redirect("/y", other.url("/z").replace("//", "//eve:s3cret@"))
    other.put("/z", status=404)
    text = await refusal(rig.document(web.url("/x").replace("//", "//me:pa55@")))
    assert [asked.authorization for asked in web.asked] == ["Basic bWU6cGE1NQ=="] * 2
    assert other.asked[0].authorization is None
    assert "pa55" not in text
    assert "s3cret" not in text


async def test_a_token_goes_before_a_name_and_password(rig: Rig, web: Web) -> None:
    web.put("/x", b"there")
    await rig.document(web.url("/x").replace("//", "//me:pa55@"), token="t0ken")
    assert web.asked[0].authorization == "Bearer t0ken"


async def test_nothing_elsewhere_leads_to_this_machine(web: Web) -> None:
    with pytest.raises(FetchFailed, match="which is this machine; nothing is sent there"):
        module.refuse_inward("https://example.com/x", web.url("/admin"))
    module.refuse_inward(web.url("/x"), web.url("/y"))


@pytest.mark.parametrize("token", ["two\nlines", "nul\0", "ünicode", "in side"])
def test_a_token_that_no_header_can_have_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(FetchFailed) as failed:
        Token.for_url(token, "http://h/")
    assert token not in str(failed.value)
    assert token not in repr(failed.value)


def test_a_token_is_not_shown() -> None:
    assert "t0ken" not in repr(Token.for_url("t0ken", "http://h/"))


async def test_https_never_leads_to_http(
    rig: Rig, other: Web, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(certificate) as safe:
        safe.put("/ok", b"there")
        safe.redirect("/x", other.url("/y"))
        assert await rig.document(safe.url("/ok")) == b"there"
        text = await refusal(rig.document(safe.url("/x")))
    assert f"redirects from https to http://127.0.0.1:{other.port}, which is not encrypted" in text
    assert other.asked == []


async def test_a_certificate_that_nobody_trusts_is_named_and_not_tried_again(
    rig: Rig, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with serving(certificate) as safe:
        text = await refusal(rig.document(safe.url("/x"), patient=True))
    assert "the certificate of the server is not trusted" in text
    assert rig.waits.seconds == []


async def test_proxies_are_for_what_is_elsewhere(rig: Rig, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.url("").replace("//", "//proxy:hush@"))
    monkeypatch.delenv("no_proxy", raising=False)
    web.answers["http://elsewhere.invalid/x"] = lambda request: request.send(b"by proxy")
    web.put("/x", b"directly")
    assert await rig.document("http://elsewhere.invalid/x") == b"by proxy"
    assert await rig.document(web.url("/x")) == b"directly"
    assert web.asked[1].path == "/x"


@pytest.mark.parametrize(
    ("proxy", "named"),
    [
        ("gopher://me:hush@proxy.invalid", "gopher://proxy.invalid"),
        ("me:hush@proxy.invalid:port", "proxy.invalid:port"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, proxy: str, named: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    text = await refusal(rig.document("http://elsewhere.invalid/x"))
    assert f"http_proxy={named}" in text
    assert "hush" not in text


async def test_a_proxy_that_refuses_is_not_asked_again(rig: Rig, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", web.url("").replace("//", "//me:hush@"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(Request, "do_CONNECT", lambda request: request.send(b"", 407), raising=False)
    text = await refusal(rig.document("https://elsewhere.invalid/x"))
    assert "the proxy refuses it: 407" in text
    assert "hush" not in text
    assert rig.waits.seconds == []


async def test_nothing_is_logged_by_the_client(rig: Rig, web: Web, caplog: pytest.LogCaptureFixture) -> None:
    web.put("/x", b"there")
    with caplog.at_level("DEBUG"):
        await rig.document(web.url("/x?signature=hush"), token="t0ken")
    assert "hush" not in caplog.text
    assert "t0ken" not in caplog.text


async def test_downloads_at_once_do_not_disturb_each_other(rig: Rig, web: Web) -> None:
    web.put("/a", BODY)
    paths = await asyncio.gather(*(rig.archive(web.url("/a")) for _ in range(5)))
    assert {path.read_bytes() for path in paths} == {BODY}
    assert rig.left_over() == []


async def test_a_download_that_is_given_up_leaves_nothing(rig: Rig, web: Web) -> None:
    def half(request: Request) -> None:
        request.send_head(content_length=str(len(BODY)))
        request.wfile.write(BODY[:1000])
        request.wfile.flush()
        request.hang()

    web.answers["/a"] = half
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await rig.archive(web.url("/a"))
    assert rig.left_over() == []
