"""Name a member of a JSON-like value, as errors do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from gestalt_sdk.common.texts import cut

_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_NAME_BYTES = 100


def member_path(parts: Iterable[str | int]) -> str:
    """Return the path of a member, such as ``items[2].id``; a name that is no plain word stands as ``["a b"]``.

    Of a name longer than 100 bytes the path has the beginning.
    """
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
            continue
        name = cut(part, _NAME_BYTES)
        if _PLAIN.fullmatch(name):
            path += f".{name}" if path else name
        else:
            path += f"[{json.dumps(name)}]"
    return path
