"""Operations of a REST surface from invocation to result: answers, pages, selected parts, runs (packaging.md 4.2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from gestalt_host.access.credentials.connections import InvocationCredential
from gestalt_host.access.policies.authorizer import PluginAccess
from gestalt_host.access.subjects import Actor
from gestalt_host.errors import (
    CredentialRejected,
    InvalidArgument,
    ResultUnfit,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnreadable,
)
from gestalt_host.invocation.model import Invocation, OperationResult
from gestalt_host.invocation.rest.client import RestClient
from gestalt_host.invocation.rest.egress import EgressRules
from gestalt_host.invocation.rest.runner import MOST_RUN_BYTES, RestRunner
from gestalt_host.packages.manifests.rest_model import Pagination, RestOperation, RestParameter, RestSurface
from gestalt_sdk.transport.values import to_struct
from tests.support.rigs.web import Request, Web

RULES = EgressRules(named=frozenset({"127.0.0.1"}))
ITEM = RestOperation("get", "GET", "/items/{id}", parameters=(RestParameter("id", "path", required=True),))


class Service:
    """A plugin in front of a web server, and how its operations are called."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.runners: list[RestRunner] = []

    def runner(self, *operations: RestOperation, **limits: float) -> RestRunner:
        surface = RestSurface(self.web.url(""), {item.name: item for item in operations})
        client = RestClient(RULES, **limits) if limits else None  # type: ignore[arg-type]
        self.runners.append(RestRunner(surface, RULES, "shop", client=client))
        return self.runners[-1]

    async def call(self, operation: RestOperation, params: object = None, **more: object) -> OperationResult:
        limits = {name: more.pop(name) for name in ("timeout_s", "most_bytes") if name in more}
        return await self.runner(operation, **limits).invoke(invocation(operation.name, params or {}, **more))  # type: ignore[arg-type]


def invocation(operation: str, params: object, **more: object) -> Invocation:
    made = Invocation(
        operation=operation,
        params=params,  # type: ignore[arg-type]
        subject=Actor("user:ann"),
        credential=InvocationCredential(),
        access=PluginAccess(),
    )
    return replace(made, **more)  # type: ignore[arg-type]


TOKEN = InvocationCredential("platform", "", "default", "", "tok")


@pytest_asyncio.fixture
async def service(web: Web) -> AsyncIterator[Service]:
    one = Service(web)
    yield one
    for runner in one.runners:
        await runner.close()


async def test_an_answer_is_the_result_whatever_its_status(service: Service) -> None:
    service.web.put("/items/1", "short and stout", 418, content_type="application/problem+json", x_other="1")
    result = await service.call(ITEM, {"id": 1})
    assert result == OperationResult(418, "short and stout", "application/problem+json")


async def test_parameters_may_come_serialised(service: Service) -> None:
    service.web.put("/items/1000000", "{}")
    params = to_struct({"id": 1000000, "q": ["a", 1.5]}).SerializeToString()
    await service.call(ITEM, params)
    assert service.web.paths() == ["/items/1000000?q=a&q=1.5"]


async def test_without_a_type_a_result_counts_as_json(service: Service) -> None:
    service.web.put("/items/1", "no type")
    assert (await service.call(ITEM, {"id": 1})).content_type == "application/json"


async def test_a_body_that_is_no_text_keeps_its_bytes(service: Service) -> None:
    service.web.put("/items/1", b"caf\xe9", content_type="text/plain; charset=iso-8859-1")
    result = await service.call(ITEM, {"id": 1})
    assert (result.body, result.raw) == ("caf\N{REPLACEMENT CHARACTER}", b"caf\xe9")
    with pytest.raises(ResultUnfit, match=r"its 4 bytes \(text/plain; charset=iso-8859-1\) are no UTF-8 text"):
        result.text()


async def test_an_operation_that_is_not_there_is_a_result(service: Service) -> None:
    assert await service.runner(ITEM).invoke(invocation("nope", {})) == OperationResult(
        404, '{"error":"unknown operation"}'
    )


async def test_nothing_is_sent_of_parameters_that_do_not_fit(service: Service) -> None:
    with pytest.raises(InvalidArgument):
        await service.call(ITEM, {})
    assert service.web.asked == []
    assert service.runners[0].outcomes["refused"] == 1


async def test_a_credential_is_rejected_only_where_one_was_sent(service: Service) -> None:
    service.web.put("/items/1", "who are you", 401)
    assert (await service.call(ITEM, {"id": 1})).status == 401
    with pytest.raises(CredentialRejected) as caught:
        await service.call(ITEM, {"id": 1}, credential=TOKEN)
    text = 'stored credential for integration "shop" was rejected by upstream; reconnect it'
    assert (str(caught.value), caught.value.plugin) == (text, "shop")
    assert "tok" not in text.split()


async def test_ends_are_counted_by_kind(service: Service) -> None:
    runner = service.runner(ITEM, timeout_s=0.3)
    service.web.put("/items/401", "", 401)
    for status in (200, 204, 404, 500):
        service.web.put(f"/items/{status}", "", status)
    service.web.answers["/items/hang"] = lambda asked: asked.hang()
    service.web.answers["/items/cut"] = lambda asked: asked.send_head(content_length="9")
    service.web.answers["/items/none"] = lambda asked: asked.break_off()
    service.web.redirect("/items/away", "http://127.0.0.2/")
    for name in ("200", "204", "404", "500", "401", "hang", "cut", "none", "away"):
        try:
            await runner.invoke(invocation("get", {"id": name}, credential=TOKEN))
        except Exception as error:
            assert type(error).__module__ == "gestalt_host.errors"
    assert +runner.outcomes == {
        "succeeded": 2,
        "client_error": 1,
        "server_error": 1,
        "credential_rejected": 1,
        "timeout": 1,
        "unreadable": 1,
        "unreachable": 1,
        "egress_refused": 1,
    }


# Selected parts

PART = replace(ITEM, data_path="data.item")


async def test_the_part_of_an_answer_that_a_manifest_selects_is_the_result(service: Service) -> None:
    service.web.put("/items/1", '{"data": {"item": {"price": 1.10}}}', content_type="application/vnd.shop+json")
    assert await service.call(PART, {"id": 1}) == OperationResult(200, '{"price": 1.10}', "application/vnd.shop+json")


async def test_a_part_is_selected_of_no_error_and_of_nothing(service: Service) -> None:
    service.web.put("/items/1", '{"data": {"item": 1}}', 400)
    service.web.put("/items/2", "", 204)
    assert (await service.call(PART, {"id": 1})).body == '{"data": {"item": 1}}'
    assert await service.call(PART, {"id": 2}) == OperationResult(204, "")


@pytest.mark.parametrize(
    ("body", "cause"), [("<html>", "the answer is no JSON"), ('{"data": 1}', "the answer has no data.item")]
)
async def test_an_answer_without_the_part_is_an_error(service: Service, body: str, cause: str) -> None:
    service.web.put("/items/1", body)
    with pytest.raises(UpstreamInvalid) as caught:
        await service.call(PART, {"id": 1})
    text = f"upstream service returned an invalid response: GET {service.web.url('/items/{id}')}: {cause}"
    assert str(caught.value).startswith(text)


# Pages

CURSOR = Pagination("cursor", "cursor", cursor_path="next", limit_parameter="limit", results_path="items", max_pages=5)
LIST = RestOperation("list", "GET", "/items", pagination=CURSOR, data_path="items")


def pages_of(total: int, default: int = 3, most: int = 1000) -> Callable[[Request], None]:
    """Answer with items by ``cursor``, ``offset`` or ``page`` and ``limit``, no more than ``most`` a page."""

    def answer(asked: Request) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
        limit = min(int(query.get("limit", default)), most)
        start = int(query.get("cursor") or query.get("offset") or (int(query.get("page", 1)) - 1) * limit)
        items = ", ".join(f"{number}.00" for number in range(start, min(start + limit, total)))
        following = f', "next": "{start + limit}"' if start + limit < total else ""
        asked.send(f'{{"items": [{items}]{following}}}'.encode(), content_type="application/vnd.list+json")

    return answer


def numbers(total: int, first: int = 0) -> str:
    return f"[{','.join(f'{number}.00' for number in range(first, total))}]"


async def test_pages_by_cursor_are_one_list_of_items_as_they_were_written(service: Service) -> None:
    service.web.answers["/items"] = pages_of(9)
    assert await service.call(LIST, {"q": "x"}) == OperationResult(200, numbers(9))
    assert service.web.paths() == ["/items?q=x", "/items?cursor=3&q=x", "/items?cursor=6&q=x"]


async def test_the_list_begins_where_its_caller_says(service: Service) -> None:
    service.web.answers["/items"] = pages_of(9)
    assert (await service.call(LIST, {"cursor": "6", "limit": 2})).body == numbers(9, 6)


@pytest.mark.parametrize(("style", "parameter"), [("offset", "offset"), ("page", "page")])
@pytest.mark.parametrize("total", [0, 1, 4, 8, 9])
async def test_pages_by_number_end_with_one_that_is_empty_or_shorter_than_another(
    service: Service, style: str, parameter: str, total: int
) -> None:
    service.web.answers["/items"] = pages_of(total)
    pages = Pagination(style, parameter, limit_parameter="limit", default_limit=4, results_path="items")
    assert (await service.call(replace(LIST, pagination=pages))).body == numbers(total)
    assert len(service.web.asked) == {0: 1, 1: 2, 4: 2, 8: 3, 9: 3}[total]
    assert service.web.paths()[0] == "/items?limit=4"
    if total > 4:
        assert service.web.paths()[1] == f"/items?limit=4&{style}={4 if style == 'offset' else 2}"


@pytest.mark.parametrize("style", ["offset", "page"])
@pytest.mark.parametrize("total", [6, 7])
async def test_without_a_limit_pages_by_number_end_alike(service: Service, style: str, total: int) -> None:
    service.web.answers["/items"] = pages_of(total)
    pages = Pagination(style, style, results_path="items")
    assert (await service.call(replace(LIST, pagination=pages))).body == numbers(total)
    assert len(service.web.asked) == 3


@pytest.mark.parametrize("style", ["offset", "page"])
@pytest.mark.parametrize("total", [2, 3, 6, 7])
async def test_a_service_that_gives_fewer_than_are_asked_for_loses_no_item(
    service: Service, style: str, total: int
) -> None:
    service.web.answers["/items"] = pages_of(total, most=3)
    pages = Pagination(style, style, limit_parameter="limit", default_limit=100, results_path="items")
    assert (await service.call(replace(LIST, pagination=pages))).body == numbers(total)
    assert (await service.call(replace(LIST, pagination=pages), {"limit": 50})).body == numbers(total)


BY_NUMBER = replace(LIST, pagination=Pagination("page", "page", results_path="items", max_pages=2))


@pytest.mark.parametrize("beyond", [("no such page", 404), ('{"items": []}', 200)])
async def test_what_comes_behind_the_last_page_ends_the_list_at_the_limit_too(
    service: Service, beyond: tuple[str, int]
) -> None:
    pages = [('{"items": [1]}', 200), ('{"items": [2]}', 200), beyond]
    service.web.in_turn("/items", *(lambda asked, page=page: asked.send(page[0].encode(), page[1]) for page in pages))
    assert await service.call(BY_NUMBER) == OperationResult(200, "[1,2]")


async def test_pages_by_number_beyond_the_limit_are_an_error_that_names_it(service: Service) -> None:
    service.web.answers["/items"] = pages_of(7)
    with pytest.raises(UpstreamUnreadable, match="there are more than 2 pages"):
        await service.call(BY_NUMBER)
    assert len(service.web.asked) == 3


async def test_a_service_without_a_first_page_is_told_as_it_is(service: Service) -> None:
    service.web.put("/items", "nothing here", 404)
    assert (await service.call(BY_NUMBER)).status == 404
    service.web.in_turn(
        "/items",
        lambda asked: asked.send(b'{"items": [1], "next": "a"}'),
        lambda asked: asked.send(b"lost", 404),
    )
    assert (await service.call(LIST)).status == 404


async def test_a_page_that_comes_again_is_an_error(service: Service) -> None:
    service.web.put("/items", '{"items": [{"id": 1}, {"id": 2}]}')
    with pytest.raises(
        UpstreamInvalid, match="page 2: its items are those of the page before; the service may not kno"
    ):
        await service.call(BY_NUMBER)


async def test_an_answer_that_is_the_list_needs_no_path(service: Service) -> None:
    service.web.in_turn(
        "/items",
        lambda asked: asked.send(b"[1]", x_next="a/b"),
        lambda asked: asked.send(b"[2]", x_next=""),
    )
    pages = Pagination("cursor", "after", cursor_source="header", cursor_path="X-Next")
    assert (await service.call(replace(LIST, pagination=pages))).body == "[1,2]"
    assert service.web.paths()[1] == "/items?after=a%2Fb"


async def test_a_cursor_goes_where_it_is_declared_and_as_it_was_written(service: Service) -> None:
    answers = [b'{"items": [1], "next": 12345678901234567890}', b'{"items": [2], "next": null}']
    service.web.in_turn("/items", *(lambda asked, body=body: asked.send(body) for body in answers))
    search = replace(LIST, method="POST", parameters=(RestParameter("cursor", "body"),))
    assert (await service.call(search, {"q": "x"})).body == "[1,2]"
    assert json.loads(service.web.asked[1].body) == {"cursor": "12345678901234567890", "q": "x"}
    await service.call(replace(LIST, method="POST"), {"cursor": "c", "q": "x"})
    assert service.web.paths()[-1] == "/items?cursor=c"


@pytest.mark.parametrize(
    ("bodies", "cause"),
    [
        (['{"items": [], "next": "a"}'] * 2, "page 2: its cursor is one that was asked for before"),
        (['{"items": [], "next": {}}'], "page 1: its next is no text and no number"),
        (['{"items": [], "next": true}'], "page 1: its next is no text and no number"),
        (['{"items": [1], "next": "a"}', '{"items": 1}'], "page 2: what should be the list of items is none"),
        (["{}"], "page 1: the answer has no items"),
        (["<html>"], "page 1: the answer is no JSON"),
        ([""], "page 1: the answer is no JSON"),
    ],
)
async def test_a_page_that_is_not_as_the_manifest_says_is_an_error(
    service: Service, bodies: list[str], cause: str
) -> None:
    service.web.in_turn("/items", *(lambda asked, body=body: asked.send(body.encode()) for body in bodies))
    with pytest.raises(UpstreamInvalid) as caught:
        await service.call(LIST)
    assert cause in str(caught.value)


async def test_an_error_among_pages_is_the_result(service: Service) -> None:
    service.web.in_turn(
        "/items",
        lambda asked: asked.send(b'{"items": [1], "next": "a"}'),
        lambda asked: asked.send(b"no more", 403, content_type="text/plain"),
    )
    assert await service.call(LIST) == OperationResult(403, "no more", "text/plain")


@pytest.mark.parametrize("total", [15, 16])
async def test_more_pages_than_the_limit_are_an_error_that_names_it(service: Service, total: int) -> None:
    service.web.answers["/items"] = pages_of(total)
    if total == 15:
        assert (await service.call(LIST)).body == numbers(15)
        return
    with pytest.raises(UpstreamUnreadable, match="there are more than 5 pages; maxPages of its pagination sets how"):
        await service.call(LIST)
    assert len(service.web.asked) == 5


async def test_without_a_limit_of_pages_there_are_a_hundred(service: Service) -> None:
    service.web.answers["/items"] = pages_of(101, 1)
    with pytest.raises(UpstreamUnreadable, match="more than 100 pages"):
        await service.call(replace(LIST, pagination=replace(CURSOR, max_pages=0)))


async def test_pages_share_the_bytes_and_the_time_of_one_operation(service: Service) -> None:
    service.web.answers["/items"] = pages_of(15)
    with pytest.raises(UpstreamUnreadable, match="there are more than 100 bytes; no more are taken"):
        await service.call(LIST, most_bytes=100)
    service.web.in_turn("/items", lambda asked: asked.send(b'{"items": [1], "next": "a"}'), lambda asked: asked.hang())
    with pytest.raises(UpstreamTimeout, match=r"no answer began within 0\.5 s"):
        await service.call(LIST, timeout_s=0.5)


# Runs


async def test_a_run_takes_no_result_over_four_mebibytes(service: Service) -> None:
    service.web.put("/items/1", b"x" * (MOST_RUN_BYTES + 1))
    service.web.put("/items/2", b"x" * MOST_RUN_BYTES)
    assert len((await service.call(ITEM, {"id": 1})).body) == MOST_RUN_BYTES + 1
    assert len((await service.call(ITEM, {"id": 2}, workflow={"runId": "r"})).body) == MOST_RUN_BYTES
    with pytest.raises(ResultUnfit, match=r"4194305 bytes; accepted of a run are 4194304 \(4 MiB\)"):
        await service.call(ITEM, {"id": 1}, workflow={"runId": "r"})
