"""Random histories of requests about workflow objects, and whether each has a serial order.

Every successful change answers with an ``ETag`` of its own, so an answer tells which version it read or made: versions
of one object follow each other in the order of their revisions. A deletion follows the last of them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.serial_order import Committed, serial_order

TARGET = {"plugin": {"name": "roadmap", "operation": "sync"}}
CLIENTS = 6
REQUESTS = 12
WRITES = ("create", "put", "pause", "resume")


@dataclass
class Request:
    """One request and its answer."""

    id: int
    verb: str
    object_id: str = ""
    tag: str = ""
    """What ``If-Match`` said."""
    marker: str = ""
    """What tells the body of a create or put from all others."""
    began: float = 0.0
    ended: float = 0.0
    status: int = 0
    etag: str = ""
    body: Any = None

    @property
    def succeeded(self) -> bool:
        return self.status < 300

    @property
    def revision(self) -> int:
        return int(self.etag.strip('"'))

    def __str__(self) -> str:
        return f"{self.verb} {self.object_id or 'of all'} (request {self.id}, {self.status} {self.etag})"


@dataclass
class History:
    """The requests of one history, made by several clients of one user at once, through the doors in turn."""

    doors: Sequence[httpx.AsyncClient]
    path: str
    seed: str
    """Whatever is random about it; also the name of the user, so that no history has to do with another."""
    requests: list[Request] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    async def run(self, requests: int = REQUESTS) -> list[Request]:
        """Play it: two objects, then everything at once, then what is left."""
        for number in range(2):
            await self._ask(self.doors[number % 2], "create")
        choices = [[self.random.choices(_VERBS, _WEIGHTS)[0] for _ in range(requests)] for _ in range(CLIENTS)]
        await asyncio.gather(*(self._client(self.doors[n % len(self.doors)], verbs) for n, verbs in enumerate(choices)))
        for door in self.doors:
            for object_id in list(self.objects):
                await self._ask(door, "get", object_id)
            await self._ask(door, "list")
        return self.requests

    async def _client(self, door: httpx.AsyncClient, verbs: Sequence[str]) -> None:
        for verb in verbs:
            object_id = self.random.choice(self.objects[-3:])
            if verb != "put with a tag":
                await self._ask(door, verb, object_id)
            else:
                read = await self._ask(door, "get", object_id)
                await self._ask(door, "put", object_id, tag=read.etag)

    async def _ask(self, door: httpx.AsyncClient, verb: str, object_id: str = "", *, tag: str = "") -> Request:
        made = Request(next(self._ids), verb, "" if verb in ("create", "list") else object_id, tag)
        made.marker = f"m{made.id}"
        body = self._body(made) if verb in ("create", "put") else None
        method = {"get": "GET", "list": "GET", "put": "PUT", "delete": "DELETE"}.get(verb, "POST")
        path = self.path if verb in ("create", "list") else f"{self.path}/{object_id}"
        path += f"/{verb}" if verb in ("pause", "resume") else ""
        headers = {"X-User": self.seed, **({"If-Match": tag} if tag else {})}
        made.began = time.perf_counter()
        answer = await door.request(method, path, headers=headers, json=body)
        made.ended = time.perf_counter()
        made.status, made.etag, made.body = answer.status_code, answer.headers.get("etag", ""), answer.json()
        if verb == "create" and made.succeeded:
            made.object_id = made.body["id"]
            self.objects.append(made.object_id)
        self.requests.append(made)
        return made

    def _body(self, made: Request) -> dict[str, Any]:
        target = {"plugin": {**TARGET["plugin"], "input": {"marker": made.marker}}}
        own = {"cron": "0 0 1 1 *"} if self.path.endswith("schedules") else {"match": {"type": "a.b"}}
        return {**own, "target": target, "paused": self.random.random() < 0.5}


_VERBS = ("create", "get", "list", "put", "put with a tag", "pause", "resume", "delete")
_WEIGHTS = (1, 6, 4, 6, 3, 2, 2, 2)


def marker_of(item: Any) -> str:
    found: str = item["target"]["plugin"]["input"]["marker"]
    return found


def check(history: Sequence[Request]) -> None:
    """Raise ``ValueError`` saying what has no place in any serial order."""
    versions: dict[str, list[Request]] = {}
    deleted: dict[str, Request] = {}
    for made in history:
        if made.verb in WRITES and made.succeeded:
            versions.setdefault(made.object_id, []).append(made)
        elif made.verb == "delete" and made.succeeded:
            if made.object_id in deleted:
                raise ValueError(f"{made}: deleted twice")
            deleted[made.object_id] = made
    transactions = {made.id: Committed(made.id, began=made.began, ended=made.ended) for made in history}
    before: dict[int, Request] = {}
    for object_id, chain in versions.items():
        chain.sort(key=lambda made: made.revision)
        for earlier, later in itertools.pairwise(chain):
            before[later.id] = earlier
        for made in chain:
            _check_change(made, before.get(made.id))
            transactions[made.id].wrote.add(object_id)
            transactions[made.id].read[object_id] = before[made.id].id if made.id in before else 0
        if object_id in deleted:
            deletion = transactions[deleted[object_id].id]
            deletion.wrote.add(object_id)
            deletion.read[object_id] = chain[-1].id
    choices: list[list[tuple[int, str, int]]] = []
    for made in history:
        if made.status == 412 and made.tag:
            _check_refusal(made, versions[made.object_id], deleted.get(made.object_id))
        elif made.status == 404:
            if made.object_id not in deleted:
                raise ValueError(f"{made}: not found, and nobody deletes it")
            transactions[made.id].read[made.object_id] = deleted[made.object_id].id
        elif not made.succeeded:
            raise ValueError(f"{made}: {made.body}")
        elif made.verb == "get":
            version = next((v for v in versions[made.object_id] if v.etag == made.etag), None)
            if version is None or version.body != made.body:
                raise ValueError(f"{made}: nobody has made that version: {made.body}")
            transactions[made.id].read[made.object_id] = version.id
        elif made.verb == "list":
            choices += _listed(made, versions, deleted, transactions[made.id])
    failures = []
    for choice in itertools.islice(itertools.product(*choices), 4096):
        for transaction_id, object_id, version_id in choice:
            transactions[transaction_id].read[object_id] = version_id
        try:
            serial_order(list(transactions.values()))
        except ValueError as error:
            failures.append(error)
        else:
            return
    raise failures[0]


def _check_change(made: Request, earlier: Request | None) -> None:
    """Whether the version says what its request asked for, and otherwise what the version before it said."""
    if (earlier is None) != (made.verb == "create"):
        raise ValueError(f"{made}: follows {earlier}")
    marker = made.marker if made.verb in ("create", "put") else marker_of(earlier.body if earlier else {})
    if marker_of(made.body) != marker:
        raise ValueError(f"{made}: follows {earlier} and says {made.body}")
    if made.tag and earlier is not None and made.tag != earlier.etag:
        raise ValueError(f"{made}: follows {earlier}, and If-Match was {made.tag}")


def _check_refusal(made: Request, chain: Sequence[Request], deletion: Request | None) -> None:
    """Whether somebody had changed the object when the tag was refused."""
    later = [version for version in chain if version.revision > int(made.tag.strip('"'))]
    if not any(version.began < made.ended for version in (*later, *([deletion] if deletion else []))):
        raise ValueError(f"{made}: {made.tag} was refused, and nobody had changed it")


def _listed(
    made: Request,
    versions: dict[str, list[Request]],
    deleted: dict[str, Request],
    transaction: Committed,
) -> list[list[tuple[int, str, int]]]:
    """Note which versions the list shows; return what it may have read where it shows none."""
    shown = {item["id"]: item for item in made.body}
    if len(shown) != len(made.body):
        raise ValueError(f"{made}: shows one object twice")
    choices = []
    for object_id, chain in versions.items():
        if object_id in shown:
            version = next((v for v in chain if v.body == shown[object_id]), None)
            if version is None:
                raise ValueError(f"{made}: nobody has made that version: {shown[object_id]}")
            transaction.read[object_id] = version.id
            continue
        created, deletion = chain[0], deleted.get(object_id)
        possible = [0] if created.ended >= made.began else []
        possible += [deletion.id] if deletion is not None and deletion.began <= made.ended else []
        if not possible:
            raise ValueError(f"{made}: lacks {object_id}")
        choices.append([(transaction.id, object_id, version_id) for version_id in possible])
    return choices
