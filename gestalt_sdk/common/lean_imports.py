"""What a process imports when it starts, imported with less work. Imports the standard library alone."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = 100_000
"""New objects after which garbage is looked for while importing; usually after 700, of which an import makes many."""


@contextmanager
def lean_imports() -> Iterator[None]:
    """Import inside it what the process needs for good: modules make objects that stay, and next to no garbage.

    The collector looks for garbage seldom meanwhile, and never again at what is there at the end.
    """
    usual = gc.get_threshold()
    gc.set_threshold(_SELDOM, *usual[1:])
    try:
        _import_structlog()
        yield
    finally:
        if gc.get_threshold()[0] == _SELDOM:  # else a module that was imported has set it for its own reasons
            gc.set_threshold(*usual)
        gc.freeze()


def _import_structlog() -> None:
    """Import structlog without rich, which it would import for tracebacks on a terminal: a quarter of a start.

    Our processes log JSON. A process that uses rich itself, before or later, is not concerned.
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # its import fails then, as where it is not installed
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]
