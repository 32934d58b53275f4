"""The folder that becomes one archive of a release: packaged manifest, executable and what belongs to it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from gestalt_host.config.errors import Faults
from gestalt_host.packages.catalogue import FILE_NAME as CATALOGUE
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.errors import PackageInvalid, raise_faults
from gestalt_host.packages.manifests.document import manifest_document
from gestalt_host.packages.manifests.model import Artifact, Manifest
from gestalt_host.packages.manifests.reading import read_document

_LAST_KEYS = ("artifacts", "entrypoint", "spec")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class Executable:
    """What is started, and where it lies in the archive; ``artifact`` has no digest yet."""

    file: Path
    artifact: Artifact


def stage(
    manifest: Manifest, version: str, executable: Executable | None, catalogue: Path | None, directory: Path
) -> None:
    """Fill an empty directory with the package for one platform.

    Args:
        catalogue: What goes into the package as ``catalog.yaml``; None for none.
    Raises:
        PackageInvalid: a file that the manifest names is missing or no plain file.
    """
    if executable is not None:
        _copy(executable.file, directory / executable.artifact.path, 0o755)
    if catalogue is not None:
        _copy(catalogue, directory / CATALOGUE, 0o644)
    for file in package_files(manifest):
        _copy(file, directory / file.relative_to(manifest.root), 0o644)
    document = packaged_document(manifest, version, executable)
    name = f"manifest{'.json' if manifest.path.suffix == '.json' else '.yaml'}"
    (directory / name).write_text(_rendered(document, name), encoding="utf-8")
    (directory / name).chmod(0o644)


def packaged_document(manifest: Manifest, version: str, executable: Executable | None) -> dict[str, object]:
    """Return the manifest as it is packaged: without ``release``, with the version and the executable's digest."""
    document: dict[str, object] = {**manifest_document(manifest), "version": version}
    if executable is not None:
        artifact = executable.artifact
        item = {"os": artifact.os, "arch": artifact.arch, "libc": artifact.libc, "path": artifact.path}
        written = {key: value for key, value in item.items() if value}
        document["artifacts"] = [{**written, "sha256": sha256_of(executable.file)}]
        args = list(manifest.entrypoint.args) if manifest.entrypoint is not None else []
        document["entrypoint"] = {"artifactPath": artifact.path, **({"args": args} if args else {})}
    if manifest.kind == "plugin":
        document.setdefault("spec", {})
    first = {key: value for key, value in document.items() if key not in _LAST_KEYS}
    return {**first, **{key: document[key] for key in _LAST_KEYS if key in document}}


def package_files(manifest: Manifest) -> list[Path]:
    """Return the files that the manifest names, beside executable and catalogue; each once, in the order of names.

    Raises:
        PackageInvalid: one is missing, or is a link that leaves the package.
    """
    found = [file for file in (manifest.icon_file, manifest.config_schema) if file is not None]
    for surface, key in (("openapi", "document"), ("graphql", "url"), ("mcp", "url")):
        named = manifest.surfaces.get(surface)
        location = named.get(key) if isinstance(named, Mapping) else None
        if isinstance(location, str) and location and not _SCHEME.match(location):
            found.append(manifest.root / location)
    if manifest.config_schema is not None and manifest.config_schema.is_file():
        found.extend(_referenced(manifest.config_schema, {manifest.config_schema.resolve()}))
    if manifest.asset_root:
        found.extend(path for path in (manifest.root / manifest.asset_root).rglob("*") if not path.is_dir())
    for file in found:
        if not file.is_file():
            raise PackageInvalid(f"{manifest.path}: names {file.relative_to(manifest.root)}, which is no file")
        if manifest.root.resolve() not in file.resolve().parents:
            raise PackageInvalid(f"{file}: is a link that leaves the package; accepted are files inside it")
    return sorted(dict.fromkeys(found))


def _referenced(schema: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the documents beside a schema that its references name, and those that these name."""
    faults = Faults()
    node = read_document(schema, faults)
    raise_faults("config schema", faults)
    assert node is not None
    for reference in _references(node.plain()):
        name = reference.partition("#")[0]
        file = schema.parent / name
        if name and not _SCHEME.match(name) and file.resolve() not in seen:
            seen.add(file.resolve())
            file = Path(*_normalised(file.parts))
            yield file
            if file.is_file():
                yield from _referenced(file, seen)


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield reference
        for child in value.values():
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)


def _normalised(parts: tuple[str, ...]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if part == ".." and kept:
            kept.pop()
        else:
            kept.append(part)
    return kept


def _copy(source: Path, target: Path, mode: int) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode)
    except OSError as error:
        raise PackageInvalid(f"{source}: {(error.strerror or str(error)).lower()}") from None


def _rendered(document: Mapping[str, object], name: str) -> str:
    if name.endswith(".json"):
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    text: str = yaml.dump(document, Dumper=_Indenting, sort_keys=False, allow_unicode=True, indent=4, width=1000)
    return text


class _Indenting(yaml.SafeDumper):
    """Indents lists too, as the rest of the file is."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
