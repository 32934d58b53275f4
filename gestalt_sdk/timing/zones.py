"""Know IANA time zones: which names exist, and their rules, both from the tzdata package alone.

The machine's own database is not looked at, so every machine with the same package accepts the same names and computes
the same slots. Governments change their rules: `pip install --upgrade tzdata` brings the new ones, and the next start
uses them.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

import tzdata

from gestalt_sdk.common.printable import quoted
from gestalt_sdk.errors import GestaltError

DEFAULT_ZONE = "UTC"


class ZoneInvalid(GestaltError):
    """Report that there is no IANA time zone of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"invalid timezone {quoted(name)}")


@cache
def zone_names() -> frozenset[str]:
    """Return every zone name of the bundled database, links such as ``US/Eastern`` included."""
    text = resources.files(tzdata).joinpath("zones").read_text(encoding="utf-8")
    return frozenset(line.strip() for line in text.splitlines() if line.strip())


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """Return the zone of that exact name; blank is not accepted here, see ``normalise_zone``.

    Raises:
        ZoneInvalid: there is no such IANA zone. ``Local`` is not one: it would mean the server's own.
    """
    if name not in zone_names():
        raise ZoneInvalid(name)
    with resources.files(tzdata).joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def normalise_zone(text: str) -> str:
    """Return the trimmed name, ``UTC`` when blank.

    Raises:
        ZoneInvalid: it names no IANA zone.
    """
    name = text.strip() or DEFAULT_ZONE
    load_zone(name)
    return name
