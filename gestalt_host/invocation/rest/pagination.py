"""All pages of an operation as one list (packaging.md 4): by cursor, offset or page number."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count

from gestalt_host.errors import UpstreamInvalid, UpstreamUnreadable
from gestalt_host.invocation.rest.client import Answer
from gestalt_host.invocation.rest.selection import MOST_ITEMS, TOO_MANY_ITEMS, Document, Unselectable, read
from gestalt_host.packages.manifests.rest_model import Pagination, RestOperation, RestParameter

MOST_PAGES = 100
"""Where ``maxPages`` says nothing."""
Ask = Callable[[Mapping[str, object]], Awaitable[Answer]]
"""Sends the operation's request with these parameters."""


def with_page_parameters(operation: RestOperation) -> RestOperation:
    """Return the operation with the parameters that ask for a page; those that it does not declare go to the query."""
    pages = operation.pagination
    if pages is None:
        return operation
    declared = {item.name for item in operation.parameters}
    wanted = dict.fromkeys(name for name in (pages.cursor_parameter, pages.limit_parameter) if name)
    added = tuple(RestParameter(name, "query") for name in wanted if name not in declared)
    return replace(operation, parameters=operation.parameters + added)


async def all_pages(
    pages: Pagination, params: Mapping[str, object], ask: Ask, request: str, left_s: Callable[[], float]
) -> Answer:
    """Return the last page's answer with the items of all pages as its body, a JSON list.

    An answer of 400 or above ends it, and is the result as it is; only a 404 behind the first of pages that are counted
    says that there are no more. The list begins at the page that ``params`` asks for.

    Args:
        request: Its template, for messages.
        left_s: Tells how many seconds are left for the operation.

    Raises:
        UpstreamInvalid: a page is not as the manifest says, or is one that was there already.
        UpstreamUnreadable: there are more pages or items than the limit.
    """
    most = pages.max_pages or MOST_PAGES
    given = dict(params)
    if pages.limit_parameter and pages.default_limit and given.get(pages.limit_parameter) is None:
        given[pages.limit_parameter] = pages.default_limit
    turner = _Turner(pages, given.get(pages.cursor_parameter))
    items: list[str] = []
    whole: Answer | None = None
    for number in count(1):
        answer = await ask(given)
        if whole is not None and answer.status == 404 and pages.style != "cursor":
            return _list_of(items, whole)
        if answer.status >= 400:
            return answer
        try:
            page = await read(answer.body, lambda document: _Page.of(document, pages), left_s())
            following = turner.following(answer, page)
        except Unselectable as error:
            raise UpstreamInvalid(request, f"page {number}: {error}") from None
        # Whether pages that are counted have an end at the limit shows in the one behind it.
        if (number > most and page.items) or (number == most and following is not None and pages.style == "cursor"):
            break
        items += page.items
        if len(items) > MOST_ITEMS:
            raise UpstreamUnreadable(request, TOO_MANY_ITEMS)
        if following is None:
            return _list_of(items, answer)
        whole = replace(answer, body=b"")
        given[pages.cursor_parameter] = following
    raise UpstreamUnreadable(request, f"there are more than {most} pages; maxPages of its pagination sets how many")


def _list_of(items: list[str], answer: Answer) -> Answer:
    headers = {**answer.headers, "content-type": "application/json"}
    return replace(answer, body=f"[{','.join(items)}]".encode(), headers=headers)


@dataclass(frozen=True, slots=True)
class _Page:
    """What of an answer counts: its items, and the cursor in its body; both as they are written."""

    items: list[str]
    cursor: str | None

    @classmethod
    def of(cls, document: Document, pages: Pagination) -> _Page:
        items = [document.text(item) for item in document.items(document.part(pages.results_path))]
        is_there = pages.style == "cursor" and pages.cursor_source == "body"
        cursor = document.find(pages.cursor_path) if is_there else None
        return cls(items, None if cursor is None else document.text(cursor))


class _Turner:
    """Knows what asks for the next page."""

    def __init__(self, pages: Pagination, first: object) -> None:
        self._pages = pages
        self._at = _number(first)
        if self._at is None:
            self._at = 1 if pages.style == "page" else 0
        self._seen: set[str] = {str(first)} if first is not None else set()
        self._longest = 0
        self._before: list[str] = []

    def following(self, answer: Answer, page: _Page) -> object | None:
        """Return what asks for the next page; None: it was the last.

        A page with fewer items than were asked for says nothing: the service may give no more in one. Only one that is
        shorter than an earlier one does.

        Raises:
            Unselectable: it is none, or one that was there before.
        """
        if self._pages.style == "cursor":
            return self._cursor(answer, page)
        if len(page.items) < max(self._longest, 1):
            return None
        if page.items == self._before:
            raise Unselectable(
                f"its items are those of the page before; the service may not know {self._pages.cursor_parameter}"
            )
        self._longest, self._before = len(page.items), page.items
        assert self._at is not None
        self._at += 1 if self._pages.style == "page" else len(page.items)
        return self._at

    def _cursor(self, answer: Answer, page: _Page) -> object | None:
        if self._pages.cursor_source == "header":
            cursor: object = answer.headers.get(self._pages.cursor_path.lower())
        else:
            cursor = json.loads(page.cursor or "null", parse_int=str, parse_float=str)
        if cursor is None or cursor == "" or cursor is False:
            return None
        if not isinstance(cursor, str):
            raise Unselectable(f"its {self._pages.cursor_path} is no text and no number")
        if cursor in self._seen:
            raise Unselectable("its cursor is one that was asked for before")
        self._seen.add(cursor)
        return cursor


def _number(value: object) -> int | None:
    """Return a parameter that is a whole number, or a text of one, as such; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return int(value) if isinstance(value, int | float) and float(value).is_integer() else None
