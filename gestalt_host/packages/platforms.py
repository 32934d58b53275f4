"""The platform that the host runs on, in the names that packages use (packaging.md 5)."""

from __future__ import annotations

import platform
import sys

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def host_os() -> str:
    """``linux``, ``darwin`` or ``windows``."""
    return {"win32": "windows"}.get(sys.platform, sys.platform)


def host_arch() -> str:
    """``amd64``, ``arm64`` or the machine's own word."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)
