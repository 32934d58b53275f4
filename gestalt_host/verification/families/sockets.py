"""The provider's own socket: who makes it, what may lie there before, and that it is gone at the end."""

from __future__ import annotations

import os
import signal

from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.rules import Rule, Stage, rule
from gestalt_host.verification.subject import Subject
from gestalt_sdk.transport.environment import PLUGIN_SOCKET

_OWNER_MODE = 0o600


@rule("contract.md 2.1/socket", "It makes a socket of its user at the path that it is given", needs=Stage.SERVED)
async def socket(subject: Subject) -> None:
    await subject.launch()
    status = subject.socket_status()
    if status is None or not subject.is_socket:
        raise Broken(f"a socket at the path in {PLUGIN_SOCKET}", "something else lies there")
    if status.st_uid != os.getuid() or status.st_mode & _OWNER_MODE != _OWNER_MODE:
        raise Broken("a socket that its user can write to", f"mode {status.st_mode & 0o777:o}, user {status.st_uid}")


@rule("contract.md 2.3/stale-socket", "It replaces the socket that a killed process has left", needs=Stage.SERVED)
async def stale_socket(subject: Subject) -> None:
    await subject.spawn_beside_stale_socket(await subject.environment())
    await subject.served()


@rule("contract.md 2.3/removed-socket", "It removes its socket when it exits", needs=Stage.SERVED)
async def removed_socket(subject: Subject) -> None:
    await subject.launch()
    subject.signal(signal.SIGTERM)
    status = await subject.ended_within(subject.patience.alive_s)
    if status is None:
        raise Broken("it to end after SIGTERM", "it runs")
    # A process that the signal itself has killed could remove nothing.
    if status >= 0 and subject.socket_status() is not None:
        raise Broken("no socket to be left", "it lies there")


@rule("contract.md 2.3/without-socket", f"It exits with an error when {PLUGIN_SOCKET} is not set", needs=Stage.SERVED)
async def without_socket(subject: Subject) -> None:
    environment = await subject.environment()
    del environment[PLUGIN_SOCKET]
    await subject.spawn(environment)
    status = await subject.ended_within(subject.patience.alive_s)
    if status is None:
        raise Broken("it to exit at once", f"it runs after {subject.patience.alive_s:g} s")
    if status == 0:
        raise Broken("an exit status other than 0", "exit status 0")


RULES: tuple[Rule, ...] = (socket, stale_socket, removed_socket, without_socket)
