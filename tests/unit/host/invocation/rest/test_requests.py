"""From a declared operation to its HTTP request (packaging.md 4.2, decision 32)."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from gestalt_host.access.credentials.auth_mapping import AuthMapping, MappedValue
from gestalt_host.access.credentials.connections import InvocationCredential
from gestalt_host.errors import CredentialFieldUnfit, InvalidArgument, InvalidInvocation, RequestImpossible
from gestalt_host.invocation.rest.requests import PreparedRequest, prepare
from gestalt_host.packages.inputs import InputInvalid
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
        ("GET /x/{a}", {"a": 1}, ["a:body:int"], "/x/1", None),
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


@pytest.mark.parametrize(
    ("operation", "params", "parameters", "missing"),
    [
        ("GET /x/{id}", {}, ["id:path:string!"], "id"),
        ("GET /x/{id}", {"id": None}, ["id:path:string"], "id"),
        ("POST /x/{a}/{b}", {"a": 1}, ["a:path:int"], "b"),
        ("GET /x/{a}", {"a": 1}, [], "a"),
        ("DELETE /x/{a}", {"a": 1}, [], "a"),
        ("GET /x/{a}", {"a": 1}, ["a:query:int"], "a"),
        ("POST /x/{a}", {"a": 1}, ["a:header:int"], "a"),
    ],
)
def test_a_path_needs_its_values(operation: str, params: dict[str, Any], parameters: list[str], missing: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ask(operation, params, *parameters)
    assert str(caught.value) == f"missing required path parameter: {missing}"


@pytest.mark.parametrize(
    ("parameter", "value", "accepted"),
    [
        ("v:query:int", "many", "an integer"),
        ("v:query:int", "", "an integer"),
        ("v:query:int", 1.5, "an integer"),
        ("v:query:bool", "perhaps", "true or false"),
        ("v:query:object", [1], "an object"),
        ("v:query:string", {"k": 1}, "text or a number or true or false"),
        ("v:query:string", ["a"], "text or a number or true or false"),
        ("v:query:array", 3, "a list or text"),
        ("v:header:number", "x", "a number"),
        ("v:body:string", 7, "text"),
        ("v:body:string", True, "text"),
        ("v:body:array", "x", "a list"),
        ("v:body:bool", "yes", "true or false"),
        ("v:body:string!", None, "text"),
        ("v:query:int!", None, "an integer"),
    ],
)
def test_a_value_of_another_type_is_refused(parameter: str, value: object, accepted: str) -> None:
    with pytest.raises(InputInvalid, match=rf"^input of shop\.op: v .*; accepted is {accepted}$"):
        ask("POST /x", {"v": value}, parameter)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("v:query:string", 5),
        ("v:query:string", True),
        ("v:query:array", "one"),
        ("v:query:int", "3"),
        ("v:query:int", 3.0),
        ("v:query:int", None),
        ("v:header:string", 1.5),
        ("v:body:int", "3"),
        ("v:body:bool", "true"),
        ("v:body:string", None),
        ("v:body:array", "[1]"),
        ("v:body:colour", [1]),
        ("v:body:", {"k": 1}),
    ],
)
def test_a_value_that_can_be_meant_is_accepted(parameter: str, value: object) -> None:
    ask("POST /x", {"v": value}, parameter)


def test_a_parameter_that_goes_to_the_query_for_want_of_a_body_is_judged_as_one_of_the_query() -> None:
    assert ask("DELETE /x", {"v": 7}, "v:body:string").url == "http://h/base/x?v=7"


def test_a_required_parameter_is_missed_before_anything_is_sent() -> None:
    with pytest.raises(InputInvalid, match=r"^input of shop\.op: title is missing; accepted is text$"):
        ask("POST /x", {"n": 1}, "title:body:string!", "n:body:int")


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InputInvalid) as caught:
        ask("POST /x", {"n": "three", "done": "yes"}, "n:body:int", "done:body:bool", "title:body:string!")
    assert [fault.member for fault in caught.value.faults] == ["done", "n", "title"]


@pytest.mark.parametrize("value", ["x", None])
def test_an_internal_parameter_is_refused_and_never_needed(value: object) -> None:
    assert ask("POST /x", {}, "hidden:body:string!-").body == b"{}"
    with pytest.raises(InvalidInvocation, match=r'^invalid invocation: parameter "hidden" is not public$'):
        ask("POST /x", {"hidden": value}, "hidden:body:string-")


@pytest.mark.parametrize("where", ["path", "query", "header", "body"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_a_value_that_cannot_be_written_is_refused_by_its_name(where: str, value: object) -> None:
    with pytest.raises(InputInvalid, match=r"^input of shop\.op: v (is a number that JSON|holds half of a surrogate)"):
        ask("POST /x/{v}" if where == "path" else "POST /x", {"v": value}, f"v:{where}:")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_cannot_be_written_is_refused(method: str) -> None:
    with pytest.raises(InputInvalid, match="surrogate"):
        ask(f"{method} /x", {"\ud800": 1})


def test_headers_of_the_manifest_are_filled_in_and_parameters_go_before_them() -> None:
    request = ask(
        "GET /x",
        {"X-Version": " 2\t", "x-list": ["a", 1], "x-left-out": None},
        "X-Version:header:int",
        "x-list:header:array",
        "x-left-out:header:string",
        headers={"Accept": "application/json", "x-version": "1", "x-tenant": "<{tenant}> of {region}"},
        credential=InvocationCredential(params={"tenant": "acmé"}),
    )
    assert request.headers == {
        "Accept": "application/json",
        "X-Version": "2",
        "x-tenant": "<acmé> of {region}",
        "x-list": '["a",1]',
    }
    assert request.secret_headers == frozenset()


def test_a_manifest_may_say_which_json_a_body_is() -> None:
    headers = ask("POST /x", {}, headers={"content-type": "application/vnd.api+json"}).headers
    assert headers == {"content-type": "application/vnd.api+json"}


@pytest.mark.parametrize("value", ["a\r\nX-More: 1", "a\nb", "a\rb", "a\0b", "a\x7fb", "\x1b[0m"])
def test_no_value_of_a_header_ends_it(value: str) -> None:
    with pytest.raises(InputInvalid, match=r"^input of shop\.op: x-a holds a line break or another control character"):
        ask("GET /x", {"x-a": value}, "x-a:header:string")
    with pytest.raises(RequestImpossible, match=r'header "x-a" .* holds a line break'):
        ask("GET /x", {}, headers={"x-a": "{p}"}, credential=InvocationCredential(params={"p": value}))


OWN = [
    "Host",
    "content-length",
    "Transfer-Encoding",
    "connection",
    "TE",
    "Upgrade",
    "Expect",
    "Accept-Encoding",
    "a b",
    "",
]


@pytest.mark.parametrize("name", OWN)
def test_headers_of_the_connection_are_nobodys(name: str) -> None:
    with pytest.raises(InputInvalid, match="is a header that the host or the credential sets"):
        ask("GET /x", {name: "v"}, f"{name}:header:string")
    with pytest.raises(RequestImpossible, match="cannot be set"):
        ask("GET /x", {}, headers={name: "v"})


@pytest.mark.parametrize(
    ("operation", "idempotent", "may_repeat"),
    [("GET /x", False, True), ("POST /x", False, False), ("POST /x", True, True), ("DELETE /x", False, False)],
)
def test_what_may_be_sent_again(operation: str, idempotent: bool, may_repeat: bool) -> None:
    assert ask(operation, {}, idempotent=idempotent).may_repeat is may_repeat


def bearer(token: str) -> InvocationCredential:
    return InvocationCredential("platform", connection="robot", token=token)


def test_a_token_takes_the_place_of_a_static_header() -> None:
    request = ask("GET /x", {}, headers={"authorization": "Static", "x-a": "1"}, credential=bearer("t0k"))
    assert request.headers == {"Authorization": "Bearer t0k", "x-a": "1"}
    assert request.secret_headers == {"authorization"}
    assert request.has_credential
    assert "t0k" not in repr(request)


def test_without_a_credential_a_static_header_stays_secret() -> None:
    request = ask("GET /x", {}, headers={"authorization": "Static", "COOKIE": "c"})
    assert request.headers == {"authorization": "Static", "COOKIE": "c"}
    assert request.secret_headers == {"authorization", "cookie"}
    assert not request.has_credential


def test_no_parameter_takes_the_place_of_a_credential() -> None:
    parameter = "authorization:header:string"
    assert ask("GET /x", {"authorization": "mine"}, parameter).headers == {"authorization": "mine"}
    with pytest.raises(InputInvalid, match="authorization is a header that the host or the credential sets"):
        ask("GET /x", {"authorization": "mine"}, parameter, credential=bearer("secret"))


@pytest.mark.parametrize("token", ["s3cret\r\nX-More: 1", "s3cret\n", "s3\0cret"])
def test_a_token_with_a_line_break_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(RequestImpossible, match='token of connection "robot" holds a line break') as caught:
        ask("GET /x", {}, credential=bearer(token))
    assert "s3" not in str(caught.value)


MAPPED = InvocationCredential(
    "platform",
    connection="robot",
    token="not sent",
    mapping=AuthMapping(
        {"X-Api-Key": MappedValue("k-1"), "x-org": MappedValue(field="org")}, (MappedValue("robot"), MappedValue("p:w"))
    ),
    fields={"org": "7"},
)


def test_a_mapping_replaces_static_headers_of_any_letter_case_and_the_token() -> None:
    headers = {"x-api-key": "from the manifest", "authorization": "Static", "x-other": "other"}
    request = ask("GET /x", {}, headers=headers, credential=MAPPED)
    basic = f"Basic {b64encode(b'robot:p:w').decode()}"
    assert request.headers == {"X-Api-Key": "k-1", "Authorization": basic, "x-other": "other", "x-org": "7"}
    assert request.secret_headers == {"x-api-key", "x-org", "authorization"}
    assert request.has_credential


def test_no_parameter_takes_the_place_of_a_mapped_header() -> None:
    with pytest.raises(InputInvalid, match="x-API-key is a header that the host or the credential sets"):
        ask("GET /x", {"x-API-key": "mine"}, "x-API-key:header:string", credential=MAPPED)


@pytest.mark.parametrize("fields", [{}, {"org": "s3\r\ncret"}])
def test_a_field_that_is_missing_or_ends_its_header_is_refused_and_not_shown(fields: dict[str, str]) -> None:
    with pytest.raises(CredentialFieldUnfit, match='field "org"') as caught:
        ask("GET /x", {}, credential=replace(MAPPED, fields=fields))
    assert "s3" not in str(caught.value)


def test_a_user_name_with_a_colon_would_be_another_one() -> None:
    mapping = AuthMapping(basic=(MappedValue(field="org"), MappedValue("p")))
    with pytest.raises(CredentialFieldUnfit, match=r'field "org" .* colon'):
        ask("GET /x", {}, credential=replace(MAPPED, mapping=mapping, fields={"org": "a:b"}))


def test_mode_none_sends_no_credential() -> None:
    request = ask("GET /x", {}, credential=replace(MAPPED, mode="none"))
    assert (request.headers, request.secret_headers, request.has_credential) == ({}, frozenset(), False)


@pytest.mark.parametrize(
    ("operation", "parameter", "most"),
    [
        ("GET /{v}", "v:path:string", 65_535 - len("http://h/base/")),
        ("POST /?v={v}", "v:path:string", 65_535 - len("http://h/base/?v=")),
        ("GET /", "v:header:string", 65_535 - len("v")),
    ],
)
def test_what_is_too_long_for_a_url_or_headers_is_refused(operation: str, parameter: str, most: int) -> None:
    ask(operation, {"v": "v" * most}, parameter)
    with pytest.raises(InvalidArgument, match="would have 65536 bytes, over the limit of 65535"):
        ask(operation, {"v": "v" * (most + 1)}, parameter)


def test_messages_have_the_template_and_no_value() -> None:
    request = ask("GET /items/{id}?fixed=1", {"id": "s3cret", "q": "s3cret"}, "id:path:string")
    assert request.template == "GET http://h/base/items/{id}"
    assert "s3cret" in request.url
