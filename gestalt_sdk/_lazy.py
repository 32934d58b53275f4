"""Import the public names of a package when they are first used, so that a process pays only for what it uses."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], list[str]]:
    """Return the ``__getattr__`` and the ``__all__`` of a package (PEP 562).

    The package states the same imports under ``TYPE_CHECKING``, which is what type checkers and readers go by.

    Args:
        package: Its ``__name__``.
        modules: Module below the package -> the names that it gives, separated by blanks.
    """
    sources = {name: f"{package}.{module}" for module, names in modules.items() for name in names.split()}

    def resolve(name: str) -> object:
        source = sources.get(name)
        if source is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(source), name)
        setattr(sys.modules[package], name, value)
        return value

    return resolve, sorted(sources)
