"""Finding a service or method by the name that a person gives it, whole or short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from gestalt_host.daemon.errors import CommandFailed


def parted(text: str) -> tuple[str, str]:
    """Return service and method of ``SERVICE/METHOD`` or ``SERVICE.METHOD``.

    Raises:
        CommandFailed: it is neither.
    """
    name = text.removeprefix("/")
    service, _, method = name.rpartition("/" if "/" in name else ".")
    if not service or not method:
        raise CommandFailed(f'"{text}" names no method; SERVICE/METHOD does, such as IntegrationProvider/Execute')
    return service, method


def is_named(full_name: str, given: str) -> bool:
    """Tell whether the full name, or its end behind a dot, is what was given."""
    return full_name == given or full_name.endswith(f".{given}")


def method_of(service: ServiceDescriptor, given: str) -> MethodDescriptor:
    """Return the method of that name.

    Raises:
        CommandFailed: there is none; it lists those that there are.
    """
    found = service.methods_by_name.get(given)
    if found is None:
        names = [method.name for method in service.methods]
        raise CommandFailed(f"{service.full_name} has no method {given}{near(given, names)}; it has {', '.join(names)}")
    return found


def near(given: str, names: Iterable[str]) -> str:
    """Return a suggestion where one of the names is much like what was given, else nothing."""
    by_lower = {name.rpartition(".")[2].lower(): name for name in names}
    found: Sequence[str] = get_close_matches(given.rpartition(".")[2].lower(), by_lower, 1)
    return f" (did you mean {by_lower[found[0]]}?)" if found else ""
