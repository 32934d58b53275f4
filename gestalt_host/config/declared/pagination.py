"""How the pages of an answer follow one another, as manifests and configurations say it (packaging.md 4)."""

from __future__ import annotations

from dataclasses import dataclass

from gestalt_host.config.reader import Block

STYLES = ("cursor", "offset", "page")
MAX_PAGES = 100
"""Of one result, unless ``maxPages`` says otherwise."""


@dataclass(frozen=True, slots=True)
class Pagination:
    """How the pages of an answer follow one another.

    Attributes:
        style: ``cursor``, ``offset`` or ``page``.
        cursor_parameter: Query parameter that asks for a page.
        cursor_source: ``body`` or ``header``: where the next cursor is, at ``cursor_path``.
        results_path: Dotted path of the items in each answer; blank: the answer is the list.
        max_pages: More pages than these are an error that names the limit.
    """

    style: str
    cursor_parameter: str = ""
    cursor_source: str = "body"
    cursor_path: str = ""
    limit_parameter: str = ""
    default_limit: int = 0
    results_path: str = ""
    max_pages: int = MAX_PAGES


def read_pagination(parent: Block) -> Pagination | None:
    """Read ``pagination``, None where there is none."""
    block = parent.block("pagination")
    if not block.present:
        return None
    with block:
        style = block.one_of("style", STYLES)
        if not block.text("style"):
            block.fault("style", f"is required; accepted are {', '.join(STYLES)}")
        with block.block("cursor") as cursor:
            source = cursor.one_of("source", ("body", "header"), "body")
            path = cursor.text("path")
        parameter = block.text("cursorParam", required=True)
        if style == "cursor" and not path:
            block.fault("cursor.path", "is required: where the next cursor is")
        return Pagination(
            style=style,
            cursor_parameter=parameter,
            cursor_source=source,
            cursor_path=path,
            limit_parameter=block.text("limitParam"),
            default_limit=block.integer("defaultLimit", minimum=0),
            results_path=block.text("resultsPath"),
            max_pages=block.integer("maxPages", MAX_PAGES, minimum=1),
        )
