"""``provider-index.yaml``: the packages of a repository and where the metadata of each version is (packaging.md 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from gestalt_host.config.model import Repository
from gestalt_host.config.reader import Block
from gestalt_host.config.sources import ACCEPTED_ADDRESS, is_package_address
from gestalt_host.packages.downloads.fetcher import Fetcher, Token
from gestalt_host.packages.downloads.urls import file_of, is_http
from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.documents import read_file, read_yaml
from gestalt_host.packages.releases.metadata import read_kind, read_runtime, read_schema
from gestalt_host.packages.releases.repositories import check_repository_url
from gestalt_host.packages.releases.versions import Constraint, Version

SCHEMA = "gestaltd-provider-index"
SCHEMA_VERSION = 1
MOST_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class IndexedVersion:
    """One version: ``metadata`` is a URL as it is written, perhaps relative to the index."""

    version: Version
    metadata: str
    kind: str
    runtime: str
    platforms: tuple[str, ...] = ()
    yanked: bool = False


@dataclass(frozen=True, slots=True)
class IndexedPackage:
    """A package and its versions by their text, in the order of the file."""

    address: str
    display_name: str = ""
    description: str = ""
    versions: Mapping[str, IndexedVersion] = field(default_factory=dict)

    def choose(self, constraint: Constraint) -> IndexedVersion | None:
        """Return the version to use, None when none is accepted."""
        chosen = constraint.choose((one.version, one.yanked) for one in self.versions.values())
        return None if chosen is None else self.versions[str(chosen)]


def read_index(data: bytes, where: str) -> dict[str, IndexedPackage]:
    """Return the packages of an index by their address.

    Args:
        where: File or URL for messages, without secrets.

    Raises:
        PackageInvalid: listing every fault with its line and dotted path.
    """
    return read_yaml(data, where, "provider index", MOST_BYTES, _read)


def _read(block: Block) -> dict[str, IndexedPackage]:
    packages = {}
    with block:
        read_schema(block, SCHEMA, SCHEMA_VERSION)
        for address, item in block.entries("packages"):
            if not is_package_address(address):
                item.fault("", f"{address!r} is not a package address; accepted is {ACCEPTED_ADDRESS}")
            with item:
                packages[address] = IndexedPackage(
                    address, item.text("displayName"), item.text("description"), _versions(item)
                )
    return packages


def _versions(block: Block) -> dict[str, IndexedVersion]:
    versions = {}
    for text, item in block.entries("versions"):
        with item:
            metadata, kind, runtime = item.text("metadata", required=True), read_kind(item), read_runtime(item)
            platforms, yanked = item.texts("platforms"), item.boolean("yanked")
        try:
            versions[text] = IndexedVersion(Version.parse(text), metadata, kind, runtime, platforms, yanked)
        except PackageInvalid as error:
            item.fault("", str(error))
    if not versions:
        block.fault("versions", "is required: at least one version")
    return versions


async def fetch_index(repository: Repository, fetcher: Fetcher, *, label: str, token: str = "") -> bytes:
    """Return the bytes of a repository's index; nothing is tried again, since another repository may do.

    Args:
        label: What it is for, as progress names it.
        token: Goes before the repository's own.

    Raises:
        PackageInvalid: it cannot be had.
    """
    url = repository.url
    if is_http(url):
        whose = Token.for_url(token or repository.token, url)
        return await fetcher.document(url, label=label, most=MOST_BYTES, token=whose, retries=False)
    check_repository_url(url)
    return await asyncio.to_thread(read_file, file_of(url), MOST_BYTES)
