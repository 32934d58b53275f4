"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gestalt_sdk.timing.durations import DurationInvalid, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1m30s", 90),
        ("1h0.5s", 3600.5),
        ("0", 0),
        ("-2s", -2),
        (".5s", 0.5),
        ("1.5h", 5400),
        ("3us", 3e-6),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "1", "1d", "s", "1 s", "1s2", "--1s", "1e3s", "9999999999999h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(DurationInvalid, match="is not a duration"):
        parse_duration(text)
