"""What a rule is: its number in docs/spec, whom it is for, and a function that tries it on a provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from enum import Enum

from gestalt_host.errors import HostError
from gestalt_host.verification.subject import Subject
from gestalt_sdk.bases.provider import ProviderKind

KINDS = (ProviderKind.INTEGRATION, ProviderKind.WORKFLOW, ProviderKind.INDEXEDDB)
"""The kinds that can be verified."""
LIFECYCLE = (ProviderKind.WORKFLOW, ProviderKind.INDEXEDDB)
"""Those that are driven by ProviderLifecycle (contract.md 1.3)."""
WITH_HOST_SERVICES = (ProviderKind.INTEGRATION, ProviderKind.WORKFLOW)
"""Those that are given services of the host (contract.md 2.5)."""


class Stage(Enum):
    """How far a provider must come for a rule to say anything. The rules that show it are ``run.GATES``."""

    NOTHING = 0
    SERVED = 1
    ANSWERED = 2
    CONFIGURED = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a provider must do.

    Attributes:
        id: Page and section of docs/spec, and a name within it: ``contract.md 1.3/kind``.
        title: What must be, as a sentence.
        kinds: The kinds of providers that it is for.
        capability: The extension that it is about; a provider without it does not offer what the rule asks for.
        needs: How far the provider must come. Where it does not, the rule is not tried.
        check: Tries it on a process that it launches itself; raises ``Broken`` or ``NotOffered``.
        shares: Whether ``check`` takes the process of an earlier rule, when there is one, and leaves it to the next: it
            uses nothing of it but names of its own.
    """

    id: str
    title: str
    check: Callable[[Subject], Awaitable[None]]
    kinds: Collection[ProviderKind] = KINDS
    capability: str = ""
    needs: Stage = Stage.ANSWERED
    shares: bool = False


Check = Callable[[Subject], Awaitable[None]]


def rule(
    id: str,
    title: str,
    *,
    kinds: Collection[ProviderKind] = KINDS,
    capability: str = "",
    needs: Stage = Stage.ANSWERED,
) -> Callable[[Check], Rule]:
    """Make a rule of the function that follows; the arguments are the attributes of ``Rule``."""
    return lambda check: Rule(id, title, check, kinds, capability, needs)


class RulesUnknown(HostError):
    """A rule was asked for that there is not, or not for this kind."""
