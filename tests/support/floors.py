"""The floors of each package: which rooms it has, and which of them stand on which.

A room may import itself and rooms on lower floors, never one on its own floor or above. ``test_imports`` holds the code
to it, ``test_architecture_page`` the tables of docs/architecture.md.
"""

from __future__ import annotations

FLOORS: dict[str, tuple[set[str], ...]] = {
    "gestalt_sdk": (
        {"run"},
        {"serving"},
        {"plugin", "agent"},
        {"workflow"},
        {"client_faults"},
        {"bases"},
        {"indexeddb"},
        {"transport", "timing"},
        {"common"},
        {"errors"},
        {"_lazy", "version"},
    ),
    "gestalt_host": (
        {"daemon", "cli"},
        {"verification"},
        {"http", "hostservices"},
        {"workflows"},
        {"invocation"},
        {"access"},
        {"supervisor"},
        {"packages"},
        {"config"},
        {"errors"},
    ),
    "providers/indexeddb/gestalt_workflow": (
        {"provider"},
        {"edge"},
        {"engine"},
        {"watcher"},
        {"reading", "retention", "dispatch"},
        {"events"},
        {"objects"},
        {"firing"},
        {"claims"},
        {"stored", "wire"},
        {"config"},
        {"model"},
    ),
    "providers/indexeddb_store/gestalt_store": (
        {"__main__"},
        {"provider"},
        {"edge"},
        {"databases"},
        {"config"},
        {"sqlite", "postgres"},
        {"work"},
        {"engines"},
        {"process", "values"},
        {"errors"},
    ),
}
"""Rooms of each package from top to bottom. A room is a folder or a module directly below the package."""
