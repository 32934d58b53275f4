"""Releases on GitHub: metadata and archives are assets of one release (packaging.md 8.1, 8.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

from gestalt_host.packages.downloads.failures import FetchFailed
from gestalt_host.packages.downloads.fetcher import Fetcher, Token
from gestalt_host.packages.downloads.urls import is_http, shown

API = "https://api.github.com"
SCHEME = "github-release"
ACCEPT = "application/vnd.github+json"
MOST_BYTES = 4 * 1024 * 1024
"""Of the answer that lists the assets of a release."""


@dataclass(frozen=True, slots=True)
class GitHubAsset:
    """One asset of one release; ``repository`` is ``owner/name``."""

    repository: str
    tag: str
    name: str

    @classmethod
    def parse(cls, location: str) -> GitHubAsset | None:
        """Return the asset of a location as lock files write it; None when it is none."""
        try:
            parts = urlsplit(location)
        except ValueError:
            return None
        query = parse_qs(parts.query)
        repository = parts.path.strip("/")
        names, tags = query.get("asset", []), query.get("tag", [])
        if (parts.scheme, parts.netloc) != (SCHEME, "github.com") or len(names) != 1 or len(tags) != 1:
            return None
        return cls(repository, tags[0], names[0]) if repository.count("/") == 1 else None

    def __str__(self) -> str:
        query = f"asset={quote_plus(self.name)}&tag={quote_plus(self.tag)}"
        return f"{SCHEME}://github.com/{self.repository}?{query}"

    def beside(self, name: str) -> GitHubAsset:
        """Return another asset of the release."""
        return GitHubAsset(self.repository, self.tag, name)

    async def url(self, fetcher: Fetcher, api: str, token: Token, label: str) -> str:
        """Return the URL of the asset's content.

        Args:
            api: Base URL of GitHub's API.
            label: The entry that it is for.

        Raises:
            FetchFailed: there is no such release or asset; the text names the assets that there are.
        """
        owner_name = "/".join(quote(part, safe="") for part in self.repository.split("/"))
        url = f"{api}/repos/{owner_name}/releases/tags/{quote(self.tag, safe='')}"
        data = await fetcher.document(url, label=label, most=MOST_BYTES, token=token, accept=ACCEPT)
        try:
            assets = {str(asset["name"]): str(asset["url"]) for asset in json.loads(data)["assets"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise FetchFailed(f"{shown(url)}: the answer is not the description of a release") from None
        if self.name not in assets:
            known = ", ".join(sorted(assets)[:20]) or "none"
            raise FetchFailed(
                f"the release {self.tag} of {self.repository} has no asset {self.name}; there are {known}", 404
            )
        if not is_http(assets[self.name]):
            raise FetchFailed(f"{shown(url)}: the URL of asset {self.name} is none of http or https")
        return assets[self.name]
