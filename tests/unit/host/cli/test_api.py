"""What the server's answers and a missing server look like to the user."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import httpx
import pytest

from gestalt_host.cli.api import Api, path_of
from gestalt_host.cli.errors import ApiError, CliError, NoAnswer, Unreachable
from tests.support.rigs.cli import Gestalt, Server, on_a_terminal

RUNS = "/api/v1/workflow/runs"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_an_unreachable_server_gets_two_lines_and_the_status_says_where_its_url_comes_from(bare: Gestalt) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = bare.env(GESTALT_API_KEY="k", GESTALT_URL=url)("workflow", "runs", "list")
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines() == [
        f"error: failed to list workflow runs: could not reach server at {url}",
        "  Run 'gestalt auth status' for diagnostics.",
    ]
    assert "URL source:  GESTALT_URL environment variable" in bare("auth", "status").err
    result = bare.env(GESTALT_API_KEY=None)("workflow", "runs", "list")
    assert result.err.startswith(
        f"error: failed to determine authentication mode for {url}: failed to reach {url}/api/v1/auth/info: "
    )
    assert result.err.splitlines()[1:] == ["  Run 'gestalt auth status' for diagnostics."]
    assert "Reachable:   no" in bare("auth", "status").err


def test_a_host_name_that_does_not_exist(bare: Gestalt) -> None:
    result = bare.env(GESTALT_API_KEY="k")("--url", "http://gestalt.invalid", "workflow", "runs", "list")
    assert "could not reach server at http://gestalt.invalid" in result.err


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"error":"plain"}', "plain"),
        ('{"error":{"message":"nested"}}', "nested"),
        ('{"message":"bare"}', "bare"),
        ('{"other":1}', 'HTTP 418: {"other":1}'),
        ("teapot\nshort", "HTTP 418: teapot\nshort"),
        ("", "HTTP 418: "),
        ('{"error":""}', "HTTP 418"),
        ('{"error":{"message":" "}}', "HTTP 418"),
        ('{"message":""}', "HTTP 418"),
    ],
)
def test_the_servers_own_text_reaches_the_user(gestalt: Gestalt, server: Server, body: str, text: str) -> None:
    server.on("GET", RUNS, text=body, status=418)
    assert gestalt("workflow", "runs", "list").err == f"error: failed to list workflow runs: {text}\n"


def test_a_refused_token_says_where_it_came_from(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", RUNS, {"error": "invalid token"}, status=401)
    assert "invalid token (using GESTALT_API_KEY from environment; unset it" in gestalt("workflow", "runs", "list").err
    gestalt.config.mkdir(parents=True)
    (gestalt.config / "credentials.json").write_text(
        json.dumps({"api_url": server.url, "api_token": "t", "api_token_id": "i"})
    )
    result = gestalt.env(GESTALT_API_KEY=None)("workflow", "runs", "list")
    assert "invalid token (stored CLI API token may be expired or revoked; run 'gestalt auth login'" in result.err


def test_answers_that_are_not_json(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", f"{RUNS}/r", text="<html>")
    assert (
        "failed to get workflow run r: failed to parse response JSON: " in gestalt("workflow", "runs", "get", "r").err
    )
    server.on("GET", f"{RUNS}/r", text="plain", headers={"Content-Type": "text/plain; charset=utf-8"})
    error = gestalt("workflow", "runs", "get", "r").err
    assert "failed to parse response JSON: the answer is text/plain; charset=utf-8\n" in error
    server.on("GET", f"{RUNS}/r", text="")
    assert gestalt("workflow", "runs", "get", "r", "--format", "json").out == "{}\n"
    server.on("GET", f"{RUNS}/r", text="", status=204)
    assert gestalt("workflow", "runs", "get", "r", "--format", "json").json == {"status": "ok"}


def test_nothing_in_a_servers_text_reaches_the_terminal_as_a_command(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", RUNS, {"error": "\x1b[2Jgone"}, status=500)
    assert "\\x1b[2Jgone" in gestalt("workflow", "runs", "list").err


def test_a_broken_answer_is_a_failed_request(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", RUNS, [], headers={"Transfer-Encoding": "chunked"})  # and then no chunks
    result = gestalt("workflow", "runs", "list")
    assert result.code == 1
    assert result.err.startswith(f"error: failed to list workflow runs: request to {server.url}{RUNS} failed: ")


def test_a_redirect_loop_ends(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", RUNS, status=307, headers={"Location": RUNS})
    assert "redirect" in gestalt("workflow", "runs", "list").err
    assert len(server.requests) == 11


def test_a_token_does_not_follow_a_redirect_to_another_server() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "localhost":
            return httpx.Response(307, headers={"Location": "http://elsewhere.example/x"})
        return httpx.Response(200, json=[])

    api = Api("http://localhost", "secret", transport=httpx.MockTransport(answer))
    assert api.get(path_of("tokens")) == []
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert "authorization" not in seen[1].headers


@pytest.mark.parametrize("here", ["http://localhost:8080", "http://127.0.0.2", "http://[::ffff:127.0.0.1]:1"])
def test_a_server_elsewhere_sends_no_request_to_this_machine(here: str) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(307, headers={"Location": f"{here}/api/v1/slack/chat.postMessage?text=x"})

    api = Api("https://elsewhere.example", "secret", transport=httpx.MockTransport(answer))
    with pytest.raises(CliError, match="which is this machine; nothing was sent there") as caught:
        api.post(path_of("workflow", "events"), {})
    assert "text=x" not in caught.value.message
    assert seen == ["elsewhere.example"]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ConnectTimeout("slow"), Unreachable),
        (httpx.ReadTimeout("slow"), NoAnswer),
        (httpx.WriteTimeout("slow"), NoAnswer),
        (httpx.ConnectError("refused"), Unreachable),
        (httpx.RemoteProtocolError("garbage"), CliError),
    ],
)
def test_transport_failures(raised: Exception, expected: type[CliError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise raised

    with pytest.raises(expected):
        Api("http://localhost", transport=httpx.MockTransport(fail)).get("/x")


def test_no_answer_in_time_is_not_an_unreachable_server(bare: Gestalt) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are made, and nobody answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        bare.env(GESTALT_API_KEY="k", GESTALT_URL=url)
        for context, line in (
            ("invoke demo", "invoke demo"),
            ("list workflow runs", "workflow runs list"),
            ("delete workflow schedule s", "workflow schedules delete s"),
        ):
            result = bare("--timeout", "200ms", *line.split())
            assert (result.code, result.out, result.err) == (
                1,
                "",
                f"error: failed to {context}: no answer within 0.2 s; it may still be running. "
                "To wait longer: --timeout DURATION\n",
            )
        # The innermost one counts, as of --url.
        assert "within 0.1 s" in bare("--timeout", "1h", "workflow", "runs", "list", "--timeout", "100ms").err


def test_an_operation_is_waited_for_as_long_as_it_is_told(gestalt: Gestalt, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, json=[])

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr("gestalt_host.cli.api.new_client", lambda url, transport: client)
    for given, expected in (
        ([], {"connect": 30.0, "read": 30.0, "write": 30.0, "pool": 30.0}),
        (["--timeout", "1m30s"], {"connect": 30.0, "read": 90.0, "write": 90.0, "pool": 90.0}),
        (["--timeout=1.5s"], {"connect": 1.5, "read": 1.5, "write": 1.5, "pool": 1.5}),
        (["--timeout", "none"], {"connect": 30.0, "read": None, "write": None, "pool": None}),
    ):
        monkeypatch.setattr(client, "_state", httpx._client.ClientState.UNOPENED)
        assert gestalt("tokens", "list", *given).code == 0
        assert seen[-1] == expected


@pytest.mark.parametrize("given", ["0", "0s", "30", "", "-1s", "1d", "30 s", "s", "1s1", "25h", "inf", "nan", "None"])
def test_a_timeout_is_a_duration_or_none(gestalt: Gestalt, server: Server, given: str) -> None:
    result = gestalt(f"--timeout={given}", "tokens", "list")
    assert (result.code, result.out, server.asked) == (2, "", [])
    assert result.err.startswith(
        f"error: invalid value '{given}' for '--timeout <DURATION>': expected more than 0 and at most 24h, "
        "such as 500ms, 90s or 1m30s, or none for no limit\n"
    )


def test_the_request_id_of_an_error_is_printed(gestalt: Gestalt, server: Server) -> None:
    headers = {"X-Request-Id": "0b0e\x1b[2J" + "x" * 500}
    server.on("GET", f"{RUNS}/r", {"error": "internal error"}, status=500, headers=headers)
    lines = gestalt("workflow", "runs", "get", "r").err.splitlines()
    assert lines[0] == "error: failed to get workflow run r: internal error"
    assert lines[1].startswith("  Request id: 0b0e\\x1b[2Jxxx")
    assert lines[1].endswith("xxx (in the server's log)")
    assert len(lines) == 2
    assert len(lines[1]) < 180
    server.on("GET", f"{RUNS}/r", {"id": "r"}, headers=headers)
    assert gestalt("workflow", "runs", "get", "r").err == ""


def test_the_log_is_named_only_for_what_it_alone_knows(gestalt: Gestalt, server: Server) -> None:
    for status in (400, 404, 422, 503):
        server.on("GET", f"{RUNS}/r", {"error": "no"}, status=status, headers={"X-Request-Id": "0b0e"})
        assert gestalt("workflow", "runs", "get", "r").err.splitlines()[1:] == ["  Request id: 0b0e"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"body": {"error": "request body of 2000017 bytes is over the limit of 1048576"}}, "limit of 1048576\n"),
        ({"body": {"error": "too large"}}, "too large (the body of this request has 2000017 bytes)\n"),
        ({"text": "<html>413</html>"}, "HTTP 413: <html>413</html> (the body of this request has 2000017 bytes)\n"),
    ],
)
def test_a_body_that_is_too_large_is_told_with_its_size(
    gestalt: Gestalt, server: Server, answer: dict[str, Any], said: str
) -> None:
    (gestalt.work / "in.json").write_text(json.dumps({"text": "x" * 2_000_006}))
    server.on("GET", "/api/v1/integrations/demo/operations", [{"id": "echo"}])
    server.on("POST", "/api/v1/demo/echo", answer.get("body"), text=answer.get("text"), status=413)
    result = gestalt("invoke", "demo", "echo", "--input-file", "in.json")
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith(said)


def test_a_connection_that_ends_under_a_large_body_names_its_size_and_the_limit() -> None:
    def reset(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("[Errno 104] Connection reset by peer")

    api = Api("http://localhost", transport=httpx.MockTransport(reset))
    with pytest.raises(CliError) as caught:
        api.post("/x", {"text": "x" * (1 << 20)})
    assert caught.value.message == (
        "request to http://localhost/x failed: [Errno 104] Connection reset by peer; the body of the request, "
        "1048587 bytes, is over the limit that servers have, 1048576 bytes"
    )
    with pytest.raises(CliError) as caught:
        api.post("/x", {"text": "x"})
    assert caught.value.message.endswith("Connection reset by peer")


def test_typed_errors_keep_code_and_plugin() -> None:
    document = {"error": "e", "code": "not_connected", "integration": "slack"}
    api = Api("http://localhost", transport=httpx.MockTransport(lambda request: httpx.Response(412, json=document)))
    with pytest.raises(ApiError) as caught:
        api.get("/x")
    assert (caught.value.status, caught.value.code, caught.value.plugin) == (412, "not_connected", "slack")


def test_a_proxy_that_cannot_be_used_is_a_clear_error(gestalt: Gestalt) -> None:
    gestalt.env(HTTP_PROXY="nonsense://x", NO_PROXY="", GESTALT_URL="http://gestalt.invalid")
    result = gestalt("workflow", "runs", "list")
    assert result.code == 1
    assert "proxy" in result.err.lower()
    assert "Traceback" not in result.err


def test_a_fault_of_our_own_prints_no_trace(gestalt: Gestalt, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **more: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("gestalt_host.cli.api.Api.items", broken)
    result = gestalt("workflow", "runs", "list")
    assert result.code == 1
    assert result.err.startswith("error: unexpected ZeroDivisionError: oops\n")
    assert "Traceback" not in result.err


# --- a real process and a real terminal -------------------------------------------------------------------------------


RUN: dict[str, Any] = {
    "id": "schedule:0b0e0c1a-1111-4222-8333-1234567890ab:2026-05-08T21:30:00Z", "status": "succeeded",
    "target": {"plugin": {"name": "roadmap", "operation": "sync"}}, "createdAt": "2026-05-08T21:30:00Z",
}  # fmt: skip


def test_a_narrow_terminal_shows_whole_ids_and_says_what_is_missing(server: Server) -> None:
    server.on("GET", RUNS, [RUN])
    code, text = on_a_terminal(server, 80, "workflow", "runs", "list")
    lines = text.splitlines()
    assert code == 0
    assert lines[0].split() == ["ID", "Status"]
    assert RUN["id"] in lines[2]
    assert all(len(line) <= 80 for line in lines[:-1])
    assert "Plugin, Operation, Trigger, Started, Created" in lines[-1]
    assert "--format json" in lines[-1]


def test_a_wide_terminal_shows_everything(server: Server) -> None:
    server.on("GET", RUNS, [RUN])
    code, text = on_a_terminal(server, 200, "workflow", "runs", "list")
    assert code == 0
    assert text.startswith("╭")
    assert "Created" in text


def test_a_person_reads_why_a_run_failed_below_its_row(server: Server, gestalt: Gestalt) -> None:
    why = "failed to reach upstream service: GET http://x/{id}: the connection is refused"
    server.on("GET", f"{RUNS}/r", {**RUN, "status": "failed", "statusMessage": why})
    shown = on_a_terminal(server, 200, "workflow", "runs", "get", "r", stderr=True)[1]
    assert shown.endswith(f"\nStatus message: {why}\n")
    assert why not in gestalt("workflow", "runs", "get", "r").err  # no terminal
    as_json = on_a_terminal(server, 200, "workflow", "runs", "get", "r", "--format", "json", stderr=True)[1]
    assert as_json.count(why) == 1


def test_colour_on_terminals_only_and_never_with_no_color(server: Server) -> None:
    assert on_a_terminal(server, 80, "nope", stderr=True)[1].startswith("\x1b[1;31merror\x1b[0m: ")
    assert on_a_terminal(server, 80, "nope", stderr=True, NO_COLOR="1")[1].startswith("error: ")
    deleted = on_a_terminal(server, 80, "workflow", "schedules", "delete", "s", stderr=True)[1]
    assert deleted == "\x1b[32mWorkflow schedule s deleted.\x1b[0m\n"


def test_a_closed_pipe_is_no_fault(server: Server) -> None:
    server.on("GET", RUNS, [{**RUN, "n": n} for n in range(3000)])
    process = subprocess.Popen(
        [sys.executable, "-m", "gestalt_host.cli", "workflow", "runs", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "GESTALT_URL": server.url, "GESTALT_API_KEY": "k", "HOME": "/nonexistent"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1
