"""The headers of a request: those of the manifest, of parameters, of the body, and those that hold a credential."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gestalt_host.errors import InvalidInvocation, quoted
from gestalt_host.invocation.rest.values import Unwritable
from gestalt_host.packages.manifests.rest_model import PLACEHOLDER, is_settable_header

ALWAYS_SECRET = frozenset({"authorization", "cookie"})
"""Hold a credential whoever sets them."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def fits_header(value: str) -> bool:
    """Return whether a header can hold the value: text without control characters other than tabs."""
    return _CONTROL.search(value) is None


class Headers:
    """Headers with one value a name, whatever its letter case; who sets one later replaces it, spelling included."""

    def __init__(self) -> None:
        self._set: dict[str, tuple[str, str]] = {}

    def put(self, name: str, value: str) -> None:
        """Set a header; the blanks around a value are not part of it in HTTP.

        Raises:
            Unwritable: no request can carry the value; the text does not show it.
        """
        if not fits_header(value):
            raise Unwritable("holds a line break or another control character, which no header can")
        self._set[name.lower()] = (name, value.strip(" \t"))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._set

    def as_dict(self) -> dict[str, str]:
        return dict(self._set.values())


def static_headers(headers: Mapping[str, str], connection_params: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a surface's headers, ``{parameter}`` of the connection filled in; one that it lacks stays as it is.

    Raises:
        InvalidInvocation: a header that is the host's own.
    """
    for name, template in headers.items():
        if not is_settable_header(name):
            raise InvalidInvocation(f"header {quoted(name)} of the manifest cannot be set")
        yield name, PLACEHOLDER.sub(lambda found: connection_params.get(found[1], found[0]), template)
