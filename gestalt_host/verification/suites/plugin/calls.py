"""Calls of a plugin's operations that change nothing, whatever the plugin does."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from gestalt_host.packages.catalogue import FILE_NAME, CatalogueOperation, PluginCatalogue, read_catalogue
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.generated_catalogues import RUN_TIMEOUT_S, WRITE_VARIABLE
from gestalt_host.verification.outcomes import Broken, NotOffered
from gestalt_host.verification.subject import PLUGIN, UNIMPLEMENTED, Answer, Subject
from gestalt_sdk.gen.v1 import plugin_pb2 as pb
from gestalt_sdk.transport.environment import PLUGIN_SOCKET
from gestalt_sdk.transport.values import to_struct

UNKNOWN_OPERATION = "no.plugin.has.this.operation"
REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
_CLIENT_ERRORS = range(400, 500)
_STATUSES = range(100, 600)
_EMPTY_STATUS = 0
"""Counts as 200 (contract.md 4.5)."""


async def written_catalogue(subject: Subject) -> PluginCatalogue:
    """Run the plugin so that it writes its catalogue, and return that.

    Raises:
        NotOffered: it writes none.
        Broken: it does not end with status 0 after that, or what it writes is no catalogue.
    """
    path = subject.directory / FILE_NAME
    path.unlink(missing_ok=True)
    environment = {**await subject.environment(), WRITE_VARIABLE: str(path)}
    del environment[PLUGIN_SOCKET]
    await subject.spawn(environment)
    status = await subject.ended_within(RUN_TIMEOUT_S)
    if status is None:
        raise Broken(f"it to end within {RUN_TIMEOUT_S} s with {WRITE_VARIABLE} set", "it runs")
    if not path.is_file():
        absent = "" if subject.candidate.catalogue else f"there is no {FILE_NAME}, and "
        raise NotOffered(f"a catalogue: {absent}it writes none with {WRITE_VARIABLE}")
    if status != 0:
        raise Broken(f"exit status 0 with {WRITE_VARIABLE} set", subject.child.describe_exit())
    try:
        return read_catalogue(path)
    except PackageInvalid as error:
        raise Broken("a catalogue that can be read", str(error).replace(str(path), FILE_NAME)) from error


async def catalogue_of(subject: Subject) -> PluginCatalogue:
    """Return the catalogue of the package, else the one that the plugin writes; raises as ``written_catalogue``."""
    return subject.candidate.catalogue or await written_catalogue(subject)


async def execute(
    subject: Subject, operation: str, params: Mapping[str, object] | None = None, **fields: object
) -> Answer:
    """Execute an operation; ``fields`` are further ones of the request."""
    request = pb.ExecuteRequest(operation=operation, **fields)  # type: ignore[arg-type]
    if params:
        request.params.CopyFrom(to_struct(params))
    return await subject.call(PLUGIN, "Execute", request, answers=pb.OperationResult)


def require_result(answer: Answer, what: str) -> pb.OperationResult:
    """Return the result of an operation, which is of any status that HTTP has.

    Raises:
        NotOffered: the plugin has no operations.
        Broken: there is none.
    """
    if answer.code is UNIMPLEMENTED:
        raise NotOffered("Execute")
    result = answer.read(pb.OperationResult)
    if result.status != _EMPTY_STATUS and result.status not in _STATUSES:
        raise Broken(f"a status as HTTP has them for {what}", str(result.status))
    return result


def require_refused(answer: Answer, what: str) -> None:
    """Require a result with a status from 400 to 499, or an error that says as much.

    Args:
        what: The call.
    Raises:
        NotOffered: the plugin has no operations.
        Broken: it is anything else.
    """
    if answer.code in REFUSALS:
        return
    status = require_result(answer, what).status
    if status not in _CLIENT_ERRORS:
        raise Broken(f"a status from 400 to 499 for {what}", f"status {status}")


async def harmless_operation(subject: Subject) -> str:
    """Return an operation that can be called without parameters and only reads; one that is unknown where none is."""
    try:
        operations = (await catalogue_of(subject)).operations
    except NotOffered:
        return UNKNOWN_OPERATION
    for operation in operations.values():
        if operation.read_only and not required_parameters(operation):
            return operation.id
    return UNKNOWN_OPERATION


def parameter_types(operation: CatalogueOperation) -> dict[str, str]:
    """Return the JSON type of each parameter, blank where it has several or none."""
    if operation.input_schema is None:
        return {item.name: item.type for item in operation.parameters}
    properties = operation.input_schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    types = {name: schema.get("type") for name, schema in properties.items() if isinstance(schema, Mapping)}
    return {name: found if isinstance(found, str) else "" for name, found in types.items()}


def required_parameters(operation: CatalogueOperation) -> list[str]:
    """Return the parameters without which the operation cannot be called."""
    if operation.input_schema is None:
        return [item.name for item in operation.parameters if item.required]
    required = operation.input_schema.get("required")
    return [str(name) for name in required] if isinstance(required, list) else []
