"""The headers of a request: those of the manifest, of parameters, of the body, and those that hold a credential."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from gestalt_host.config.declared.headers import fits_header as fits_header
from gestalt_host.config.declared.headers import is_settable_header
from gestalt_host.errors import quoted
from gestalt_host.invocation.rest.values import Unrequestable, Unwritable
from gestalt_host.packages.manifests.rest_model import PLACEHOLDER

ALWAYS_SECRET = frozenset({"authorization", "cookie"})
"""Hold a credential whoever sets them."""
NO_HEADER = "holds a line break or another control character, which no header can"
"""The end of a sentence that begins with what was to be a header; the value is not shown."""


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
            raise Unwritable(NO_HEADER)
        self._set[name.lower()] = (name, value.strip(" \t"))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._set

    def items(self) -> Collection[tuple[str, str]]:
        return self._set.values()


def static_headers(headers: Mapping[str, str], connection_params: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a surface's headers, ``{parameter}`` of the connection filled in; one that it lacks stays as it is.

    Raises:
        Unrequestable: a header that is the host's own, or a value that no header can have.
    """
    for name, template in headers.items():
        if not is_settable_header(name):
            raise Unrequestable(f"header {quoted(name)} of the manifest cannot be set")
        value = PLACEHOLDER.sub(lambda found: connection_params.get(found[1], found[0]), template)
        if not fits_header(value):
            raise Unrequestable(f"header {quoted(name)} of the manifest, with the connection's parameters, {NO_HEADER}")
        yield name, value
