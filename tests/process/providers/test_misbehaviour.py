"""Each way in which a provider's process can misbehave, for every kind: named, ended, started again, no burden.

The kinds stand for the three things that a host does with a provider: a plugin that fails leaves the rest alone, a
workflow provider or store that fails at the first start ends the host (contract.md 1.3), and each is started again
when it fails later.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.nightly import NIGHTLY
from tests.support.rigs.gestaltd import alive
from tests.support.rigs.misbehaving import Misbehaving, called_all_the_time, misbehaving, new_misbehaving
from tests.support.waiting import until

KINDS = ("plugin", "workflow", "indexeddb")
QUICK_START = "6s"
"""Time for a start that is to fail: some need all of it."""
SOME_START = "25s"
"""Time for a start that is to succeed in the end."""
VERSION = "provider responded with protocol version 2, host requires 3"
REFUSED = "it refused to start with its configuration"


@dataclass(frozen=True)
class Start:
    """A misbehaviour at the start.

    Attributes:
        told: In the error that the operator reads, after kind and name.
        reason: For callers of a plugin; the same as ``told`` where it is blank.
        takes_time: Whether all of the time for a start goes by.
        kinds: Those that can misbehave so: nobody asks a plugin what it is.
    """

    name: str
    told: str
    reason: str = ""
    takes_time: bool = False
    kinds: tuple[str, ...] = KINDS


ASKED = ("workflow", "indexeddb")
STARTS = (
    Start("never_listens", "did not serve gRPC within 6 s", takes_time=True),
    Start("listens_on_a_directory", "did not serve gRPC within 6 s", takes_time=True),
    Start("serves_a_link", "did not serve gRPC within 6 s", takes_time=True),
    Start("never_accepts", "did not serve gRPC within 6 s", takes_time=True),
    Start("answers_garbage", "did not serve gRPC within 6 s", takes_time=True),
    Start("hangs_in_configure", "was served, but not configured, within 6 s", takes_time=True),
    Start("exits_at_once", "plugin process exited before serving gRPC (exit status 3)", "(exit status 3)"),
    Start("exits_as_if_done", "plugin process exited before serving gRPC (exit status 0)", "(exit status 0)"),
    Start("is_killed_while_configuring", "plugin process exited before serving gRPC (signal SIGKILL)", "SIGKILL"),
    Start("refuses_its_configuration", "hunter2 is no good password", REFUSED),
    Start("answers_with_another_version", VERSION),
    Start("is_of_another_kind", "provider kind mismatch: got cache, want ", kinds=ASKED),
    Start("is_of_an_unknown_kind", "provider kind mismatch: got 99, want ", kinds=ASKED),
    Start("speaks_later_versions_only", "speaks protocol versions 4 to 3, host requires 3", kinds=ASKED),
    Start("speaks_earlier_versions_only", "speaks protocol versions 3 to 2, host requires 3", kinds=ASKED),
)
EVERY_RUN = {("never_listens", "workflow"), ("hangs_in_configure", "indexeddb"), ("answers_garbage", "workflow")}
"""Of those that take time; all of them run at night."""


def table_of(kinds: tuple[str, ...]) -> list[Any]:
    return [
        pytest.param(
            start,
            kind,
            id=f"{kind}-{start.name}",
            marks=[pytest.mark.nightly] if start.takes_time and (start.name, kind) not in EVERY_RUN else [],
        )
        for start in STARTS
        for kind in start.kinds
        if kind in kinds
    ]


def nothing_left(rig: Misbehaving) -> None:
    until(lambda: not rig.left(), within_s=30, what=lambda: str(rig.left()))


@pytest.mark.parametrize(("start", "kind"), table_of(("workflow", "indexeddb")))
def test_a_first_start_that_fails_ends_the_host(tmp_path: Path, start: Start, kind: str) -> None:
    rig = new_misbehaving(tmp_path, kind, startTimeout=QUICK_START if start.takes_time else SOME_START)
    rig.choose(start.name)
    try:
        rig.host.launch()
        assert rig.host.wait(60) == 1, rig.host.log[-2000:]
    finally:
        rig.host.stop()
    last = rig.host.log.splitlines()[-1]
    assert last.startswith(f'gestaltd: {kind} "{rig.name}": '), last
    assert start.told in last
    assert not rig.events("provider.restarting")
    nothing_left(rig)


@pytest.mark.parametrize("start", [start for start in STARTS if "plugin" in start.kinds], ids=lambda start: start.name)
def test_a_first_start_of_a_plugin_that_fails_leaves_the_rest_alone(tmp_path: Path, start: Start) -> None:
    if start.takes_time and start.name != "never_accepts" and not NIGHTLY:
        pytest.skip("takes all the time of a start: at night")
    time_s = QUICK_START if start.takes_time else SOME_START
    rig = new_misbehaving(tmp_path, "plugin", startTimeout=time_s, slowStartAfter="1s")
    rig.choose(start.name)
    try:
        rig.host.start()
        why = start.reason or start.told
        until(lambda: rig.host.post("/roadmap/noop", {}).status_code == 200, within_s=60)
        with called_all_the_time(rig.host) as answers:
            until(lambda: why in rig.readiness()[1], within_s=60, what=lambda: str(rig.readiness()))
            until(lambda: answers, within_s=30)
        assert set(answers) == {200}
        code, text = rig.readiness()
        assert (code, "plugin odd: it could not be started: " in text) == (200, True), text
        assert "hunter2" not in text
        answer = rig.host.post("/odd/pid", {})
        assert answer.status_code == 503
        assert 'integration "odd" is not available: it could not be started' in answer.json()["error"]
        assert start.told in rig.events("plugin.failed")[0]["error"]
        # It is final: nobody tries again.
        assert not rig.events("provider.restarting")
        assert rig.metric("gestalt_provider_up") == 0
        assert rig.listed()["state"] == "failed"
        assert why in rig.listed()["reason"]
        assert rig.host.post("/roadmap/noop", {}).status_code == 200
        until(lambda: not rig.of_provider(), within_s=30, what=lambda: str(rig.of_provider()))
        assert not rig.zombies()
    finally:
        rig.host.stop()
    nothing_left(rig)


PATHS = {
    "plugin": ("/odd/pid", {}),
    "workflow": ("/workflow/events", {"type": "go", "source": "test"}),
    "indexeddb": ("/workflow/events", {"type": "go", "source": "test"}),
}


@contextmanager
def meanwhile(rig: Misbehaving, path: str) -> Iterator[Future[httpx.Response]]:
    """A request that is under way."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(httpx.post, f"{rig.host.url}/api/v1{path}", json={}, timeout=120)


def restarts_with_growing_waits(rig: Misbehaving, count: int) -> None:
    """Wait until the log has as many; each is drawn between half of a wait that doubles and all of it."""
    until(lambda: len(rig.events("provider.restarting")) >= count, within_s=120, what=lambda: rig.host.log[-2000:])
    waits = [line["wait_s"] for line in rig.events("provider.restarting")]
    for number, wait_s in enumerate(waits):
        assert 0.05 * 2**number <= wait_s + 0.001, waits
        assert wait_s - 0.001 <= min(0.1 * 2**number, 30), waits


LATER = {
    "exits_at_once": KINDS,
    "is_killed_while_configuring": KINDS,
    "refuses_its_configuration": KINDS,
    "never_listens": KINDS,
    "listens_on_a_directory": KINDS,
    "never_accepts": KINDS,
    "answers_garbage": KINDS,
    "hangs_in_configure": KINDS,
    "answers_with_another_version": KINDS,
    "is_of_another_kind": ASKED,
}
"""To the kinds that can misbehave so."""
LATER_EVERY_RUN = {
    ("exits_at_once", "plugin"),
    ("exits_at_once", "indexeddb"),
    ("listens_on_a_directory", "plugin"),
    ("answers_with_another_version", "workflow"),
}


@pytest.mark.parametrize(
    ("misbehaviour", "kind"),
    [
        pytest.param(
            what, kind, id=f"{kind}-{what}", marks=[] if (what, kind) in LATER_EVERY_RUN else [pytest.mark.nightly]
        )
        for what, kinds in LATER.items()
        for kind in kinds
    ],
)
def test_a_later_start_that_fails_is_tried_again_with_growing_waits(
    tmp_path: Path, misbehaviour: str, kind: str
) -> None:
    quick = misbehaviour.startswith(("exits", "answers_with", "is_", "refuses"))
    with misbehaving(tmp_path, kind, startTimeout=SOME_START if quick else "10s") as rig:
        path, body = PATHS[kind]
        assert rig.host.post(path, body).is_success
        rig.choose(misbehaviour)
        with called_all_the_time(rig.host) as answers:
            os.kill(rig.pid(), signal.SIGKILL)
            restarts_with_growing_waits(rig, 5 if quick else 2)
            code, text = rig.readiness()
            assert f"{rig.name}: it has ended and " in text, text
            assert code == (200 if kind == "plugin" else 503)
            listed = rig.listed()
            assert listed["state"] == "restarting"
            assert listed["reason"].startswith("it has ended and ")
            assert "hunter2" not in f"{text} {listed}"
            if quick:
                assert "it has failed" in text
                assert "times in a row" in text
            answer = rig.host.post(path, body)
            assert answer.status_code == 503, answer.text
            if quick:
                store = 'workflow provider "local" is not available: its store "main" is not available: it has ended'
                assert (store if kind == "indexeddb" else "is not available: it has ended") in answer.json()["error"]
            assert rig.metric("gestalt_provider_up") == 0
            rig.choose("")
            rig.ready()
            assert rig.host.post(path, body).is_success
        assert set(answers) == {200}
        assert not rig.zombies()
        listed = rig.listed()
        assert (listed["state"], listed["pid"]) == ("ready", rig.pid())
        assert listed["lastError"]["text"].startswith("it could not be started: ")
        restarts = rig.metric("gestalt_provider_restarts_total")
        assert restarts == len(rig.events("provider.restarting"))
        assert len(rig.of_provider()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_exits_while_it_is_called_is_started_again(tmp_path: Path, kind: str) -> None:
    with misbehaving(tmp_path, kind) as rig, called_all_the_time(rig.host) as answers:
        before = rig.pid()
        if kind == "plugin":
            with meanwhile(rig, "/odd/wait") as waiting:
                until(lambda: (tmp_path / "waiting").exists(), within_s=30, what=lambda: "the operation to run")
                rig.choose("exits_later")
                answer = waiting.result(60)
            assert (answer.status_code, answer.json()["error"]) == (502, "integration unavailable"), answer.text
        else:
            rig.choose("exits_later")
        until(lambda: rig.events("provider.down"), within_s=60, what=lambda: rig.host.log[-2000:])
        rig.choose("")
        assert rig.events("provider.down")[0]["reason"] == "process ended (exit status 4)"
        rig.ready()
        path, body = PATHS[kind]
        assert rig.host.post(path, body).is_success
        assert rig.pid() not in (0, before)
        assert set(answers) == {200}


IN_FLIGHT = {
    "plugin": {"name": "odd", "operation": "wait"},
    "workflow": {"name": "roadmap", "operation": "noop", "input": {"sleep": 600_000}},
    "indexeddb": {"name": "roadmap", "operation": "noop", "input": {"sleep": 4_000}},
}
ENDED_SO = {
    "plugin": (
        "failed",
        'rpc error: code = Unavailable desc = workflow invoke operation: integration "odd" is not available',
    ),
    "workflow": ("failed", "workflow provider restarted while run was in progress"),
    "indexeddb": ("succeeded", ""),
}
"""Status and message of a run that was in flight when a provider of the kind ended."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_in_flight_when_a_provider_ends_is_neither_lost_nor_repeated(tmp_path: Path, kind: str) -> None:
    with misbehaving(tmp_path, kind) as rig:
        answer = rig.host.post(
            "/workflow/event-triggers", {"match": {"type": "go"}, "target": {"plugin": IN_FLIGHT[kind]}}
        )
        assert answer.status_code == 201, answer.text
        assert rig.host.post("/workflow/events", {"type": "go", "source": "test"}).is_success

        def statuses() -> list[tuple[str, str]]:
            found = httpx.get(f"{rig.host.url}/api/v1/workflow/runs", timeout=30)
            return [(run["status"], run.get("statusMessage", "")) for run in found.json()] if found.is_success else []

        until(lambda: statuses() == [("running", "")], within_s=30, what=lambda: str(statuses()))
        if kind == "plugin":
            until(lambda: (tmp_path / "waiting").exists(), within_s=30, what=lambda: "the operation to run")
        os.kill(rig.pid(), signal.SIGKILL)
        until(lambda: statuses() == [ENDED_SO[kind]], within_s=60, what=lambda: f"{statuses()} {rig.host.log[-2000:]}")
        rig.ready()
        assert statuses() == [ENDED_SO[kind]]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_closes_its_socket_is_ended_and_started_again(tmp_path: Path, kind: str) -> None:
    """The file of the socket stays: nobody accepts any more, which is silence."""
    with misbehaving(tmp_path, kind, restartSilentAfter="6s") as rig, called_all_the_time(rig.host) as answers:
        before = rig.pid()
        rig.choose("stops_accepting")
        listed: list[dict[str, Any]] = []

        def is_silent() -> bool:
            listed.append(rig.listed())
            return bool(listed[-1]["state"] == "silent")

        until(is_silent, within_s=60, what=lambda: rig.host.log[-2000:])
        assert listed[-1]["reason"].startswith("it has not answered for ")
        assert rig.events("provider.silent")
        rig.choose("")
        until(lambda: rig.events("provider.down"), within_s=60, what=lambda: rig.host.log[-2000:])
        assert "process had not answered for" in rig.events("provider.down")[0]["reason"]
        rig.ready()
        assert rig.pid() not in (0, before)
        assert set(answers) == {200}


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_removes_its_socket_is_named(tmp_path: Path, kind: str) -> None:
    with misbehaving(tmp_path, kind) as rig:
        rig.choose("removes_its_socket")
        until(lambda: (tmp_path / "removed").exists(), within_s=30, what=lambda: "the socket to go")
        rig.choose("")
        until(lambda: "a socket of it has been removed" in rig.readiness()[1], what=lambda: str(rig.readiness()))
        until(lambda: rig.events("provider.socket_removed"), within_s=30, what=lambda: rig.host.log[-2000:])
        # What is connected goes on, so it is not ended.
        listed = rig.listed()
        assert listed["state"] == "ready"
        assert "a socket of it has been removed" in listed["notices"][0]
        path, body = PATHS[kind]
        assert rig.host.post(path, body).is_success
        os.kill(rig.pid(), signal.SIGKILL)
        rig.ready()


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_ignores_sigterm_is_killed_within_the_time_of_the_shutdown(tmp_path: Path, kind: str) -> None:
    with misbehaving(tmp_path, kind, shutdownTimeout="6s") as rig:
        rig.choose("ignores_sigterm")
        os.kill(rig.pid(), signal.SIGKILL)
        until(lambda: rig.events("provider.restarting"), within_s=30, what=lambda: rig.host.log[-2000:])
        rig.ready()
        pid = rig.pid()
        began = time.monotonic()
        rig.host.signal(signal.SIGTERM)
        assert rig.host.wait(60) == 0
        assert not alive(pid)
        assert rig.events("provider.close_error")[0]["ended"] == "signal SIGKILL"
        assert time.monotonic() - began < 30  # far from any other time limit


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["provider", "host stopped", "host killed"])
@pytest.mark.parametrize("misbehaviour", ["forks_a_grandchild", "forks_a_grandchild_of_its_own_session"])
def test_what_a_provider_has_started_ends_with_it(tmp_path: Path, misbehaviour: str, end: str, kind: str) -> None:
    if kind != "plugin" and end != "provider" and not NIGHTLY:
        pytest.skip("at night")
    rig = new_misbehaving(tmp_path, kind)
    rig.choose(misbehaviour)
    try:
        rig.host.start()
        before = rig.pid()
        started = [pid for pid in rig.of_provider() if pid != before]
        assert len(started) == 2  # a shell that is deaf to signals, and its sleep
        rig.choose("")
        if end == "provider":
            os.kill(before, signal.SIGKILL)
            until(lambda: rig.events("provider.restarting"), within_s=30, what=lambda: rig.host.log[-2000:])
            rig.ready()
        elif end == "host killed":
            rig.host.kill()
            if misbehaviour == "forks_a_grandchild_of_its_own_session":
                # Nobody is left who could look for what has left the group: the next host does.
                rig.host.start()
        else:
            rig.host.stop()
        until(lambda: not any(map(alive, started)), within_s=30, what=lambda: str(started))
    finally:
        rig.host.stop()
    nothing_left(rig)


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_floods_its_output_goes_on_and_what_is_dropped_is_counted(tmp_path: Path, kind: str) -> None:
    with misbehaving(tmp_path, kind) as rig, called_all_the_time(rig.host) as answers:
        before = rig.pid()
        rig.choose("floods_stderr")
        until(lambda: rig.metric("gestalt_provider_output_dropped_lines_total"), within_s=30, what=lambda: "drops")
        path, body = PATHS[kind]
        assert rig.host.post(path, body).is_success
        rig.choose("")
        rig.ready()
        assert rig.pid() == before
        assert set(answers) == {200}


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_eats_memory_is_ended_at_its_limit_and_started_again(tmp_path: Path, kind: str) -> None:
    with misbehaving(tmp_path, kind, memory="200MiB") as rig, called_all_the_time(rig.host) as answers:
        before = rig.pid()
        used = rig.metric("gestalt_provider_memory_bytes")
        assert used is not None
        assert 10_000_000 < used < 200 * 2**20
        assert rig.metric("gestalt_provider_memory_limit_bytes") == 200 * 2**20
        rig.choose("eats_memory")
        until(lambda: rig.events("provider.memory_exceeded"), within_s=60, what=lambda: rig.host.log[-2000:])
        rig.choose("")
        until(lambda: rig.events("provider.down"), within_s=60, what=lambda: rig.host.log[-2000:])
        reason = rig.events("provider.down")[0]["reason"]
        assert reason.startswith("it used ")
        assert reason.endswith(" MiB of memory, more than its limit of 200 MiB")
        rig.ready()
        path, body = PATHS[kind]
        assert rig.host.post(path, body).is_success
        assert rig.pid() not in (0, before)
        assert rig.metric("gestalt_provider_memory_exceeded_total") == 1
        assert rig.listed()["lastError"]["text"] == reason
        assert set(answers) == {200}


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_on_the_sockets_of_the_host_and_zombies_of_its_own_harm_nobody(tmp_path: Path, kind: str) -> None:
    with misbehaving(tmp_path, kind) as rig, called_all_the_time(rig.host) as answers:
        for misbehaviour in ("writes_garbage_to_the_host", "leaves_zombies"):
            rig.choose(misbehaviour)
            before = rig.pid()
            os.kill(before, signal.SIGKILL)
            until(lambda before=before: rig.pid() not in (0, before), within_s=60, what=lambda: rig.host.log[-2000:])  # type: ignore[misc]
            rig.ready()
        assert (tmp_path / "garbage-written").exists()
        path, body = PATHS[kind]
        assert rig.host.post(path, body).is_success
        os.kill(rig.pid(), signal.SIGKILL)
        rig.choose("")
        rig.ready()
        until(lambda: not rig.zombies(), within_s=30, what=lambda: str(rig.zombies()))
        assert set(answers) == {200}
