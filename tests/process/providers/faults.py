"""What can befall a provider, and the end of it. Each fault is a ``with``: it lasts that long."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeAlias

from tests.process.providers.installation import KINDS, PLUGIN, STORE, Installation
from tests.support.rigs.gestaltd import alive
from tests.support.waiting import until

FLOOD_LINES = 20_000
MIB_EATEN = 400
"""More than the plugin's limit."""
Begin: TypeAlias = Callable[[Installation, str, Random], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """
    Attributes:
        targets: Names of the providers that it can befall.
        longest_s: How long it may last, beyond the time in which the host tells it.
        unwell: Whether the store may say of itself that it is not well.
    """

    name: str
    begin: Begin
    targets: tuple[str, ...] = tuple(KINDS)
    longest_s: float = 0.0
    unwell: bool = False


@contextmanager
def _killed(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    installation.send(name, signal.SIGKILL)
    yield


@contextmanager
def _killed_with_a_family(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    answer = installation.call("spawn")
    if answer is not None and answer.is_success:
        installation.born.add(int(answer.text))
    installation.send(name, signal.SIGKILL)
    yield


@contextmanager
def _terminated(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    installation.send(name, signal.SIGTERM)
    yield


@contextmanager
def _stopped(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    pid = installation.send(name, signal.SIGSTOP)
    yield
    with suppress(ProcessLookupError):  # the host may have ended it meanwhile
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _socket_removed(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    chance.choice(installation.sockets[name]).unlink(missing_ok=True)
    yield
    installation.send(name, signal.SIGTERM)


@contextmanager
def _directory_removed(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    shutil.rmtree(installation.running(name).socket.parent)
    yield
    installation.send(name, signal.SIGTERM)


@contextmanager
def _keeper_killed(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    for keeper in installation.host.helpers():
        os.kill(keeper.pid, signal.SIGKILL)
    yield


@contextmanager
def _exited(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    installation.call("exit", status=chance.choice((0, 1, 3)))
    yield


@contextmanager
def _crash_loop(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    mark = installation.folder / "crash"
    mark.touch()
    try:
        installation.send(name, signal.SIGKILL)
        yield
    finally:
        mark.unlink()


@contextmanager
def _flooding(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    """Write to the pipe that the provider writes its log to, as it could do itself."""
    path = Path(f"/proc/{installation.running(name).pid}/fd/{chance.choice((1, 2))}")
    with suppress(OSError), path.open("wb", buffering=0) as pipe:
        for number in range(FLOOD_LINES):
            pipe.write(b"flood %d %s\n" % (number, b"x" * 80))
    yield


@contextmanager
def _memory_eaten(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    before = installation.running(name).pid
    with ThreadPoolExecutor(1) as pool:
        eating = pool.submit(installation.call, "eat", megabytes=MIB_EATEN)
        until(lambda: not alive(before), within_s=30, what=lambda: installation.host.log[-2000:])
        yield
        answer = eating.result(60)
    assert answer is None or answer.status_code >= 500, answer.text


@contextmanager
def _database_locked(installation: Installation, name: str, chance: Random) -> Iterator[None]:
    with installation.locked_database():
        yield


FAULTS = (
    Fault("SIGKILL", _killed),
    Fault("SIGKILL of one with children that are deaf to SIGTERM", _killed_with_a_family, (PLUGIN,)),
    Fault("SIGTERM", _terminated),
    Fault("SIGSTOP", _stopped, longest_s=10.0),
    Fault("a socket removed", _socket_removed, longest_s=2.0),
    Fault("its directory removed", _directory_removed, longest_s=2.0),
    Fault("the keeper of groups killed", _keeper_killed, (PLUGIN,)),
    Fault("exit by request", _exited, (PLUGIN,)),
    Fault("a crash loop that ends", _crash_loop, (PLUGIN,), longest_s=3.0),
    Fault("a flood of output", _flooding),
    Fault("more memory than its limit", _memory_eaten, (PLUGIN,)),
    Fault("its database locked", _database_locked, (STORE,), longest_s=5.0, unwell=True),
)


def deck(chance: Random) -> Iterator[tuple[Fault, str]]:
    """Yield faults and whom they befall, without end: in each round all of them in another order."""
    while True:
        cards = [(fault, target) for fault in FAULTS for target in fault.targets]
        chance.shuffle(cards)
        yield from cards
