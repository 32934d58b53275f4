"""What reaches a terminal: nothing that it would obey, colours where it has some, and warnings for a person."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.rigs.cli import Gestalt, Server, on_a_terminal

OBEYED = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F),
                           *range(0x2066, 0x206A))))  # fmt: skip
RAW = re.compile(f"[{re.escape(OBEYED.replace(chr(10), ''))}]")
EVIL = f"a{OBEYED}b"
OPERATIONS = "/api/v1/integrations/demo/operations"


def evil_everywhere(server: Server) -> None:
    """Let each answer of the server have control characters wherever a text is."""
    run = {
        "id": EVIL,
        "status": EVIL,
        "statusMessage": EVIL,
        "target": {"plugin": {"name": EVIL, "operation": EVIL, EVIL: EVIL}},
        EVIL: EVIL,
    }
    entry = {"id": "echo", "title": EVIL, "description": EVIL, "method": EVIL, "parameters": [{"name": EVIL}]}
    connection = {"name": "_plugin", "displayName": EVIL, "authTypes": ["manual"], "credentialMode": "subject"}
    fields = {"credentialFields": [{"name": "f", "label": EVIL}], "connectionParams": {"p": {"description": EVIL}}}
    connections = [{**connection, **fields}, {**connection, "name": EVIL}]
    server.on("GET", "/api/v1/workflow/runs", [run])
    server.on("GET", "/api/v1/workflow/runs/r", run)
    server.on("GET", "/api/v1/workflow/runs/e", {"error": EVIL}, status=500)
    server.on("GET", OPERATIONS, [entry])
    server.on("GET", "/api/v1/demo/echo", {EVIL: [EVIL]})
    server.on(
        "GET",
        "/api/v1/integrations",
        [{"name": "demo", "displayName": EVIL, "description": EVIL, "connections": connections}],
    )
    server.on("POST", "/api/v1/tokens", {"token": EVIL})
    report: dict[str, object] = dict.fromkeys(
        ("kind", "name", "state", "since", "reason", "version", "displayName", EVIL), EVIL
    )
    process = {"binding": EVIL, "state": EVIL, "since": EVIL, "reason": EVIL, "pid": EVIL}
    report |= {"notices": [EVIL], "capabilities": [EVIL], "lastError": {"text": EVIL}, "processes": [process]}
    server.on("GET", "/api/v1/providers", [report])
    server.on("GET", "/api/v1/providers/plugin/p", report)


COMMANDS = (
    "workflow runs list", "workflow runs get r", "workflow runs get e", "plugin list", "plugin describe demo echo",
    "plugin invoke demo", "plugin invoke demo echo", "plugin invoke demo echo --select x", "tokens create",
    "plugin connect demo", "plugin connect demo --connection plugin", "plugin connect demo --connection x",
    "provider list", "provider get plugin/p", "provider get x",
)  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("form", ["table", "json"])
def test_nothing_that_a_terminal_obeys_is_printed_of_an_answer(
    gestalt: Gestalt, server: Server, line: str, form: str
) -> None:
    evil_everywhere(server)
    result = gestalt(*line.split(), "--format", form, stdin="1\nx\n")
    assert not RAW.search(result.out + result.err)
    assert EVIL not in result.out + result.err
    assert result.out + result.err != ""


def test_a_document_of_json_has_the_same_value_whatever_is_escaped(gestalt: Gestalt, server: Server) -> None:
    evil_everywhere(server)
    printed = gestalt("workflow", "runs", "list", "--format", "json").json
    assert printed[0]["id"] == EVIL
    assert printed[0][EVIL] == EVIL


def test_nothing_that_a_terminal_obeys_is_printed_of_names_files_and_variables(bare: Gestalt) -> None:
    evil = "x\x1b[2J\u202e\x9b"
    for arguments in (
        (evil,),
        ("config", "get", evil),
        ("invoke", "demo", "echo", "-p", evil),
        ("--format", evil),
        ("--timeout", evil),
        (f"--{evil}",),
        ("--url", f"http://a/{evil}"),
        ("--url", f"http://a/{evil}", "auth", "status"),
        ("--url", f"http://127.0.0.1:1/{evil}", "workflow", "runs", "list"),
        ("--url", "http://a", "workflow", "events", "publish", "--type", "a", "--data-file", evil),
    ):
        result = bare.env(GESTALT_API_KEY="k")(*arguments)
        assert not RAW.search(result.out + result.err), arguments
        assert "\\x1b[2J\\u202e\\x9b" in result.err, arguments
    folder = bare.work / f"p{evil}"
    (folder / ".gestalt").mkdir(parents=True)
    (folder / ".gestalt" / "config.json").write_text(json.dumps({"url": f"http://a/{evil}"}))
    bare.chdir(folder)
    for line in ("", "auth status", "config list", "workflow runs list"):
        result = bare(*line.split())
        assert not RAW.search(result.out + result.err), line
        assert "\\x1b[2J\\u202e\\x9b" in result.err, line


# --- colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ["dumb", ""])
@pytest.mark.parametrize("force", ["", "1"])
def test_a_terminal_without_colours_gets_none(server: Server, term: str, force: str) -> None:
    text = on_a_terminal(server, 80, "nope", stderr=True, TERM=term, CLICOLOR_FORCE=force)[1]
    assert text.startswith("error: ")
    assert "\x1b" not in text


def test_a_terminal_with_colours_gets_them(server: Server) -> None:
    assert "\x1b" in on_a_terminal(server, 80, "nope", stderr=True, TERM="xterm")[1]


# --- warnings for a person --------------------------------------------------------------------------------------------

CATALOGUE: list[dict[str, Any]] = [
    {"id": "echo", "parameters": [{"name": "text", "type": "string"}, {"name": "count", "type": "integer"}]},
    {"id": "open", "parameters": [{"name": "text"}], "inputSchema": {"type": "object", "additionalProperties": True}},
    {"id": "schema", "parameters": [], "inputSchema": {"properties": {"text": {}}}},
    {"id": "undeclared", "parameters": []},
]
SCHEDULE = ("workflow", "schedules", "create", "--cron", "0 3 * * *", "--plugin", "demo", "--operation")
TRIGGER = ("workflow", "triggers", "create", "--type", "a.b", "--plugin", "demo", "--operation")


@pytest.mark.parametrize("command", [("invoke", "demo"), SCHEDULE, TRIGGER], ids=["invoke", "schedule", "trigger"])
@pytest.mark.parametrize(
    ("operation", "given", "warned"),
    [
        ("echo", "txt=a", "unknown parameter 'txt' of demo.echo; a similar one exists: 'text'"),
        ("echo", "zzz=a", "unknown parameter 'zzz' of demo.echo; it takes: text, count"),
        ("schema", "other=a", "unknown parameter 'other' of demo.schema; it takes: text"),
        ("echo", "text=a", ""),
        ("open", "other=a", ""),
        ("undeclared", "other=a", ""),
    ],
)
def test_a_person_is_warned_of_unknown_parameters(
    server: Server, command: tuple[str, ...], operation: str, given: str, warned: str
) -> None:
    server.on("GET", OPERATIONS, CATALOGUE)
    code, text = on_a_terminal(server, 200, *command, operation, "-p", given, stderr=True, NO_COLOR="1")
    assert code == 0
    assert (f"warning: {warned}\n" in text) if warned else ("warning" not in text)
    assert server.asked[0] == f"GET {OPERATIONS}"
    assert server.requests[-1].method == "POST"


def test_without_a_terminal_nothing_is_warned_of_and_nothing_more_is_asked(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", OPERATIONS, CATALOGUE)
    assert gestalt("invoke", "demo", "echo", "-p", "txt=a", "--format", "json").err == ""
    for command in (SCHEDULE, TRIGGER):
        assert gestalt(*command, "echo", "-p", "txt=a", "--format", "json").err == ""
    assert [asked for asked in server.asked if OPERATIONS in asked] == [f"GET {OPERATIONS}"]


def test_an_update_warns_of_unknown_parameters_of_the_operation_that_it_ends_with(server: Server) -> None:
    server.on("GET", OPERATIONS, CATALOGUE)
    for kind in ("schedules", "event-triggers"):
        server.on(
            "GET",
            f"/api/v1/workflow/{kind}/x",
            {"cron": "0 3 * * *", "match": {"type": "a"}, "target": {"plugin": {"name": "demo", "operation": "echo"}}},
        )
    for kind in ("schedules", "triggers"):
        code, text = on_a_terminal(
            server, 200, "workflow", kind, "update", "x", "-p", "txt=a", stderr=True, NO_COLOR="1"
        )
        assert code == 0
        assert text.count("warning: unknown parameter 'txt' of demo.echo") == 1
    before = len(server.requests)
    on_a_terminal(server, 200, "workflow", "schedules", "update", "x", "--paused", stderr=True)
    assert [request.method for request in server.requests[before:]] == ["GET", "PUT"]  # no input, nothing to check


@pytest.mark.parametrize(
    "answer",
    [
        {"body": {"error": "no"}, "status": 403},
        {"text": "<html>"},
        {"body": {"odd": 1}},
        {"body": [{"id": "echo", "parameters": 5}]},
        {"body": [{"id": "echo", "parameters": [1, {"name": 2}], "inputSchema": {"properties": []}}]},
        {"body": [{"id": "other"}]},
    ],
)
def test_a_catalogue_that_cannot_be_read_hinders_no_schedule(server: Server, answer: dict[str, Any]) -> None:
    server.on("GET", OPERATIONS, answer.get("body"), **{k: v for k, v in answer.items() if k != "body"})
    code, text = on_a_terminal(server, 200, *SCHEDULE, "echo", "-p", "txt=a", stderr=True, NO_COLOR="1")
    assert code == 0
    assert "warning" not in text
    assert server.requests[-1].method == "POST"


def test_a_person_is_told_which_states_a_run_can_have(server: Server) -> None:
    server.on("GET", "/api/v1/workflow/runs", [])
    line = ("workflow", "runs", "list", "--status", "Succeeded")
    code, text = on_a_terminal(server, 200, *line, stderr=True, NO_COLOR="1")
    said = "warning: no run has the status 'Succeeded'; there are pending, running, succeeded, failed and canceled\n"
    assert (code, text) == (0, f"{said}No results.\n")
    assert "warning" not in on_a_terminal(server, 200, *line[:-1], "succeeded", stderr=True)[1]


def test_without_a_terminal_an_unknown_status_is_an_empty_list(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", "/api/v1/workflow/runs", [])
    result = gestalt("workflow", "runs", "list", "--status", "nope")
    assert (result.code, result.out, result.err) == (0, "No results.\n", "")
