"""A provider of each kind that does what none should, when the file named by MISBEHAVIOUR says so.

The file has the name of a misbehaviour below, or is not there. Its directory takes marks for the test. What concerns a
start is done when a process starts while the file is there; what concerns a running provider within a moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gestalt_sdk.bases import lifecycle
from gestalt_sdk.bases.provider import Provider
from gestalt_sdk.plugin import Plugin, Request, operation
from gestalt_sdk.plugin import service as plugin_service

CHOICE = Path(os.environ["MISBEHAVIOUR"])
MARKS = CHOICE.parent
SOCKET = Path(os.environ.get("GESTALT_PLUGIN_SOCKET", ""))
FOREVER_S = 600
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FLOOD = b"flood " * 20 + b"\n"


def chosen() -> str:
    try:
        return CHOICE.read_text()
    except FileNotFoundError:
        return ""


def never_listens() -> None:
    time.sleep(FOREVER_S)


def exits_at_once() -> None:
    os.write(2, b"the last words of a provider\n")
    os._exit(3)


def exits_as_if_done() -> None:
    os._exit(0)


def listens_on_a_directory() -> None:
    SOCKET.mkdir()
    never_listens()


def serves_a_link() -> None:
    """A link where its socket should be, to a socket of somebody else who answers nobody."""
    other = SOCKET.with_name("elsewhere")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(other))
    server.listen(0)
    SOCKET.symlink_to(other)
    never_listens()


def never_accepts() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(SOCKET))
    server.listen(1)
    never_listens()


def answers_garbage() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(SOCKET))
    server.listen()
    while True:
        client, _ = server.accept()
        client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + os.urandom(4096))
        client.close()


def ignores_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _spawn(shell: str, **options: Any) -> None:
    child = subprocess.Popen(["sh", "-c", f"trap '' TERM HUP; {shell}"], **options)
    (MARKS / f"grandchild-{child.pid}").touch()


def forks_a_grandchild() -> None:
    """It outlives its parent, is deaf to signals, and holds the other ends of the host's pipes."""
    _spawn(f"sleep {FOREVER_S} & wait")


def forks_a_grandchild_of_its_own_session() -> None:
    _spawn(f"sleep {FOREVER_S} & wait", start_new_session=True)


def leaves_zombies() -> None:
    for _ in range(20):
        subprocess.Popen(["true"])


def writes_garbage_to_the_host() -> None:
    for name, path in os.environ.items():
        if name.startswith("GESTALT_") and "_SOCKET" in name and path != str(SOCKET):
            for text in (
                os.urandom(65536),
                b"GET / HTTP/1.1\r\n\r\n",
                PREFACE + b"\xff" * 999,
            ):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(path)
                    client.settimeout(1)
                    try:
                        client.sendall(text)
                        client.recv(10)
                    except OSError:
                        pass
    (MARKS / "garbage-written").touch()


def is_of_another_kind() -> None:
    _identity(kind=6)


def is_of_an_unknown_kind() -> None:
    _identity(kind=99)


def speaks_later_versions_only() -> None:
    _identity(min_protocol_version=4)


def speaks_earlier_versions_only() -> None:
    _identity(max_protocol_version=2)


def answers_with_another_version() -> None:
    _change(lifecycle.LifecycleServicer, "ConfigureProvider", protocol_version=2)
    _change(plugin_service.PluginServicer, "StartProvider", protocol_version=2)


def _identity(**values: int) -> None:
    _change(lifecycle.LifecycleServicer, "GetProviderIdentity", **values)


def _change(servicer: type, rpc: str, **values: int) -> None:
    """Have an answer carry other values."""
    answer = getattr(servicer, rpc)

    async def changed(self: Any, request: Any, context: Any) -> Any:
        response = await answer(self, request, context)
        for name, value in values.items():
            setattr(response, name, value)
        return response

    setattr(servicer, rpc, changed)


AT_START: Mapping[str, Callable[[], None]] = {
    item.__name__: item
    for item in (
        never_listens,
        exits_at_once,
        exits_as_if_done,
        listens_on_a_directory,
        serves_a_link,
        never_accepts,
        answers_garbage,
        ignores_sigterm,
        forks_a_grandchild,
        forks_a_grandchild_of_its_own_session,
        leaves_zombies,
        writes_garbage_to_the_host,
        is_of_another_kind,
        is_of_an_unknown_kind,
        speaks_later_versions_only,
        speaks_earlier_versions_only,
        answers_with_another_version,
    )
}


def exits_later() -> None:
    os._exit(4)


def removes_its_socket() -> None:
    SOCKET.unlink()
    (MARKS / "removed").touch()
    time.sleep(FOREVER_S)


def stops_accepting() -> None:
    """The file of the socket stays, and nobody is behind it."""
    inodes = set()
    for line in Path("/proc/net/unix").read_text().splitlines():
        fields = line.split()
        if fields[-1] == str(SOCKET) and fields[3] == "00010000":  # it listens
            inodes.add(f"socket:[{fields[6]}]")
    for entry in Path("/proc/self/fd").iterdir():
        if str(entry.readlink()) in inodes:
            # Nothing is read from it any more, and nobody can connect: the descriptor itself is still gRPC's.
            socket.socket(fileno=os.dup(int(entry.name))).shutdown(socket.SHUT_RDWR)
    time.sleep(FOREVER_S)


def floods_stderr() -> None:
    while chosen() == floods_stderr.__name__:
        os.write(2, FLOOD)


def eats_memory() -> None:
    hoard = []
    while True:
        hoard.append(b"x" * 8_000_000)
        time.sleep(0.05)


WHILE_RUNNING: Mapping[str, Callable[[], None]] = {
    item.__name__: item for item in (exits_later, removes_its_socket, stops_accepting, floods_stderr, eats_memory)
}


def _watch_the_choice() -> None:
    while True:
        time.sleep(0.05)
        if (act := WHILE_RUNNING.get(chosen())) is not None:
            act()


class _Misbehaving(Provider):
    """What is done in the middle of configuring."""

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        if chosen() == "hangs_in_configure":
            await asyncio.sleep(FOREVER_S)
        if chosen() == "is_killed_while_configuring":
            os.kill(os.getpid(), signal.SIGKILL)
        if chosen() == "refuses_its_configuration":
            raise ValueError("hunter2 is no good password")
        await super().configure(name, config)
        threading.Thread(target=_watch_the_choice, daemon=True).start()


class MisbehavingPlugin(_Misbehaving, Plugin):
    @operation("pid")
    async def pid(self, request: Request) -> dict[str, int]:
        return {"pid": os.getpid()}

    @operation("wait")
    async def wait(self, request: Request) -> dict[str, int]:
        (MARKS / "waiting").touch()
        await asyncio.sleep(FOREVER_S)
        return {}


def misbehaving_workflow() -> Provider:
    from gestalt_workflow.provider import IndexedDBWorkflowProvider

    return type("MisbehavingWorkflow", (_Misbehaving, IndexedDBWorkflowProvider), {})()


def misbehaving_store() -> Provider:
    from gestalt_store.provider import StoreProvider

    return type("MisbehavingStore", (_Misbehaving, StoreProvider), {})()


if SOCKET.name and (begin := AT_START.get(chosen())) is not None:
    begin()
