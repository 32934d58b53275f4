"""What the service behind a plugin without code is asked, through a real host: values, credentials, refusals."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.rigs.gestaltd import Gestaltd
from tests.support.rigs.rest import recorded_plugins
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gestaltd]:
    with recorded_plugins(tmp_path_factory.mktemp("requests")) as served:
        yield served


def asked(host: Gestaltd, operation: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the request that the service saw."""
    answer = host.post(f"/{operation}", params or {})
    assert answer.status_code == 200, answer.text
    seen: dict[str, Any] = answer.json()
    return seen


AWKWARD = [
    "",
    ".",
    "..",
    "/",
    "//evil",
    "../../x",
    "%2F",
    "%2e%2e",
    "%",
    "?x=1",
    "#",
    "a b",
    "+",
    ";",
    "\\",
    "@h",
    ":80",
]
AWKWARD += ["é☃", "a\r\nHost: evil", "\0", "\t", "{id}", "\x7f", "\u2028", "x" * 8000]


@pytest.mark.parametrize("value", AWKWARD)
def test_a_value_arrives_as_it_was_given_in_every_place(host: Gestaltd, value: str) -> None:
    seen = asked(host, "shop/items.get", {"id": value, "tags": [value], "more": value})
    assert seen["path"].startswith("/base/echo/items/")
    assert unquote(seen["path"].removeprefix("/base/echo/items/")) == value
    assert "/" not in seen["path"].removeprefix("/base/echo/items/")
    assert seen["query"] == [["more", value], ["tags", value]]
    seen = asked(host, "shop/items.change", {"id": value, "part": value, "title": value})
    assert list(map(unquote, seen["path"].split("/"))) == ["", "base", "echo", value, "of", value]
    assert seen["json"] == {"title": value}


@pytest.mark.parametrize(
    ("operation", "headers"),
    [
        ("bearer/look", {"authorization": "Bearer robot-token"}),
        ("apikey/look", {"x-api-key": "k-1", "x-org": "7"}),
        ("basic/look", {"authorization": f"Basic {b64encode(b'robot:p:w').decode()}"}),
        ("rawkey/look", {"authorization": "Bearer raw-token"}),
        ("keys/pinned", {"authorization": "Bearer robot-token", "x-tenant": "<{tenant}> of {region}"}),
        ("keys/regional", {"authorization": "Bearer south-token", "x-tenant": "<acme> of south"}),
        ("keys/free", {"authorization": "Static {tenant}", "x-tenant": "<{tenant}> of {region}"}),
        (
            "mapped/look",
            {"authorization": f"Basic {b64encode(b'robot:p:w').decode()}"}
            | {"x-api-key": "k-1", "x-org": "7", "x-other": "other"},
        ),
    ],
)
def test_each_connection_sends_its_credential(host: Gestaltd, operation: str, headers: dict[str, str]) -> None:
    sent = asked(host, operation)["headers"]
    sent.pop("content-type", None)
    assert sent == headers


def test_the_parameters_of_a_connection_are_in_its_base_url(host: Gestaltd) -> None:
    assert asked(host, "keys/regional")["path"] == "/echo/south/regional"
    assert asked(host, "keys/free")["path"] == "/echo/%7Bregion%7D/free"


@pytest.mark.parametrize("operation", ["person/look", "mapped-person/look"])
def test_a_person_without_a_credential_is_not_connected(host: Gestaltd, operation: str) -> None:
    answer = host.post(f"/{operation}", {})
    assert (answer.status_code, answer.json()["code"]) == (412, "not_connected")


INPUT = {"title": 7, "hidden": "x", "notify": "perhaps"}
REFUSED = (
    "hidden is not public; accepted is an input without it; notify is a text; accepted is true or false; title is 7"
)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/workflow/schedules", {"cron": "0 3 * * *"}),
        ("/workflow/event-triggers", {"match": {"type": "a.b"}}),
    ],
)
def test_a_schedule_or_trigger_whose_call_would_be_refused_is_not_written(
    host: Gestaltd, path: str, more: dict[str, Any]
) -> None:
    target = {"plugin": {"name": "shop", "operation": "items.create", "input": INPUT}}
    answer = host.post(path, {**more, "target": target})
    assert (answer.status_code, REFUSED in answer.text) == (400, True), answer.text
    target["plugin"]["input"] = {"title": "t", "notify": "true", "n": 3.0, "more": None}
    assert host.post(path, {**more, "target": target}).status_code == 201


def test_a_run_sends_its_input_as_a_call_does(host: Gestaltd) -> None:
    given = {"id": 1e6, "limit": "3", "tags": [1e21, None]}
    target = {"plugin": {"name": "shop", "operation": "items.get", "input": given}}
    trigger = {"match": {"type": "item.asked"}, "target": target}
    assert host.post("/workflow/event-triggers", trigger).status_code == 201
    assert host.post("/workflow/events", {"type": "item.asked", "source": "test"}).status_code == 202

    def ended() -> list[dict[str, Any]]:
        runs = [run for run in host.get("/workflow/runs") if run["target"]["plugin"]["operation"] == "items.get"]
        return [run for run in runs if run["status"] not in ("pending", "running")]

    (run,) = until(ended, within_s=60, what=lambda: "the run ends")
    assert run["status"] == "succeeded", run
    seen = json.loads(run["resultBody"])
    assert (seen["path"], seen["query"]) == ("/base/echo/items/1000000", [["limit", "3"], ["tags", "1e+21"]])
