"""Which configuration files are meant (config.md 1.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

VARIABLE = "GESTALT_CONFIG"


def user_config_path(environ: Mapping[str, str]) -> Path:
    """``~/.gestaltd/config.yaml``."""
    return Path(environ.get("HOME") or Path.home()) / ".gestaltd" / "config.yaml"


def find_config(flags: Sequence[str], environ: Mapping[str, str], directory: Path | None = None) -> list[Path]:
    """The files to load: ``--config`` flags, else ``GESTALT_CONFIG``, else ``./config.yaml``, else the user's.

    Only the last two depend on what exists; the user's path is returned whether it exists or not.
    """
    if flags:
        return [Path(flag) for flag in flags]
    if environ.get(VARIABLE):
        return [Path(environ[VARIABLE])]
    local = (directory or Path.cwd()) / "config.yaml"
    if local.exists():
        return [local]
    return [user_config_path(environ)]
