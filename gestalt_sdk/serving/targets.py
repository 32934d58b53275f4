"""Find the provider that a root folder, ``MODULE[:ATTR]`` and a kind name (contract.md 2.7)."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from gestalt_sdk.bases.provider import Provider, ProviderKind
from gestalt_sdk.errors import GestaltError


class TargetUnusable(GestaltError):
    """Report that ROOT, MODULE, ATTR or KIND does not name a provider."""


def find_provider(root: Path, target: str, kind_word: str) -> Callable[[], Provider]:
    """Import the target with ``root`` first on the path; return what makes, or already is, the provider.

    Raises:
        TargetUnusable: naming the part that is wrong and what would be accepted.
    """
    try:
        kind = ProviderKind(kind_word)
    except ValueError:
        words = ", ".join(sorted(each.value for each in ProviderKind))
        raise TargetUnusable(f"kind is {kind_word!r}; accepted are {words}") from None
    if not root.is_dir():
        raise TargetUnusable(f"root {str(root)!r} is not a directory")
    module_name, _, attribute = target.partition(":")
    if not module_name:
        raise TargetUnusable("no module is named; accepted is MODULE or MODULE:ATTR")
    sys.path.insert(0, str(root.resolve()))
    value, name = _attribute(_import(module_name, root.resolve()), attribute, kind)
    return _maker(value, f"{module_name}:{name}", kind)


def _import(name: str, root: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise TargetUnusable(f"there is no module {name!r} under the root") from error
        raise TargetUnusable(f"module {name!r} needs {error.name!r}, which is not installed") from error
    except Exception as error:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        raise TargetUnusable(
            f"module {name!r} cannot be imported: {type(error).__name__}: {text} ({_place_of(error, root)})"
        ) from error


def _place_of(error: Exception, root: Path) -> str:
    """Return file and line of the author's code: what fails in a library was called from there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno or 0}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(Path(frame.filename), root)]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _is_own(file: Path, root: Path) -> bool:
    return file.is_relative_to(root) and "site-packages" not in file.parts


def _attribute(module: ModuleType, attribute: str, kind: ProviderKind) -> tuple[Any, str]:
    names = [attribute] if attribute else [kind.value, "provider", "plugin"]
    for name in names:
        value: Any = module
        for part in name.split("."):
            value = getattr(value, part, None)
        # A submodule `provider` of a package is no provider.
        if value is not None and not isinstance(value, ModuleType):
            return value, name
    if attribute:
        raise TargetUnusable(f"module {module.__name__!r} has no attribute {attribute!r}")
    raise TargetUnusable(f"module {module.__name__!r} has none of the attributes {', '.join(names)}")


def _maker(value: Any, name: str, kind: ProviderKind) -> Callable[[], Provider]:
    if isinstance(value, Provider):
        _require_kind(value, name, kind)
        return lambda: value
    if not callable(value):
        raise TargetUnusable(
            f"{name} is a {type(value).__name__}; accepted are a Provider, a subclass of it or a function making one"
        )
    if isinstance(value, type) and issubclass(value, Provider):
        _require_kind(value, name, kind)

    def make() -> Provider:
        provider = value()
        if not isinstance(provider, Provider):
            raise TargetUnusable(f"{name} made a {type(provider).__name__}, not a Provider")
        _require_kind(provider, name, kind)
        return provider

    return make


def _require_kind(provider: Provider | type[Provider], name: str, kind: ProviderKind) -> None:
    actual = getattr(provider, "kind", None)
    if actual is not kind:
        described = f"of kind {actual.value}" if isinstance(actual, ProviderKind) else "without a kind"
        raise TargetUnusable(f"{name} is a provider {described}, but is to be served as {kind.value}")
