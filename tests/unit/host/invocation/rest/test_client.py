"""Sending a request: redirects, repeats, limits, and failures in words that name no library (decision 32)."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import pytest_asyncio

from gestalt_host.errors import EgressRefused, UpstreamFailed, UpstreamTimeout, UpstreamUnreachable, UpstreamUnreadable
from gestalt_host.invocation.rest.client import LARGE_BYTES, RestClient
from gestalt_host.invocation.rest.dialling import MOST_LOOKUPS
from gestalt_host.invocation.rest.egress import EgressRules
from gestalt_host.invocation.rest.places import Places
from gestalt_host.invocation.rest.requests import PreparedRequest
from tests.support.rigs.web import Request, Web, serving, write_certificate
from tests.support.waiting import eventually

HERE = EgressRules(named=frozenset({"127.0.0.1", "localhost"}))
SECRET = "s3cret"


class Waits:
    """Takes the place of sleeping, and notes for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


Make = Callable[..., RestClient]


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    made: list[RestClient] = []

    def one(rules: EgressRules = HERE, **arguments: object) -> RestClient:
        made.append(RestClient(rules, **arguments))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for client in made:
        await client.close()


def request(
    url: str,
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    with_credential: bool = False,
    may_repeat: bool | None = None,
) -> PreparedRequest:
    credential = {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET} if with_credential else {}
    return PreparedRequest(
        method=method,
        url=url,
        headers={**(headers or {}), **credential},
        body=body,
        secret_headers=frozenset(name.lower() for name in credential),
        template=f"{method} http://upstream.test/items/{{id}}",
        may_repeat=method == "GET" if may_repeat is None else may_repeat,
        has_credential=with_credential,
    )


async def failure(client: RestClient, url: str, method: str = "GET") -> UpstreamFailed:
    with pytest.raises(UpstreamFailed) as caught:
        await client.send(request(f"{url}?token={SECRET}" if "?" not in url else url, method))
    assert SECRET not in str(caught.value)
    return caught.value


def raw(data: bytes) -> Callable[[Request], None]:
    return lambda asked: asked.send_raw(data)


async def test_what_is_sent_is_what_was_prepared(make: Make, web: Web) -> None:
    web.put("/base/%2E%2E/a%2Fb", "done", 201, content_type="text/plain", x_other="1")
    url = web.url("/base/%2E%2E/a%2Fb?q=a+b&q=%C3%A9")
    answer = await make().send(request(url, "POST", headers={"X-Name": "café"}, body=b'{"a": 1}'))
    (asked,) = web.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/base/%2E%2E/a%2Fb?q=a+b&q=%C3%A9", b'{"a": 1}')
    assert asked.headers["x-name"].encode("latin-1").decode() == "café"
    assert asked.headers["host"] == f"127.0.0.1:{web.port}"
    assert (answer.status, answer.body, answer.headers["content-type"]) == (201, b"done", "text/plain")


@pytest.mark.parametrize("status", [200, 204, 304, 400, 404, 401, 418, 429, 500, 503, 599])
async def test_any_status_is_an_answer(make: Make, web: Web, status: int) -> None:
    web.put("/x", "" if status in (204, 304) else "words", status, content_type="text/plain")
    answer = await make().send(request(web.url("/x")))
    assert (answer.status, answer.body) == (status, b"" if status in (204, 304) else b"words")


@pytest.mark.parametrize(
    ("data", "kind", "cause"),
    [
        (b"", UpstreamUnreachable, "the connection ended before there was an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Ty", UpstreamUnreachable, "the connection ended before there was an answer"),
        (b"220 mail ready\r\n\r\n", UpstreamUnreachable, "what it answers is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: x\r\n\r\n", UpstreamUnreachable, "what it answers is no HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n",
            UpstreamUnreachable,
            "the headers of its answer have more than 100 KiB",
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            UpstreamUnreachable,
            "more than 16 interim answers (1xx) came before its answer",
        ),
        (
            (b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 10_000 + b"\r\n\r\n") * 12
            + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            UpstreamUnreachable,
            "the headers of its answer have more than 100 KiB",
        ),
        (b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", UpstreamUnreachable, "status 999; accepted are 200 to 599"),
        (b"HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n", UpstreamUnreachable, "what it answers is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nonly", UpstreamUnreadable, "broke off before its end"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nonly", UpstreamUnreadable, "broke off before its end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nonly", UpstreamUnreadable, "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", UpstreamUnreadable, "not framed as HTTP asks"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
            UpstreamUnreadable,
            "Content-Encoding 'br'; accepted are none and gzip",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
            UpstreamUnreadable,
            "not the gzip that its Content-Encoding says",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"a" * 999, mtime=0)[:-6],
            UpstreamUnreadable,
            "breaks off before its end",
        ),
    ],
)
async def test_an_answer_that_cannot_be_used_is_told_by_request_and_cause(
    make: Make, web: Web, data: bytes, kind: type[UpstreamFailed], cause: str
) -> None:
    web.answers["/x"] = raw(data)
    error = await failure(make(), web.url("/x"))
    assert type(error) is kind
    assert str(error).startswith(f"{kind.words}: GET http://upstream.test/items/{{id}}: ")
    assert cause in str(error)


async def test_interim_answers_before_an_answer_are_passed_over(make: Make, web: Web) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 16
    web.answers["/x"] = raw(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere")
    assert (await make().send(request(web.url("/x")))).body == b"here"


async def test_a_body_without_a_length_ends_with_the_connection(make: Make, web: Web) -> None:
    web.answers["/x"] = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")
    assert (await make().send(request(web.url("/x")))).body == b"until the end"


@pytest.mark.parametrize(
    "packed", [gzip.compress(b"one ", mtime=0), gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0), b""]
)
async def test_a_packed_body_is_unpacked_to_its_last_member(make: Make, web: Web, packed: bytes) -> None:
    web.put("/x", packed, content_encoding="gzip")
    answer = await make().send(request(web.url("/x")))
    assert answer.body == {0: b""}.get(len(packed), b"one two" if len(packed) > 30 else b"one ")
    assert web.asked[0].headers["accept-encoding"] == "gzip"


async def test_nothing_listens(make: Make) -> None:
    error = await failure(make(), "http://127.0.0.1:1/")
    assert str(error).endswith(": the connection is refused: nothing listens there")


async def test_a_name_that_nobody_knows(make: Make) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = await failure(make(resolve=resolve), "http://nowhere.test/")
    assert type(error) is UpstreamUnreachable
    assert str(error).endswith(": the name of the host is not known: Name or service not known")


async def test_slow_lookups_hold_up_nobody_else(make: Make, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    going, at_once, most = threading.Event(), 0, 0
    system = socket.getaddrinfo

    def slow(host: str, *arguments: object, **more: object) -> object:
        nonlocal at_once, most
        if not host.endswith(".slow.test"):
            return system(host, *arguments, **more)  # type: ignore[arg-type]
        at_once += 1
        most = max(most, at_once)
        going.wait(30)
        at_once -= 1
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    web.put("/x", "here")
    client = make()
    waiting = [asyncio.create_task(client.send(request(f"http://{n}.slow.test/"))) for n in range(20)]

    async def all_threads_wait() -> bool | None:
        return True if at_once == MOST_LOOKUPS else None

    await eventually(all_threads_wait)
    assert await asyncio.to_thread(int) == 0  # the threads of the rest of the host are free
    assert (await client.send(request(web.url("/x")))).body == b"here"
    assert (await make().send(request(web.url("/x", "localhost")))).body == b"here"
    going.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all("Temporary failure in name resolution" in str(result) for result in results)
    assert most == MOST_LOOKUPS


async def test_the_system_is_asked_for_names(make: Make, web: Web) -> None:
    web.put("/x", "here")
    assert (await make().send(request(web.url("/x", "localhost")))).body == b"here"
    error = await failure(make(), f"http://{'a' * 64}.test/")
    assert "the name of the host is not known" in str(error)


@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (lambda asked: asked.hang(), UpstreamTimeout, "no answer began within 0.3 s"),
        (
            lambda asked: (asked.send_head(content_length="9"), asked.hang()),
            UpstreamUnreadable,
            "its answer did not come whole within 0.3 s",
        ),
    ],
)
async def test_the_time_of_an_operation_ends(
    make: Make, web: Web, answer: Callable[[Request], None], kind: type[UpstreamFailed], cause: str
) -> None:
    web.answers["/x"] = answer
    error = await failure(make(timeout_s=0.3), web.url("/x"))
    assert type(error) is kind
    assert str(error).endswith(cause)


async def test_slow_interim_answers_take_no_more_than_the_time_of_an_operation(make: Make, web: Web) -> None:
    def early(asked: Request) -> None:
        while not web.closing.wait(0.05):
            asked.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    web.answers["/x"] = early
    assert type(await failure(make(timeout_s=0.3), web.url("/x"))) is UpstreamTimeout


async def test_a_caller_that_is_cancelled_ends_the_request(make: Make, web: Web) -> None:
    came, gone = threading.Event(), threading.Event()

    def wait_for_the_end(asked: Request) -> None:
        came.set()
        if asked.rfile.read(1) == b"":
            gone.set()

    web.answers["/x"] = wait_for_the_end
    sending = asyncio.create_task(make().send(request(web.url("/x"))))
    await asyncio.to_thread(came.wait, 10)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await asyncio.to_thread(gone.wait, 10)


@pytest.mark.parametrize("size", [1000, 1001])
@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_over_the_limit_is_an_error_that_names_it(make: Make, web: Web, size: int, packed: bool) -> None:
    body = b"x" * size
    data, encoding = (gzip.compress(body, mtime=0), "gzip") if packed else (body, "identity")
    web.put("/x", data, content_encoding=encoding)
    client = make(most_bytes=1000)
    if size <= 1000:
        assert (await client.send(request(web.url("/x")))).body == body
        return
    error = await failure(client, web.url("/x"))
    assert type(error) is UpstreamUnreadable
    assert str(error).endswith("there are more than 1000 bytes; no more are taken")


async def test_a_body_without_end_is_not_read_on_behind_the_limit(make: Make, web: Web) -> None:
    sent = 0

    def endless(asked: Request) -> None:
        nonlocal sent
        asked.send_head()
        while not web.closing.is_set():
            sent += asked.wfile.write(b"x" * 65536)

    web.answers["/x"] = endless
    error = await failure(make(most_bytes=1000), web.url("/x"))
    assert "more than 1000 bytes" in str(error)


async def test_a_bomb_is_unpacked_no_further_than_the_limit(make: Make, web: Web) -> None:
    web.put("/x", gzip.compress(b"\0" * 200_000_000, 1, mtime=0), content_encoding="gzip")
    import tracemalloc

    tracemalloc.start()
    try:
        await failure(make(most_bytes=1_000_000), web.url("/x"))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


# Redirects


@pytest.mark.parametrize("host", ["ab\u202ecd.example", "ab\u009b31mcd.example", "a." * 30_000 + "example"])
async def test_where_a_redirect_leads_moves_no_terminal_and_fills_no_message(make: Make, web: Web, host: str) -> None:
    web.answers["/x"] = raw(f"HTTP/1.1 302 Found\r\nLocation: http://{host}/\r\nContent-Length: 0\r\n\r\n".encode())
    text = str(await failure(make(), web.url("/x")))
    assert "after a redirect to http://a" in text
    assert "is no host" in text
    assert text.isprintable()
    assert len(text) < 1000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_redirect_keeps_method_and_body_only_where_its_status_says_so(
    make: Make, web: Web, status: int, method: str
) -> None:
    web.redirect("/a", "b?x=1#part", status)
    web.put("/b", "there")
    body = b"{}" if method == "POST" else None
    headers = {"Content-Type": "application/json", "X-Own": "1"} if body else {"X-Own": "1"}
    answer = await make().send(request(web.url("/a"), method, headers=headers, body=body))
    assert answer.body == b"there"
    asked = web.asked[-1]
    kept = status in (307, 308)
    assert (asked.method, asked.path) == (method if kept else "GET", "/b?x=1")
    assert asked.body == (body or b"" if kept else b"")
    assert ("content-type" in asked.headers) == (kept and body is not None)
    assert asked.headers["x-own"] == "1"


@pytest.mark.parametrize("status", [300, 302, 304, 305, 307])
async def test_without_a_place_to_go_a_redirect_is_the_answer(make: Make, web: Web, status: int) -> None:
    web.put("/a", "", status)
    assert (await make().send(request(web.url("/a")))).status == status


@pytest.mark.parametrize("hops", [9, 10])
async def test_nine_redirects_are_followed(make: Make, web: Web, hops: int) -> None:
    for hop in range(hops):
        web.redirect(f"/{hop}", f"/{hop + 1}")
    web.put(f"/{hops}", "end")
    if hops == 9:
        assert (await make().send(request(web.url("/0")))).body == b"end"
        return
    error = await failure(make(), web.url("/0"))
    assert type(error) is UpstreamUnreachable
    assert str(error).endswith("more than 9 redirects")
    assert len(web.asked) == 10


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://", "http://[::1", "javascript:1", "http://a:b/"]
)
async def test_only_http_is_followed(make: Make, web: Web, location: str) -> None:
    web.redirect("/a", location)
    error = await failure(make(), web.url("/a"))
    assert type(error) is UpstreamUnreachable
    assert "it redirects to what is no http or https URL" in str(error)


async def test_a_credential_goes_to_no_other_origin_and_does_not_come_back(make: Make, web: Web, other: Web) -> None:
    web.redirect("/a", other.url("/b"))
    other.redirect("/b", web.url("/c"))
    web.put("/c", "", 401)
    sent = request(web.url("/a"), headers={"X-Own": "1"}, with_credential=True)
    answer = await make().send(sent)
    assert web.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    for asked in (other.asked[0], web.asked[1]):
        assert SECRET not in str(asked.headers)
        assert asked.headers["x-own"] == "1"
    assert answer.status == 401
    assert not answer.credential_sent


async def test_a_credential_stays_within_its_origin(make: Make, web: Web) -> None:
    web.redirect("/a", f"http://127.1:{web.port}/b")
    web.put("/b", "", 401)
    answer = await make().send(request(web.url("/a"), with_credential=True))
    assert web.asked[1].headers["x-api-key"] == SECRET
    assert answer.credential_sent


async def test_a_name_and_password_of_a_redirect_are_not_sent(make: Make, web: Web) -> None:
    web.redirect("/a", web.url("/b").replace("//", f"//user:{SECRET}@"))
    web.put("/b", "there")
    await make().send(request(web.url("/a")))
    assert "authorization" not in web.asked[1].headers
    web.redirect("/a", f"http://user:{SECRET}@127.0.0.1:1/")
    await failure(make(), web.url("/a"))


async def test_each_hop_is_judged_by_the_egress_rules(make: Make, web: Web, other: Web) -> None:
    web.redirect("/a", f"http://[::ffff:127.0.0.2]:{other.port}/b")
    web.redirect("/b", "http://169.254.169.254/latest/meta-data/")
    for path, host in (("/a", "127.0.0.2"), ("/b", "169.254.169.254")):
        error = await failure(make(), web.url(path))
        assert type(error) is EgressRefused
        assert str(error).startswith("failed to reach upstream service: GET http://upstream.test/items/{id}: after a ")
        assert f"{host} is a private address" in str(error)
    assert other.asked == []


async def test_a_base_url_that_is_not_listed_is_refused_unasked(make: Make, web: Web) -> None:
    error = await failure(make(EgressRules(("api.test",), named=HERE.named)), web.url("/a"))
    assert str(error).endswith(": 127.0.0.1 is not among egress.allowedHosts of the plugin")
    assert web.asked == []


async def test_a_listed_name_leads_to_no_name_that_is_not(make: Make, web: Web, other: Web) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    web.redirect("/a", other.url("/b", "elsewhere.test"))
    error = await failure(make(EgressRules(("api.test",)), resolve=resolve), web.url("/a", "api.test"))
    assert type(error) is EgressRefused
    assert "elsewhere.test is not among egress.allowedHosts of the plugin" in str(error)
    assert other.asked == []


# Addresses


async def test_an_address_is_checked_for_each_connection(make: Make, web: Web) -> None:
    answers = ["127.0.0.1", "127.0.0.2"]

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return [answers.pop(0)]

    web.put("/x", b"one", connection="close")
    client = make(EgressRules(("127.0.0.1",)), resolve=rebinding)
    assert (await client.send(request(web.url("/x", "rebound.test")))).body == b"one"
    error = await failure(client, web.url("/x", "rebound.test"))
    assert type(error) is EgressRefused
    assert str(error).endswith(": 127.0.0.2 is not among egress.allowedHosts of the plugin")
    assert answers == []


async def test_the_address_that_was_checked_is_the_one_that_is_dialled(make: Make, web: Web) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    web.put("/x", "inside")
    answer = await make(EgressRules(("named.test",)), resolve=resolve).send(request(web.url("/x", "named.test")))
    assert answer.body == b"inside"
    assert web.asked[0].headers["host"] == f"named.test:{web.port}"
    assert asked == ["named.test"]


async def test_an_ipv6_address_is_written_in_brackets_and_dialled_without(make: Make) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    try:
        server = await asyncio.start_server(serve, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = server.sockets[0].getsockname()[1]
    async with server:
        answer = await make(EgressRules(("::1/128",))).send(request(f"http://[0:0::1]:{port}/x"))
    assert answer.body == b"ok"
    assert f"Host: [::1]:{port}".encode() in asked[0]


async def test_of_several_addresses_those_that_may_be_reached_are_dialled(make: Make, web: Web) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["10.255.255.1", "127.0.0.3", "127.0.0.1"]

    web.put("/x", "inside")
    rules = EgressRules(("127.0.0.0/8",))
    assert (await make(rules, resolve=resolve).send(request(web.url("/x", "several.test")))).body == b"inside"
    error = await failure(make(EgressRules(("10.0.0.1",)), resolve=resolve), web.url("/x", "several.test"))
    assert "10.255.255.1 is not among egress.allowedHosts" in str(error)


async def test_a_certificate_is_for_the_name_although_an_address_is_dialled(make: Make, tmp_path: Path) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    write_certificate(tmp_path / "both.pem", "right.test")
    trust = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))
    rules = EgressRules(("*.test",))
    with serving(tmp_path / "both.pem") as web:
        web.put("/x", "encrypted")
        client = make(rules, resolve=resolve, trust=trust)
        assert (await client.send(request(web.url("/x", "right.test")))).body == b"encrypted"
        error = await failure(client, web.url("/x", "wrong.test"))
        assert "the certificate of the server is not trusted: Hostname mismatch" in str(error)
        error = await failure(make(rules, resolve=resolve), web.url("/x", "right.test"))
        assert "the certificate of the server is not trusted" in str(error)


async def test_no_proxy_of_the_environment_is_used(make: Make, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    web.put("/x", "direct")
    assert (await make().send(request(web.url("/x")))).body == b"direct"


# Repeats


@pytest.mark.parametrize("status", [429, 503])
async def test_what_may_be_repeated_is_sent_again_as_retry_after_says(make: Make, web: Web, status: int) -> None:
    waits = Waits()
    asks_to_wait = lambda asked: asked.send(b"later", status, retry_after="2")  # noqa: E731
    web.in_turn("/x", asks_to_wait, asks_to_wait, lambda asked: asked.send(b"now"))
    answer = await make(sleep=waits).send(request(web.url("/x"), "PUT", body=b"{}", may_repeat=True))
    assert answer.body == b"now"
    assert waits.seconds == [2, 2]
    assert [asked.body for asked in web.asked] == [b"{}"] * 3


async def test_the_last_answer_of_three_repeats_is_the_result(make: Make, web: Web) -> None:
    waits = Waits()
    web.put("/x", "later", 503, retry_after="0")
    answer = await make(sleep=waits).send(request(web.url("/x")))
    assert (answer.status, answer.body, len(web.asked)) == (503, b"later", 4)


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("POST", 503, {"retry_after": "0"}),
        ("GET", 500, {"retry_after": "0"}),
        ("GET", 502, {"retry_after": "0"}),
        ("GET", 503, {}),
        ("GET", 429, {"retry_after": "soon"}),
        ("GET", 429, {"retry_after": "-1"}),
        ("GET", 429, {"retry_after": "31"}),
        ("GET", 200, {"retry_after": "0"}),
    ],
)
async def test_anything_else_is_sent_once(
    make: Make, web: Web, method: str, status: int, headers: dict[str, str]
) -> None:
    waits = Waits()
    web.put("/x", "once", status, **headers)
    answer = await make(sleep=waits).send(request(web.url("/x"), method, body=b"{}" if method == "POST" else None))
    assert (answer.status, answer.body, len(web.asked), waits.seconds) == (status, b"once", 1, [])


async def test_a_date_says_when_too(make: Make, web: Web) -> None:
    waits = Waits()
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    web.in_turn("/x", lambda asked: asked.send(b"", 503, retry_after=moment), lambda asked: asked.send(b"now"))
    assert (await make(sleep=waits).send(request(web.url("/x")))).body == b"now"
    assert 15 < waits.seconds[0] <= 20


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_was_closed_while_it_was_idle_fails_nobody(make: Make, web: Web, method: str) -> None:
    def answer_and_close(asked: Request) -> None:
        asked.send(b"one")
        asked.close_connection = True

    web.answers["/x"] = answer_and_close
    client = make()

    async def is_closed() -> bool | None:
        kept = client._connections["http"]._idle.values()
        return all(connection.has_expired() for some in kept for connection in some) or None

    for _ in range(3):
        body = b"{}" if method == "POST" else None
        assert (await client.send(request(web.url("/x"), method, body=body))).body == b"one"
        await eventually(is_closed)
    assert len(web.asked) == 3


async def test_a_used_connection_that_ends_under_a_request_is_replaced_where_it_may_be_repeated(
    make: Make, web: Web
) -> None:
    answers = [lambda asked: asked.send(b"one"), lambda asked: asked.break_off(), lambda asked: asked.send(b"two")]
    web.in_turn("/x", *answers)
    client = make()
    await client.send(request(web.url("/x")))
    assert (await client.send(request(web.url("/x")))).body == b"two"
    web.in_turn("/x", *answers)
    await client.send(request(web.url("/x")))
    assert "ended before there was an answer" in str(await failure(client, web.url("/x"), "POST"))


# Places


async def test_one_subject_does_not_take_the_places_of_others(make: Make, web: Web) -> None:
    web.answers["/slow"] = lambda asked: asked.hang()
    web.put("/x", "quick")
    client = make(places=Places(3, 2), timeout_s=5)
    slow = [asyncio.create_task(client.send(request(web.url("/slow")), client.budget("user:a"))) for _ in range(4)]

    async def two_are_sent() -> bool | None:
        return True if len(web.asked) == 2 else None

    await eventually(two_are_sent)
    assert (await client.send(request(web.url("/x")), client.budget("user:b"))).body == b"quick"
    assert web.paths() == ["/slow", "/slow", "/x"]
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_what_finds_no_place_in_its_time_says_so(make: Make, web: Web) -> None:
    web.answers["/slow"] = lambda asked: asked.hang()
    client = make(places=Places(1, 1), timeout_s=0.3)
    results = await asyncio.gather(
        *(client.send(request(web.url("/slow")), client.budget()) for _ in range(2)), return_exceptions=True
    )
    assert all(isinstance(result, UpstreamTimeout) for result in results)
    assert "no place was free within 0.3 s" in str(results[1])
    assert len(web.asked) == 1


async def test_closing_ends_what_is_on_its_way(web: Web) -> None:
    web.answers["/slow"] = lambda asked: asked.hang()
    client = RestClient(HERE)
    sending = asyncio.create_task(client.send(request(web.url("/slow"))))

    async def it_is_sent() -> bool | None:
        return True if web.asked else None

    await eventually(it_is_sent)
    await client.close()
    with pytest.raises(UpstreamUnreachable):
        await sending


async def test_no_more_large_answers_are_read_at_a_time_than_there_is_room_for(make: Make, web: Web) -> None:
    going_on = threading.Event()

    def large(asked: Request) -> None:
        asked.send_head(content_length=str(2 * LARGE_BYTES))
        asked.wfile.write(bytes(LARGE_BYTES + 1))
        going_on.wait(20)
        asked.wfile.write(bytes(LARGE_BYTES - 1))

    web.answers["/large"] = large
    web.put("/small", bytes(LARGE_BYTES))
    room = Places(1, 1)
    one, other, late = make(large=room), make(large=room), make(large=room, timeout_s=0.3)
    first = asyncio.create_task(one.send(request(web.url("/large"))))

    async def is_held() -> bool | None:
        return room._all.locked() or None

    await eventually(is_held)
    assert len((await other.send(request(web.url("/small")))).body) == LARGE_BYTES
    error = str(await failure(late, web.url("/large")))
    assert "1 operations at a time, 1 for one subject, may read more than 1048576 bytes, and no place was free" in error
    second = asyncio.create_task(other.send(request(web.url("/large"))))
    going_on.set()
    assert {len(answer.body) for answer in await asyncio.gather(first, second)} == {2 * LARGE_BYTES}
    assert not room._all.locked()
