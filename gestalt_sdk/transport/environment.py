"""Read the environment variables that the host sets for a provider (contract.md 2.2, 2.5)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gestalt_sdk.errors import GestaltError

PLUGIN_SOCKET = "GESTALT_PLUGIN_SOCKET"
PARENT_PID = "GESTALT_PLUGIN_PARENT_PID"
PLUGIN_NAME = "GESTALT_PLUGIN_NAME"
DRAIN_SECONDS = "GESTALT_PLUGIN_DRAIN_SECONDS"
WRITE_CATALOG = "GESTALT_PLUGIN_WRITE_CATALOG"
INDEXEDDB_SOCKET = "GESTALT_INDEXEDDB_SOCKET"
WORKFLOW_HOST_SOCKET = "GESTALT_WORKFLOW_HOST_SOCKET"
WORKFLOW_MANAGER_SOCKET = "GESTALT_WORKFLOW_MANAGER_SOCKET"
AGENT_HOST_SOCKET = "GESTALT_AGENT_HOST_SOCKET"
PLUGIN_INVOKER_SOCKET = "GESTALT_PLUGIN_INVOKER_SOCKET"
TLS_CA_PEM = "GESTALT_HOST_SERVICE_TLS_CA_PEM"
TLS_CA_FILE = "GESTALT_HOST_SERVICE_TLS_CA_FILE"
RELAY_TOKEN_HEADER = "x-gestalt-host-service-relay-token"
RELAY_REFUSAL = "host-service-relay-method-not-allowed"
"""What a relay says of a service that it does not know, instead of answering UNIMPLEMENTED (contract.md 2.6)."""


class EnvironmentUnusable(GestaltError):
    """Report that a variable that the host must set is missing or has a form that is not understood."""


def binding_variable(base: str, binding: str = "") -> str:
    """Return the name of a host-service variable for a named binding.

    It is ``base``, ``_`` and the name in upper case, with ``_`` for characters that are no ASCII letters or digits.
    """
    name = binding.strip()
    if not name:
        return base
    suffix = "".join(c.upper() if c.isascii() and c.isalnum() else "_" for c in name)
    return f"{base}_{suffix}"


@dataclass(frozen=True, slots=True)
class Address:
    """Say where a gRPC service is: ``target`` as grpc wants it, a relay ``token`` or none, TLS or not."""

    target: str
    token: str | None = None
    tls: bool = False

    @property
    def path(self) -> Path | None:
        """Return the socket's path when the address is a unix socket, else None."""
        return Path(self.target.removeprefix("unix:")) if self.target.startswith("unix:") else None


def parse_address(text: str, *, variable: str, token: str | None = None) -> Address:
    """Read ``/path``, ``unix:///path``, ``tcp://host:port`` or ``tls://host:port``.

    Raises:
        EnvironmentUnusable: for any other form, naming the variable and the value.
    """
    if text.startswith("/"):
        return Address(f"unix:{text}", token)
    scheme, separator, rest = text.partition("://")
    if separator and rest:
        if scheme == "unix":
            return Address(f"unix:{rest}", token)
        if scheme in ("tcp", "tls"):
            return Address(rest, token, tls=scheme == "tls")
    raise EnvironmentUnusable(
        f"{variable} is {text!r}; accepted are /path, unix:///path, tcp://host:port and tls://host:port"
    )


def service_address(variable: str, environ: Mapping[str, str] | None = None) -> Address:
    """Return the address of a host service, with the token of ``VARIABLE_TOKEN`` if it is set.

    Raises:
        EnvironmentUnusable: when the variable is not set or cannot be read.
    """
    environ = os.environ if environ is None else environ
    text = environ.get(variable, "")
    if not text:
        raise EnvironmentUnusable(f"{variable} is not set: the host has not given this provider that service")
    return parse_address(text, variable=variable, token=environ.get(f"{variable}_TOKEN"))
