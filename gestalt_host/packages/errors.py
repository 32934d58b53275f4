"""The error of a provider package that cannot be used."""

from __future__ import annotations

from gestalt_host.config.errors import Faults
from gestalt_host.errors import HostError


class PackageInvalid(HostError):
    """A manifest, catalogue or provider source cannot be used; the text names the file and every fault."""


def raise_faults(what: str, faults: Faults) -> None:
    """Raise ``PackageInvalid`` listing the faults, if there are any."""
    if faults.problems:
        lines = [str(problem) for problem in dict.fromkeys(faults.problems)]
        text = lines[0] if len(lines) == 1 else "\n  ".join((f"{len(lines)} problems", *lines))
        raise PackageInvalid(f"{what}: {text}")
