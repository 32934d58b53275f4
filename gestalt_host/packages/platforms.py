"""Platforms of executables: ``os/arch`` in the words of Go (packaging.md 5)."""

from __future__ import annotations

import platform
import sys

GENERIC = "generic"
"""Key of an archive that runs on every platform."""
ALL = ("darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def host_os() -> str:
    """Return ``linux``, ``darwin`` or ``windows``."""
    return {"win32": "windows"}.get(sys.platform, sys.platform)


def host_arch() -> str:
    """Return ``amd64``, ``arm64`` or the machine's own word."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def host_platform() -> str:
    """Return the platform of this machine, such as ``linux/amd64``."""
    return f"{host_os()}/{host_arch()}"


def is_platform(text: str) -> bool:
    """Tell whether the text has the form ``os/arch``; which systems and processors there are is nobody's business."""
    parts = text.split("/")
    return len(parts) == 2 and all(part and part == part.strip() for part in parts)
