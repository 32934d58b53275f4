"""The end of a provider: signals, and the death of its host."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.rules import Rule, Stage, rule
from gestalt_host.verification.subject import ATTEMPTS, Subject, in_time, until_ended
from gestalt_sdk.bases.provider import ProviderKind


async def _require_end(subject: Subject, number: signal.Signals, prepare: Callable[[], Awaitable[None]]) -> None:
    """Require that it ends in time after the signal, with status 0 or by the signal itself.

    Args:
        prepare: Brings a fresh process to where it gets the signal.
    Raises:
        Broken: it does neither.
    """
    limit_s = subject.patience.stop_s
    if subject.kind is ProviderKind.WORKFLOW:
        limit_s += subject.patience.drain_s

    async def attempt() -> int | None:
        await prepare()
        subject.signal(number)
        return await subject.ended_within(limit_s)

    status = await in_time(attempt)
    if status is None:
        raise Broken(f"it to end within {limit_s:g} s of {number.name}", f"in {ATTEMPTS} attempts it never did")
    if status not in (0, -number):
        raise Broken(f"exit status 0, or death by {number.name}", subject.child.describe_exit())


@rule("contract.md 2.4/sigterm", "It ends on SIGTERM in the time that a host gives it", needs=Stage.CONFIGURED)
async def sigterm(subject: Subject) -> None:
    async def prepare() -> None:
        await subject.launch()
        await subject.require_configured()

    await _require_end(subject, signal.SIGTERM, prepare)


@rule("contract.md 2.4/sigterm-early", "It ends on SIGTERM before it is configured", needs=Stage.SERVED)
async def sigterm_early(subject: Subject) -> None:
    await _require_end(subject, signal.SIGTERM, subject.launch)


@rule("contract.md 2.4/sigint", "It ends on SIGINT", needs=Stage.SERVED)
async def sigint(subject: Subject) -> None:
    await _require_end(subject, signal.SIGINT, subject.launch)


@rule("contract.md 2.4/parent", "It ends when its host is killed", needs=Stage.SERVED)
async def parent(subject: Subject) -> None:
    async def attempt() -> bool | None:
        return await until_ended(await subject.orphan(), subject.patience.orphan_s) or None

    if not await in_time(attempt):
        raise Broken(
            f"it to end within {subject.patience.orphan_s:g} s of its host", f"in {ATTEMPTS} attempts it never did"
        )


RULES: tuple[Rule, ...] = (sigterm, sigterm_early, sigint, parent)
