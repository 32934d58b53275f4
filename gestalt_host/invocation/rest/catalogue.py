"""The catalogue of a plugin whose operations are in its manifest (packaging.md 4.1)."""

from __future__ import annotations

from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter, PluginCatalogue
from gestalt_host.packages.inputs import REST
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.rest_model import RestOperation, RestParameter
from gestalt_host.packages.rest_inputs import JSON_TYPES


def catalogue_of(manifest: Manifest) -> PluginCatalogue:
    """Return the operations of the manifest's REST surface; none where it has no such surface."""
    operations = () if manifest.rest is None else manifest.rest.operations.values()
    return PluginCatalogue(
        name="",
        display_name=manifest.display_name,
        description=manifest.description,
        operations={operation.name: _entry(operation) for operation in operations},
    )


def _entry(operation: RestOperation) -> CatalogueOperation:
    return CatalogueOperation(
        id=operation.name,
        method=operation.method,
        path=operation.path,
        description=operation.description,
        input_schema=_schema(operation) if operation.parameters else None,
        parameters=tuple(
            CatalogueParameter(
                name=item.name,
                type=item.type,
                location=item.place,
                description=item.description,
                required=item.required,
                internal=item.internal,
            )
            for item in operation.parameters
        ),
        allowed_roles=operation.allowed_roles,
        annotations=_annotations(operation),
        tags=operation.tags,
        transport=REST,
    )


def _annotations(operation: RestOperation) -> dict[str, bool] | None:
    """Return the hints where the operation says of itself that it may be repeated; else its method says them."""
    if not operation.idempotent or operation.method in ("GET", "PUT"):
        return None
    destructive = {"destructiveHint": True} if operation.method == "DELETE" else {}
    return {**destructive, "idempotentHint": True, "openWorldHint": True}


def _schema(operation: RestOperation) -> dict[str, object]:
    """Return the schema of what callers may give; choices of a connection are sorted."""
    public = [item for item in operation.parameters if not item.internal]
    schema: dict[str, object] = {"type": "object"}
    if public:
        schema["properties"] = {item.name: _property(item, operation) for item in public}
    if required := [item.name for item in public if item.required]:
        schema["required"] = required
    return schema


def _property(item: RestParameter, operation: RestOperation) -> dict[str, object]:
    schema: dict[str, object] = {"type": JSON_TYPES[item.type]} if item.type in JSON_TYPES else {}
    if item.description:
        schema["description"] = item.description
    if operation.selector is not None and operation.selector.parameter == item.name:
        schema["enum"] = sorted(operation.selector.values)
    return schema
