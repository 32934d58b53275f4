"""How long the texts may be that name things, and how deep free-form values (docs/limits.md)."""

from __future__ import annotations

from collections.abc import Mapping

NAME_BYTES = 512
"""Of an id or a name, as UTF-8."""
KEY_BYTES = 1024
"""Of an idempotency key or workflow key, which may be made of an id and something else."""
EVENT_TEXT_BYTES = 1024
"""Of the type, source and subject of an event, and of what a trigger wants them to be."""
CRON_BYTES = 1024
LEVELS = 24
"""Of objects and lists inside each other, with the outermost. A message has three levels for each, and 100 at most."""


def too_long(name: str, text: str, limit: int = NAME_BYTES) -> str:
    """Return the refusal of a text that has more bytes than are accepted, without the text; blank for any other."""
    if len(text) * 4 <= limit:
        return ""
    size = len(text.encode(errors="replace"))
    return f"{name} has {size} bytes; accepted are at most {limit}" if size > limit else ""


def is_nested_too_deeply(value: object) -> bool:
    """Return whether a JSON-like value has more levels of objects and lists than every message can carry."""
    level = [value]
    for _ in range(LEVELS):
        level = [
            item
            for container in level
            if isinstance(container, Mapping | list | tuple)
            for item in (container.values() if isinstance(container, Mapping) else container)
            if isinstance(item, Mapping | list | tuple)
        ]
        if not level:
            return False
    return True


def too_deep(name: str, value: object) -> str:
    """Return the refusal of a value that ``is_nested_too_deeply``; blank for any other."""
    return nested_too_deeply(name) if is_nested_too_deeply(value) else ""


def nested_too_deeply(name: str) -> str:
    """Return the refusal of a value that is known to be nested too deeply."""
    return f"{name} is nested too deeply: at most {LEVELS} levels of objects and lists are accepted"
