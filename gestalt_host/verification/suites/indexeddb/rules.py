"""Rules about the IndexedDB service alone: each gets a client of it, whoever serves it (``StoreRule.attempt``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gestalt_host.verification.rules import Rule, Stage
from gestalt_host.verification.subject import Subject
from gestalt_host.verification.suites.indexeddb.client import StoreClient
from gestalt_sdk.bases.provider import ProviderKind

STORES = (ProviderKind.INDEXEDDB,)
Attempt = Callable[[StoreClient], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRule(Rule):
    """A rule that needs nothing of a provider but its socket, so that a scope or a relay is held to it as well.

    Attributes:
        attempt: Tries it through a client, in object stores of its own; raises ``Broken``.
    """

    attempt: Attempt


def client_of(subject: Subject) -> StoreClient:
    """Return a client of the process that runs, with the frames and the patience of its rule."""
    return StoreClient(subject.socket, subject.frames, deadline_s=subject.patience.call_s)


def store_rule(id: str, title: str, *, capability: str = "") -> Callable[[Attempt], StoreRule]:
    """Make a rule of the function that follows; the arguments are the attributes of ``Rule``."""

    def made(attempt: Attempt) -> StoreRule:
        async def check(subject: Subject) -> None:
            if not subject.is_running:
                await subject.launch()
                await subject.require_configured()
            if capability:
                await subject.require_capability(capability)
            async with client_of(subject) as store:
                await attempt(store)
            await subject.require_answering("after the calls of this rule")

        return StoreRule(id, title, check, STORES, capability, Stage.CONFIGURED, shares=True, attempt=attempt)

    return made
