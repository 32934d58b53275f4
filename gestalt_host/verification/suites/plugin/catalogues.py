"""The operations that a plugin has: what it writes of them, and what it says itself."""

from __future__ import annotations

from gestalt_host.invocation.catalogue_convert import CatalogueUnfit, operations_from_proto
from gestalt_host.packages.catalogue import CatalogueOperation
from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.rules import Rule, Stage, rule
from gestalt_host.verification.subject import UNIMPLEMENTED, Subject
from gestalt_host.verification.suites.plugin.calls import (
    catalogue_of,
    parameter_types,
    required_parameters,
    written_catalogue,
)
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.gen.v1 import plugin_pb2 as pb

PLUGINS = (ProviderKind.INTEGRATION,)
JSON_TYPES = ("string", "integer", "number", "boolean", "array", "object")


@rule(
    "packaging.md 4.3/writes-catalogue",
    "It writes its catalogue and ends when it is asked to",
    kinds=PLUGINS,
    needs=Stage.SERVED,
)
async def writes_catalogue(subject: Subject) -> None:
    written = await written_catalogue(subject)
    packaged = subject.candidate.catalogue
    if packaged is not None:
        _require_same(list(packaged.operations), list(written.operations), "it writes")


@rule(
    "packaging.md 4.3/parameters",
    "Each parameter of its catalogue has a type of JSON, and what is required is described",
    kinds=PLUGINS,
    needs=Stage.SERVED,
)
async def parameters(subject: Subject) -> None:
    for operation in (await catalogue_of(subject)).operations.values():
        require_parameters(operation)


def require_parameters(operation: CatalogueOperation) -> None:
    """
    Raises:
        Broken: a parameter has a type that is none of JSON, or a required one is not described.
    """
    types = parameter_types(operation)
    for name, found in types.items():
        if found and found not in JSON_TYPES:
            raise Broken(f"parameter {name} of {operation.id} to be one of {', '.join(JSON_TYPES)}", found)
    missing = [name for name in required_parameters(operation) if name not in types]
    if missing and types:
        raise Broken(f"a description of each parameter that {operation.id} requires", f"none of {', '.join(missing)}")


@rule("contract.md 4.5/metadata", "Its metadata names known modes, and the operations of its catalogue", kinds=PLUGINS)
async def metadata(subject: Subject) -> None:
    try:
        expected = list((await catalogue_of(subject)).operations)
    except NotOffered:
        expected = []
    await subject.launch()
    answer = await subject.ask()
    if answer.code is UNIMPLEMENTED:
        raise NotOffered("GetMetadata")
    found = answer.read(pb.ProviderMetadata)
    modes = pb.ConnectionMode.DESCRIPTOR.values_by_number
    if found.connection_mode not in modes:
        raise Broken(
            f"connection_mode to be one of {', '.join(item.name for item in modes.values())}",
            str(found.connection_mode),
        )
    if "" in found.connection_params:
        raise Broken("a name of each connection parameter", "a blank one")
    said = operations_of(found.static_catalog)
    if said and expected:
        _require_same(expected, list(said), "its metadata names")


def operations_of(catalogue: pb.Catalog) -> dict[str, CatalogueOperation]:
    """Return the operations of a catalogue that came over the wire.

    Raises:
        Broken: a host could not use it.
    """
    try:
        operations = operations_from_proto(catalogue)
    except CatalogueUnfit as error:
        raise Broken("a catalogue that a host can use", str(error)) from error
    for operation in operations.values():
        require_parameters(operation)
    return operations


def _require_same(expected: list[str], found: list[str], what: str) -> None:
    if sorted(expected) != sorted(found):
        raise Broken(f"the operations of its package: {', '.join(expected)}", f"{what} {', '.join(found)}")


RULES: tuple[Rule, ...] = (writes_catalogue, parameters, metadata)
