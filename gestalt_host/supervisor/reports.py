"""What is told of a provider to whoever looks after the host: the same facts over HTTP and by `gestaltd provider`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

KINDS = ("plugin", "workflow", "indexeddb")
STATES = ("starting", "ready", "unhealthy", "silent", "restarting", "failed", "stopped", "unused")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a provider was last not as it should be, in words of this host alone, never the provider's own text."""

    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """One process of a provider.

    Attributes:
        state: The value of a ``State``.
        since: When it came into that state.
        pid: None while there is no process.
        restarts: Starts after the first one since the host was started.
        memory_bytes: Resident memory of the process and what it started; None where nobody can tell.
        binding: The database that it serves, where a store needs a process for each; else blank.
    """

    state: str
    since: datetime
    reason: str = ""
    pid: int | None = None
    restarts: int = 0
    last_fault: Fault | None = None
    memory_bytes: int | None = None
    binding: str = ""


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """A configured provider, whether it has a process or not.

    Attributes:
        kind: One of ``KINDS``.
        version: Of the package; the provider's own word where it says one.
        source: Where the configuration takes it from, without a query or credentials.
        digest: SHA-256 of the installed archive, in hexadecimal; blank for what is launched from its source.
        runtime: ``executable`` or ``declarative`` (no process).
        state: One of ``STATES``. Of several processes that of the worst; ``unhealthy``: it runs, answers and says that
            something is wrong; ``unused``: a store that nobody is bound to.
        reason: Why it is not ready, and when that may change; blank when it is.
        notices: What is not as it should be although it can be called.
    """

    kind: str
    name: str
    state: str
    since: datetime
    package: str = ""
    version: str = ""
    display_name: str = ""
    source: str = ""
    digest: str = ""
    runtime: str = "executable"
    reason: str = ""
    restarts: int = 0
    pid: int | None = None
    last_fault: Fault | None = None
    capabilities: Sequence[str] = ()
    notices: Sequence[str] = ()
    processes: Sequence[ProcessReport] = ()

    @property
    def memory_bytes(self) -> int | None:
        """Resident memory of all its processes together, as far as it is known; None where nothing is."""
        known = [process.memory_bytes for process in self.processes if process.memory_bytes is not None]
        return sum(known) if known else None
