"""From a declared operation to its HTTP request (packaging.md 4.2, decision 32)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gestalt_host.access.credentials.connections import InvocationCredential
from gestalt_host.invocation.rest.requests import PreparedRequest, prepare
from gestalt_host.packages.manifests.rest_model import RestOperation, RestParameter, RestSurface

NOBODY = InvocationCredential()


def declared(text: str) -> RestParameter:
    """Return a parameter from ``name:place:type``, with ``!`` behind it if required and ``-`` if internal."""
    name, place, kind = text.rstrip("!-").split(":")
    return RestParameter(name, place, kind, required=text.endswith("!"), internal=text.endswith("-"))


def ask(
    operation: str,
    params: dict[str, Any],
    *parameters: str,
    base: str = "http://h/base",
    headers: dict[str, str] | None = None,
    credential: InvocationCredential = NOBODY,
    idempotent: bool = False,
) -> PreparedRequest:
    method, path = operation.split(" ", 1)
    made = RestOperation("op", method, path, parameters=tuple(map(declared, parameters)), idempotent=idempotent)
    return prepare(RestSurface(base, {}, headers=headers or {}), made, params, credential, plugin="shop")


@pytest.mark.parametrize(
    ("operation", "params", "parameters", "url", "body"),
    [
        ("GET /items/{id}", {"id": "5"}, ["id:path:string!"], "/items/5", None),
        ("GET /items/{id}", {"id": 5, "n": 7}, ["id:path:string!", "n:query:int"], "/items/5?n=7", None),
        ("GET /{id}/{id}", {"id": "a b"}, ["id:path:string"], "/a%20b/a%20b", None),
        ("GET /x", {"b": [1, None, 2], "a": "x y", "c": None}, [], "/x?a=x+y&b=1&b=2", None),
        ("GET /x", {"sent": "now"}, ["sent:body:string"], "/x?sent=now", None),
        (
            "GET /x",
            {"f": {"b": [True]}},
            ["f:query:object"],
            "/x?f=%7B%22b%22%3A%5Btrue%5D%7D",
            None,
        ),
        ("GET /x", {"a": []}, ["a:query:array"], "/x", None),
        ("GET /x?fixed=1", {"q": 2}, [], "/x?fixed=1&q=2", None),
        ("GET /x?fixed=1", {}, [], "/x?fixed=1", None),
        ("GET /x?q={q}&r={q}", {"q": "a&b=c d"}, ["q:path:string"], "/x?q=a%26b%3Dc%20d&r=a%26b%3Dc%20d", None),
        ("GET /x?", {"q": 2}, [], "/x?q=2", None),
        ("GET /../x/./{id}", {"id": ".."}, ["id:path:string"], "/../x/./%2E%2E", None),
        ("GET /x/{nothing}", {"nothing": "", "q": ""}, ["nothing:path:string"], "/x/?q=", None),
        ("DELETE /x/{id}", {"id": "a", "why": "old"}, ["id:path:string", "why:body:string"], "/x/a?why=old", None),
        ("POST /x/{a}", {"a": 1, "b": 2}, [], "/x/1", {"b": 2}),
        ("POST /x", {"q": True, "b": None}, ["q:query:bool"], "/x?q=true", {"b": None}),
        ("PUT /x/{id}", {"id": "7", "n": "3"}, ["id:path:int", "n:body:int"], "/x/7", {"n": "3"}),
        ("PATCH /x", {}, [], "/x", {}),
    ],
)
def test_each_value_goes_where_it_is_declared(
    operation: str, params: dict[str, Any], parameters: list[str], url: str, body: object
) -> None:
    request = ask(operation, params, *parameters)
    assert request.method == operation.split(" ", 1)[0]
    assert request.url == f"http://h/base{url}"
    assert (None if request.body is None else json.loads(request.body)) == body
    assert request.headers.get("Content-Type") == (None if body is None else "application/json; charset=utf-8")
