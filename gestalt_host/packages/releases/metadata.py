"""``provider-release.yaml``: what one version of a package consists of (packaging.md 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from gestalt_host.config.reader import Block
from gestalt_host.config.sources import ACCEPTED_ADDRESS, is_package_address
from gestalt_host.packages.digests import escaped_json
from gestalt_host.packages.kinds import KINDS, canonical_kind
from gestalt_host.packages.platforms import GENERIC, is_platform
from gestalt_host.packages.releases.documents import read_yaml
from gestalt_host.packages.releases.versions import is_version

SCHEMA = "gestaltd-provider-release"
SCHEMA_VERSION = 1
EXECUTABLE, DECLARATIVE, UI = RUNTIMES = ("executable", "declarative", "ui")
MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReleaseArtifact:
    """The archive of one platform: ``path`` as it is published, and its digest as it is written there."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ReleaseMetadata:
    """One release. ``kind`` is canonical, ``runtime`` one of ``RUNTIMES``; ``artifacts`` by platform or ``generic``."""

    package: str
    kind: str
    version: str
    runtime: str
    artifacts: Mapping[str, ReleaseArtifact] = field(default_factory=dict)


def read_metadata(data: bytes, where: str) -> ReleaseMetadata:
    """Return the release that the bytes describe.

    Args:
        where: File or URL for messages, without secrets.

    Raises:
        PackageInvalid: listing every fault with its line and dotted path.
    """
    return read_yaml(data, where, "release metadata", MOST_BYTES, _read)


def _read(block: Block) -> ReleaseMetadata:
    with block:
        read_schema(block, SCHEMA, SCHEMA_VERSION)
        package = read_address(block, "package")
        kind = read_kind(block)
        version = block.raw_text("version")
        if not is_version(version):
            block.fault("version", f"{version!r} is not a semantic version such as 1.2.3 or 1.2.3-alpha.4")
        runtime = read_runtime(block)
        if runtime and kind and not _fits(runtime, kind):
            block.fault("runtime", f"{runtime!r} does not fit kind {kind}; accepted is {_accepted(kind)}")
        artifacts = _artifacts(block)
    return ReleaseMetadata(package, kind, version, runtime, artifacts)


def read_schema(block: Block, schema: str, version: int) -> None:
    """Note a fault unless the document names this schema and version."""
    given = block.raw_text("schema")
    if given != schema:
        block.fault("schema", f"{given!r} is not supported; accepted is {schema}")
    number = block.integer("schemaVersion", -1)
    if number != version:
        shown = "is required" if number == -1 else f"{number} is not supported"
        block.fault("schemaVersion", f"{shown}; accepted is {version}")


def read_address(block: Block, key: str) -> str:
    """Return the package address of a key; a fault is noted when it is none."""
    address = block.raw_text(key)
    if not is_package_address(address):
        block.fault(key, f"{address!r} is not a package address; accepted is {ACCEPTED_ADDRESS}")
    return address


def read_kind(block: Block) -> str:
    """Return the canonical kind; blank, and a fault, when it is none."""
    text = block.text("kind", required=True)
    kind = canonical_kind(text)
    if text and not kind:
        block.fault("kind", f"{text!r} is not a kind; accepted are {', '.join(KINDS)}")
    return kind


def read_runtime(block: Block) -> str:
    """Return the runtime; blank, and a fault, when it is none."""
    runtime = block.raw_text("runtime")
    if runtime not in RUNTIMES:
        shown = f"{runtime!r} is not supported" if runtime.strip() else "is required"
        block.fault("runtime", f"{shown}; accepted are {', '.join(RUNTIMES)}")
        return ""
    return runtime


def _fits(runtime: str, kind: str) -> bool:
    return runtime in _accepted(kind).split(" or ")


def _accepted(kind: str) -> str:
    if kind == "ui":
        return UI
    return f"{EXECUTABLE} or {DECLARATIVE}" if kind == "plugin" else EXECUTABLE


def _artifacts(block: Block) -> dict[str, ReleaseArtifact]:
    artifacts = {}
    for platform, item in block.entries("artifacts"):
        with item:
            artifacts[platform] = ReleaseArtifact(item.text("path", required=True), item.text("sha256", required=True))
        if platform != GENERIC and not is_platform(platform):
            item.fault("", f"{platform!r} is not a platform; accepted are os/arch, such as linux/amd64, and {GENERIC}")
    if not artifacts:
        block.fault("artifacts", "is required: the archive of at least one platform")
    return artifacts


def metadata_json(metadata: ReleaseMetadata) -> str:
    """Return the text that the digest of local release metadata is taken of (packaging.md 10.2)."""
    document = {"Schema": SCHEMA, "SchemaVersion": SCHEMA_VERSION, "Package": metadata.package, "Kind": metadata.kind}
    document |= {"Version": metadata.version, "Runtime": metadata.runtime}
    artifacts = {
        platform: {"Path": artifact.path, "SHA256": artifact.sha256}
        for platform, artifact in sorted(metadata.artifacts.items())
    }
    return escaped_json({**document, "Artifacts": artifacts})


def render_metadata(metadata: ReleaseMetadata) -> bytes:
    """Return the bytes of the file; platforms are sorted, so that the same release gives the same bytes."""
    document = {
        "schema": SCHEMA,
        "schemaVersion": SCHEMA_VERSION,
        "package": metadata.package,
        "kind": metadata.kind,
        "version": metadata.version,
        "runtime": metadata.runtime,
        "artifacts": {
            platform: {"path": artifact.path, "sha256": artifact.sha256}
            for platform, artifact in sorted(metadata.artifacts.items())
        },
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)
    return text.encode()
