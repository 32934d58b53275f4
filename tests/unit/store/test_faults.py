"""The fault table: every error that the store raises on purpose has a row of its own."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import gestalt_store
from gestalt_store.errors import FAULTS, StoreError
from grpc import StatusCode

from gestalt_sdk.errors import GestaltError


def subclasses(base: type[GestaltError]) -> Iterator[type[GestaltError]]:
    for found in base.__subclasses__():
        yield found
        yield from subclasses(found)


def errors_of_the_package() -> set[type[GestaltError]]:
    for module in pkgutil.walk_packages(gestalt_store.__path__, "gestalt_store."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return {error for error in subclasses(GestaltError) if error.__module__.startswith("gestalt_store.")}


def test_every_error_has_a_row_and_every_row_an_error() -> None:
    assert set(FAULTS) == errors_of_the_package() - {StoreError}


def test_an_error_without_a_row_is_not_taken_for_a_fault() -> None:
    assert StoreError not in FAULTS, "a row of the base would hide a row that is missing"
    assert all(fault.code not in (StatusCode.OK, StatusCode.UNKNOWN) for fault in FAULTS.values())


def test_a_reason_belongs_to_one_error_and_those_that_derive_from_it() -> None:
    by_reason: dict[str, list[type[GestaltError]]] = {}
    for error, fault in FAULTS.items():
        by_reason.setdefault(fault.reason, []).append(error)
    for errors in by_reason.values():
        assert all(issubclass(error, errors[0]) for error in errors)
        assert len({FAULTS[error].code for error in errors}) == 1
