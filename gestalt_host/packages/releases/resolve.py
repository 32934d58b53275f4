"""From an entry's source to the release that it means, and from that to a checked archive (packaging.md 8)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from gestalt_host.config.model import ProviderEntry, Repository, SourceMode
from gestalt_host.packages.digests import sha256_of
from gestalt_host.packages.downloads.answers import is_html
from gestalt_host.packages.downloads.failures import REASON, FetchFailed
from gestalt_host.packages.downloads.fetcher import MOST_ARCHIVE_BYTES, NO_TOKEN, Fetcher, Token, refuse_inward
from gestalt_host.packages.downloads.urls import (
    beside,
    file_of,
    is_http,
    origin,
    resolved,
    shown,
    with_password_of,
    without_password,
)
from gestalt_host.packages.errors import PackageInvalid, failing_because
from gestalt_host.packages.kinds import ENTRY_KINDS
from gestalt_host.packages.platforms import GENERIC
from gestalt_host.packages.releases.documents import read_file
from gestalt_host.packages.releases.github import API, GitHubAsset
from gestalt_host.packages.releases.index import IndexedPackage, fetch_index, read_index
from gestalt_host.packages.releases.metadata import (
    EXECUTABLE,
    MOST_BYTES,
    ReleaseArtifact,
    ReleaseMetadata,
    read_metadata,
)
from gestalt_host.packages.releases.versions import Constraint
from gestalt_host.packages.signatures import MAX_BYTES, REQUIRED, SUFFIX, verify

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Archive:
    """Where an archive is, as lock files write it, and its digest, 64 lower-case hexadecimal digits.

    ``url`` is a URL, the location of an asset on GitHub, or for local metadata a path relative to its directory.
    """

    url: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A release that a source means.

    Attributes:
        source: Where its metadata is, as lock files write it.
        archives: By platform or ``generic``: of every platform that is published.
        signed_by: Name of the pinned key that has signed the metadata, blank without one.
    """

    metadata: ReleaseMetadata
    source: str
    archives: Mapping[str, Archive]
    signed_by: str = ""


@dataclass(slots=True)
class SourceContext:
    """What resolving needs besides the entry; one for each command, which reads each index once.

    Attributes:
        config_dir: Directory of the configuration: local sources are written relative to it.
        repositories: By name, as ``all_repositories`` gives them.
        keys: Texts of the pinned public keys by name.
        github_api: Base URL of GitHub's API.
    """

    config_dir: Path
    fetcher: Fetcher
    repositories: Mapping[str, Repository] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    github_api: str = API
    _indexes: dict[tuple[str, str], dict[str, IndexedPackage] | PackageInvalid] = field(default_factory=dict)
    _reading: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)

    async def index(self, repository: Repository, token: str, label: str) -> dict[str, IndexedPackage] | PackageInvalid:
        """Return the packages of a repository, or why they cannot be had."""
        key = (repository.name, token)
        async with self._reading.setdefault(key, asyncio.Lock()):
            if key not in self._indexes:
                try:
                    data = await fetch_index(repository, self.fetcher, label=label, token=token)
                    self._indexes[key] = await asyncio.to_thread(read_index, data, shown(repository.url))
                except PackageInvalid as error:
                    self._indexes[key] = error
            return self._indexes[key]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where metadata is.

    Attributes:
        location: As lock files write it, without the name and password that the configuration has for it.
        url: With them; blank for a file named by the configuration.
    """

    location: str
    url: str = ""
    path: Path | None = None
    asset: GitHubAsset | None = None
    token: Token = NO_TOKEN


async def resolve(entry: ProviderEntry, context: SourceContext) -> Resolved:
    """Return the release that the entry's source means, its metadata read, checked and verified.

    Raises:
        PackageInvalid: it cannot be had, is broken or of another kind, or its signature is wrong or missing.
    """
    with failing_because(REASON):
        source = entry.source
        if source.mode is SourceMode.PACKAGE:
            place, version = await _of_package(entry, context)
        else:
            place, version = _place(entry, context), ""
        data = await _fetched(place, "", MOST_BYTES, entry, context)
        where = str(place.path) if place.path is not None else shown(place.url) or place.location
        with failing_because("its release metadata is broken"):
            metadata = await asyncio.to_thread(read_metadata, data, where)
            _check_meant(metadata, entry, version, where)
        signed_by = await _signer(data, place, where, entry, context)
        archives = {
            platform: Archive(_archive_location(place, artifact), artifact.sha256.lower())
            for platform, artifact in sorted(metadata.artifacts.items())
        }
        return Resolved(metadata, place.location, archives, signed_by)


async def fetch_archive(
    archive: Archive, source: str, entry: ProviderEntry, context: SourceContext, *, fresh: bool = False
) -> Path:
    """Return a local file whose digest has been checked: the archive itself where it is local, else in the cache.

    Args:
        source: Where the metadata is, as lock files write it; an archive of local metadata without a digest is checked
            against that file.
        fresh: Fetch a remote one although it is in the cache, to see what is published.

    Raises:
        PackageInvalid: it cannot be had, or has another digest.
    """
    with failing_because(REASON):
        place = _place_of_lock(source, entry, context)
        sha256 = archive.sha256.strip().lower()
        if place.asset is not None:
            asset = GitHubAsset.parse(archive.url)
            if asset is None:
                raise PackageInvalid(f"{shown(archive.url)} is no asset of a release on GitHub")
            kept = None if fresh else await context.fetcher.kept(sha256, label=_label(entry), file=asset.name)
            if kept is not None:
                return kept
            url = await asset.url(context.fetcher, context.github_api, place.token, _label(entry))
            return await context.fetcher.archive(url, sha256, label=_label(entry), token=place.token, fresh=fresh)
        if place.path is not None and not sha256:
            sha256 = await asyncio.to_thread(_published_digest, place.path, archive.url)
        url = archive.url if is_http(archive.url) or place.path is not None else resolved(place.url, archive.url)
        if is_http(url):
            refuse_inward(place.url or url, url)
            url = with_password_of(url, place.url)
            return await context.fetcher.archive(url, sha256, label=_label(entry), token=place.token, fresh=fresh)
        path = place.path.parent / url if place.path is not None else file_of(_local_only(place.url, url))
        await asyncio.to_thread(_check_file, path, sha256)
        return path


def archive_for(archives: Mapping[str, Archive], platform: str, runtime: str) -> Archive:
    """Return the archive for a platform (packaging.md 5).

    Args:
        runtime: Of the release: what it runs decides whether one archive can be for every platform.

    Raises:
        PackageInvalid: there is none, or a generic one of something that is not the same on every platform.
    """
    exact, generic = archives.get(platform), archives.get(GENERIC)
    if runtime == EXECUTABLE and generic is not None and (exact is None or exact.url == generic.url):
        raise PackageInvalid(
            f"generic release archives are not allowed for an executable; publish an explicit {platform} archive"
        )
    found = exact or generic
    if found is None:
        known = ", ".join(sorted(archives)) or "none"
        raise PackageInvalid(f"no archive for platform {platform}; there are {known}")
    return found


def _label(entry: ProviderEntry) -> str:
    return f'{ENTRY_KINDS[entry.kind].word} "{entry.name}"'


# Where metadata is ----------------------------------------------------------------------------------------------------


def _place(entry: ProviderEntry, context: SourceContext) -> _Place:
    source = entry.source
    if source.mode is SourceMode.LOCAL_RELEASE and source.path is not None:
        location = Path(os.path.relpath(source.path, context.config_dir.resolve())).as_posix()
        return _Place(location, path=source.path)
    if source.mode is SourceMode.URL:
        return _Place(without_password(source.url), source.url, token=Token.for_url(source.token, source.url))
    if source.mode is SourceMode.GITHUB_RELEASE and source.github is not None:
        asset = GitHubAsset(*source.github)
        return _Place(str(asset), asset=asset, token=Token.for_url(source.token, context.github_api))
    raise PackageInvalid(f"a source by {source.mode.value} is no release")


def _place_of_url(url: str, entry: ProviderEntry, context: SourceContext) -> _Place:
    """Return the place of metadata whose URL an index gave: a repository's token and password are for its origin."""
    source = entry.source
    if not is_http(url):
        return _Place(url, url)
    names = [source.repository] if source.repository else list(context.repositories)
    asked = [context.repositories[name] for name in names if name in context.repositories]
    own = [one for one in asked if origin(one.url) == origin(url)]
    token = source.token or next((one.token for one in own if one.token), "")
    known = next((one.url for one in own if one.url != without_password(one.url)), url)
    return _Place(url, with_password_of(url, known), token=Token.for_url(token, url))


def _place_of_lock(source: str, entry: ProviderEntry, context: SourceContext) -> _Place:
    mode = entry.source.mode
    return _place_of_url(source, entry, context) if mode is SourceMode.PACKAGE else _place(entry, context)


async def _of_package(entry: ProviderEntry, context: SourceContext) -> tuple[_Place, str]:
    """Return the place of the version that the repositories offer and the constraint accepts, and that version."""
    source = entry.source
    with failing_because("no version of its package can be used"):
        constraint = Constraint.parse(source.version)
        repository, package = await find_package(entry, context)
        chosen = package.choose(constraint)
        if chosen is None:
            offered = ", ".join(f"{text}{' (yanked)' * one.yanked}" for text, one in package.versions.items())
            wanted = f"version {constraint.text!r}" if constraint.text else "no version"
            raise PackageInvalid(
                f"package {source.package} in repository {repository.name}: {wanted} accepts none of {offered}"
            )
        url = resolved(without_password(repository.url), chosen.metadata)
        if is_http(url):
            refuse_inward(repository.url if is_http(repository.url) else url, url)
        else:
            _local_only(repository.url, url)
        return _place_of_url(url, entry, context), str(chosen.version)


async def find_package(entry: ProviderEntry, context: SourceContext) -> tuple[Repository, IndexedPackage]:
    """Return the package of an entry's source, and the repository that has it.

    Raises:
        PackageInvalid: none has it, or several have.
    """
    source, label = entry.source, _label(entry)
    if source.repository and source.repository not in context.repositories:
        known = ", ".join(sorted(context.repositories)) or "none"
        raise PackageInvalid(f"repository {source.repository!r} is not known; there are {known}")
    names = [source.repository] if source.repository else list(context.repositories)
    asked = [context.repositories[name] for name in names]
    # The entry's token is for the repository that it names; without one, those that are asked get none of it.
    token = source.token.strip() if source.repository else ""
    indexes = await asyncio.gather(*(context.index(one, token, label) for one in asked))
    found, unread = [], []
    for repository, index in zip(asked, indexes, strict=True):
        if isinstance(index, PackageInvalid):
            unread.append(f"repository {repository.name}: {index}")
        elif source.package in index:
            found.append((repository, index[source.package]))
    if len(found) > 1:
        where = ", ".join(repository.name for repository, _ in found)
        hint = "name one: repo in the source, --repo of a command"
        raise PackageInvalid(f"package {source.package} is in several repositories: {where}; {hint}")
    if not found:
        asked_for = ", ".join(names) or "no repository"
        problems = "".join(f"; {text}" for text in unread)
        raise PackageInvalid(f"package {source.package} was not found; asked {asked_for}{problems}")
    for text in unread:
        log.warning("repository.unread", package=source.package, error=text)
        context.fetcher.progress.note(label, f"{text}; another repository has the package")
    return found[0]


# What is there --------------------------------------------------------------------------------------------------------


async def _fetched(place: _Place, suffix: str, most: int, entry: ProviderEntry, context: SourceContext) -> bytes:
    """Return the metadata, or with a suffix the file beside it."""
    label = _label(entry)
    if place.path is not None:
        return await asyncio.to_thread(read_file, place.path.with_name(place.path.name + suffix), most)
    url = place.url
    if place.asset is not None:
        asset = place.asset.beside(place.asset.name + suffix)
        url = await asset.url(context.fetcher, context.github_api, place.token, label)
    elif suffix:
        url = beside(url, suffix)
    if is_http(url):
        return await context.fetcher.document(url, label=label, most=most, token=place.token)
    return await asyncio.to_thread(read_file, file_of(url), most)


def _check_meant(metadata: ReleaseMetadata, entry: ProviderEntry, version: str, where: str) -> None:
    kind = ENTRY_KINDS[entry.kind].manifest
    if metadata.kind != kind:
        raise PackageInvalid(f"{where}: kind is {metadata.kind}, but {entry.path} needs {kind}")
    if entry.source.mode is SourceMode.PACKAGE and metadata.package != entry.source.package:
        raise PackageInvalid(f"{where}: package is {metadata.package}, but the index says {entry.source.package}")
    if version and metadata.version != version:
        raise PackageInvalid(f"{where}: version is {metadata.version}, but the index says {version}")


async def _signer(data: bytes, place: _Place, where: str, entry: ProviderEntry, context: SourceContext) -> str:
    """Return the name of the pinned key that has signed the metadata, blank where none has and none needs to."""
    required = entry.verify == REQUIRED
    if not required and not context.keys:
        return ""
    with failing_because("the signature of its release is missing or wrong"):
        pinned = ", ".join(sorted(context.keys)) or "none"
        text = await _signature(place, lambda: _fetched(place, SUFFIX, MAX_BYTES, entry, context))
        if text is None:
            if required:
                raise PackageInvalid(f"{where}: is not signed; verify: required accepts what a key of providerKeys has")
            return ""
        try:
            signer = verify(data, text, context.keys)
        except PackageInvalid as error:
            raise PackageInvalid(f"{where}{SUFFIX}: {error}", error.reason) from error
        if required and not signer:
            raise PackageInvalid(f"{where}: is signed by no key of providerKeys; pinned are {pinned}")
        return signer


async def _signature(place: _Place, fetch: Callable[[], Awaitable[bytes]]) -> str | None:
    """Return the text of the signature, None where there is none."""
    local = place.path or (file_of(place.url) if place.url and not is_http(place.url) else None)
    if local is not None and not local.with_name(local.name + SUFFIX).exists():
        return None
    try:
        data = await fetch()
    except FetchFailed as error:
        # Which of them a server answers for a file that is not there is its own affair.
        if 400 <= error.status < 500 and error.status not in (408, 429):
            return None
        raise
    return None if is_html(data) else data.decode("ascii", "replace")


# Where archives are ---------------------------------------------------------------------------------------------------


def _archive_location(place: _Place, artifact: ReleaseArtifact) -> str:
    """Return where an archive is, as lock files write it."""
    path = artifact.path
    if place.asset is not None:
        return str(place.asset.beside(path.rpartition("/")[2]))
    if place.path is None:
        return _local_only(place.url, resolved(place.location, path))
    if is_http(path):
        return resolved(path, path)
    if "://" in path:
        raise PackageInvalid(
            f"{place.path}: artifact path {shown(path)!r} cannot be used; accepted are paths and http and https URLs"
        )
    directory = place.path.parent
    return Path(os.path.relpath(directory / path, directory)).as_posix()


def _local_only(source: str, url: str) -> str:
    """Return the URL, which names a file only where what names it is one.

    Raises:
        PackageInvalid: something that was fetched names a file of this machine.
    """
    if urlsplit(url).scheme == "file" and urlsplit(source).scheme != "file":
        raise PackageInvalid(f"{shown(source)} names the file {shown(url)}; accepted are http and https URLs")
    return url


def _published_digest(metadata: Path, location: str) -> str:
    """Return the digest that local metadata gives for one of its archives."""
    place = _Place("", path=metadata)
    for artifact in read_metadata(read_file(metadata, MOST_BYTES), str(metadata)).artifacts.values():
        if _archive_location(place, artifact) == location:
            return artifact.sha256.lower()
    raise PackageInvalid(f"{metadata}: has no archive {location}")


def _check_file(path: Path, sha256: str) -> None:
    size = path.stat().st_size
    if not path.is_file():
        raise PackageInvalid(f"{path}: is not a regular file")
    if size > MOST_ARCHIVE_BYTES:
        raise PackageInvalid(f"{path}: has {size} bytes; accepted are {MOST_ARCHIVE_BYTES}")
    found = sha256_of(path)
    if found != sha256:
        raise PackageInvalid(f"{path}: the archive has digest {found}, not {sha256}")
