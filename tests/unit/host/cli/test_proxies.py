"""Proxies and secrets: a server on this machine is reached directly, and no error shows a token or a password."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from gestalt_host.cli.api import Api, new_client
from gestalt_host.cli.errors import CliError
from gestalt_host.cli.urls import concealed, is_loopback_url
from tests.support.rigs.cli import Gestalt, Server, serving

TOKEN = "gst_api_0123456789"
RUNS = ("workflow", "runs", "list", "--format", "json")
PATH = "/api/v1/workflow/runs"
VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def proxy() -> Iterator[Server]:
    """A proxy that answers everything itself and keeps what it was sent."""
    with serving() as running:
        yield running


@pytest.fixture(params=["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def here(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server on this machine that says ``[]`` to whatever it is asked."""
    host: str = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"{host} is not there: {error}")

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_server_on_this_machine_is_reached_directly(bare: Gestalt, proxy: Server, here: str, variable: str) -> None:
    bare.env(GESTALT_API_KEY=TOKEN, NO_PROXY=None, no_proxy=None, **{variable: proxy.url})
    assert bare("--url", here, *RUNS).out == "[]\n"
    assert proxy.requests == []


@pytest.mark.parametrize("value", ["nonsense://x", "socks5://127.0.0.1:1", "http://[", "http://user:pass word@x:1"])
def test_a_proxy_that_cannot_be_used_hinders_no_server_on_this_machine(bare: Gestalt, here: str, value: str) -> None:
    bare.env(GESTALT_API_KEY=TOKEN, ALL_PROXY=value, HTTP_PROXY=value, http_proxy=value, NO_PROXY="")
    assert bare("--url", here, *RUNS).out == "[]\n"


def test_another_server_is_reached_through_the_proxy(bare: Gestalt, proxy: Server) -> None:
    proxy.on("GET", f"http://gestalt.invalid{PATH}", [])
    bare.env(GESTALT_API_KEY=TOKEN, HTTP_PROXY=proxy.url, http_proxy=proxy.url, NO_PROXY="", no_proxy=None)
    assert bare("--url", "http://gestalt.invalid", *RUNS).out == "[]\n"


def test_a_redirect_to_this_machine_reaches_neither_it_nor_the_proxy(
    bare: Gestalt, proxy: Server, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    proxy.on("GET", "http://gestalt.invalid/x", status=307, headers={"Location": f"{server.url}/y"})
    with new_client("http://gestalt.invalid") as client, pytest.raises(CliError, match="is this machine"):
        client.get("http://gestalt.invalid/x")
    assert server.asked == []
    assert proxy.asked == ["GET http://gestalt.invalid/x"]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:1", True),
        ("http://LOCALHOST", True),
        ("http://localhost.:1", True),
        ("http://127.255.0.1", True),
        ("http://[::1]:1", True),
        ("http://[::ffff:127.0.0.1]", True),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://128.0.0.1", False),
        ("http://0.0.0.0", False),
    ],
)
def test_what_names_this_machine(url: str, here: bool) -> None:
    assert is_loopback_url(url) is here


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["environment", "login"])
@pytest.mark.parametrize("status", [401, 407, 502])
def test_a_server_or_proxy_that_quotes_the_token_does_not_get_it_printed(
    bare: Gestalt, server: Server, source: str, status: int
) -> None:
    bare.env(GESTALT_URL=server.url, GESTALT_API_KEY=TOKEN if source == "environment" else None)
    if source == "login":
        bare.config.mkdir(parents=True)
        (bare.config / "credentials.json").write_text(
            f'{{"api_url": "{server.url}", "api_token": "{TOKEN}", "api_token_id": "i"}}'
        )
    for text in (f'{{"error": "bad token {TOKEN}"}}', f"<pre>Authorization: Bearer {TOKEN}</pre>"):
        server.on("GET", PATH, text=text, status=status)
        result = bare(*RUNS)
        assert result.code == 1
        assert server.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
        assert "***" in result.err
        assert TOKEN not in result.out + result.err


@pytest.mark.parametrize("end", ["\n", "\r", " ", "\x00", "é", "\u2028"])
def test_a_token_that_cannot_be_sent_is_refused_without_being_shown(bare: Gestalt, server: Server, end: str) -> None:
    bare.env(GESTALT_URL=server.url)
    if end == "\x00":  # no variable can hold one, a file can
        bare.config.mkdir(parents=True)
        (bare.config / "credentials.json").write_text(
            f'{{"api_url": "{server.url}", "api_token": "{TOKEN}\\u0000", "api_token_id": "i"}}'
        )
    else:
        bare.env(GESTALT_API_KEY=TOKEN + end)
    result = bare(*RUNS)
    assert (result.code, result.out) == (1, "")
    assert f"was not sent: character {len(TOKEN) + 1} of {len(TOKEN) + 1} is a blank" in result.err
    assert TOKEN not in result.err
    assert server.requests == []


@pytest.mark.parametrize("value", ["nonsense://me:p4ssword@x", "me:p4ssword@x:y"])
def test_the_password_of_a_proxy_is_not_shown(bare: Gestalt, value: str) -> None:
    bare.env(GESTALT_API_KEY=TOKEN, GESTALT_URL="http://gestalt.invalid", NO_PROXY="", http_proxy=value)
    result = bare(*RUNS)
    assert (result.code, result.out) == (1, "")
    assert "p4ssword" not in result.err
    assert "http_proxy=" in result.err
    assert "***@" in result.err
    assert "unexpected" not in result.err


@pytest.mark.parametrize(
    "url",
    [
        "http://me:p4ssword@127.0.0.1:1",
        "http://me:p4ssword@",
        "ftp://me:p4ssword@x",
        "http://me:p4/ssword@x",
        "me:p4ssword@127.0.0.1:1",
        "http://gestalt.invalid?token=p4ssword",
    ],
)
def test_the_password_of_a_servers_url_is_not_shown(bare: Gestalt, url: str) -> None:
    for token in (TOKEN, None):
        bare.env(GESTALT_API_KEY=token)
        for command in (RUNS, ("auth", "status"), ("auth", "login"), ()):
            result = bare("--url", url, *command)
            assert "p4ss" not in result.out + result.err
            assert "ssword" not in result.out + result.err


def test_a_broken_exchange_does_not_show_the_password_of_the_url() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("garbage")

    with pytest.raises(CliError) as caught:
        Api("http://me:p4ssword@localhost", transport=httpx.MockTransport(broken)).get("/x")
    assert caught.value.message == "request to http://***@localhost/x failed: garbage"


def test_a_credential_that_was_typed_is_not_shown_when_the_server_quotes_it(gestalt: Gestalt, server: Server) -> None:
    connection = {"name": "_plugin", "authTypes": ["manual"], "credentialMode": "subject"}
    server.on("GET", "/api/v1/integrations", [{"name": "demo", "connections": [connection]}])
    server.on("POST", "/api/v1/auth/connect-manual", {"error": "typed-credential is no key"}, status=400)
    result = gestalt("plugin", "connect", "demo", stdin="typed-credential\n")
    assert server.requests[-1].body["credential"] == "typed-credential"
    assert result.err.endswith("failed to connect plugin 'demo': *** is no key\n")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/base", "https://a.example/base"),
        ("https://me@a.example", "https://***@a.example"),
        ("https://me:p@w@a.example/x", "https://***@a.example/x"),
        ("https://a.example/x?code=1&state=2#y", "https://a.example/x?***"),
    ],
)
def test_how_a_url_is_shown(url: str, shown: str) -> None:
    assert concealed(url) == shown
