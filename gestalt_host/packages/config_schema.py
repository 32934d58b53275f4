"""Checking an entry's ``config`` against the JSON Schema that its package declares (packaging.md 3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012

from gestalt_host.config.errors import Faults
from gestalt_host.packages.errors import PackageInvalid, raise_faults
from gestalt_host.packages.manifests.model import Manifest
from gestalt_host.packages.manifests.reading import read_document

# Messages of these keywords name properties only; those of all others show the value, which may be a secret.
_NAMING_PROPERTIES = frozenset({"required", "additionalProperties", "unevaluatedProperties", "dependentRequired"})


def check_config(manifest: Manifest, config: Mapping[str, Any]) -> None:
    """Accept a config that fits the package's schema, or any where the package has none.

    Raises:
        PackageInvalid: one line for each fault, or what is wrong with the schema itself.
    """
    if manifest.config_schema is None:
        return
    path, root = manifest.config_schema.resolve(), manifest.root.resolve()
    if root not in path.parents:
        raise PackageInvalid(f"{manifest.config_schema}: is a link to {path}; accepted is a file inside the package")
    schema = _load(manifest.config_schema)
    try:
        faults = _faults(schema, manifest.config_schema, root, dict(config))
    except RecursionError:
        raise PackageInvalid(f"{manifest.config_schema}: its references lead back to themselves") from None
    except ValueError as error:  # of a $ref that is no URL
        raise PackageInvalid(f"{manifest.config_schema}: cannot be used: {error}") from error
    except jsonschema.SchemaError as error:
        raise PackageInvalid(f"{manifest.config_schema}: not a JSON Schema: {error.message}") from error
    except Unresolvable as error:
        raise PackageInvalid(
            f"{manifest.config_schema}: $ref {error.ref!r} cannot be resolved; "
            "accepted are references inside the package"
        ) from error
    if faults:
        raise PackageInvalid("\n".join(("config validation failed:", *faults)))


def _faults(schema: Any, path: Path, root: Path, config: dict[str, Any]) -> list[str]:
    draft = schema.get("$schema", "") if isinstance(schema, dict) else ""
    kind = jsonschema.Draft202012Validator
    if draft != "":
        kind = validator_for(schema, default=None) if isinstance(draft, str) else None
    if kind is None:
        raise PackageInvalid(f"{path}: $schema {draft!r} is not a known draft of JSON Schema")
    kind.check_schema(schema)

    def retrieve(uri: str) -> Resource[Any]:
        parts = urlsplit(uri)
        file = Path(unquote(parts.path)).resolve()
        if parts.scheme != "file" or root not in file.parents:
            raise NoSuchResource(ref=uri)  # type: ignore[call-arg]
        return Resource.from_contents(_load(file), default_specification=DRAFT202012)

    base = path.resolve().as_uri()
    resource = Resource.from_contents(schema, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry(retrieve=retrieve).with_resource(base, resource)  # type: ignore[call-arg]
    validator = kind({"$ref": base}, registry=registry)
    errors = sorted(validator.iter_errors(config), key=lambda error: error.json_path)
    return [f"- at '{_pointer(error.absolute_path)}': {_reason(error)}" for error in errors]


def _load(path: Path) -> Any:
    faults = Faults()
    node = read_document(path, faults)
    raise_faults("config schema", faults)
    assert node is not None
    return node.plain()


def _pointer(path: Any) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _reason(error: jsonschema.ValidationError) -> str:
    if error.validator in _NAMING_PROPERTIES:
        return str(error.message)
    return f"does not fit {error.validator}: {json.dumps(error.validator_value)}"
