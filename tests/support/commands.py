"""The provider processes that tests start: ours, or the ones that a caller of pytest names instead.

An option is written into its variable of the environment, where worker processes of pytest find it too, and is read
when a process is started, never on import: modules are imported before pytest has read its options.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Command:
    """A provider's command line, which another implementation can take the place of.

    Attributes:
        option: Of pytest; its value is split as a shell does.
        variable: Of the environment, for the same.
        ours: The command of our own implementation.
    """

    option: str
    variable: str
    help: str
    ours: str

    @property
    def replaced(self) -> bool:
        """Whether another implementation than ours is tested."""
        return bool(os.environ.get(self.variable))

    @property
    def text(self) -> str:
        return os.environ.get(self.variable) or self.ours

    def words(self) -> list[str]:
        return shlex.split(self.text)


def serving(folder: str, target: str, kind: str) -> str:
    """Return the command that serves the provider ``target``, found below ``folder`` of the repository."""
    return shlex.join([sys.executable, "-m", "gestalt_sdk.run", str(ROOT / folder), target, kind])


WORKFLOW = Command(
    "--workflow-command",
    "GESTALT_TEST_WORKFLOW_COMMAND",
    "command of a workflow provider to test instead of ours",
    serving("providers/indexeddb", "gestalt_workflow.provider:provider", "workflow"),
)
STORE = Command(
    "--store-command",
    "GESTALT_TEST_STORE_COMMAND",
    "command of an IndexedDB provider to test instead of ours, and to run the workflow provider on",
    serving("providers/indexeddb_store", "gestalt_store.provider:provider", "indexeddb"),
)
