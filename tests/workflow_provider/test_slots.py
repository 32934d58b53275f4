"""Slots: the given vectors, the grammar, clock changes, and properties that must hold for any expression."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from gestalt_workflow.slots import next_slot, next_slots, previous_slot
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt_sdk.cron import CronInvalid, parse_cron
from gestalt_sdk.zones import ZoneInvalid, load_zone, normalise_zone, zone_names
from tests.support.cron_vectors import VECTORS


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def spelled(slots: list[datetime]) -> list[str]:
    return [slot.strftime("%Y-%m-%dT%H:%M:%SZ") for slot in slots]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "next" in v], ids=lambda v: f"{v['cron']} {v['timezone']}")
def test_vector(vector: dict[str, Any]) -> None:
    if vector["timezone"] == "America/Havana" and _havana_keeps_summer_time():
        pytest.skip("this machine's zone database has Cuba keep summer time in 2026; the vector's has not")
    cron, zone, wanted = parse_cron(vector["cron"]), vector["timezone"], vector["next"]
    slots = next_slots(cron, zone, moment(vector["after"]), len(wanted))
    assert spelled(slots) == wanted
    for earlier, later in pairwise(slots):
        assert previous_slot(cron, zone, later) == later
        assert previous_slot(cron, zone, later - timedelta(microseconds=1)) == earlier


def _havana_keeps_summer_time() -> bool:
    winter = datetime(2026, 12, 1, 12, tzinfo=load_zone("America/Havana"))
    return winter.utcoffset() == timedelta(hours=-4)


@pytest.mark.parametrize("vector", [v for v in VECTORS if "refused" in v], ids=lambda v: v["cron"])
def test_refused_vector(vector: dict[str, Any]) -> None:
    try:
        cron = parse_cron(vector["cron"])
    except CronInvalid as error:
        assert str(error).startswith("invalid cron: ")
    else:
        assert next_slot(cron, vector["timezone"], moment(vector["after"])) is None


@pytest.mark.parametrize(
    ("expression", "column", "field"),
    [
        ("60 * * * *", 1, "minute"),
        ("*  24 * * *", 4, "hour"),
        ("0,99 * * * *", 3, "minute"),
        ("* * 1,32 * *", 7, "day-of-month"),
        ("* * * jan-foo *", 7, "month"),
        ("* * * * 1/0", 9, "day-of-week"),
        ("* * * * 7", 9, "day-of-week"),
        ("1/2/3 * * * *", 1, "minute"),
    ],
)
def test_a_refusal_names_column_and_field(expression: str, column: int, field: str) -> None:
    with pytest.raises(CronInvalid, match=rf"^invalid cron: column {column}: {field} "):
        parse_cron(expression)


@pytest.mark.parametrize("expression", ["TZ=UTC * * * * *", "CRON_TZ=UTC * * * * *", "TZ=UTC", "@every 5m", "@"])
def test_prefixes_and_descriptors_are_refused_not_crashed_on(expression: str) -> None:
    with pytest.raises(CronInvalid, match=r"^invalid cron: "):
        parse_cron(expression)


@pytest.mark.parametrize(
    ("lenient", "strict"),
    [
        ("*-5 * * * *", "* * * * *"),
        ("*-x * * * *", "* * * * *"),
        ("+5 05 * * *", "5 5 * * *"),
        ("*/100 * * * *", "0 * * * *"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("0 0 * JAN-mar Sun", "0 0 * 1-3 0"),
        ("0 0 ?  * ?", "0 0 * * *"),
        (",1,,2, * * * *", "1,2 * * * *"),
    ],
)
def test_leniencies(lenient: str, strict: str) -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC)
    assert next_slots(parse_cron(lenient), "UTC", after, 20) == next_slots(parse_cron(strict), "UTC", after, 20)


def test_a_bare_star_lets_the_other_day_field_decide() -> None:
    after = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def days(expression: str) -> list[int]:
        return [slot.day for slot in next_slots(parse_cron(expression), "UTC", after, 6)]

    assert days("0 0 */2 * 1") == [3, 5, 7, 9, 11, 12]
    assert days("0 0 1-31 * 1") == [2, 3, 4, 5, 6, 7]
    assert days("0 0 */1 * 1") == [5, 12, 19, 26, 2, 9]


@pytest.mark.parametrize("name", ["Local", "local", "localtime", "Mars/Olympus", "../UTC", "europe/berlin", "UTC+1"])
def test_names_that_are_no_iana_zone_are_refused(name: str) -> None:
    with pytest.raises(ZoneInvalid, match=f'^invalid timezone "{name}"$'.replace("+", r"\+")):
        normalise_zone(name)


def test_every_zone_name_can_be_loaded_and_blank_is_utc() -> None:
    assert normalise_zone("  ") == "UTC"
    assert len(zone_names()) > 400
    for name in zone_names():
        load_zone(name)


def test_a_leap_day_beyond_the_horizon_is_no_slot() -> None:
    assert next_slot(parse_cron("0 0 29 2 *"), "UTC", datetime(2096, 3, 1, tzinfo=UTC)) is None
    assert previous_slot(parse_cron("0 0 31 2 *"), "UTC", datetime(2026, 3, 1, tzinfo=UTC)) is None


def test_an_outage_of_years_is_crossed_directly() -> None:
    # A loop over the missed minutes would take minutes itself.
    cron = parse_cron("* * * * *")
    assert previous_slot(cron, "Europe/Berlin", datetime(2096, 1, 1, tzinfo=UTC)) == datetime(2096, 1, 1, tzinfo=UTC)


fields = st.sampled_from(["*", "0", "*/7", "30", "1-50/9", "5,10,59"])
hours = st.sampled_from(["*", "*/2", "2", "0", "1,2,3", "0-23", "23", "2,*/5"])
days = st.sampled_from(["*", "1", "*/3", "28-31", "15"])
months = st.sampled_from(["*", "3", "10,11", "*/4"])
weekdays = st.sampled_from(["*", "0", "1-5", "*/2"])
expressions = st.builds("{} {} {} {} {}".format, fields, hours, days, months, weekdays)
ZONES = """UTC America/New_York Europe/Berlin Australia/Lord_Howe America/St_Johns Asia/Kolkata America/Sao_Paulo
Africa/Casablanca Pacific/Apia America/Havana Asia/Gaza Pacific/Chatham"""
zones = st.sampled_from(ZONES.split())
moments = st.datetimes(datetime(1996, 1, 1), datetime(2038, 1, 1)).map(lambda m: m.replace(tzinfo=UTC))


@settings(max_examples=300, deadline=None)
@given(expressions, zones, moments)
def test_slots_ascend_and_previous_is_the_inverse_of_next(expression: str, zone: str, after: datetime) -> None:
    cron = parse_cron(expression)
    slots = next_slots(cron, zone, after, 5)
    assert slots == sorted(set(slots))
    assert all(slot > after for slot in slots)
    for earlier, later in pairwise(slots):
        assert previous_slot(cron, zone, later) == later
        assert previous_slot(cron, zone, later - timedelta(microseconds=1)) == earlier
        assert next_slot(cron, zone, earlier) == later


@settings(max_examples=200, deadline=None)
@given(expressions, zones, moments)
def test_next_agrees_with_trying_every_minute(expression: str, zone: str, after: datetime) -> None:
    """Independent of the implementation: walk the minutes and apply design decision 4 to each."""
    cron = parse_cron(expression)
    tz = load_zone(zone)
    start = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    expected = next((m for m in (start + timedelta(minutes=n) for n in range(60 * 30)) if _fires(cron, tz, m)), None)
    found = next_slot(cron, zone, after)
    if expected is not None:
        assert found == expected
    else:
        assert found is None or found >= start + timedelta(minutes=60 * 30)


def _fires(cron: Any, tz: Any, instant: datetime) -> bool:
    local = instant.astimezone(tz)
    matches = cron.matches_day(local.date()) and local.hour in cron.hours and local.minute in cron.minutes
    if cron.real_time:
        return bool(matches and local.second == 0)
    if matches and local.second == 0 and local.fold == 0:
        return True
    before = (instant - timedelta(minutes=1)).astimezone(tz)
    skipped = (local.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
    if skipped <= timedelta():
        return False
    wall = before.replace(tzinfo=None) + timedelta(minutes=1)
    while wall < local.replace(tzinfo=None):
        if cron.matches_day(wall.date()) and wall.hour in cron.hours and wall.minute in cron.minutes:
            return True
        wall += timedelta(minutes=1)
    return False
