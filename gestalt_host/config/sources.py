"""Reading an entry's ``source`` (config.md 11)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gestalt_host.config.document import Node
from gestalt_host.config.errors import Problem
from gestalt_host.config.model import Repository, Source, SourceMode
from gestalt_host.config.reader import Block, resolve_path
from gestalt_host.config.sections import Findings

RELEASE_FILE = "provider-release.yaml"
BUILTINS = {
    "secrets": ("env", "file"),
    "telemetry": ("noop", "stdout", "otlp"),
    "audit": ("inherit", "noop", "stdout", "otlp"),
}
DEFAULT_SOURCE = {"secrets": "env", "telemetry": "stdout", "audit": "inherit"}
_UNSUPPORTED_PREFIX = re.compile(r"(?i)(https?|ssh|file|ftps?):")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*){3,}")
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._-]*")
ACCEPTED_REPOSITORY = "accepted are a-z, 0-9, '.', '_' and '-', a letter or digit first"
"""What ``is_repository_name`` accepts, for messages."""
ACCEPTED_ADDRESS = "host/owner/repo/path in lower case"
"""What a package address may be, for messages."""


def read_source(entry: Block, kind: str, name: str, findings: Findings) -> Source | None:
    """Read the entry's source; None when it is missing or faulty, which has been noted."""
    node = entry.node("source")
    if node is None:
        if kind in DEFAULT_SOURCE:
            return Source(SourceMode.BUILTIN, builtin=DEFAULT_SOURCE[kind])
        entry.fault("source", f'{kind} "{name}" source.path or provider-release metadata URL is required')
        return None
    if isinstance(node.value, dict):
        return _mapping(entry.block("source"), kind, name, findings)
    if isinstance(node.value, list):
        entry.fault("source", "must be text or a mapping, not a list")
        return None
    return _scalar(node, entry, kind)


def _scalar(node: Node, entry: Block, kind: str) -> Source | None:
    text = node.text.strip()
    if not text:
        entry.fault("source", "is required")
        return None
    if text in BUILTINS.get(kind, ()):
        return Source(SourceMode.BUILTIN, builtin=text)
    if _is_http_url(text):
        return Source(SourceMode.URL, url=text)
    if text.startswith("git+"):
        entry.fault("source", "git+ sources are not supported")
        return None
    if "://" in text or _UNSUPPORTED_PREFIX.match(text):
        entry.fault(
            "source", f"{text!r} is not supported; remote sources must be release-metadata URLs (http or https)"
        )
        return None
    return _local(text, node)


def _local(text: str, node: Node) -> Source:
    path = resolve_path(text, node.place)
    mode = SourceMode.LOCAL_RELEASE if path.name == RELEASE_FILE else SourceMode.MANIFEST
    return Source(mode, path=path)


def _mapping(block: Block, kind: str, name: str, findings: Findings) -> Source | None:
    with block:
        builtin, url, package = block.text("builtin"), block.text("url"), block.text("package")
        version, repository = block.text("version"), block.text("repo")
        path_node = block.node("path")
        path_text = block.text("path")
        release = block.block("githubRelease")
        with release:
            github = tuple(release.text(key, required=release.present) for key in ("repo", "tag", "asset"))
        with block.block("auth") as auth:
            token = auth.text("token", required=auth.present)
    modes = [
        word
        for word, given in (
            ("builtin", builtin),
            ("url", url),
            ("path", path_text),
            ("package", package),
            ("githubRelease", release.present),
        )
        if given
    ]
    if len(modes) > 1:
        block.fault("", f'{kind} "{name}" source: {", ".join(modes)} are mutually exclusive')
        return None
    if not modes:
        block.fault("", f'{kind} "{name}" source.path or provider-release metadata URL is required')
        return None
    if not package:
        for key in ("version", "repo"):
            if block.node(key) is not None:
                reason = "is not used: only a source by package has it"
                findings.unused.append(Problem(block.place_of(key), block.path_of(key), reason))
    source: Source | None = None
    if builtin:
        source = Source(SourceMode.BUILTIN, builtin=builtin)
    elif url:
        if not _is_http_url(url):
            block.fault("url", "must be an absolute http or https URL with a host")
        source = Source(SourceMode.URL, url=url, token=token)
    elif path_text and path_node is not None:
        local = _local(path_text, path_node)
        source = Source(local.mode, path=local.path, token=token)
    elif package:
        if not is_package_address(package):
            block.fault("package", f"{package!r} is not a package address; accepted is {ACCEPTED_ADDRESS}")
        if repository:
            check_repository_name(repository, block, "repo")
        source = Source(SourceMode.PACKAGE, package=package, version=version, repository=repository, token=token)
    else:
        repo, tag, asset = github
        if repo and (repo.count("/") != 1 or not all(repo.split("/"))):
            release.fault("repo", f"{repo!r} is not of the form owner/name")
        source = Source(SourceMode.GITHUB_RELEASE, github=(repo, tag, asset), token=token)
    if auth.present and source.mode in (SourceMode.MANIFEST, SourceMode.BUILTIN):
        block.fault("auth", f"is not allowed with {source.mode.value}")
    return source


def is_package_address(text: str) -> bool:
    """Return whether the text is the address of a package (packaging.md 1.2)."""
    return _PACKAGE.fullmatch(text) is not None and "." in text.split("/")[0]


def check_repository_name(name: str, block: Block, key: str) -> None:
    """Note a fault of the key when the name is none that a package repository can have (packaging.md 9)."""
    if not is_repository_name(name):
        block.fault(key, f"{name!r} is not a repository name; {ACCEPTED_REPOSITORY}")


def is_repository_name(text: str) -> bool:
    """Return whether a package repository can have this name."""
    return _REPOSITORY.fullmatch(text) is not None


def read_repositories(top: Block, findings: Findings) -> dict[str, Repository]:
    """Read ``providerRepositories``; a URL that none can have is noted as unused, since nothing may ask for it."""
    found: dict[str, Repository] = {}
    for name, block in top.entries("providerRepositories"):
        check_repository_name(name, block, "")
        with block:
            url = block.text("url", required=True)
        if url and not is_index_url(url):
            reason = f"{url!r} cannot be used; accepted are absolute http, https and file URLs"
            findings.unused.append(Problem(block.place_of("url"), block.path_of("url"), reason))
        found[name] = Repository(name, url)
    return found


def is_index_url(text: str) -> bool:
    """Return whether the text is a URL that the index of a repository can have."""
    try:
        parts = urlsplit(text)
        return parts.scheme == "file" if parts.path and not parts.netloc else _is_http_url(text)
    except ValueError:
        return False


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    has_host = bool(parts.hostname) and port != 0 and not re.search(r"[\s\x00-\x20\x7f]", parts.netloc)
    return parts.scheme.lower() in ("http", "https") and has_host
