"""Define every error that this provider raises on purpose; imports neither grpc nor generated code."""

from __future__ import annotations

from gestalt_sdk.common.printable import quoted
from gestalt_sdk.errors import GestaltError


class WorkflowError(GestaltError):
    """Base of this provider's errors."""


class InvalidRequest(WorkflowError):
    """Something in the request is missing or malformed; the text names it."""


class InvalidConfiguration(WorkflowError):
    """The provider's ``config`` cannot be used; the text names key, value and accepted form."""


class NotConfigured(WorkflowError):
    """A call came before a configure that succeeded."""

    def __init__(self) -> None:
        super().__init__("indexeddb workflow: provider is not configured")


class ObjectNotFound(WorkflowError):
    """No object of that kind has the id."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"{kind} {quoted(object_id)} not found")


class OwnedByAnother(WorkflowError):
    """The id belongs to an object whose target is of another plugin, and the request does not retarget."""

    def __init__(self, kind: str, object_id: str, plugin: str) -> None:
        super().__init__(f"{kind} {quoted(object_id)} is already owned by target owner {quoted(plugin)}")


class SignalExists(WorkflowError):
    """The explicit sequence number of a signal is taken."""

    def __init__(self, signal_id: str) -> None:
        super().__init__(f"workflow signal {quoted(signal_id)} already exists")


class StateConflict(WorkflowError):
    """The object is not in a state that permits the call."""


class RevisionConflict(WorkflowError):
    """The object is not what the change was decided on: it is at another revision, or exists already."""

    def __init__(self, kind: str, object_id: str, state: str) -> None:
        super().__init__(f"{kind} {quoted(object_id)} {state}")


class TooMuchContention(WorkflowError):
    """Other writers changed the same records again and again; safe to retry."""

    def __init__(self, step: str) -> None:
        super().__init__(f"{step}: other writers changed the same records too often; try again")


class StorageFailed(WorkflowError):
    """The store refused or failed an operation."""


class StorageUnavailable(StorageFailed):
    """The store did not answer. Whether a write took effect is not known."""


class ContentRefused(StorageFailed):
    """The store will never take what was to be written, or give what was asked for."""


class Undecodable(StorageFailed):
    """A stored record is not what this provider writes."""

    def __init__(self, text: str, record_id: str = "") -> None:
        super().__init__(text)
        self.record_id = record_id


class AnswerTooLarge(WorkflowError):
    """A list does not fit into one message."""


class FormatTooNew(WorkflowError):
    """The database was written by a newer provider."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the workflow database has format {found}; this provider knows formats up to {known}: "
            "install the newer provider again, or restore a backup from before its upgrade"
        )
