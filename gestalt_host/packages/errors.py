"""The error of a provider package that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gestalt_host.config.errors import Faults
from gestalt_host.errors import UNTOLD, EntryFailed

_MOST_SHOWN = 100
"""Of the faults of one document, which a publisher can fill with them."""


class PackageInvalid(EntryFailed):
    """A manifest, catalogue or provider source cannot be used; the text names the file and every fault."""


class NotPrepared(PackageInvalid):
    """What has to be built or written before a start is not there, and nothing may be run or written now."""


class PackageUnprovided(PackageInvalid):
    """The package is sound and needs something that this version cannot do."""


@contextmanager
def failing_because(reason: str) -> Iterator[None]:
    """Give the ``PackageInvalid`` that is raised inside this reason, unless it has one.

    A file that cannot be read becomes one.
    """
    try:
        yield
    except PackageInvalid as error:
        if error.reason == UNTOLD:
            error.reason = reason
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise PackageInvalid(f"{where}{(error.strerror or str(error)).lower()}", reason) from error
    except RecursionError as error:
        raise PackageInvalid("a file of the package is nested too deeply", reason) from error


def raise_faults(what: str, faults: Faults) -> None:
    """Raise ``PackageInvalid`` listing the faults, if there are any; of very many the first ones."""
    if faults.problems:
        texts = [str(problem) for problem in dict.fromkeys(faults.problems)]
        if len(texts) > _MOST_SHOWN:
            texts[_MOST_SHOWN:] = [f"and {len(texts) - _MOST_SHOWN} more"]
        raise PackageInvalid(f"{what}: {listed(texts)}")


def listed(faults: Sequence[str]) -> str:
    """Return one text that has all the faults, of which there is at least one."""
    return faults[0] if len(faults) == 1 else "\n  ".join((f"{len(faults)} problems", *faults))
