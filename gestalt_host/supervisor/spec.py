"""What to run as a provider's process, and how long it may take with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gestalt_host.config.model import OutputLimits, ProviderLimits
from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.supervisor.about import HostAbout
from gestalt_host.supervisor.service_sockets import HostService
from gestalt_sdk.bases.provider import ProviderKind


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """What to run. ``config`` and ``env`` may hold secrets.

    Attributes:
        services: Host services that get a socket in the provider's own directory.
        sockets: Further variables of the child, each the path of a socket that exists elsewhere.
        limits: How much the process and what it has started may use.
        host: What the directory of its sockets says of the host that they belong to.
    """

    name: str
    kind: ProviderKind
    command: LaunchCommand
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    services: tuple[HostService, ...] = ()
    sockets: Mapping[str, str] = field(default_factory=dict)
    output: OutputLimits = field(default_factory=OutputLimits)
    limits: ProviderLimits = field(default_factory=ProviderLimits)
    host: HostAbout = field(default_factory=HostAbout)

    @property
    def word(self) -> str:
        """The kind in words: ``plugin``, ``workflow``, ``indexeddb``."""
        return "plugin" if self.kind is ProviderKind.INTEGRATION else self.kind.value


@dataclass(frozen=True, slots=True)
class Timings:
    """Waits and limits, in seconds; tests shorten them.

    Attributes:
        start_timeout_s: Until the process serves its socket.
        start_limit_s: Until it is ready, with every call of its start.
        slow_start_s: What is still starting after that is named, and nobody waits for it any more.
        ask_every_s: Between two times that a ready process is asked for a sign of life.
        silent_after_s: One that has not answered for that long is silent.
        restart_silent_after_s: A silent one is ended, and so started again; never where it is infinite.
        drain_s: How long a workflow provider is told that it may take to finish; 0: it is told nothing.
        memory_look_s: Between two looks at the memory of a process that has a limit of it.
        stable_after_s: One that has been ready for that long is in no crash loop.
    """

    start_timeout_s: float = 45.0
    start_limit_s: float = 120.0
    slow_start_s: float = 20.0
    ask_every_s: float = 3.0
    silent_after_s: float = 5.0
    restart_silent_after_s: float = 30.0
    look_s: float = 0.5
    memory_look_s: float = 0.25
    drain_s: float = 0.0
    poll_s: float = 0.025
    stop_grace_s: float = 2.0
    backoff_initial_s: float = 0.1
    backoff_cap_s: float = 30.0
    stable_after_s: float = 30.0
