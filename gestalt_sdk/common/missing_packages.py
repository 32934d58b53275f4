"""Name a package that the installation lacks. Imports the standard library alone."""

from __future__ import annotations


def missing_package(program: str, error: ModuleNotFoundError) -> str:
    """Return what to install so that the program starts.

    Raises:
        ModuleNotFoundError: the error itself, where a module of this project is missing, which is a fault of its own.
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", "gestalt_host", "gestalt_sdk"):
        raise error
    return (
        f"{program} needs the Python package {package!r}, which is not installed: "
        "`pip install gestaltd` installs it, in a source tree `make setup-run`"
    )
