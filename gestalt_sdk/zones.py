"""IANA time zones: which names exist, and their rules.

The names are those of the tzdata package, so that what is accepted does not depend on the machine. The rules come from
the machine's own database where it has one, which operators keep current, and from the package elsewhere.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from gestalt_sdk.errors import GestaltError

DEFAULT_ZONE = "UTC"


class ZoneInvalid(GestaltError):
    """There is no IANA time zone of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'invalid timezone "{name}"')


@cache
def zone_names() -> frozenset[str]:
    """Every zone name of the bundled database, links such as ``US/Eastern`` included."""
    text = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(line.strip() for line in text.splitlines() if line.strip())


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """The zone of that exact name; blank is not accepted here, see ``normalise_zone``.

    Raises:
        ZoneInvalid: there is no such IANA zone. ``Local`` is not one: it would mean the server's own.
    """
    if name not in zone_names():
        raise ZoneInvalid(name)
    return ZoneInfo(name)


def normalise_zone(text: str) -> str:
    """The trimmed name, ``UTC`` when blank.

    Raises:
        ZoneInvalid: it names no IANA zone.
    """
    name = text.strip() or DEFAULT_ZONE
    load_zone(name)
    return name
