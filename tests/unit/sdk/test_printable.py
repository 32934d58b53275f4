"""Whatever somebody has written, showing it changes nothing but what is shown."""

from __future__ import annotations

import json

import pytest

from gestalt_sdk.common.printable import QUOTED_BYTES, printable, printable_json, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, grün, 日本 🙂", "plain, grün, 日本 🙂"),
        ("a\tb", "a\tb"),
        ("\x1b[2J\r\n\x00\x7f", "\\x1b[2J\\x0d\\x0a\\x00\\x7f"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eturned\u2028", "\\u202eturned\\u2028"),
        ("\U000e0001", "\\U000e0001"),
        ("\udc80", "\\udc80"),
    ],
)
def test_what_is_not_printable_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["grün 🙂", "\x9b2J", "\u202eturned", "\U000e0001", "\x1b[2J\n", "\x7f"])
def test_json_stays_the_same_json(text: str) -> None:
    found = printable_json(json.dumps({"event": text}, ensure_ascii=False))
    assert found.isprintable()
    assert json.loads(found) == {"event": text}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain, grün, 日本 🙂", '"plain, grün, 日本 🙂"'),
        ('a"b\\c\td\n', '"a\\"b\\\\c\\td\\n"'),
        ("Europe/Berlin\x00", '"Europe/Berlin\\x00"'),
        ("\x1b[2J\x9b\u202e\ud800", '"\\x1b[2J\\u009b\\u202e\\ud800"'),
        ("a" * QUOTED_BYTES, f'"{"a" * QUOTED_BYTES}"'),
        ("é" * QUOTED_BYTES, f'"{"é" * (QUOTED_BYTES // 2)}" (cut, {2 * QUOTED_BYTES} bytes in all)'),
    ],
)
def test_a_value_in_the_text_of_an_error_is_escaped_and_bounded(value: str, shown: str) -> None:
    assert quoted(value) == shown
