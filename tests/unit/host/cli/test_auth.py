"""Login, logout, status, first steps and tokens."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

from gestalt_host.cli.errors import CliError
from gestalt_host.cli.login import through_browser
from gestalt_host.cli.output import Output
from tests.support.rigs.cli import Gestalt, Server

LOGIN = "/api/v1/auth/login"
INFO = "/api/v1/auth/info"


class Browser:
    """Stands in for the user: follows the login URL to the callback, as ``visit`` says."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages: list[str] = []
        self.headers: list[Any] = []
        self.query = "state={state}&code=c%2F1"
        self._server = server
        self._threads: list[threading.Thread] = []
        monkeypatch.setattr("gestalt_host.cli.prompts.open_browser", self._open)

    def _open(self, url: str) -> bool:
        body = next(r.body for r in reversed(self._server.requests) if r.path == LOGIN)
        address = f"http://127.0.0.1:{body['callbackPort']}/"
        thread = threading.Thread(target=self._visit, args=(address, self.query.format(state=body["state"])))
        thread.start()
        self._threads.append(thread)
        return True

    def _visit(self, address: str, query: str) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(f"{address}favicon.ico", timeout=10)
        except urllib.error.HTTPError as error:
            error.close()
        with opener.open(f"{address}?{query}", timeout=10) as response:
            self.headers.append(response.headers)
            self.pages.append(response.read().decode())

    def done(self) -> str:
        for thread in self._threads:
            thread.join()
        return self.pages[-1]


@pytest.fixture
def browser(server: Server, monkeypatch: pytest.MonkeyPatch) -> Browser:
    server.on("GET", INFO, {"loginSupported": True})
    server.on(
        "POST", LOGIN, {"url": "https://idp.example/authorize"}, headers={"Set-Cookie": "login_state=abc; Path=/"}
    )
    server.on("GET", f"{LOGIN}/callback", {"id": "tok-1", "name": "cli-token", "token": "gst_api_x"})
    return Browser(server, monkeypatch)


def test_login_stores_the_token_for_the_user_only(gestalt: Gestalt, server: Server, browser: Browser) -> None:
    gestalt.config.mkdir(parents=True)
    stored = gestalt.config / "credentials.json"
    stored.write_text("{}")
    stored.chmod(0o644)
    result = gestalt.env(GESTALT_API_KEY=None)("auth", "login")
    page = browser.done()
    assert (result.code, result.out) == (0, "")
    lines = result.err.splitlines()
    assert lines[:2] == [
        "Opening browser for authentication...",
        "If the browser doesn't open, visit: https://idp.example/authorize",
    ]
    assert re.fullmatch(r"Waiting for login callback on http://127\.0\.0\.1:\d+/ \.\.\.", lines[2])
    assert lines[3] == "Logged in successfully. Stored CLI API token."
    assert json.loads(stored.read_text()) == {"api_url": server.url, "api_token": "gst_api_x", "api_token_id": "tok-1"}
    assert stored.stat().st_mode & 0o777 == 0o600
    assert "<title>Login successful</title>" in page
    assert "<small>Gestalt</small>" in page
    assert browser.headers[-1]["Cache-Control"] == "no-store"
    callback = server.requests[-1]
    assert re.fullmatch(rf"{LOGIN}/callback\?code=c%2F1&state=[0-9a-f]{{32}}&cli=1", callback.path)
    assert callback.headers["cookie"] == "login_state=abc"
    assert "authorization" not in callback.headers


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("state=wrong&code=c", "OAuth state mismatch - possible CSRF attack"),
        ("code=c", "OAuth state mismatch"),
        ("state={state}", "callback did not contain an authorization code"),
    ],
)
def test_a_callback_that_is_not_ours_is_refused(
    gestalt: Gestalt, server: Server, browser: Browser, query: str, reason: str
) -> None:
    browser.query = query
    result = gestalt.env(GESTALT_API_KEY=None)("auth", "login")
    assert "<title>Login failed</title>" in browser.done()
    assert result.code == 1
    assert f"error: {reason}" in result.err
    assert not (gestalt.config / "credentials.json").exists()
    assert not any("callback" in path for path in server.asked)


def test_a_refused_code_fails_the_login(gestalt: Gestalt, server: Server, browser: Browser) -> None:
    server.on("GET", f"{LOGIN}/callback", {"error": "login failed"}, status=401)
    result = gestalt.env(GESTALT_API_KEY=None)("auth", "login")
    assert "<title>Login failed</title>" in browser.done()
    assert "error: code exchange failed (HTTP 401): login failed" in result.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"body": {"error": "auth is disabled"}, "status": 404}, "failed (HTTP 404): "),
        ({"text": "<html>"}, "returned non-JSON response"),
        ({"body": {}}, "login response missing 'url' field"),
    ],
)
def test_a_login_that_cannot_start(
    gestalt: Gestalt, server: Server, browser: Browser, answer: dict[str, Any], said: str
) -> None:
    server.on("POST", LOGIN, **answer)
    assert said in gestalt.env(GESTALT_API_KEY=None)("auth", "login").err


def test_nobody_logs_in(server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt_host.cli.prompts.open_browser", lambda url: False)
    monkeypatch.setattr("gestalt_host.cli.login.CALLBACK_TIMEOUT_S", 0.05)
    with pytest.raises(CliError, match="timed out waiting for login callback"):
        through_browser(Output("table", {}), server.url)


def test_login_is_refused_with_a_key_in_the_environment_or_without_authentication(
    gestalt: Gestalt, server: Server
) -> None:
    assert gestalt("auth", "login").err.startswith("error: GESTALT_API_KEY is set in your environment")
    assert server.asked == []
    result = gestalt.env(GESTALT_API_KEY=None)("auth", "login")
    assert result.err == "error: authentication is disabled on this server\n"


def store(gestalt: Gestalt, **values: str) -> None:
    gestalt.config.mkdir(parents=True, exist_ok=True)
    (gestalt.config / "credentials.json").write_text(json.dumps(values))


def test_logout_revokes_at_the_stored_url_and_removes(bare: Gestalt, server: Server) -> None:
    store(bare, api_url=server.url, api_token="t", api_token_id="i d")
    result = bare("auth", "logout")
    assert (result.code, result.err) == (0, "Logged out. Credentials removed.\n")
    assert server.asked == ["DELETE /api/v1/tokens/i%20d"]
    assert not (bare.config / "credentials.json").exists()
    assert bare("auth", "logout").err == "Logged out. Credentials removed.\n"


def test_logout_succeeds_when_the_server_cannot_revoke(bare: Gestalt, server: Server) -> None:
    server.on("DELETE", "/api/v1/tokens/i", {"error": "token not found"}, status=404)
    store(bare, api_url=server.url, api_token="t", api_token_id="i")
    assert bare("auth", "logout").err.splitlines() == [
        "warning: Failed to revoke stored CLI token i: token not found",
        "Logged out. Credentials removed.",
    ]
    store(bare, api_token="t", api_token_id="i")
    assert bare("auth", "logout").err.startswith("warning: Stored CLI token i has no associated URL")
    bare.config.joinpath("credentials.json").write_text("{")
    result = bare("auth", "logout")
    assert result.err.startswith("warning: Stored credentials could not be read; removing them locally")
    assert (result.code, bare.config.joinpath("credentials.json").exists()) == (0, False)


def test_status_of_a_server_without_authentication(gestalt: Gestalt, server: Server) -> None:
    result = gestalt.env(GESTALT_API_KEY=None)("auth", "status")
    assert (result.code, result.out) == (0, "")
    assert result.err == (
        f"Server:      {server.url}\nURL source:  GESTALT_URL environment variable\n"
        "Reachable:   yes\nAuth:        disabled\nCredentials: none\n"
    )
    assert gestalt("auth", "status", "--format", "json").json == {
        "authenticated": False, "envVarSet": False, "loginSupported": False, "serverReachable": True,
        "serverUrl": server.url, "source": "none", "storedCredentials": False,
        "urlSource": "GESTALT_URL environment variable",
    }  # fmt: skip


def test_status_of_a_server_with_login(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", INFO, {"loginSupported": True})
    result = gestalt.env(GESTALT_API_KEY=None)("auth", "status")
    assert "Auth:        login supported\n" in result.err
    assert result.err.endswith("\n\nRun 'gestalt auth login' or set GESTALT_API_KEY to authenticate.\n")
    store(gestalt, api_url=server.url, api_token="t", api_token_id="i")
    assert "Credentials: stored CLI token\n" in gestalt("auth", "status").err
    result = gestalt.env(GESTALT_API_KEY="k")("auth", "status")
    assert result.err.endswith(
        "Credentials: GESTALT_API_KEY set\n"
        "warning: Stored CLI credentials also exist but are being ignored. Unset GESTALT_API_KEY to use them.\n"
    )
    assert gestalt("auth", "status", "--format=json").json["source"] == "env"


def test_status_without_server_or_with_broken_files(bare: Gestalt) -> None:
    result = bare("auth", "status")
    assert result.err == (
        "Server:      not configured\nCredentials: none\n\n"
        "Run 'gestalt init' or set GESTALT_URL to configure a server.\n"
    )
    bare.config.mkdir(parents=True)
    bare.config.joinpath("config.json").write_text("{")
    bare.config.joinpath("credentials.json").write_text("[]")
    result = bare("auth", "status")
    assert result.code == 0
    assert f"(in {bare.config / 'config.json'})" in result.err
    assert "warning: Stored CLI credentials could not be read: " in result.err
    answer = bare("auth", "status", "--format", "json").json
    assert (answer["serverUrl"], answer["serverReachable"], answer["loginSupported"]) == (None, None, None)


def test_init_stores_the_url_and_skips_login_where_there_is_none(bare: Gestalt, server: Server) -> None:
    result = bare("init", stdin=f"{server.url}/\ny\n")
    assert (result.code, result.out) == (0, "")
    assert result.err == (
        "Welcome to Gestalt! Let's get you set up.\n\n"
        "\nAPI server URL\nValue [http://localhost:8080]: Saved to global config.\n\n"
        "Authentication is disabled on this server; skipping login.\n\n"
        "Create .gestalt/config.json in current directory? [y/N]: Created .gestalt/config.json\n"
        "\nYou're all set! Run 'gestalt --help' to see available commands.\n"
    )
    assert (bare.work / ".gestalt" / "config.json").read_text() == f'{{\n  "url": "{server.url}"\n}}\n'
    again = bare("init", stdin="\n\n")
    assert f"Value [{server.url}]: Saved" in again.err


def test_init_keeps_what_was_stored_when_stdin_ends(bare: Gestalt, server: Server) -> None:
    result = bare("init")
    assert result.code == 1
    assert result.err.endswith("Value [http://localhost:8080]: error: stdin closed while waiting for input\n")
    result = bare("init", stdin=f"{server.url}\n")
    assert result.err.endswith("[y/N]: error: stdin closed while waiting for confirmation\n")
    assert bare("config", "get", "url").out == f"{server.url}\n"


def test_init_logs_in_at_the_chosen_server(bare: Gestalt, server: Server, browser: Browser) -> None:
    result = bare("init", stdin=f"{server.url}\n\nno\n")
    browser.done()
    assert result.code == 0
    assert "Log in now? [Y/n]: Opening browser" in result.err
    assert json.loads((bare.config / "credentials.json").read_text())["api_url"] == server.url


def test_tokens(gestalt: Gestalt, server: Server) -> None:
    server.on("POST", "/api/v1/tokens", {"id": "i", "token": "gst_api_1"})
    result = gestalt("tokens", "create", "--name", "")
    assert (result.out, result.err) == ("gst_api_1\n", "Token created. Save it now; it won't be shown again.\n")
    assert server.requests[-1].body == {"name": ""}
    server.on("POST", "/api/v1/tokens", {"error": "name is required"}, status=400)
    assert gestalt("tokens", "create").err == "error: failed to create token: name is required\n"
    server.on("GET", "/api/v1/tokens", [
        {"id": "a", "name": "ci", "scopes": "", "createdAt": "2026-05-08T09:00:00Z",
         "expiresAt": "2027-01-01T00:00:00Z"},
        {"id": "b", "name": "old", "created_at": "2025-05-08T09:00:00Z"},
    ])  # fmt: skip
    assert [line.split() for line in gestalt("tokens", "list").out.splitlines() if line.startswith("│")] == [
        ["│", "ID", "Name", "Scopes", "Created", "Expires", "│"],
        ["│", "a", "ci", "2026-05-08T09:00:00Z", "2027-01-01T00:00:00Z", "│"],
        ["│", "b", "old", "-", "2025-05-08T09:00:00Z", "never", "│"],
    ]
    assert gestalt("tokens", "revoke", "a").err == "Token a revoked.\n"
    assert server.asked[-1] == "DELETE /api/v1/tokens/a"
