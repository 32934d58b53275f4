"""The environment of a provider's process, built from scratch in the layers of contract.md 2.2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gestalt_sdk.transport.environment import PARENT_PID, PLUGIN_NAME, PLUGIN_SOCKET

UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
"""What a provider prints is written when it is printed, not when its process ends; other languages do so unasked."""
INHERITED = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GESTALT_HOST_SERVICE_TLS_CA_FILE",
    "GESTALT_HOST_SERVICE_TLS_CA_PEM",
)


def provider_environment(
    inherited: Mapping[str, str],
    command: Mapping[str, str],
    configured: Mapping[str, str],
    *,
    socket: Path,
    parent_pid: int,
    name: str,
    services: Mapping[str, str],
) -> dict[str, str]:
    """Return the variables of the child; later layers win.

    Args:
        inherited: The host's own environment, of which only ``INHERITED`` is taken.
        command: What the provider's language needs.
        configured: The entry's ``env``.
        services: Variable to socket path, one for each host service.
    """
    environment = {key: inherited[key] for key in INHERITED if key in inherited}
    environment.update(UNBUFFERED)
    environment.update(command)
    environment.update(configured)
    environment[PLUGIN_SOCKET] = str(socket)
    environment[PARENT_PID] = str(parent_pid)
    environment.pop(PLUGIN_NAME, None)
    if name.strip():
        environment[PLUGIN_NAME] = name
    environment.update(services)
    return environment
