"""The plugin: ``template.save`` and ``template.delete`` for everybody, ``fill.NAME`` for whoever has saved NAME."""

from __future__ import annotations

import re
from typing import Annotated

from gestalt_sdk.indexeddb import IndexedDB, IndexSchema, ObjectStoreSchema
from gestalt_sdk.plugin import Catalogue, Operation, OperationError, Plugin, Request, operation

STORE = "templates"
FILL = "fill."
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BLANK = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
MOST = 100
"""Templates that one subject may have: each is an operation of the subject's session catalogue."""


class TemplatesPlugin(Plugin):
    """Takes no configuration."""

    display_name = "Templates"
    description = "Keeps each person's texts with blanks, and offers every one of them as an operation."
    version = "0.1.0"

    _db: IndexedDB

    async def configure(self, name: str, config: dict[str, object]) -> None:
        if unknown := sorted(config):
            raise ValueError(f"config.{unknown[0]} is not known; nothing is accepted")
        db = self.indexeddb()
        await db.create_object_store(STORE, ObjectStoreSchema([IndexSchema("by_subject", ["subject"])]))
        self._db = db

    @operation("template.save", title="Save a template", idempotent=True)
    async def save(
        self,
        request: Request,
        name: Annotated[str, "letters, digits, _ and -; the operation is fill.NAME"],
        text: Annotated[str, "with blanks such as {who}"],
    ) -> dict[str, list[str]]:
        """Keep a text under a name, for the caller alone."""
        if not _NAME.fullmatch(name):
            raise OperationError(400, f"name is {name!r}; accepted are up to 64 letters, digits, _ and -")
        async with self._db.transaction([STORE], "readwrite") as transaction:
            store = transaction.store(STORE)
            known = await store.find(_key(request, name))
            if known is None and await store.index("by_subject").count(request.subject.id) >= MOST:
                raise OperationError(409, f"{MOST} templates are there already; delete one first")
            store.put({"id": _key(request, name), "subject": request.subject.id, "name": name, "text": text})
        return {"blanks": _blanks(text)}

    @operation("template.delete", title="Delete a template", idempotent=True, destructive=True)
    async def delete(self, request: Request, name: str) -> dict[str, str]:
        """Forget a text of the caller."""
        await self._db.store(STORE).delete(_key(request, name))
        return {"deleted": name}

    async def session_catalogue(self, request: Request) -> Catalogue:
        """Return one operation for each template of the caller, with a parameter for each of its blanks."""
        records = await self._db.store(STORE).index("by_subject").get_all(request.subject.id)
        return Catalogue(operations=[_filling(str(record["name"]), str(record["text"])) for record in records])

    async def session_operation(self, request: Request, params: dict[str, object]) -> dict[str, str]:
        """Fill the blanks of a template. It is looked up again: it may have been deleted since it was offered."""
        name = request.operation.removeprefix(FILL)
        record = await self._db.store(STORE).find(_key(request, name))
        if record is None or not request.operation.startswith(FILL):
            raise OperationError(404, f"unknown operation {request.operation!r}")
        text = str(record["text"])
        missing = [blank for blank in _blanks(text) if not isinstance(params.get(blank), str)]
        if missing:
            raise OperationError(400, f'parameter "{missing[0]}" is missing; accepted is text')
        return {"text": _BLANK.sub(lambda found: str(params[found[1]]), text)}


def _key(request: Request, name: str) -> str:
    return f"{request.subject.id}/{name}"


def _blanks(text: str) -> list[str]:
    return list(dict.fromkeys(_BLANK.findall(text)))


def _filling(name: str, text: str) -> Operation:
    blanks = _blanks(text)
    schema: dict[str, object] = {
        "type": "object",
        "properties": {blank: {"type": "string"} for blank in blanks},
        "additionalProperties": False,
    }
    if blanks:
        schema["required"] = blanks
    return Operation(f"{FILL}{name}", title=f"Fill {name}", input_schema=schema, read_only=True)


provider = TemplatesPlugin
