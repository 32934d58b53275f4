"""``gestalt plugin``: listing, invoking, describing and connecting."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rigs.cli import Gestalt, Server

CATALOGUE = [
    {"id": "echo", "method": "POST", "title": "Echo", "description": "Says it again",
     "parameters": [{"name": "text", "type": "string", "required": True},
                    {"name": "tags", "type": "array", "location": "body"}],
     "inputSchema": {"type": "object"}, "annotations": {}},
    {"id": "chat.post", "method": "POST", "parameters": []},
    {"id": "chat.list"},
]  # fmt: skip
OPERATIONS = "/api/v1/integrations/demo/operations"


@pytest.fixture
def demo(server: Server) -> Server:
    server.on("GET", OPERATIONS, CATALOGUE)
    server.on(
        "POST",
        "/api/v1/demo/echo",
        {"name": "roadmap", "items": [{"id": "a", "n": 1}, {"id": "b", "x": 2}], "empty": []},
    )
    return server


def test_the_list_shows_states_and_connections(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", "/api/v1/integrations", [
        {"name": "mailer", "description": "Outgoing mail", "status": "needs_user_connection",
         "connections": [{"name": "workspace", "status": "ready"}, {}]},
        {},
    ])  # fmt: skip
    outs = {gestalt(alias, "list").out for alias in ("plugin", "plugins", "integrations")}
    assert len(outs) == 1
    lines = [line.split("   ") for line in outs.pop().splitlines() if line.startswith("│")]
    cells = [[cell.strip(" │") for cell in line if cell.strip(" │")] for line in lines]
    assert cells == [
        ["Name", "Description", "Status", "Connections"],
        ["mailer", "Outgoing mail", "needs_user_connection", "workspace: ready, -: unknown"],
        ["-", "-", "unknown", "-"],
    ]


def test_invoke_joins_words_and_posts_parameters(gestalt: Gestalt, demo: Server) -> None:
    assert gestalt("plugin", "invoke", "demo", "chat", "post", "-p", "a=1", "--connection", "a b").code == 0
    assert demo.asked == [f"GET {OPERATIONS}?_connection=a+b", "POST /api/v1/demo/chat.post"]
    assert demo.requests[-1].body == {"a": "1", "_connection": "a b"}


def test_invoke_without_parameters_is_a_get(gestalt: Gestalt, demo: Server) -> None:
    assert gestalt("invoke", "demo", "chat.list").out == "No results.\n"
    assert demo.asked[-1] == "GET /api/v1/demo/chat.list"


def test_array_parameters_follow_the_catalogue(gestalt: Gestalt, demo: Server) -> None:
    gestalt("invoke", "demo", "echo", "-p", "tags=a", "-p", "text=x")
    assert demo.requests[-1].body == {"tags": ["a"], "text": "x"}
    result = gestalt("invoke", "demo", "echo", "-p", "text=a", "-p", "text=b")
    assert result.err == "error: parameter 'text' is not an array type but was specified multiple times\n"


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("name", '"roadmap"\n'),
        ("items.1.x", "2\n"),
        (".items..0.id.", '"a"\n'),
        ("empty", "[]\n"),
    ],
)
def test_select_prints_a_part(gestalt: Gestalt, demo: Server, path: str, out: str) -> None:
    assert gestalt("invoke", "demo", "echo", "-p", "text=x", "--select", path).out == out


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nope", "key 'nope' not found in response"),
        ("items.x", "expected numeric index for array, got 'x'"),
        ("items.-1", "expected numeric index for array, got '-1'"),
        ("items.2", "index 2 out of bounds"),
        ("name.x", "cannot traverse into non-object/non-array value"),
    ],
)
def test_select_of_what_is_not_there_fails_after_the_call(
    gestalt: Gestalt, demo: Server, path: str, reason: str
) -> None:
    result = gestalt("invoke", "demo", "echo", "-p", "text=x", "--select", path)
    assert (result.code, result.out, result.err) == (1, "", f"error: {reason}\n")
    assert demo.asked[-1] == "POST /api/v1/demo/echo"


def test_a_list_of_objects_is_a_table_of_the_first_ones_keys(gestalt: Gestalt, demo: Server) -> None:
    assert gestalt("invoke", "demo", "echo", "-p", "text=x", "--select", "items").out.splitlines()[1:-1] == [
        "│ id   n │", "╞════════╡", "│ a    1 │", "│ b      │",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("items", "lines"),
    [
        ([{}, {"b": 1, "a": 2}, {"c": 3}], ["│ a   b │", "╞═══════╡", "│       │", "│ 2   1 │", "│       │"]),
        ([{}, 5, {"a": None}], ["│ a    │", "╞══════╡", "│      │", "│ null │"]),
    ],
)
def test_a_list_that_begins_with_an_empty_object_is_a_table(
    gestalt: Gestalt, server: Server, items: list[Any], lines: list[str]
) -> None:
    server.on("GET", OPERATIONS, CATALOGUE)
    server.on("GET", "/api/v1/demo/echo", items)
    result = gestalt("invoke", "demo", "echo")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[1:-1] == lines


@pytest.mark.parametrize("items", [[{}], [{}, {}], [{}, 1]])
def test_a_list_of_nothing_but_empty_objects_has_no_results(gestalt: Gestalt, server: Server, items: list[Any]) -> None:
    server.on("GET", OPERATIONS, CATALOGUE)
    server.on("GET", "/api/v1/demo/echo", items)
    result = gestalt("invoke", "demo", "echo")
    assert (result.code, result.out, result.err) == (0, "No results.\n", "")


def test_no_operation_or_a_prefix_lists_operations(gestalt: Gestalt, demo: Server) -> None:
    listed = gestalt("invoke", "demo")
    assert "-p text=<string> (required), -p tags=<array> [body]" in listed.out
    prefix = gestalt("invoke", "demo", "chat", "-p", "a=1", "--format", "json")
    assert prefix.err == "warning: parameters ignored; prefix matched 2 operations\n"
    assert [entry["id"] for entry in prefix.json] == ["chat.post", "chat.list"]
    assert prefix.json[1] == {
        "description": "", "id": "chat.list", "inputSchema": None, "method": "", "parameters": [], "title": "",
        "transport": "",
    }  # fmt: skip
    assert gestalt("invoke", "demo", "-p", "a=1").err == "warning: parameters ignored; no operation specified\n"
    assert set(demo.asked) == {f"GET {OPERATIONS}"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nope", "no operation matching 'nope' found; available operations: echo, chat.post, chat.list\n"),
        ("a b.-c", "invalid operation"),
        ("..", "invalid operation '..'"),
    ],
)
def test_an_operation_that_does_not_exist(gestalt: Gestalt, demo: Server, name: str, reason: str) -> None:
    result = gestalt("invoke", "demo", name)
    assert result.code == 1
    assert result.err.startswith(f"error: {reason}")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "x", "code": "not_connected"},
         'plugin "demo" is not connected. Connect it first with `gestalt plugin connect demo '
         "--connection c --instance i`"),
        ({"error": "no token stored for integration demo"}, "is not connected"),
        ({"error": "it expired or was revoked"}, 'token for plugin "demo" expired or was revoked. Reconnect it with'),
        ({"error": "x", "code": "admin_configuration_required"}, "requires deployment/admin configuration before"),
        ({"error": {"message": "x", "code": "instance_selection_required"}}, "Pass --instance to choose one"),
        ({"error": "specify which instance"}, "has multiple connected instances"),
        ({"error": "plain"}, "failed to invoke demo.echo: plain"),
    ],
)  # fmt: skip
def test_errors_about_connections_say_what_to_do(gestalt: Gestalt, demo: Server, answer: Any, said: str) -> None:
    demo.on("POST", "/api/v1/demo/echo", answer, status=412)
    result = gestalt("invoke", "demo", "echo", "-p", "text=x", "--connection", "c", "--instance", "i")
    assert result.code == 1
    assert result.err.startswith("error: failed to invoke demo.echo: ")
    assert said in result.err


def test_a_catalogue_that_needs_a_connection_does_not_stop_the_operation(gestalt: Gestalt, demo: Server) -> None:
    demo.on("GET", OPERATIONS, {"error": "no", "code": "not_connected"}, status=412)
    assert gestalt("invoke", "demo", "echo", "-p", "text=x").code == 0
    assert demo.requests[-1].body == {"text": "x"}
    listed = gestalt("invoke", "demo")
    assert listed.err.startswith('error: failed to invoke demo: plugin "demo" is not connected.')


def test_describe_shows_an_operation(gestalt: Gestalt, demo: Server) -> None:
    assert gestalt("describe", "demo", "echo").out == (
        "Operation:   echo\nMethod:      POST\nTitle:       Echo\nDescription: Says it again\n\nParameters:\n"
        "╭─────────────────────────────────────╮\n"
        "│ Name   Type     Location   Required │\n"
        "╞═════════════════════════════════════╡\n"
        "│ text   string              yes      │\n"
        "│ tags   array    body       no       │\n"
        "╰─────────────────────────────────────╯\n\nHas structured input schema: yes\n"
    )
    assert gestalt("plugin", "describe", "demo", "chat.list").out == (
        "Operation:   chat.list\n\nParameters:  (none)\n\nHas structured input schema: no\n"
    )
    assert gestalt("describe", "demo", "nope").err == (
        "error: operation 'nope' not found; available operations: echo, chat.post, chat.list\n"
    )


def test_describe_of_an_unknown_plugin_has_no_context(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", "/api/v1/integrations/nope/operations", {"error": 'integration "nope" not found'}, status=404)
    assert gestalt("describe", "nope", "x").err == 'error: integration "nope" not found\n'


# --- connections ------------------------------------------------------------------------------------------------------


def plugins(*connections: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "demo", "displayName": "Demo", "description": "A demo", "connections": list(connections)}]


MANUAL = {"name": "_plugin", "displayName": "Key", "authTypes": ["manual"], "credentialMode": "subject"}
OAUTH = {"name": "work", "displayName": "Work", "authTypes": ["oauth"], "credentialMode": "subject"}
NONE = {"name": "open", "mode": "none", "authTypes": [], "credentialMode": "none"}
PLATFORM = {"name": "shared", "authTypes": ["oauth"], "credentialMode": "platform", "status": "ready"}


def test_a_manual_connection_asks_for_its_credential(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", "/api/v1/integrations", plugins(MANUAL))
    server.on("POST", "/api/v1/auth/connect-manual", {"status": "connected"})
    result = gestalt("plugin", "connect", "demo", "--connection", "plugin", "--instance", "i", stdin="secret\n")
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith("Connecting Demo with manual auth.\nA demo\nConnection: Key\n")
    assert result.err.endswith("Connected demo.\n")
    assert server.requests[-1].body == {
        "integration": "demo", "connection": "plugin", "instance": "i", "credential": "secret",
    }  # fmt: skip


def test_several_credentials_and_parameters(gestalt: Gestalt, server: Server) -> None:
    fields = [{"name": "id", "label": "Client"}, {"name": "secret"}]
    params = {"host": {"required": True}, "region": {"default": "eu"}}
    server.on(
        "GET", "/api/v1/integrations", plugins({**MANUAL, "credentialFields": fields, "connectionParams": params})
    )
    server.on("POST", "/api/v1/auth/connect-manual", {"status": "connected"})
    assert gestalt("plugin", "connect", "demo", stdin="h.example\n\nme\npw\n").code == 0
    assert server.requests[-1].body["credentials"] == {"id": "me", "secret": "pw"}
    assert server.requests[-1].body["connectionParams"] == {"host": "h.example", "region": "eu"}
    assert "connection parameter 'host' is required" in gestalt("plugin", "connect", "demo", stdin="\n").err


def test_a_selection_is_posted_as_a_form(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", "/api/v1/integrations", plugins(MANUAL))
    server.on("POST", "/api/v1/auth/connect-manual", {
        "status": "selection_required", "selectionUrl": "/api/v1/auth/pending-connection", "pendingToken": "p t",
        "candidates": [{"id": "1", "name": "One"}, {"id": "2", "name": "Two"}],
    })  # fmt: skip
    result = gestalt("plugin", "connect", "demo", stdin="secret\n3\nx\n2\n")
    assert result.err.endswith("Connected demo (Two).\n")
    assert server.requests[-1].body == "pending_token=p+t&candidate_index=1"


def test_an_oauth_connection_opens_a_browser(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", "/api/v1/integrations", plugins(OAUTH, NONE, PLATFORM))
    server.on("POST", "/api/v1/auth/start-oauth", {"url": "https://login.example/x", "state": "s"})
    result = gestalt("plugin", "connect", "demo")  # the only one that can be connected is not asked for
    assert result.err == (
        "Opening browser to connect demo...\nIf the browser doesn't open, visit: https://login.example/x\n"
    )
    assert server.requests[-1].body == {"integration": "demo", "connection": "work"}


def test_two_connections_are_asked_for(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", "/api/v1/integrations", plugins(OAUTH, MANUAL))
    server.on("POST", "/api/v1/auth/connect-manual", {"status": "connected"})
    result = gestalt("plugin", "connect", "demo", stdin="2\nsecret\n")
    assert "Select a Demo connection:\n  1. Work\n     Auth: OAuth\n  2. Key\n     Auth: manual\n" in result.err
    assert result.code == 0
    assert "stdin closed while waiting for selection" in gestalt("plugin", "connect", "demo").err


@pytest.mark.parametrize(
    ("connections", "args", "said"),
    [
        ([NONE], [], "plugin 'demo' connection 'open' does not require a user connection"),
        ([NONE, PLATFORM], ["--connection", "open"], "'open' does not require a user connection"),
        ([NONE, PLATFORM], [], "plugin 'demo' does not expose a supported connection flow in the CLI"),
        ([], [], "plugin 'demo' does not expose a supported connection flow in the CLI"),
        ([PLATFORM], [], "managed by deployment/admin configuration and cannot be connected by a user"),
        ([{**PLATFORM, "status": "needs_admin_configuration"}], [], "requires deployment/admin configuration"),
        ([OAUTH, MANUAL], ["--connection", "x"],
         "unknown connection 'x' for plugin 'demo'; available connections: work, plugin"),
    ],
)  # fmt: skip
def test_what_a_user_cannot_connect_is_refused_without_asking(
    gestalt: Gestalt, server: Server, connections: list[Any], args: list[str], said: str
) -> None:
    server.on("GET", "/api/v1/integrations", plugins(*connections))
    result = gestalt("plugin", "connect", "demo", *args)
    assert result.code == 1
    assert said in result.err
    assert server.asked == ["GET /api/v1/integrations"]


def test_connect_of_an_unknown_plugin(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", "/api/v1/integrations", [])
    assert gestalt("plugin", "connect", "nope").err == "error: plugin 'nope' not found\n"


def test_disconnect(gestalt: Gestalt, server: Server) -> None:
    result = gestalt("plugin", "disconnect", "demo", "--connection", "plugin", "--instance", "a/b")
    assert (result.out, result.err) == ("", "Disconnected demo.\n")
    assert server.asked == ["DELETE /api/v1/integrations/demo?_connection=_plugin&_instance=a%2Fb"]
    server.on("DELETE", "/api/v1/integrations/demo", {"error": "no connection"}, status=404)
    assert gestalt("plugin", "disconnect", "demo").err == "error: failed to disconnect plugin 'demo': no connection\n"
