"""What the engines share about changes of a store's indexes (``IndexedDBSchemas``): states, paces, texts, conflicts."""

from __future__ import annotations

import orjson

from gestalt_store.engines.interface import IndexConflict
from gestalt_store.values.keys import Encoded

RUNNING, DONE, FAILED = "running", "done", "failed"

BATCH_ROWS = 200
BATCH_BYTES = 512 * 1024
"""Records that are indexed in one transaction."""
SHARE = 1.0
"""Rest after each batch, as a share of the time that it took."""
SWITCH_WAIT_S = 0.1
"""How long the last step waits for open transactions, and new ones behind it, before it tries again later."""
RETRY_S, LONGEST_RETRY_S = 0.2, 5.0
"""First and longest pause after a failed attempt."""
CONFLICT_LIMIT = 100
"""Most duplicate keys that a report lists."""


def duplicates_problem(conflicts: tuple[IndexConflict, ...]) -> str:
    """Say why a migration failed that found the conflicts."""
    names = ", ".join(dict.fromkeys(repr(conflict.index_name) for conflict in conflicts))
    return f"records have the same key in unique index {names}"


def unreadable_problem(error: BaseException | None) -> str:
    """Say why a migration failed that met a record which it cannot index."""
    return f"a record cannot be indexed: {type(error).__name__}"


def conflicts_to_bytes(conflicts: tuple[IndexConflict, ...]) -> bytes:
    """Return the conflicts as they are stored; blank without any."""
    listed = [
        [conflict.index_name, *(part.hex() for part in (*conflict.key, *conflict.primary_keys))]
        for conflict in conflicts
    ]
    return orjson.dumps(listed) if listed else b""


def conflicts_from_bytes(data: bytes) -> tuple[IndexConflict, ...]:
    """Read what ``conflicts_to_bytes`` returned."""
    if not data:
        return ()
    return tuple(
        IndexConflict(name, Encoded(bytes.fromhex(order), bytes.fromhex(ties)), tuple(map(bytes.fromhex, keys)))
        for name, order, ties, *keys in orjson.loads(data)
    )
