"""Inputs against what an operation declares (http-api.md 8.5)."""

from __future__ import annotations

from typing import Any

import pytest

from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_host.packages.inputs import InputInvalid, check_input


def faults_of(schema: dict[str, Any], given: dict[str, Any], **more: Any) -> list[str]:
    return [str(fault) for fault in check_input(CatalogueOperation("op", input_schema=schema), given, **more)]


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


ONE = {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "given", "fault"),
    [
        (ONE, {"n": "text"}, "n is a text; accepted is an integer"),
        (ONE, {"n": 1.5}, "n is 1.5; accepted is an integer"),
        (ONE, {"n": True}, "n is true; accepted is an integer"),
        (ONE, {"n": [1]}, "n is a list; accepted is an integer"),
        ({**ONE, "required": ["n"]}, {}, "n is missing; accepted is an integer"),
        ({**ONE, "required": ["n"]}, {"n": None}, "n is null; accepted is an integer"),
        ({"type": "object", "required": ["x"]}, {}, "x is missing"),
        (closed(n={}), {"m": 1}, 'm is not declared; accepted is "n"'),
        (closed(a={}, b={}), {"m": 1}, 'm is not declared; accepted are "a", "b"'),
        (closed(), {"m": 1}, "m is not declared; none is accepted"),
        (closed(s={"type": "string"}), {"s": 5}, "s is 5; accepted is text"),
        (closed(s={"type": ["string", "null"]}), {"s": 5}, "s is 5; accepted is text or null"),
        (closed(s={"enum": ["a", "b"]}), {"s": "c"}, 's is another text; accepted are "a", "b"'),
        (closed(s={"anyOf": [{"type": "string"}, {"type": "null"}]}), {"s": 5}, "s is 5; accepted is text or null"),
        (
            closed(l={"type": "array", "items": {"type": "integer"}}),
            {"l": [1, "x"]},
            "l[1] is a text; accepted is an integer",
        ),
        (closed(o=closed(a={"type": "boolean"})), {"o": {"a": 1}}, "o.a is 1; accepted is true or false"),
        (
            closed(o={"additionalProperties": {"type": "number"}}),
            {"o": {"a b": "x"}},
            'o["a b"] is a text; accepted is a number',
        ),
        (
            {"$defs": {"id": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/id"}}},
            {"n": []},
            "n is a list; accepted is an integer",
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", **ONE},
            {"n": {}},
            "n is an object; accepted is an integer",
        ),
    ],
)
def test_what_is_wrong_is_named_with_what_is_accepted(
    schema: dict[str, Any], given: dict[str, Any], fault: str
) -> None:
    assert faults_of(schema, given) == [fault]


@pytest.mark.parametrize(
    ("schema", "given"),
    [
        (ONE, {"zzz": 1}),
        (ONE, {"n": 5.0}),
        (ONE, {"n": "5"}),
        (ONE, {"n": None}),
        (closed(n={"type": ["integer", "null"]}) | {"required": ["n"]}, {"n": None}),
        (
            closed(b={"type": "boolean"}, l={"type": "array"}, o={"type": "object"}),
            {"b": "true", "l": "[1]", "o": "{}"},
        ),
        (closed(l={"type": "array", "items": {"type": "integer"}}), {"l": "[]"}),
        (closed(n={"minimum": 10, "pattern": "x", "type": "integer"}), {"n": 1}),
        (closed(n={"oneOf": [{"type": "integer"}, {"type": "number"}]}), {"n": 1}),
        (closed() | {"patternProperties": {"^x-": {}}}, {"x-a": 1, "y": 2}),
        ({"properties": {"n": {"type": "int64"}}}, {"n": "x"}),
    ],
)
def test_what_the_operation_may_well_take_is_not_refused(schema: dict[str, Any], given: dict[str, Any]) -> None:
    assert faults_of(schema, given) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 5},
        {"properties": []},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#"},
    ],
)
def test_a_schema_that_cannot_be_used_leaves_the_judgement_to_the_parameters(schema: dict[str, Any]) -> None:
    parameters = (CatalogueParameter("n", "integer", required=True),)
    operation = CatalogueOperation("op", input_schema=schema, parameters=parameters)
    assert [str(fault) for fault in check_input(operation, {"n": 1})] == []
    assert [str(fault) for fault in check_input(operation, {"x": 1})] == ["n is missing; accepted is an integer"]


def test_without_a_schema_the_parameters_are_the_schema() -> None:
    operation = CatalogueOperation("op", parameters=(CatalogueParameter("s"), CatalogueParameter("n", "number")))
    assert [str(fault) for fault in check_input(operation, {"s": 1, "n": "x", "z": 1})] == [
        "n is a text; accepted is a number",
        "s is 1; accepted is text",
    ]


def test_names_that_are_filled_in_later_are_not_missing_and_must_be_declared() -> None:
    schema = {**closed(n={"type": "integer"}), "required": ["n"]}
    assert faults_of(schema, {}, bound=["n"]) == []
    assert faults_of(schema, {"n": "x"}, bound=["n"]) == []
    assert faults_of(schema, {"n": 1}, bound=["m"]) == ['m is not declared; accepted is "n"']


def test_the_refusal_names_the_operation_and_is_bounded() -> None:
    faults = check_input(CatalogueOperation("op", input_schema=closed()), {f"k{i:03d}" * 200: i for i in range(500)})
    text = str(InputInvalid("roadmap", "noop", faults))
    assert text.startswith("input of roadmap.noop: k000")
    assert text.endswith("; and 480 more")
    assert len(text) < 4_000


REST = CatalogueOperation(
    "op",
    "POST",
    "/x/{id}/{undeclared}",
    transport="rest",
    input_schema={"type": "object", "properties": {"id": {"type": "string"}}},
    parameters=(
        CatalogueParameter("id", "string", location="path"),
        CatalogueParameter("n", "int", location="query"),
        CatalogueParameter("tags", "array", location="header"),
        CatalogueParameter("title", "string", location="body", required=True),
        CatalogueParameter("hidden", "string", location="body", required=True, internal=True),
    ),
)


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({"id": 5, "undeclared": "x", "title": "t"}, []),
        ({"id": True, "undeclared": 1, "title": "t", "n": "3", "tags": "one", "more": [1]}, []),
        ({"id": 5, "undeclared": 1, "title": 5}, ["title is 5; accepted is text"]),
        ({"title": "t"}, ["id is missing; accepted is text or a number or true or false", "undeclared is missing"]),
        (
            {"id": None, "undeclared": None, "title": None},
            [
                "id is missing; accepted is text or a number or true or false",
                "title is missing; accepted is text",
                "undeclared is missing",
            ],
        ),
        (
            {"id": 5, "undeclared": 1, "title": "t", "hidden": None},
            ["hidden is not public; accepted is an input without it"],
        ),
    ],
)
def test_an_input_of_a_rest_operation_is_judged_by_the_places_of_its_parameters(
    given: dict[str, Any], faults: list[str]
) -> None:
    assert [str(fault) for fault in check_input(REST, given)] == faults


def test_what_is_filled_in_later_counts_as_given_to_a_rest_operation() -> None:
    assert check_input(REST, {"id": 1, "undeclared": 1}, bound=["title"]) == []


@pytest.mark.parametrize("location", ["", "query", "header"])
def test_a_placeholder_that_no_parameter_fills_is_told(location: str) -> None:
    declared = (CatalogueParameter("id", "string", location=location),) if location else ()
    operation = CatalogueOperation("op", "GET", "/x/{id}", transport="rest", parameters=declared)
    faults = ["id is a placeholder of the path that no parameter fills"]
    assert [str(fault) for fault in check_input(operation, {"id": "a"})] == faults
