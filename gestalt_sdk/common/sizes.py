"""How long the texts may be that name things: ids, names, keys, and what events are told apart by (docs/limits.md)."""

from __future__ import annotations

NAME_BYTES = 512
"""Of an id or a name, as UTF-8."""
KEY_BYTES = 1024
"""Of an idempotency key or workflow key, which may be made of an id and something else."""
EVENT_TEXT_BYTES = 1024
"""Of the type, source and subject of an event, and of what a trigger wants them to be."""
CRON_BYTES = 1024


def too_long(name: str, text: str, limit: int = NAME_BYTES) -> str:
    """Return the refusal of a text that has more bytes than are accepted, without the text; blank for any other."""
    if len(text) * 4 <= limit:
        return ""
    size = len(text.encode(errors="replace"))
    return f"{name} has {size} bytes; accepted are at most {limit}" if size > limit else ""
