"""The browser login: a listener on this machine that waits for the one redirect which carries the code."""

from __future__ import annotations

import secrets
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson

from gestalt_host.cli import prompts
from gestalt_host.cli.api import error_of, fetch, new_client, path_of, shown
from gestalt_host.cli.errors import CliError, Unreachable
from gestalt_host.cli.output import Output, member
from gestalt_host.cli.urls import concealed

CALLBACK_TIMEOUT_S = 300.0
_REQUEST_TIMEOUT_S = 10.0
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p><small>Gestalt</small></body></html>
"""


def through_browser(output: Output, base_url: str) -> tuple[str, str]:
    """Let the user log in with a browser; returns id and text of the new API token.

    Raises:
        CliError: the server refuses, nobody logged in within five minutes, or the answer is not for this login.
    """
    state = secrets.token_hex(16)
    with new_client(base_url) as client, _Listener() as listener:
        url = _login_url(client, base_url, state, listener.server_port)
        output.say("Opening browser for authentication...")
        output.say(f"If the browser doesn't open, visit: {url}")
        if not prompts.open_browser(url):
            output.say("Could not open browser automatically.")
        output.say(f"Waiting for login callback on http://127.0.0.1:{listener.server_port}/ ...")
        query = listener.wait(CALLBACK_TIMEOUT_S)
        try:
            if not secrets.compare_digest(query.get("state", "").encode(), state.encode()):
                raise CliError("OAuth state mismatch - possible CSRF attack")
            if not query.get("code"):
                raise CliError("callback did not contain an authorization code")
            token = _exchange(client, base_url, query["code"], state)
        except CliError:
            listener.answer("Login failed", "Return to the terminal to see why.")
            raise
        listener.answer("Login successful", "You can close this page and return to the terminal.")
        return token


def _login_url(client: Any, base_url: str, state: str, port: int) -> str:
    url = base_url + path_of("auth", "login")
    try:
        status, answer = fetch(
            "POST",
            url,
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            content=orjson.dumps({"state": state, "callbackPort": port}),
            timeout_s=_REQUEST_TIMEOUT_S,
            client=client,
        )
    except Unreachable as error:
        raise Unreachable(f"could not reach server at {concealed(base_url)}: {error.message}") from error
    if status >= 400:
        raise CliError(f"login request to {concealed(url)} failed (HTTP {status}): {shown(answer)}")
    try:
        document = orjson.loads(answer)
    except ValueError as error:
        raise CliError(f"server at {concealed(base_url)} returned non-JSON response") from error
    target = member(document, "url")
    if not isinstance(target, str):
        raise CliError("login response missing 'url' field")
    return target


def _exchange(client: Any, base_url: str, code: str, state: str) -> tuple[str, str]:
    query = urlencode({"code": code, "state": state, "cli": "1"})
    status, answer = fetch(
        "GET",
        f"{base_url}{path_of('auth', 'login', 'callback')}?{query}",
        headers={"Accept": "application/json"},
        timeout_s=_REQUEST_TIMEOUT_S,
        client=client,
    )
    if status >= 400:
        raise CliError(f"code exchange failed (HTTP {status}): {error_of(status, answer)[0]}")
    try:
        document = orjson.loads(answer)
    except ValueError as error:
        raise CliError(f"server at {concealed(base_url)} returned non-JSON response") from error
    token, token_id = member(document, "token"), member(document, "id")
    if not isinstance(token, str) or not isinstance(token_id, str) or not token:
        raise CliError("login answer lacks the token or its id")
    return token_id, token


class _Listener(HTTPServer):
    """Accepts requests on a free port of 127.0.0.1 and keeps the first callback's connection open for the answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Callback)
        self._query: dict[str, str] | None = None
        self._held: Any = None

    def wait(self, timeout_s: float) -> dict[str, str]:
        """Wait for the callback and return its query.

        Raises:
            CliError: none came in time.
        """
        deadline = time.monotonic() + timeout_s
        while self._query is None:
            self.timeout = deadline - time.monotonic()
            if self.timeout <= 0:
                raise CliError("timed out waiting for login callback after 5 minutes")
            self.handle_request()
        return self._query

    def hold(self, query: dict[str, str], connection: Any) -> None:
        self._query = query
        self._held = connection

    def answer(self, title: str, text: str) -> None:
        """Show a page in the browser that waits for one."""
        page = _PAGE.format(title=title, text=text).encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
            f"Connection: close\r\nContent-Length: {len(page)}\r\n\r\n"
        )
        try:
            self._held.sendall(head.encode() + page)
        except OSError:
            pass  # the browser went away; the login itself is not affected
        finally:
            super().shutdown_request(self._held)

    def shutdown_request(self, request: Any) -> None:
        if request is not self._held:
            super().shutdown_request(request)


class _Callback(BaseHTTPRequestHandler):
    timeout = 10  # a connection that says nothing (browsers open spare ones) must not block the real one
    server: _Listener

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        if target.path != "/" or not target.query:  # /favicon.ico and the like
            self.send_error(404)
            return
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        self.server.hold(query, self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the query holds the code."""
