"""A plugin on the public Python SDK: typed operations, one that publishes an event, some that keep state."""

import os
import threading
from typing import Any

import gestalt

plugin = gestalt.Plugin("notes")
settings: dict[str, Any] = {}
lock = threading.Lock()


class Greeting(gestalt.Model):
    name: str = gestalt.field(description="Who is greeted")
    times: int = 1
    polite: bool = False


class Note(gestalt.Model):
    id: str
    text: str
    tags: list[str] = gestalt.field(default_factory=list)


class Wanted(gestalt.Model):
    tag: str


class Size(gestalt.Model):
    bytes: int
    text: str = ""


class Refusal(gestalt.Model):
    status: int
    message: str


@plugin.configure
def configure(name: str, config: dict[str, Any]) -> None:
    settings.update(config, name=name)
    if config.get("refuses"):
        raise RuntimeError("refused by its configuration")
    with gestalt.IndexedDB() as database:
        by_tag = gestalt.IndexSchema(name="by_tag", key_path=["tag"])
        database.create_object_store("notes", gestalt.ObjectStoreSchema(indexes=[by_tag]))
        database.create_object_store("heard", gestalt.ObjectStoreSchema(indexes=[]))


@plugin.operation(title="Greet", description="Greets somebody", tags=["words"], read_only=True)
def greet(params: Greeting, request: gestalt.Request) -> dict[str, Any]:
    words = " ".join([settings.get("greeting", "hello")] * params.times)
    return {
        "text": f"{words}, {'dear ' if params.polite else ''}{params.name}",
        "configured": settings["name"],
        "subject": request.subject.id,
        "key": request.idempotency_key,
    }


@plugin.operation(id="notes.write", title="Write", method="PUT")
def write(params: Note) -> gestalt.Response[dict[str, Any]]:
    with gestalt.IndexedDB() as database:
        with database.transaction(["notes"], mode="readwrite") as transaction:
            notes = transaction.object_store("notes")
            count = notes.count()
            tag = params.tags[0] if params.tags else ""
            notes.put({"id": params.id, "text": params.text, "tag": tag, "number": count, "tags": params.tags})
    return gestalt.Response(status=201, body={"id": params.id, "number": count})


@plugin.operation(id="notes.find", title="Find", method="GET")
def find(params: Wanted) -> list[dict[str, Any]]:
    with gestalt.IndexedDB() as database:
        found = []
        with database.object_store("notes").index("by_tag").open_cursor(params.tag) as cursor:
            while cursor.continue_():
                found.append({"id": cursor.primary_key, **cursor.value})
    return found


@plugin.operation(title="Announce")
def announce(params: Note, request: gestalt.Request) -> dict[str, Any]:
    event = {"type": "note.written", "source": "notes", "subject": params.id, "data": {"text": params.text}}
    with request.workflow_manager() as manager:
        published = manager.publish_event(gestalt.WorkflowManagerPublishEventRequest(event=event))
    return {"id": published.id, "type": published.type}


@plugin.operation(title="Hear")
def hear(params: Wanted, request: gestalt.Request) -> dict[str, Any]:
    workflow = request.workflow
    with gestalt.IndexedDB() as database:
        record = {"id": request.idempotency_key, "tag": params.tag, "trigger": workflow["trigger"]}
        database.object_store("heard").put(record)
    return {"heard": params.tag, "run": workflow["runId"]}


@plugin.operation(title="Heard", method="GET")
def heard() -> list[dict[str, Any]]:
    with gestalt.IndexedDB() as database:
        return database.object_store("heard").get_all()


@plugin.operation(title="Refuse", allowed_roles=["admin"])
def refuse(params: Refusal) -> None:
    raise gestalt.Error(params.status, params.message)


@plugin.operation(title="Break")
def fail() -> None:
    raise RuntimeError("a secret of the plugin")


@plugin.operation(title="Fill", method="GET")
def fill(params: Size) -> dict[str, Any]:
    return {"pid": os.getpid(), "sent": len(params.text), "text": "x" * params.bytes}
