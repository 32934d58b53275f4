"""Clients that hold connections, and how a host ends, with real processes."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.commands import ROOT
from tests.support.nightly import at_night
from tests.support.rigs.gestaltd import Gestaltd, alive, free_port
from tests.support.waiting import until

RIG = ROOT / "tests" / "support" / "plugins" / "rig"
UNFINISHED = b"POST /api/v1/workflow/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
STOPPING = ("host.stopping", "host.stopped", "host.killed")


@contextmanager
def host_with(folder: Path, *, open_files: int | None = None, streams: str = "") -> Iterator[Gestaltd]:
    port = free_port()
    environment = {"RIG_PORT": str(port), "RIG_STATE": str(folder)}
    host = Gestaltd([RIG / "gestalt.yaml"], environment, port, folder, open_files=open_files, streams=streams)
    try:
        host.start()
        yield host
    finally:
        host.stop()


def test_connections_leave_descriptors_for_a_plugin_that_is_started_again(tmp_path: Path) -> None:
    files, number = at_night((1024, 1500), otherwise=(400, 500))
    with host_with(tmp_path, open_files=files) as host, ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", host.port), timeout=10))
            connection.sendall(UNFINISHED)
        (plugin,) = [child for child in host.children() if child.name == "roadmap"]
        os.kill(plugin.pid, signal.SIGKILL)

        def is_back() -> bool:
            return any(child.name == "roadmap" and child.pid != plugin.pid for child in host.children())

        until(is_back, within_s=30, what=lambda: host.log[-2000:])
        assert host.post("/roadmap/noop", {}).status_code == 200
        detail = httpx.get(f"{host.url}/ready").json()["detail"]
        assert any(text.startswith("connections are at their limit of ") for text in detail)
        assert len(list(Path(f"/proc/{host.pid}/fd").iterdir())) < files
        assert host.log.count('"http.connections_full"') == 1
        assert host.log.count('"http.fewer_connections"') == 1


def test_the_limit_of_open_files_is_raised_for_the_host_and_its_providers(tmp_path: Path) -> None:
    with host_with(tmp_path) as host:
        wanted = min(65_536, hard_limit(os.getpid()))
        for pid in (host.pid, *(child.pid for child in host.children())):
            assert soft_limit(pid) >= wanted


def soft_limit(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


def hard_limit(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_arrives_twice_is_one_request_to_end(number: signal.Signals, tmp_path: Path) -> None:
    with host_with(tmp_path) as host:
        children = host.children()
        host.signal(number)
        host.signal(signal.SIGTERM)
        host.signal(number)
        assert host.wait() == 0, host.log[-2000:]
        assert not any(alive(child.pid) for child in children)
        told = [line for line in map(json.loads, host.log.splitlines()) if line.get("event_name") in STOPPING]
        assert [line["event_name"] for line in told] == ["host.stopping", "host.stopped"]
        assert told[0]["signal"] in ("SIGTERM", number.name)  # one loop sees both, in the order of their numbers


def test_no_answer_says_where_the_database_lies(tmp_path: Path) -> None:
    with host_with(tmp_path) as host:
        (store,) = [child for child in host.children() if "GESTALT_INDEXEDDB_SOCKET" not in child.environment][:1]
        _, most = resource.prlimit(store.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(store.pid, resource.RLIMIT_FSIZE, (0, most))
        answer = host.post("/workflow/events", {"type": "x", "source": "y"})
        assert answer.status_code == 503, answer.text
        assert str(tmp_path) not in answer.text

        def unready() -> str:
            return str(httpx.get(f"{host.url}/ready").json()) if "provider.unhealthy" in host.log else ""

        shown = until(unready, within_s=30, what=lambda: host.log[-2000:])
        assert "datastore unavailable" in shown
        assert str(tmp_path) not in shown
        assert str(tmp_path) in host.log


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_host_serves_without_streams(streams: str, tmp_path: Path) -> None:
    with host_with(tmp_path, streams=streams) as host:
        assert host.post("/roadmap/noop", {}).status_code == 200
        host.signal(signal.SIGTERM)
        assert host.wait() == 0
