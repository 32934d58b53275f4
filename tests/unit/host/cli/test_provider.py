"""``gestalt provider``: which providers the server runs, as a table that fits, as JSON, and one of them whole."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rigs.cli import Gestalt, Server, on_a_terminal

PROVIDERS = "/api/v1/providers"
SINCE = "2026-05-08T21:30:00.482113Z"
CRM: dict[str, Any] = {
    "kind": "plugin", "name": "crm", "displayName": "CRM", "package": "a.org/b/c/crm", "version": "1.2.3",
    "source": "https://a.org/provider-release.yaml", "digest": "ab" * 32, "runtime": "executable", "state": "ready",
    "since": SINCE, "restarts": 2, "pid": 4711, "memoryBytes": 54689792,
    "lastError": {"text": "it did not answer", "at": SINCE}, "capabilities": ["a.b", "c.d"],
    "notices": ["runs wait", "a socket is gone"], "future": {"x": 1},
}  # fmt: skip
SILENT = {
    "kind": "workflow", "name": "main", "runtime": "executable", "state": "silent", "since": SINCE, "restarts": 0,
    "reason": "it has not answered for 7 s and is started again in 23 s", "pid": 12,
}  # fmt: skip
STORE = {
    "kind": "indexeddb", "name": "main", "runtime": "executable", "state": "restarting", "since": SINCE, "restarts": 1,
    "processes": [
        {"binding": "crm", "state": "ready", "since": SINCE, "restarts": 0, "pid": 13},
        {"binding": "wf", "state": "restarting", "since": SINCE, "restarts": 1, "reason": "it has ended"},
    ],
}  # fmt: skip
ALL = [STORE, CRM, SILENT]
KEPT = ("Name", "Kind", "State", "Since", "Restarts")


@pytest.fixture
def providers(server: Server) -> Server:
    server.on("GET", PROVIDERS, ALL)
    return server


def facts(out: str) -> list[tuple[str, str]]:
    """Rows of a framed table of two columns."""
    lines = [line[2:-2].split("   ", 1) for line in out.splitlines() if line.startswith("│")]
    return [(title.strip(), value.strip()) for title, value in lines][1:]


def test_the_list_shows_each_provider_in_the_servers_order(gestalt: Gestalt, providers: Server) -> None:
    outs = {gestalt(alias, "list").out for alias in ("provider", "providers")}
    assert len(outs) == 1
    lines = [line.split() for line in outs.pop().splitlines() if line.startswith("│")]
    assert [line[1:9] for line in lines] == [
        [*KEPT, "Version", "PID", "Reason"],
        ["main", "indexeddb", "restarting", "2026-05-08T21:30:00Z", "1", "-", "-", "-"],
        ["crm", "plugin", "ready", "2026-05-08T21:30:00Z", "2", "1.2.3", "4711", "-"],
        ["main", "workflow", "silent", "2026-05-08T21:30:00Z", "0", "-", "12", "it"],
    ]


@pytest.mark.parametrize("columns", [80, 72, 40])
def test_a_terminal_always_gets_name_kind_state_since_and_restarts(providers: Server, columns: int) -> None:
    code, out = on_a_terminal(providers, columns, "provider", "list")
    assert code == 0
    assert all(title in out.splitlines()[0] for title in KEPT)
    for report in ALL:
        row = next(line for line in out.splitlines() if f" {report['kind']} " in line)
        for shown in (report["name"], report["state"], "2026-05-08T21:30:00Z", f"  {report['restarts']}"):
            assert shown in row
    if columns == 80:
        assert max(map(len, out.splitlines())) <= 80
        assert "Reason" in out


def test_the_filters_are_the_servers(gestalt: Gestalt, providers: Server) -> None:
    assert gestalt("provider", "list", "--kind", "plugin", "--format", "json").json == ALL
    assert gestalt("provider", "list", "--state=silent", "--kind=workflow").code == 0
    assert providers.asked == [f"GET {PROVIDERS}?kind=plugin", f"GET {PROVIDERS}?kind=workflow&state=silent"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("list --kind plugins", "invalid value 'plugins' for '--kind <KIND>': possible values: plugin, |'plugin'"),
        ("list --state redy", "invalid value 'redy' for '--state <STATE>': possible values: starting, ready,|'ready'"),
        ("list extra", "unexpected argument 'extra' found"),
        ("get", "required arguments were not provided:|<NAME>"),
        ("get /x", "invalid value '/x' for '<NAME>': expected NAME or KIND/NAME"),
        ("get plugin/", "invalid value 'plugin/' for '<NAME>': expected NAME or KIND/NAME"),
        ("get plugin/a/b", "invalid value 'plugin/a/b' for '<NAME>': expected NAME or KIND/NAME"),
        ("lst", "unrecognized subcommand 'lst'|'list'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    gestalt: Gestalt, server: Server, arguments: str, said: str
) -> None:
    result = gestalt("provider", *arguments.split())
    assert (result.code, result.out, server.asked) == (2, "", [])
    for part in said.split("|"):
        assert part in result.err


def test_one_is_shown_with_all_that_is_known(gestalt: Gestalt, providers: Server) -> None:
    assert facts(gestalt("provider", "get", "crm").out) == [
        ("Name", "crm"),
        ("Kind", "plugin"),
        ("State", "ready"),
        ("Since", "2026-05-08T21:30:00Z"),
        ("Restarts", "2"),
        ("Last error", "2026-05-08T21:30:00Z  it did not answer"),
        ("Notice", "runs wait"),
        ("Notice", "a socket is gone"),
        ("Display name", "CRM"),
        ("Version", "1.2.3"),
        ("Package", "a.org/b/c/crm"),
        ("Source", "https://a.org/provider-release.yaml"),
        ("Digest", "ab" * 32),
        ("Runtime", "executable"),
        ("PID", "4711"),
        ("Memory", "52.2 MiB"),
        ("Capabilities", "a.b, c.d"),
        ("future", '{"x":1}'),
    ]
    assert gestalt("provider", "get", "crm", "--format", "json").json == CRM


def test_the_processes_of_one_are_shown_each_in_a_line(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", f"{PROVIDERS}/indexeddb/main", STORE)
    result = gestalt("provider", "get", "indexeddb/main")
    assert server.asked == [f"GET {PROVIDERS}/indexeddb/main"]
    assert facts(result.out)[-2:] == [
        ("Process", "crm: ready since 2026-05-08T21:30:00Z, PID 13, restarts 0"),
        ("Process", "wf: restarting since 2026-05-08T21:30:00Z, restarts 1: it has ended"),
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("main", "several providers have this name: indexeddb/main and workflow/main"),
        ("crn", "no provider has this name; a similar one exists: 'crm'"),
        ("zzz", "no provider has this name; all of them: gestalt provider list"),
    ],
)
def test_a_name_that_does_not_lead_to_one_is_an_error_that_says_what_does(
    gestalt: Gestalt, providers: Server, name: str, said: str
) -> None:
    for form in ("table", "json"):
        result = gestalt("provider", "get", name, "--format", form)
        assert (result.code, result.out, result.err) == (1, "", f"error: failed to get provider {name}: {said}\n")


def test_the_servers_words_about_one_that_is_not_there_are_shown(gestalt: Gestalt, server: Server) -> None:
    text = 'plugin provider "x" is not configured; configured: crm'
    server.on("GET", f"{PROVIDERS}/plugin/x", {"error": text}, status=404)
    result = gestalt("provider", "get", "plugin/x")
    assert (result.code, result.err) == (1, f"error: failed to get provider plugin/x: {text}\n")
    server.on("GET", PROVIDERS, {"error": "denied"}, status=403)
    assert gestalt("provider", "list").err == "error: failed to list providers: denied\n"


def test_a_list_without_providers_and_odd_answers_are_borne(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", PROVIDERS, [])
    assert gestalt("provider", "list").out == "No results.\n"
    assert gestalt("provider", "list", "--format", "json").out == "[]\n"
    server.on("GET", PROVIDERS, [{}, {"name": 5, "restarts": "x", "since": None, "processes": 3, "lastError": 4}])
    assert gestalt("provider", "list").code == 0
    server.on("GET", f"{PROVIDERS}/plugin/odd", {"processes": 3, "lastError": 4, "capabilities": 5, "memoryBytes": "x"})
    assert gestalt("provider", "get", "plugin/odd").code == 0
    server.on("GET", f"{PROVIDERS}/plugin/odd", [])
    assert gestalt("provider", "get", "plugin/odd").out == "No results.\n"


def test_five_hundred_are_listed(gestalt: Gestalt, server: Server) -> None:
    server.on("GET", PROVIDERS, [{**CRM, "name": f"p{number:03}"} for number in range(500)])
    out = gestalt("provider", "list").out
    assert len([line for line in out.splitlines() if line.startswith("│ p")]) == 500
