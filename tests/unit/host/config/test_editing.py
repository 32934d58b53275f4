"""Changing a configuration file in place: what is added, taken away, and left exactly as it was."""

from __future__ import annotations

import pytest

from gestalt_host.config.editing import EditImpossible, with_value, without

ENTRY = {"source": {"package": "a.example/b/c/d", "version": "^1.2"}}

LAYOUT = """\
# Operated by the platform team.
server:
    encryptionKey: ${KEY}   # from the vault

plugins:
    # the oldest one
    one: {source: ./one.yaml, env: {A: ${A}, B: "$$x"}}

    two:  # needs care
        source: ./two.yaml
        config:
            text: |
                several
                lines

    # end of plugins

workflows: {}
"""


def test_an_entry_is_added_behind_the_last_one_and_nothing_else_changes() -> None:
    added = with_value(LAYOUT, ("plugins", "d"), ENTRY)
    block = "    d:\n        source:\n            package: a.example/b/c/d\n            version: ^1.2\n"
    where = LAYOUT.index("\n    # end of plugins")
    assert added == LAYOUT[:where] + block + LAYOUT[where:]


def test_what_was_added_is_taken_away_again() -> None:
    assert without(with_value(LAYOUT, ("plugins", "d"), ENTRY), ("plugins", "d")) == LAYOUT
    assert without(LAYOUT, ("plugins", "one")) == LAYOUT.replace(
        '    one: {source: ./one.yaml, env: {A: ${A}, B: "$$x"}}\n', ""
    )


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("", ("a", "b"), "a:\n  b: v\n"),
        ("# nothing\n", ("a",), "# nothing\na: v\n"),
        ("x: 1", ("a",), "x: 1\na: v\n"),
        ("x: 1\n", ("a", "b"), "x: 1\na:\n  b: v\n"),
        ("a:\n", ("a", "b"), "a:\n  b: v\n"),
        ("a:  # none yet\nx: 1\n", ("a", "b"), "a:  # none yet\n  b: v\nx: 1\n"),
        ("a: {}\nx: 1\n", ("a", "b"), "a:\n  b: v\nx: 1\n"),
        ("a: {}  # none\nx: 1\n", ("a", "b"), "a:  # none\n  b: v\nx: 1\n"),
        ("a: null\n", ("a", "b"), "a:\n  b: v\n"),
        ("a: {x: 1}\n", ("a", "b"), "a: {x: 1, b: v}\n"),
        ("a: {x: 1,\n  }\n", ("a", "b"), "a: {x: 1, b: v,\n  }\n"),
        ("a: {x: ${X}}\n", ("a", "b", "c"), "a: {x: ${X}, b: {c: v}}\n"),
        ("{a: {}}\n", ("a", "b"), "{a: {b: v}}\n"),
        ("{a: null}\n", ("a", "b"), "{a: {b: v}}\n"),
        ("a:\r\n    x: 1\r\n", ("a", "b"), "a:\r\n    x: 1\r\n    b: v\r\n"),
        ("\ufeffa: 1\n", ("b",), "\ufeffa: 1\nb: v\n"),
        ("a: old\n", ("a",), "a: v\n"),
        ("a: 'old'  # why\n", ("a",), "a: v  # why\n"),
        ("s: {p: x, version: 1.0.0}\n", ("s", "version"), "s: {p: x, version: v}\n"),
        ("a:\n  - 1\nb: 2\n---\nother: 1\n", ("b",), "a:\n  - 1\nb: v\n---\nother: 1\n"),
        ("a:\n  x: |\n    t\n\n# c\nb: 1\n", ("a", "y"), "a:\n  x: |\n    t\n  y: v\n\n# c\nb: 1\n"),
    ],
)
def test_a_value_is_put_where_the_layout_of_the_file_has_it(before: str, path: tuple[str, ...], after: str) -> None:
    assert with_value(before, path, "v") == after


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("a:\n  b: 1\n", ("a", "b"), "a: {}\n"),
        ("a:  # all\n  b: 1\nc: 2\n", ("a", "b"), "a: {}  # all\nc: 2\n"),
        ("a: {b: 1}\n", ("a", "b"), "a: {}\n"),
        ("a: {b: 1, c: 2}\n", ("a", "b"), "a: {c: 2}\n"),
        ("a: {b: 1, c: 2}\n", ("a", "c"), "a: {b: 1}\n"),
        (
            "a:\n  b:\n    x: 1\n    # inside\n\n  # above c\n  c: 2\n",
            ("a", "b"),
            "a:\n    # inside\n\n  # above c\n  c: 2\n",
        ),
        ("a: 1\nb: ${B}", ("b",), "a: 1\n"),
    ],
)
def test_a_key_is_taken_away_with_its_lines(before: str, path: tuple[str, ...], after: str) -> None:
    assert without(before, path) == after


@pytest.mark.parametrize(
    "value", ["1.0", "on", "~", "null", "a: b", "# no", "'", "$HOME", "${X}", "$$", "é", " x ", "12:30:00"]
)
def test_a_text_is_read_as_it_was_put(value: str) -> None:
    for before in ("a:\n  x: 1\n", "a: {x: 1}\n"):
        # Whether it is, is checked by the change itself.
        assert with_value(before, ("a", "b"), value).startswith(before[:6])


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a: &x {b: 1}\nc: *x\n", ("a", "d")),
        ("a: &x\n  b: 1\nc: *x\n", ("c", "d")),
        ("base: &x {b: {k: 1}}\na: {<<: *x}\n", ("a", "b", "d")),
        ("a: [1]\n", ("a", "b")),
        ("a:\n  - 1\n", ("a", "b")),
        ("a: text\n", ("a", "b")),
    ],
)
def test_what_cannot_be_changed_alone_is_left_to_a_person(text: str, path: tuple[str, ...]) -> None:
    with pytest.raises(EditImpossible, match=rf"^{'.'.join(path)} cannot be changed without changing more of the file"):
        with_value(text, path, "v")


def test_what_is_not_there_cannot_be_taken_away() -> None:
    with pytest.raises(EditImpossible, match=r"a\.b cannot be changed"):
        without("a: {c: 1}\n", ("a", "b"))
