"""``gestalt workflow``: exact requests, tables, and what a person is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.rigs.cli import Gestalt, Server

SCHEDULES = "/api/v1/workflow/schedules"
TRIGGERS = "/api/v1/workflow/event-triggers"
RUNS = "/api/v1/workflow/runs"
TIME = "2026-05-08T21:30:00Z"

SCHEDULE = {
    "id": "s-1", "cron": "0 3 * * *", "timezone": "Europe/Paris", "provider": "other", "paused": False,
    "target": {"plugin": {"name": "alpha", "operation": "doit", "connection": "c", "input": {"a": 1}}},
    "nextRunAt": TIME, "createdAt": TIME,
}  # fmt: skip
TRIGGER = {
    "id": "t-1", "provider": " other ", "paused": True, "match": {"type": "a.b", "source": "s"},
    "target": {"plugin": {"name": "alpha", "operation": "doit"}}, "createdAt": TIME,
}  # fmt: skip
AGENT = {"id": "agent", "cron": "0 3 * * *", "match": {"type": "a"}, "target": {"agent": {"name": "helper"}}}


def rows(out: str) -> list[list[str]]:
    """Cells of a framed table, heading first."""
    lines = [line[2:-2] for line in out.splitlines() if line.startswith("│")]
    return [[part.strip() for part in line.split("   ") if part.strip()] for line in lines]


def test_a_list_shows_each_schedule_in_the_servers_order(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", SCHEDULES, [SCHEDULE, AGENT])
    assert rows(gestalt("workflow", "schedules", "list").out) == [
        ["ID", "Plugin", "Operation", "Cron", "TZ", "Paused", "Next Run", "Created"],
        ["s-1", "alpha", "doit", "0 3 * * *", "Europe/Paris", "no", TIME, TIME],
        ["agent", "-", "-", "0 3 * * *", "-", "-", "-", "-"],
    ]


def test_filters_are_exact_and_applied_here(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", SCHEDULES, [SCHEDULE])
    assert gestalt("workflows", "schedules", "list", "--plugin", "alph").out == "No results.\n"
    assert gestalt("workflow", "schedules", "list", "--plugin=alpha", "--format=json").json == [SCHEDULE]
    assert gestalt("workflow", "schedules", "list", "--plugin", "x", "--format", "json").out == "[]\n"
    assert set(server.asked) == {f"GET {SCHEDULES}"}


def test_create_sends_what_was_given_and_paused_always(gestalt: Gestalt, server: Server) -> None:
    gestalt("workflow", "schedules", "create", "--cron", "0 */5 * * *", "--timezone", "UTC", "--plugin", "dummy",
            "--operation", "doit", "-p", "channel=C1", "-ptext=hi", "-p=n:=5")  # fmt: skip
    assert server.requests[-1].body == {
        "cron": "0 */5 * * *",
        "timezone": "UTC",
        "target": {"plugin": {"name": "dummy", "operation": "doit", "input": {"channel": "C1", "text": "hi", "n": 5}}},
        "paused": False,
    }
    assert server.requests[-1].headers["content-type"] == "application/json"
    assert server.requests[-1].headers["authorization"] == "Bearer test-token"


def test_update_keeps_what_is_not_given(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", f"{SCHEDULES}/s-1", SCHEDULE)
    gestalt("workflow", "schedules", "update", "s-1", "--cron", "15 * * * *", "--paused")
    assert server.asked == [f"GET {SCHEDULES}/s-1", f"PUT {SCHEDULES}/s-1"]
    assert server.requests[-1].body == {
        "cron": "15 * * * *", "timezone": "Europe/Paris", "paused": True, "target": SCHEDULE["target"],
    }  # fmt: skip


def test_update_clears_with_empty_strings_and_flags(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", f"{SCHEDULES}/s-1", SCHEDULE)
    gestalt("workflow", "schedules", "update", "s-1", "--timezone", "", "--connection=", "--clear-input")
    assert server.requests[-1].body == {
        "cron": "0 3 * * *", "paused": False, "target": {"plugin": {"name": "alpha", "operation": "doit"}},
    }  # fmt: skip


def test_a_trigger_update_names_its_provider_and_a_schedule_update_does_not(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", f"{TRIGGERS}/t-1", TRIGGER)
    gestalt("workflow", "triggers", "update", "t-1", "--type", "c.d")
    assert server.requests[-1].body == {
        "provider": "other", "match": {"type": "c.d", "source": "s"}, "target": TRIGGER["target"], "paused": True,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["schedule", "trigger"])
def test_an_agent_target_needs_plugin_and_operation_to_be_updated(gestalt: Gestalt, server: Server, kind: str) -> None:
    path = f"{SCHEDULES if kind == 'schedule' else TRIGGERS}/agent"
    server.on("GET", path, AGENT)
    group = f"{kind}s"
    result = gestalt("workflow", group, "update", "agent")
    assert result.err == f"error: existing {kind} is missing target.plugin.name; pass --plugin\n"
    result = gestalt("workflow", group, "update", "agent", "--plugin", "p")
    assert result.err == f"error: existing {kind} is missing target.plugin.operation; pass --operation\n"
    assert set(server.asked) == {f"GET {path}"}


def test_delete_confirms_on_stderr(gestalt: Gestalt, server: Server) -> None:
    for group, path, word in (("schedules", SCHEDULES, "schedule"), ("triggers", TRIGGERS, "trigger")):
        server.on("DELETE", f"{path}/x:1", {"status": "deleted"})
        result = gestalt("workflow", group, "delete", "x:1")
        assert (result.code, result.out, result.err) == (0, "", f"Workflow {word} x:1 deleted.\n")
        assert gestalt("workflow", group, "delete", "x:1", "--format", "json").json == {"status": "deleted"}


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pause_and_resume_post_an_empty_object(gestalt: Gestalt, server: Server, verb: str) -> None:
    server.on("POST", f"{TRIGGERS}/t-1/{verb}", TRIGGER)
    assert rows(gestalt("workflow", "triggers", verb, "t-1").out)[1] == [
        "t-1", "a.b", "s", "-", "alpha", "doit", "yes", TIME,
    ]  # fmt: skip
    assert server.requests[-1].body == {}


def test_publish_sends_what_was_given_and_shows_the_event(gestalt: Gestalt, server: Server) -> None:
    server.on("POST", "/api/v1/workflow/events",
              {"status": "published", "event": {"id": "e", "type": "t", "source": "", "time": TIME}})  # fmt: skip
    result = gestalt("workflow", "events", "publish", "--type", "t", "--source", "", "--data-content-type",
                     "application/json", "-p", "id=item-1", "-e", "traceId=trace-1")  # fmt: skip
    assert server.requests[-1].body == {
        "type": "t", "source": "", "dataContentType": "application/json", "data": {"id": "item-1"},
        "extensions": {"traceId": "trace-1"},
    }  # fmt: skip
    assert rows(result.out)[1] == ["e", "t", "-", TIME]  # an empty source stays empty, a missing subject is a dash


def test_data_comes_from_standard_input_too(gestalt: Gestalt, server: Server) -> None:
    gestalt("workflow", "events", "publish", "--type", "t", "--data-file", "-", "--data", "k=v", stdin='{"k":1,"m":2}')
    assert server.requests[-1].body == {"type": "t", "data": {"k": "v", "m": 2}}


@pytest.mark.parametrize(
    ("trigger", "shown"),
    [
        ({"kind": "schedule", "scheduleId": "s-1"}, "schedule:s-1"),
        ({"kind": "event", "triggerId": "t-1"}, "event:t-1"),
        ({"kind": "event"}, "event"),
        ({"kind": "manual"}, "manual"),
        ({"kind": "new-kind"}, "new-kind"),
        ({}, "-"),
        (None, "-"),
    ],
)
def test_a_run_shows_what_fired_it(gestalt: Gestalt, server: Server, trigger: Any, shown: str) -> None:
    server.on("GET", f"{RUNS}/r", {"id": "r", "status": "failed", "trigger": trigger, "completedAt": TIME})
    assert rows(gestalt("workflow", "runs", "get", "r").out)[1] == ["r", "-", "-", "failed", shown, TIME, "-"]


def test_run_filters_combine(gestalt: Gestalt, server: Server) -> None:
    runs = [
        {"id": f"r-{plugin}-{status}", "status": status, "target": {"plugin": {"name": plugin}}}
        for plugin in ("a", "b") for status in ("failed", "succeeded")
    ]  # fmt: skip
    server.on("GET", RUNS, runs)
    result = gestalt("--format", "json", "workflow", "runs", "list", "--plugin", "b", "--status", "failed")
    assert [run["id"] for run in result.json] == ["r-b-failed"]


def test_cancel_sends_the_reason_even_an_empty_one(gestalt: Gestalt, server: Server) -> None:
    for args, body in (([], {}), (["--reason", "x"], {"reason": "x"}), (["--reason", ""], {"reason": ""})):
        assert gestalt("workflow", "runs", "cancel", "r", *args).code == 0
        assert server.requests[-1].body == body


def test_an_id_is_one_segment_of_the_path(gestalt: Gestalt, server: Server) -> None:
    gestalt("workflow", "runs", "get", "event:a/b?c d#é%41")
    assert server.asked == [f"GET {RUNS}/event:a%2Fb%3Fc%20d%23%C3%A9%2541"]


@pytest.mark.parametrize("id", ["", ".", ".."])
@pytest.mark.parametrize("command", [["schedules", "get"], ["triggers", "delete"], ["runs", "cancel"]])
def test_an_id_that_a_path_would_swallow_is_refused(
    gestalt: Gestalt, server: Server, command: list[str], id: str
) -> None:
    result = gestalt("workflow", *command, id)
    assert (result.code, result.out, server.asked) == (2, "", [])
    assert f"invalid value '{id}' for '<ID>'" in result.err


@pytest.mark.parametrize(
    ("group", "path"), [("schedules", SCHEDULES), ("triggers", TRIGGERS), ("runs", RUNS)], ids=lambda value: value
)
def test_owner_is_asked_for_and_only_on_reads(gestalt: Gestalt, server: Server, group: str, path: str) -> None:
    gestalt("workflow", group, "list", "--owner", "config")
    gestalt("workflow", group, "get", "x", "--owner", "all")
    assert server.asked == [f"GET {path}?owner=config", f"GET {path}/x?owner=all"]
    refused = gestalt("workflow", group, "list", "--owner", "me")
    assert refused.code == 2
    assert "possible values: config, all" in refused.err


def test_an_empty_list_makes_no_further_request_where_nobody_reads_it(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", SCHEDULES, [])
    server.on("GET", f"{SCHEDULES}?owner=config", [SCHEDULE])
    result = gestalt("workflow", "schedules", "list")
    assert (result.out, result.err, server.asked) == ("No results.\n", "", [f"GET {SCHEDULES}"])


def test_an_empty_list_tells_a_person_of_config_managed_ones(
    gestalt: Gestalt, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gestalt_host.cli.output._is_terminal", lambda stream: True)
    monkeypatch.setenv("NO_COLOR", "1")
    server.on("GET", SCHEDULES, [])
    server.on("GET", f"{SCHEDULES}?owner=config", [SCHEDULE])
    result = gestalt("workflow", "schedules", "list")
    assert result.out == "No results.\n"
    assert result.err == (
        "None of your own; 1 config-managed schedule not shown. List with --owner config, or --owner all.\n"
    )
    assert gestalt("workflow", "schedules", "list", "--plugin", "other").err == ""  # none of them would be listed
    server.on("GET", f"{SCHEDULES}?owner=config", {"error": "no"}, status=403)
    assert gestalt("workflow", "schedules", "list").err == ""


CONTEXTS = [
    (["schedules", "list"], "failed to list workflow schedules"),
    (["schedules", "get", "x"], "failed to get workflow schedule x"),
    (["schedules", "create", "--cron=c", "--plugin=p", "--operation=o"], "failed to create workflow schedule"),
    (["schedules", "update", "x"], "failed to load workflow schedule x"),
    (["schedules", "delete", "x"], "failed to delete workflow schedule x"),
    (["schedules", "pause", "x"], "failed to pause workflow schedule x"),
    (["schedules", "resume", "x"], "failed to resume workflow schedule x"),
    (["triggers", "list"], "failed to list workflow triggers"),
    (["triggers", "get", "x"], "failed to get workflow trigger x"),
    (["triggers", "create", "--type=t", "--plugin=p", "--operation=o"], "failed to create workflow trigger"),
    (["triggers", "update", "x"], "failed to load workflow trigger x"),
    (["triggers", "delete", "x"], "failed to delete workflow trigger x"),
    (["triggers", "pause", "x"], "failed to pause workflow trigger x"),
    (["triggers", "resume", "x"], "failed to resume workflow trigger x"),
    (["runs", "list"], "failed to list workflow runs"),
    (["runs", "get", "x"], "failed to get workflow run x"),
    (["runs", "cancel", "x"], "failed to cancel workflow run x"),
    (["events", "publish", "--type=t"], "failed to publish workflow event"),
]


@pytest.mark.parametrize(("command", "context"), CONTEXTS, ids=lambda value: value if isinstance(value, str) else None)
def test_every_command_says_what_failed_and_the_servers_reason(
    gestalt: Gestalt, server: Server, monkeypatch: pytest.MonkeyPatch, command: list[str], context: str
) -> None:
    class Refusing(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            from tests.support.rigs.cli import Answer

            return Answer({"error": 'workflow run "x" not found'}, status=404)

    server.answers = Refusing()
    result = gestalt("workflow", *command)
    assert (result.code, result.out) == (1, "")
    assert result.err == f'error: {context}: workflow run "x" not found\n'


def test_json_output_is_sorted_and_passed_through(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", f"{RUNS}/r", text='{"z":1.0,"a":{"é":[],"b":{}},"n":18446744073709551615,"e":1e21,"f":1e-7}')
    assert gestalt("--format", "json", "workflow", "runs", "get", "r").out == (
        '{\n  "a": {\n    "b": {},\n    "é": []\n  },\n  "e": 1e+21,\n  "f": 1e-7,\n'
        '  "n": 18446744073709551615,\n  "z": 1.0\n}\n'
    )


def test_an_answer_that_is_no_list_passes_through(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", RUNS, {"runs": []})
    assert gestalt("workflow", "runs", "list").out == "No results.\n"
    assert json.loads(gestalt("workflow", "runs", "list", "--format", "json").out) == {"runs": []}
