"""The plugin: operations ``reindex`` and ``query``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import aiosqlite

from gestalt_sdk.bases import ConfigFault
from gestalt_sdk.plugin import OperationError, Plugin, Request, operation
from search_plugin.index import Document, SearchIndex

DEFAULT_DATABASE = Path("~/.local/state/gestalt/search.db")
MAX_HITS = 100


class SearchPlugin(Plugin):
    """Configuration: ``database``, the SQLite file of the index."""

    display_name = "Search"
    description = "Full-text search over what roadmap synced."
    version = "0.1.0"

    _index: SearchIndex | None = None

    async def check(self, name: str, config: Mapping[str, object]) -> list[ConfigFault]:
        faults = [
            ConfigFault(key, "is not known; accepted is database") for key in sorted(config.keys() - {"database"})
        ]
        path = config.get("database", str(DEFAULT_DATABASE))
        if not isinstance(path, str) or not path:
            faults.append(ConfigFault("database", f"is {path!r}; accepted is the path of a file"))
        return faults

    async def configure(self, name: str, config: dict[str, Any]) -> None:
        if faults := await self.check(name, config):
            raise ValueError("; ".join(f"config.{fault}" for fault in faults))
        path = config.get("database", str(DEFAULT_DATABASE))
        try:
            index = await SearchIndex.open(_expanded(path))
        except (OSError, aiosqlite.Error) as error:
            raise ValueError(f"config.database: {path} cannot be used: {error}") from error
        earlier, self._index = self._index, index
        if earlier is not None:
            await earlier.close()

    async def close(self) -> None:
        if self._index is not None:
            await self._index.close()

    @operation("reindex", title="Rebuild the index", idempotent=True)
    async def reindex(self, request: Request) -> dict[str, Any]:
        """Index every item that roadmap holds, in place of what was indexed before."""
        answer = await request.invoke("roadmap", "items.list")
        if not answer.ok:
            raise OperationError(502, f"roadmap.items.list answered {answer.status}: {answer.body}")
        documents = [Document(item["id"], item["title"], item["text"]) for item in answer.json()["items"]]
        assert self._index is not None, "calls come after configure"
        return {"indexed": await self._index.rebuild(documents)}

    @operation("query", title="Search", read_only=True)
    async def query(
        self,
        text: Annotated[str, "words that must all occur; the last may be a beginning"],
        limit: Annotated[int, "at most this many hits, 1 to 100"] = 10,
    ) -> dict[str, Any]:
        """Find items, best first."""
        if not 1 <= limit <= MAX_HITS:
            raise OperationError(400, f'parameter "limit" is {limit}; accepted are 1 to {MAX_HITS}')
        assert self._index is not None, "calls come after configure"
        hits = await self._index.query(text, limit=limit)
        return {
            "hits": [
                {"id": hit.item_id, "title": hit.title, "snippet": hit.snippet, "score": round(hit.score, 3)}
                for hit in hits
            ]
        }


def _expanded(path: str) -> Path:
    return Path(path).expanduser()


provider = SearchPlugin
