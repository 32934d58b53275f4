"""`gestaltd provider sockets|logs|call|token` on real hosts: what a person sees, and what becomes of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from gestalt_host.supervisor.about import read_abouts
from gestalt_host.supervisor.directories import base_directories, directories_in
from tests.support.rigs.gestaltd import Gestaltd, alive, quickstart
from tests.support.waiting import until

PROGRAM = (sys.executable, "-m", "gestalt_host.daemon", "provider")
WITHIN_S = 60
NOISY = 'plugins: {{slack: {{env: {{PYTHONPROFILEIMPORTTIME: "1"}}}}{}}}'
"""Python writes a line for each module that it imports."""


WITHOUT_CODE = """
kind: plugin
source: example.com/acme/plugins/by-table
version: 1.0.0
spec:
  surfaces: {rest: {baseUrl: "http://127.0.0.1:9", operations: [{name: look, method: GET, path: /}]}}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    folder = tmp_path_factory.mktemp("by-hand")
    manifest = tmp_path_factory.mktemp("by-table") / "manifest.yaml"
    manifest.write_text(WITHOUT_CODE)
    with quickstart(folder, NOISY.format(f", by-table: {{source: {{path: {manifest}}}}}")) as running:
        yield running


def command(host: Gestaltd, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command about that host to its end."""
    return subprocess.run(
        [*PROGRAM, *words, "--host", str(host.port)],
        input=typed,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def done(host: Gestaltd, *words: str, typed: str = "") -> str:
    """Run a command that has to succeed; return what it printed."""
    ended = command(host, *words, typed=typed)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def refused(host: Gestaltd, *words: str) -> str:
    """Run a command that has to fail; return the one message on stderr."""
    ended = command(host, *words)
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stderr
    return ended.stderr


def directories_of(pid: int) -> list[Path]:
    """Return the directories of a host's sockets by what is written in them, whether it runs or not."""
    found = []
    for directory in directories_in(base_directories()):
        try:
            if (directory / "owner").read_text().split()[0] == str(pid):
                found.append(directory)
        except (OSError, IndexError):
            continue
    return found


def test_the_sockets_of_every_provider_are_listed_with_what_they_serve(host: Gestaltd) -> None:
    (listed,) = json.loads(done(host, "sockets", "--json"))
    assert (listed["url"], listed["pid"]) == (host.url, host.pid)
    assert listed["config"] == [str(path) for path in host.configs]
    by_provider: dict[str, set[str]] = {}
    for socket in listed["sockets"]:
        assert Path(socket["path"]).is_socket()
        name = f"{socket['kind']}/{socket['provider']}"
        by_provider.setdefault(name, set()).update(socket["services"])
        if socket["variable"] == "GESTALT_INDEXEDDB_SOCKET":
            assert socket["usedBy"], socket
    assert "gestalt.provider.v1.IntegrationProvider" in by_provider["plugin/slack"]
    assert "gestalt.provider.v1.WorkflowManagerHost" in by_provider["plugin/slack"]
    assert {"gestalt.provider.v1.WorkflowProvider", "gestalt.provider.v1.WorkflowHost"} <= by_provider["workflow/local"]
    assert "gestalt.extension.v1.IndexedDBScopes" in by_provider["indexeddb/workflow_state"]
    assert "gestalt.extension.v1.HostControl" in by_provider["host/host"]
    # Every socket that a child was told of is there.
    told = {str(path) for child in host.children() for path in child.sockets.values()}
    assert told <= {socket["path"] for socket in listed["sockets"]}


def test_the_list_shows_each_service_with_its_socket_below_its_provider_and_host(host: Gestaltd) -> None:
    lines = done(host, "sockets").splitlines()
    assert lines[0] == f"{host.url} (pid {host.pid}, {', '.join(map(str, host.configs))})"
    below: dict[str, list[list[str]]] = {}
    heading = ""
    for line in lines[1:]:
        if line.startswith("    "):
            below[heading].append(line.split())
        else:
            heading = line.strip()
            below[heading] = []
    for provider, service, path in (
        ("host", "HostControl", rf"gstp-{host.port}-host-\w+/control\.sock"),
        ("plugin/slack", "IntegrationProvider", rf"gstp-{host.port}-plugin-slack-\w+/plugin\.sock"),
        ("plugin/slack", "WorkflowManagerHost", rf"gstp-{host.port}-plugin-slack-\w+/host-0\.sock"),
        ("indexeddb/workflow_state", "IndexedDBScopes", rf"gstp-{host.port}-indexeddb-workflow_state-\w+/plugin\.sock"),
        (
            "indexeddb/workflow_state for workflow/local",
            "IndexedDB",
            rf"gstp-{host.port}-indexeddb-workflow_state-\w+/scope-\d\.sock",
        ),
    ):
        (found,) = [socket for name, socket in below[provider] if name == service]
        assert re.search(f"/{path}$", found), found
        assert Path(found).is_socket()
    # A usual path of a store's part has 62 characters, and a terminal often 100 columns.
    assert max(line.index("/") for line in lines[1:] if line.startswith("    ")) <= 100 - 62
    assert host.url not in "".join(lines[1:])
    assert "grpc." not in "".join(lines)
    one = done(host, "sockets", "workflow/local")
    assert one.splitlines()[:2] == [lines[0], "  workflow/local"]
    assert "scope-" in one
    assert "slack" not in one


def test_the_directories_and_sockets_are_of_this_user_alone(host: Gestaltd) -> None:
    found = directories_of(host.pid)
    assert {path.name.rpartition("-")[0].partition("-")[2] for path in found} >= {f"{host.port}-host"}
    for directory in found:
        assert directory.stat().st_mode & 0o777 == 0o700
        assert all(path.stat().st_mode & 0o077 == 0 for path in directory.glob("*.sock")), directory
        assert (directory / "about.json").stat().st_mode & 0o777 == 0o600


def test_two_hosts_are_told_apart_and_a_killed_one_is_not_listed(host: Gestaltd, tmp_path: Path) -> None:
    with quickstart(tmp_path) as other:
        ended = subprocess.run([*PROGRAM, "sockets"], capture_output=True, text=True, timeout=WITHIN_S, check=True)
        for one in (host, other):
            assert f"{one.url} (pid {one.pid}, " in ended.stdout
        ambiguous = subprocess.run(
            [*PROGRAM, "call", "slack", "IntegrationProvider/GetMetadata"],
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert ambiguous.returncode == 1
        assert "several running hosts have plugin/slack; --host says which:" in ambiguous.stderr
        assert other.url in ambiguous.stderr
        assert other.url not in done(host, "sockets")
        children, pid = other.children(), other.pid
        other.kill()
        assert pid not in {about.host.pid for about in read_abouts(directories_in(base_directories()))}
        assert 'no running host is "' in refused(other, "sockets")
        until(lambda: not any(alive(child.pid) for child in children))
        assert directories_of(pid)
        other.start()
        assert not directories_of(pid)  # swept
        second = other.pid
        assert directories_of(second)
        other.stop()
        assert not directories_of(second)


def test_an_operation_is_called_by_hand(host: Gestaltd) -> None:
    typed = '{"operation": "chat.postMessage", "params": {"text": "by hand", "channel": "#x"}}'
    answer = json.loads(done(host, "call", "slack", "IntegrationProvider/Execute", "-d", typed))
    assert answer["status"] == 200
    answer = json.loads(done(host, "call", "slack", "IntegrationProvider.Execute", "-d", "@", typed=typed))
    assert answer["status"] == 200


def test_an_event_is_published_as_a_plugin_would(host: Gestaltd) -> None:
    event = {"type": "by.hand", "source": "a-person", "data": {"n": 1}}
    ended = command(host, "call", "roadmap", "WorkflowManagerHost/PublishEvent", "-d", json.dumps({"event": event}))
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["type"] == "by.hand"
    assert ended.stderr == "invocation_token was empty and is filled with one of the host's, which logs it\n"
    until(lambda: "token.issued" in host.log)
    token = done(host, "token", "roadmap").strip()
    with_token = json.dumps({"event": event, "invocationToken": token})
    ended = command(host, "call", "roadmap", "WorkflowManagerHost/PublishEvent", "-d", with_token)
    assert (ended.returncode, ended.stderr) == (0, "")
    wrong = command(host, "call", "slack", "WorkflowManagerHost/PublishEvent", "-d", with_token)
    assert wrong.returncode == 1
    assert "WorkflowManagerHost/PublishEvent: FAILED_PRECONDITION: " in wrong.stderr
    assert '"reason": "INVOCATION_TOKEN_INVALID"' in wrong.stderr
    assert "workflow/local is no plugin" in refused(host, "token", "local")
    assert "the log of a host is its own standard error" in refused(host, "logs", "host")
    assert "plugin/by-table has no host services: it is declarative" in refused(host, "token", "by-table")
    assert "plugin/by-table has no socket: it is declarative" in refused(host, "sockets", "by-table")


def test_without_a_symbol_the_services_of_each_socket_are_described(host: Gestaltd) -> None:
    lines = done(host, "describe", "slack").splitlines()
    assert lines[0].endswith("/plugin.sock")
    own = lines[1 : next(place for place, line in enumerate(lines) if place and line.startswith("/"))]
    assert "  gestalt.provider.v1.IntegrationProvider" in own
    assert "  grpc.reflection.v1.ServerReflection" in own
    assert len([line for line in lines if line.startswith("/")]) == len(
        json.loads(done(host, "sockets", "slack", "--json"))[0]["sockets"]
    )


def test_a_cursor_is_paged_through(host: Gestaltd) -> None:
    calling = subprocess.Popen(
        [*PROGRAM, "call", "local", "IndexedDB/OpenCursor", "-d", "@", "--host", str(host.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    with calling:
        assert calling.stdin is not None
        assert calling.stdout is not None
        calling.stdin.write('{"open": {"store": "wf_schedules", "keysOnly": true}}\n')
        calling.stdin.flush()
        first = json.loads(value_of(calling.stdout))
        assert first == {"done": False}
        calling.stdin.write('{"command": {"next": true}}\n')
        calling.stdin.flush()
        assert "entry" in json.loads(value_of(calling.stdout))
        calling.stdin.write('{"command": {"close": true}}\n')
        calling.stdin.close()
        assert calling.wait(WITHIN_S) == 0


def value_of(stream: IO[str]) -> str:
    """Read one JSON object of several lines."""
    lines = [stream.readline()]
    while lines[-1] and lines[-1] != "}\n":
        lines.append(stream.readline())
    return "".join(lines)


def test_what_cannot_be_called_says_what_can(host: Gestaltd) -> None:
    assert "there are" in refused(host, "call", "slcak", "IntegrationProvider/Execute")
    assert "did you mean slack?" in refused(host, "call", "slcak", "IntegrationProvider/Execute")
    assert "has no service WorkflowHost" in refused(host, "call", "slack", "WorkflowHost/InvokeOperation")
    wrong = refused(host, "call", "slack", "IntegrationProvider/Execute", "-d", '{"operation": 3}')
    assert wrong.startswith("gestaltd: line 1 of the message does not fit: Failed to parse operation field")
    assert "usage: gestaltd provider call NAME SERVICE/METHOD" in refused(host, "call", "slack")


def test_what_a_provider_that_hangs_is_asked_is_answered_by_nobody_else(host: Gestaltd) -> None:
    pid = next(child.pid for child in host.children() if child.name == "search")
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = refused(host, "call", "search", "Health/Check", "--timeout", "1")
        assert answer.startswith("gestaltd: Health/Check: DEADLINE_EXCEEDED")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert json.loads(done(host, "call", "search", "Health/Check")) == {"status": "SERVING"}


def test_a_timeout_that_is_no_time_is_refused(host: Gestaltd) -> None:
    for text in ("0", "-1", "nan", "inf", "1e12", "soon"):
        answer = refused(host, "call", "slack", "Health/Check", "--timeout", text)
        assert f'--timeout is "{text}"; it takes a number of seconds above 0' in answer


def followed(host: Gestaltd, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "logs", *words, "-f", "--host", str(host.port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def line_with(stream: IO[str], texts: Sequence[str]) -> str:
    """Read until a line has all the texts; the test's own time limit ends it otherwise."""
    for line in stream:
        if all(text in line for text in texts):
            return line
    raise AssertionError(f"no line with {texts}")


@pytest.mark.timeout(180)
def test_a_log_is_followed_across_restarts_until_the_host_ends(tmp_path: Path) -> None:
    with quickstart(tmp_path) as host:
        first = next(child.pid for child in host.children() if child.name == "slack")
        following = followed(host, "plugin/slack", "-n", "all")
        with following:
            assert following.stdout is not None
            assert following.stderr is not None
            line_with(following.stdout, [f"-- process {first} was started --"])
            os.kill(first, signal.SIGKILL)
            line_with(following.stdout, [f"-- process {first} ended (signal SIGKILL) --"])
            started = line_with(following.stdout, ["-- process ", " was started --"])
            second = int(started.split("process ")[1].split()[0])
            assert second != first
            host.signal(signal.SIGTERM)
            line_with(following.stdout, [f"-- process {second} ended ("])
            assert following.wait(WITHIN_S) == 1
            assert 'plugin "slack" writes no more: it was stopped' in following.stderr.read()
        assert host.wait() == 0


def test_the_end_of_a_killed_host_ends_who_follows(tmp_path: Path) -> None:
    with quickstart(tmp_path) as host:
        following = followed(host, "slack", "-n", "1")
        with following:
            assert following.stdout is not None
            assert following.stderr is not None
            following.stdout.readline()
            host.kill()
            assert following.wait(WITHIN_S) == 1
            assert f"the host {host.url} (pid {host.pid}, " in following.stderr.read()


def test_ctrl_c_ends_who_follows_quietly(host: Gestaltd) -> None:
    following = followed(host, "roadmap")
    with following:
        assert following.stdout is not None
        assert following.stderr is not None
        following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait(WITHIN_S) == 130
        assert following.stderr.read() == ""


def test_lines_are_shown_with_time_process_and_stream_or_raw(host: Gestaltd) -> None:
    pid = next(child.pid for child in host.children() if child.name == "slack")
    shown = done(host, "logs", "slack", "-n", "all").splitlines()
    texts = [line.partition(f"  {pid}  stderr  ")[2] for line in shown if "  stderr  " in line]
    assert len(texts) > 100
    assert all(text.startswith("import time: ") for text in texts)
    assert done(host, "logs", "slack", "-n", "all", "--raw").splitlines() == texts
    assert done(host, "logs", "slack", "-n", "2").splitlines() == shown[-2:]
    assert '-n is "x"; it takes a number, or all' in refused(host, "logs", "local", "-n", "x")
