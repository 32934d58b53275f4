"""Services of the host that are not there, do not answer, or answer nonsense."""

from __future__ import annotations

import signal

from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.rules import WITH_HOST_SERVICES, Check, Rule, rule
from gestalt_host.verification.services import Conduct
from gestalt_host.verification.subject import Subject

_SECTION = "contract.md 2.5"


def _under(conduct: Conduct) -> Check:
    """Return a check that the provider comes through a host that behaves so.

    It may refuse its configuration then, or wait. It may neither end nor stop answering other calls.
    """

    async def check(subject: Subject) -> None:
        await subject.launch(conduct)
        await subject.configure(timeout_s=subject.patience.held_s)
        after = f"when it is configured, and of the services of its host {conduct.value}"
        await subject.require_answering(after)
        if not await subject.greets():
            raise Broken(f"a new connection to be greeted {after}", "it is not")
        subject.signal(signal.SIGTERM)
        if await subject.ended_within(subject.patience.alive_s) is None:
            raise Broken(f"it to end after SIGTERM {after}", f"it runs after {subject.patience.alive_s:g} s")

    return check


RULES: tuple[Rule, ...] = tuple(
    rule(f"{_SECTION}/{conduct.name.lower()}", title, kinds=WITH_HOST_SERVICES)(_under(conduct))
    for conduct, title in (
        (Conduct.UNSET, "It serves without the variables of host services"),
        (Conduct.DEAD, "It serves when nobody listens on the sockets of host services"),
        (Conduct.SLOW, "It serves when host services never answer"),
        (Conduct.NOISE, "It serves when host services do not speak HTTP/2"),
        (Conduct.NONSENSE, "It serves when host services answer what is no message"),
    )
)
