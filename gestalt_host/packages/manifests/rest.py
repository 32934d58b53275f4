"""Reading ``surfaces.rest`` of a manifest strictly (packaging.md 4.1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gestalt_host.config.declared.base_urls import read_base_url
from gestalt_host.config.declared.headers import check_header
from gestalt_host.config.declared.pagination import Pagination
from gestalt_host.config.model import AllowedOperation
from gestalt_host.config.reader import Block
from gestalt_host.packages.manifests.rest_model import (
    METHODS,
    PLACEHOLDER,
    PLACES,
    ConnectionSelector,
    RestOperation,
    RestParameter,
    RestSurface,
)

_ALWAYS_DECLARED = ("plugin", "_plugin")


def read_surface(spec: Block, connections: Collection[str]) -> RestSurface | None:
    """Read the surface of a plugin's ``spec``; None where it has none. Faults are noted in the block.

    ``connections``: those that the manifest declares, as it spells them; so are the connections of what is returned.
    """
    surface = spec.block("surfaces").block("rest")
    if not surface.present:
        return None
    for name, value in spec.text_map("headers").items():
        check_header(spec.block("headers"), name, name, value)
    known = {*connections, *_ALWAYS_DECLARED}
    data_path = spec.block("responseMapping").text("dataPath")
    operations: dict[str, RestOperation] = {}
    for item in surface.blocks("operations"):
        operation = _operation(item, known, data_path)
        if operation.name and operation.name in operations:
            item.fault("name", f"{operation.name!r} is already the name of another operation")
        operations[operation.name] = operation
    if not operations:
        surface.fault("operations", "is required: a surface has at least one operation")
    return RestSurface(
        base_url=read_base_url(surface),
        operations=operations,
        connection=_connection(surface, "connection", known),
        headers=spec.text_map("headers"),
    )


def check_allowed(
    spec: Block, surface: RestSurface, allowed: Mapping[str, AllowedOperation] | None, pagination: Pagination | None
) -> None:
    """Note as faults where a manifest's own ``allowedOperations`` do not fit its surface.

    ``pagination``: what rows without their own are fetched by.
    """
    block = spec.block("allowedOperations")
    if allowed is not None and not allowed:
        spec.fault("allowedOperations", "is empty, so nothing could be called; leave it out to allow every operation")
    offered: dict[str, str] = {}
    for name, row in (allowed or {}).items():
        known = ", ".join(surface.operations)
        if name not in surface.operations:
            block.fault(name, f"is not one of the surface's operations; accepted are {known}")
        alias = row.alias or name
        if alias in offered:
            block.block(name).fault("alias", f"{alias!r} is already what {offered[alias]!r} is offered as")
        offered[alias] = name
        if row.paginate and row.pagination is None and pagination is None:
            where = "pagination beside it or in spec.pagination"
            block.block(name).fault("paginate", f"needs to know how pages follow one another: {where}")


def _operation(block: Block, connections: Collection[str], data_path: str) -> RestOperation:
    method = block.text("method")
    if method not in METHODS:
        given = f"{method!r} is not a method of an operation" if method else "is required"
        block.fault("method", f"{given}; accepted are {', '.join(METHODS)}")
    path = block.text("path", required=True)
    if "#" in path or not path.isprintable():
        accepted = "printable text without #, such as /items/{id}"
        block.fault("path", f"{path!r} cannot be a path with a query; accepted is {accepted}")
    parameters = _parameters(block, path)
    connection = _connection(block, "connection", connections)
    return RestOperation(
        name=block.text("name", required=True),
        method=method,
        path=path,
        description=block.text("description"),
        tags=block.texts("tags"),
        allowed_roles=block.texts("allowedRoles"),
        connection=connection,
        selector=_selector(block, connection, parameters, connections),
        parameters=parameters,
        idempotent=block.boolean("idempotent"),
        data_path=data_path,
    )


def _parameters(block: Block, path: str) -> tuple[RestParameter, ...]:
    placeholders = PLACEHOLDER.findall(path)
    parameters: dict[str, RestParameter] = {}
    for item in block.blocks("parameters"):
        name, place = item.text("name", required=True), item.text("in")
        if place not in PLACES:
            given = f"{place!r} is not a place of a parameter" if place else "is required"
            item.fault("in", f"{given}; accepted are {', '.join(PLACES)}")
        if name in parameters:
            item.fault("name", f"{name!r} is already the name of another parameter")
        if place == "path" and name and name not in placeholders:
            there = ", ".join(f"{{{other}}}" for other in placeholders) or "none"
            item.fault("name", f"{name!r} is a path parameter without a placeholder: {path!r} has {there}")
        if place == "header" and name:
            check_header(item, "name", name)
        parameters[name] = RestParameter(
            name, place, item.text("type"), item.text("description"), item.boolean("required"), item.boolean("internal")
        )
    return tuple(parameters.values())


def _selector(
    block: Block, connection: str, parameters: Collection[RestParameter], connections: Collection[str]
) -> ConnectionSelector | None:
    selector = block.block("connectionSelector")
    if not selector.present:
        return None
    parameter, default = selector.text("parameter", required=True), selector.text("default")
    names = [item.name for item in parameters]
    if parameter and parameter not in names:
        known = ", ".join(names) or "none"
        selector.fault("parameter", f"{parameter!r} is not one of the operation's parameters; declared are {known}")
    values = selector.block("values")
    chosen = {value: _connection(values, value, connections) for value in selector.text_map("values")}
    if not chosen:
        selector.fault("values", "is required: the values of the parameter, each with its connection")
    if default and chosen and default not in chosen:
        selector.fault("default", f"{default!r} is not one of the values; accepted are {', '.join(sorted(chosen))}")
    if default and connection:
        selector.fault("default", "cannot be combined with the operation's connection")
    for value, name in chosen.items():
        if not name:
            values.fault(value, "is required: a connection")
    return ConnectionSelector(parameter, chosen, default)


def _connection(block: Block, key: str, connections: Collection[str]) -> str:
    name = block.text(key)
    if name and name not in connections:
        known = ", ".join(sorted({*connections} - {"_plugin"}))
        block.fault(key, f"references undeclared connection {name!r}; declared are {known}")
    return name
