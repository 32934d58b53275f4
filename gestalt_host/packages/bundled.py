"""Providers that ship inside this distribution, for ``source: {builtin: NAME}``."""

from __future__ import annotations

from pathlib import Path

from gestalt_host.packages.errors import PackageInvalid

_INSTALLED = Path(__file__).resolve().parent.parent / "bundled"
_CHECKOUT = Path(__file__).resolve().parent.parent.parent
# Where an installed distribution has them, then where a checkout has them.
_ROOTS = (_INSTALLED, _INSTALLED / "plugins", _CHECKOUT / "providers", _CHECKOUT / "examples" / "plugins")


def bundled(name: str) -> Path:
    """Return the folder of a bundled provider.

    Raises:
        PackageInvalid: no such provider, listing those that there are.
    """
    if name in bundled_names():
        for root in _ROOTS:
            if _is_provider(root / name):
                return root / name
    known = ", ".join(bundled_names()) or "none"
    raise PackageInvalid(f'no builtin provider "{name}"; there are {known}')


def examples() -> Path:
    """Return the folder of the example providers, from which new ones are made."""
    installed = _INSTALLED / "providers"
    return installed if installed.is_dir() else _CHECKOUT / "examples" / "providers"


def bundled_names() -> list[str]:
    """Return the names of every bundled provider, sorted."""
    return sorted({path.name for root in _ROOTS if root.is_dir() for path in root.iterdir() if _is_provider(path)})


def _is_provider(path: Path) -> bool:
    return any((path / name).is_file() for name in ("manifest.yaml", "manifest.json", "manifest.yml"))
