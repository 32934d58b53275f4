"""Who is asking: subjects, permission ceilings, and the fixed subjects of the system itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gestalt_sdk.workflow.types import NOBODY, Actor

__all__ = ["CONFIG_ACTOR", "CONFIG_SUBJECT_ID", "NOBODY", "Actor", "Cause", "Ceiling", "Principal"]

CONFIG_SUBJECT_ID = "system:config"

CONFIG_ACTOR = Actor(CONFIG_SUBJECT_ID, "system", "Workflow Config", "config")
"""Creator of config-managed objects."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that somebody may do: plugin name -> operations, None meaning every operation of that plugin.

    "No ceiling" is ``None`` instead of a Ceiling; an empty one allows nothing.
    """

    plugins: Mapping[str, frozenset[str] | None]

    def allows_plugin(self, plugin: str) -> bool:
        return plugin in self.plugins

    def allows(self, plugin: str, operation: str) -> bool:
        if plugin not in self.plugins:
            return False
        operations = self.plugins[plugin]
        return operations is None or operation in operations


@dataclass(frozen=True, slots=True)
class Cause:
    """What a run goes back to: the first run or event of its chain of causes, and the length of the chain from there.

    The workflow provider counts by it (causes.proto). Only the host sets it, from the run that it executes.
    """

    root: str
    chain: int = 0


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller, or the identity that a run executes as.

    Attributes:
        credential_subject_id: Subject whose stored credentials are used; empty means ``actor.subject_id``.
        ceiling: Permission ceiling of the token or execution reference; None means unrestricted.
        caller_plugin: Plugin through which the call came (WorkflowManagerHost, PluginInvoker); empty over HTTP.
        internal_connections: Whether connections marked internal may be used (runs of the config subject).
        cause: Of the run that is being executed; None for whoever acts by himself.
    """

    actor: Actor
    credential_subject_id: str = ""
    ceiling: Ceiling | None = None
    caller_plugin: str = ""
    internal_connections: bool = False
    cause: Cause | None = None

    @property
    def next_cause(self) -> Cause | None:
        """Return the cause of what is published or started by this principal."""
        return None if self.cause is None else Cause(self.cause.root, self.cause.chain + 1)

    @property
    def subject_id(self) -> str:
        return self.actor.subject_id
