"""Environment placeholders in the raw text of a configuration file (config.md 2).

A variable that is missing leaves a mark behind; only marks that survive the layers are reported, so that a missing
one in a comment, or in a key that an overlay replaces, does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gestalt_host.config.errors import Faults, Place

_PLACEHOLDER = re.compile(r"\$(?:\{(?P<braced>[^}\n]*)\}|(?P<open>\{)|(?P<bare>[A-Za-z_][A-Za-z0-9_]*|[*#$@!?\-0-9]))")
_MARK = re.compile(r"__GESTALT_MISSING_ENV__([0-9a-f]*)__")


def expand(text: str, environ: Mapping[str, str], file: str, faults: Faults) -> str:
    """Return the text with every placeholder replaced by its variable's value; inserted text is not expanded again.

    ``$NAME`` and ``${NAME}`` fall back to the content of the file that ``NAME_FILE`` names; ``${NAME:-}`` to nothing.
    """

    def replace(match: re.Match[str]) -> str:
        place = Place(file, text.count("\n", 0, match.start()) + 1)
        if match["open"]:
            faults.add(place, "", "invalid environment placeholder: ${ is not closed on its line")
            return ""
        name = match["braced"] if match["braced"] is not None else match["bare"]
        if not name:
            return ""
        name, separator, default = name.partition(":-")
        if separator and not name:
            faults.add(place, "", f"invalid environment placeholder {match[0]!r}")
            return ""
        if default:
            faults.add(
                place,
                "",
                f"environment placeholder {match[0]!r}: only the empty default ${{{name}:-}} is supported",
            )
            return ""
        value = _look_up(name, environ, place, faults)
        if value is not None:
            return value
        return "" if separator else f"__GESTALT_MISSING_ENV__{name.encode().hex()}__"

    return _PLACEHOLDER.sub(replace, text)


def missing_in(text: str) -> list[str]:
    """Return the names of the variables whose marks are in the text."""
    return [bytes.fromhex(digits).decode() for digits in _MARK.findall(text)]


def without_marks(text: str) -> str:
    """Return the text with a missing variable taken as empty."""
    return _MARK.sub("", text)


def _look_up(name: str, environ: Mapping[str, str], place: Place, faults: Faults) -> str | None:
    if name in environ:
        return environ[name]
    path = environ.get(f"{name}_FILE", "")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        faults.add(place, "", f"environment variable {name}_FILE names {path!r}, which cannot be read: {reason}")
        return ""
